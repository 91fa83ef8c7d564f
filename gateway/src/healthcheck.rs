//! The question whether a gateway is ready: `gateway healthcheck`, for a container's health check.

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use millgate_platform::StartError;
use std::time::Duration;
use tokio::net::TcpStream;

/// Asks `/readyz` of the gateway at `http://host:port`.
///
/// # Errors
/// When it cannot be reached within `longest`, or is not ready.
pub async fn healthcheck(endpoint: &str, longest: Duration) -> Result<(), StartError> {
    let failed = |cause: String| StartError::new(endpoint, cause);
    let uri: Uri = endpoint
        .parse()
        .map_err(|_| failed("is no URL".to_owned()))?;
    let authority = uri
        .authority()
        .filter(|_| uri.scheme_str() == Some("http"))
        .ok_or_else(|| failed("must be http://host:port".to_owned()))?;
    let asked = tokio::time::timeout(longest, ask(authority.as_str()));
    let status = asked
        .await
        .map_err(|_| failed("no answer in time".to_owned()))?
        .map_err(|error| failed(error.to_string()))?;
    if status == StatusCode::OK {
        return Ok(());
    }
    Err(failed(format!("answers {status}")))
}

async fn ask(authority: &str) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/readyz")
        .header("host", authority)
        .body(Empty::<Bytes>::new())?;
    tokio::select! {
        answer = sender.send_request(request) => Ok(answer?.status()),
        ended = connection => {
            ended?;
            Err("the connection was closed".into())
        }
    }
}
