//! TLS and mutual TLS.

use std::{path::PathBuf, time::Duration};

use millgate_platform::{ClientTlsArgs, ProxyArgs, TlsArgs, channel::channel, healthcheck};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::workshop::{Note, Workshop};

/// An authority that signs certificates into a folder.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("params");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("written");
        Self { folder, issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Certificate and key for this name.
    fn certify(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("params");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let (cert, key_file) = (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key")),
        );
        std::fs::write(&cert, certificate.pem()).expect("written");
        std::fs::write(&key_file, key.serialize_pem()).expect("written");
        (cert, key_file)
    }

    fn server(&self, mutual: bool) -> TlsArgs {
        let (cert, key) = self.certify("localhost");
        TlsArgs {
            tls_cert: Some(cert),
            tls_key: Some(key),
            tls_client_ca: mutual.then(|| self.path("ca.pem")),
            tls_client_optional: false,
        }
    }

    fn client(&self, name: Option<&str>) -> ClientTlsArgs {
        let identity = name.map(|name| self.certify(name));
        ClientTlsArgs {
            client_tls_ca: Some(self.path("ca.pem")),
            client_tls_cert: identity.clone().map(|(cert, _)| cert),
            client_tls_key: identity.map(|(_, key)| key),
            client_tls_name: Some("localhost".to_owned()),
        }
    }
}

async fn open(tls: TlsArgs) -> Workshop {
    let tls = tls.server(&["h2"]).expect("good files");
    Workshop::open_with(|server| {
        server.tls = tls;
        server.limits.tls_handshake_timeout = Some(Duration::from_millis(300));
        let trusted = ProxyArgs {
            trusted_proxies: Vec::new(),
            trusted_proxy_names: vec!["gateway.internal".to_owned()],
        };
        server.proxies = trusted.trusted(None).expect("a good name");
    })
    .await
}

async fn ask(workshop: &Workshop, tls: &ClientTlsArgs) -> Result<String, String> {
    let tls = tls.client().expect("good files");
    let endpoint = format!("https://{}", workshop.address);
    let channel = channel("TEST_ENDPOINT", &endpoint, tls.as_ref()).expect("a good endpoint");
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| error.to_string())?;
    let mut request = tonic::Request::new(Note {
        text: "where".to_owned(),
    });
    request
        .metadata_mut()
        .insert("x-forwarded-for", "1.2.3.4".parse().expect("text"));
    let path = http::uri::PathAndQuery::from_static("/test.workshop.v1.WorkshopService/Ask");
    let codec = tonic_prost::ProstCodec::<Note, Note>::default();
    let asked = grpc.unary(request, path, codec).await;
    asked
        .map(|note| note.into_inner().text)
        .map_err(|status| status.to_string())
}

#[tokio::test]
async fn a_call_over_tls_arrives_and_one_without_does_not() {
    let authority = Authority::new();
    let workshop = open(authority.server(false)).await;
    let answer = ask(&workshop, &authority.client(None))
        .await
        .expect("answered");
    assert!(answer.starts_with("127.0.0.1 "), "{answer}");
    let tls = authority.client(None).client().expect("good");
    let endpoint = format!("https://{}", workshop.address);
    healthcheck(&endpoint, tls.as_ref(), Duration::from_secs(3))
        .await
        .expect("healthy");
    let plain = format!("http://{}", workshop.address);
    assert!(
        healthcheck(&plain, None, Duration::from_secs(3))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_server_of_another_authority_or_name_is_not_believed() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let workshop = open(theirs.server(false)).await;
    assert!(ask(&workshop, &ours.client(None)).await.is_err());
    let mut other_name = theirs.client(None);
    other_name.client_tls_name = Some("elsewhere".to_owned());
    assert!(ask(&workshop, &other_name).await.is_err());
}

#[tokio::test]
async fn mutual_tls_lets_in_only_who_shows_a_certificate_of_ours() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let workshop = open(ours.server(true)).await;
    assert!(
        ask(&workshop, &ours.client(Some("factory.internal")))
            .await
            .is_ok()
    );
    assert!(
        ask(&workshop, &ours.client(None)).await.is_err(),
        "no certificate"
    );
    let mut foreign = theirs.client(Some("factory.internal"));
    foreign.client_tls_ca = Some(ours.path("ca.pem"));
    assert!(
        ask(&workshop, &foreign).await.is_err(),
        "another authority's certificate"
    );
}

#[tokio::test]
async fn the_clients_address_is_believed_from_a_proxys_certificate_only() {
    let authority = Authority::new();
    let workshop = open(authority.server(true)).await;
    let gateway = ask(&workshop, &authority.client(Some("gateway.internal")))
        .await
        .expect("ok");
    assert!(gateway.starts_with("1.2.3.4 "), "{gateway}");
    let factory = ask(&workshop, &authority.client(Some("factory.internal")))
        .await
        .expect("ok");
    assert!(factory.starts_with("127.0.0.1 "), "{factory}");
}

#[tokio::test]
async fn a_handshake_that_never_comes_is_cut() {
    let authority = Authority::new();
    let workshop = open(authority.server(false)).await;
    let mut stream = TcpStream::connect(workshop.address)
        .await
        .expect("connected");
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 16])).await;
    assert_eq!(read.expect("closed in time").expect("closed"), 0);
}

#[tokio::test]
async fn wrong_files_are_refused_by_the_name_of_their_setting() {
    let authority = Authority::new();
    let good = authority.server(true);
    let nowhere = Some(PathBuf::from("/no/such/file"));
    let ca = Some(authority.path("ca.pem"));
    let key = good.tls_key.clone();
    let cases = [
        (
            TlsArgs {
                tls_cert: nowhere.clone(),
                ..good.clone()
            },
            "MILLGATE_TLS_CERT",
        ),
        (
            TlsArgs {
                tls_key: nowhere.clone(),
                ..good.clone()
            },
            "MILLGATE_TLS_KEY",
        ),
        (
            TlsArgs {
                tls_key: ca,
                ..good.clone()
            },
            "MILLGATE_TLS_KEY",
        ),
        (
            TlsArgs {
                tls_cert: key,
                ..good.clone()
            },
            "MILLGATE_TLS_CERT",
        ),
        (
            TlsArgs {
                tls_client_ca: nowhere.clone(),
                ..good.clone()
            },
            "MILLGATE_TLS_CLIENT_CA",
        ),
    ];
    for (args, setting) in cases {
        assert_eq!(args.server(&["h2"]).expect_err(setting).setting(), setting);
    }
    let client = ClientTlsArgs {
        client_tls_ca: nowhere,
        ..ClientTlsArgs::default()
    };
    assert_eq!(
        client.client().expect_err("no file").setting(),
        "MILLGATE_CLIENT_TLS_CA"
    );
}
