//! The question whether a gateway is ready: `gateway healthcheck`, for a container's health check.

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use millgate_platform::StartError;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Asks `/readyz` of the gateway at `http://host:port`, or at `https://host:port` with a certificate of this authority
/// (a PEM file).
///
/// # Errors
/// When it cannot be reached within `longest`, or is not ready.
pub async fn healthcheck(
    endpoint: &str,
    authority: Option<&Path>,
    longest: Duration,
) -> Result<(), StartError> {
    let failed = |cause: String| StartError::new(endpoint, cause);
    let uri: Uri = endpoint
        .parse()
        .map_err(|_| failed("is no URL".to_owned()))?;
    let status = tokio::time::timeout(longest, reach(&uri, authority))
        .await
        .map_err(|_| failed("no answer in time".to_owned()))?
        .map_err(|error| failed(error.to_string()))?;
    if status == StatusCode::OK {
        return Ok(());
    }
    Err(failed(format!("answers {status}")))
}

async fn reach(uri: &Uri, authority: Option<&Path>) -> Result<StatusCode, Failure> {
    let (host, port) = match (uri.host(), uri.port_u16()) {
        (Some(host), Some(port)) => (host, port),
        _ => return Err("must be http://host:port or https://host:port".into()),
    };
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    match (uri.scheme_str(), authority) {
        (Some("http"), _) => ask(stream, uri).await,
        (Some("https"), Some(authority)) => {
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
            ask(connector(authority)?.connect(name, stream).await?, uri).await
        }
        (Some("https"), None) => Err("is https: say whose certificate to expect".into()),
        _ => Err("must be http://host:port or https://host:port".into()),
    }
}

fn connector(authority: &Path) -> Result<TlsConnector, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    uri: &Uri,
) -> Result<StatusCode, Failure> {
    let host = uri
        .authority()
        .map(|authority| authority.as_str())
        .unwrap_or_default();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/readyz")
        .header("host", host)
        .body(Empty::<Bytes>::new())?;
    tokio::select! {
        answer = sender.send_request(request) => Ok(answer?.status()),
        ended = connection => {
            ended?;
            Err("the connection was closed".into())
        }
    }
}
