//! TLS for listeners and for clients, by configuration: rustls over ring, nothing below 1.2.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

use super::StartError;

/// TLS of a listener. Without a certificate the listener speaks plain text.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "TLS of this server")]
pub struct TlsArgs {
    /// The server's certificate chain (PEM).
    #[arg(
        long,
        env = "MILLGATE_TLS_CERT",
        value_name = "PATH",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,

    /// The key of the certificate (PEM).
    #[arg(
        long,
        env = "MILLGATE_TLS_KEY",
        value_name = "PATH",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,

    /// The authority whose client certificates are taken (PEM). With it, a connection without
    /// such a certificate is refused: mutual TLS.
    #[arg(
        long,
        env = "MILLGATE_TLS_CLIENT_CA",
        value_name = "PATH",
        requires = "tls_cert"
    )]
    pub tls_client_ca: Option<PathBuf>,

    /// Let clients connect without a certificate too, although an authority is configured.
    #[arg(long, env = "MILLGATE_TLS_CLIENT_OPTIONAL", requires = "tls_client_ca")]
    pub tls_client_optional: bool,
}

/// The TLS of a listener, ready to use.
#[derive(Debug, Clone)]
pub struct ServerTls {
    pub(crate) config: Arc<ServerConfig>,
}

impl TlsArgs {
    /// Loads the files; `None` when TLS is not configured. `protocols` is what the listener
    /// offers in ALPN, e.g. `["h2"]`.
    ///
    /// # Errors
    /// Names the setting whose file is missing or does not fit.
    pub fn server(&self, protocols: &[&str]) -> Result<Option<ServerTls>, StartError> {
        let (cert, key) = match (&self.tls_cert, &self.tls_key) {
            (None, None) => return Ok(None),
            (Some(cert), Some(key)) => (cert, key),
            _ => {
                return Err(StartError::new(
                    "MILLGATE_TLS_CERT",
                    "needs MILLGATE_TLS_KEY, and the other way round",
                ));
            }
        };
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| StartError::new("MILLGATE_TLS_CERT", error.to_string()))?;
        let builder = match &self.tls_client_ca {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let setting = "MILLGATE_TLS_CLIENT_CA";
                let roots = roots(setting, authority)?;
                let mut verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                if self.tls_client_optional {
                    verifier = verifier.allow_unauthenticated();
                }
                let verifier = verifier
                    .build()
                    .map_err(|error| StartError::new(setting, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(
                certificates("MILLGATE_TLS_CERT", cert)?,
                private_key("MILLGATE_TLS_KEY", key)?,
            )
            .map_err(|error| StartError::new("MILLGATE_TLS_KEY", error.to_string()))?;
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Ok(Some(ServerTls {
            config: Arc::new(config),
        }))
    }
}

impl ServerTls {
    /// An acceptor for a listener that does its own serving.
    pub fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        tokio_rustls::TlsAcceptor::from(self.config.clone())
    }
}

/// TLS of calls to other services. An `https://` endpoint needs the authority.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "TLS towards other services")]
pub struct ClientTlsArgs {
    /// The authority that signed the other services' certificates (PEM).
    #[arg(long, env = "MILLGATE_CLIENT_TLS_CA", value_name = "PATH")]
    pub client_tls_ca: Option<PathBuf>,

    /// The certificate that this service shows (PEM), for mutual TLS.
    #[arg(
        long,
        env = "MILLGATE_CLIENT_TLS_CERT",
        value_name = "PATH",
        requires = "client_tls_key"
    )]
    pub client_tls_cert: Option<PathBuf>,

    /// The key of that certificate (PEM).
    #[arg(
        long,
        env = "MILLGATE_CLIENT_TLS_KEY",
        value_name = "PATH",
        requires = "client_tls_cert"
    )]
    pub client_tls_key: Option<PathBuf>,

    /// The name to expect in their certificates, where it is not the endpoint's host.
    #[arg(long, env = "MILLGATE_CLIENT_TLS_NAME", value_name = "NAME")]
    pub client_tls_name: Option<String>,
}

/// The TLS of a client, ready to use.
#[derive(Clone)]
pub struct ClientTls {
    pub(crate) config: tonic::transport::ClientTlsConfig,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientTls")
    }
}

impl ClientTlsArgs {
    /// Loads the files; `None` when no TLS is configured.
    ///
    /// # Errors
    /// Names the setting whose file is missing or does not fit.
    pub fn client(&self) -> Result<Option<ClientTls>, StartError> {
        use tonic::transport::{Certificate, ClientTlsConfig, Identity};
        let Some(authority) = &self.client_tls_ca else {
            return match (&self.client_tls_cert, &self.client_tls_name) {
                (None, None) => Ok(None),
                _ => Err(StartError::new(
                    "MILLGATE_CLIENT_TLS_CA",
                    "is needed where a client certificate or name is configured",
                )),
            };
        };
        roots("MILLGATE_CLIENT_TLS_CA", authority)?;
        let authority = read("MILLGATE_CLIENT_TLS_CA", authority)?;
        let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
        if let (Some(cert), Some(key)) = (&self.client_tls_cert, &self.client_tls_key) {
            certificates("MILLGATE_CLIENT_TLS_CERT", cert)?;
            private_key("MILLGATE_CLIENT_TLS_KEY", key)?;
            let cert = read("MILLGATE_CLIENT_TLS_CERT", cert)?;
            let key = read("MILLGATE_CLIENT_TLS_KEY", key)?;
            config = config.identity(Identity::from_pem(cert, key));
        }
        if let Some(name) = &self.client_tls_name {
            config = config.domain_name(name);
        }
        Ok(Some(ClientTls { config }))
    }
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(|error| {
        StartError::new(setting, format!("cannot read {}: {error}", path.display()))
    })
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let pem = read(setting, path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(StartError::new(
            setting,
            format!("{} holds no certificate", path.display()),
        )),
    }
}

fn private_key(setting: &str, path: &Path) -> Result<PrivateKeyDer<'static>, StartError> {
    let pem = zeroize::Zeroizing::new(read(setting, path)?);
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| StartError::new(setting, format!("{} holds no private key", path.display())))
}

fn roots(setting: &str, path: &Path) -> Result<RootCertStore, StartError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(setting, path)? {
        roots.add(certificate).map_err(|error| {
            StartError::new(
                setting,
                format!("{} is no authority: {error}", path.display()),
            )
        })?;
    }
    Ok(roots)
}
