//! `/healthz`: the process answers. `/readyz`: so do the services behind it.

use crate::reply::AnswerBody;
use crate::upstream::Upstream;
use futures::future::join_all;
use http::header::CONTENT_TYPE;
use http::request::Parts as Head;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::json;
use std::time::Duration;

/// The process, and the services behind it.
pub const PATHS: [&str; 2] = ["/healthz", "/readyz"];

const LONGEST: Duration = Duration::from_secs(2);

/// The answer, if the request asks for one of the two.
pub async fn answer(head: &Head, upstreams: &[Upstream]) -> Option<Response<AnswerBody>> {
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return None;
    }
    match head.uri.path() {
        "/healthz" => Some(told(StatusCode::OK, &json!({"status": "SERVING"}))),
        "/readyz" => Some(ready(upstreams).await),
        _ => None,
    }
}

async fn ready(upstreams: &[Upstream]) -> Response<AnswerBody> {
    let asked = upstreams.iter().map(|upstream| async move {
        let ready = tokio::time::timeout(LONGEST, upstream.is_ready()).await;
        (upstream.prefix(), ready.unwrap_or(false))
    });
    let states = join_all(asked).await;
    let name = |ready: bool| if ready { "SERVING" } else { "NOT_SERVING" };
    let all = states.iter().all(|(_, ready)| *ready);
    let each: serde_json::Map<String, serde_json::Value> = states
        .iter()
        .map(|(prefix, ready)| ((*prefix).to_owned(), json!(name(*ready))))
        .collect();
    let status = if all {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    told(status, &json!({"status": name(all), "services": each}))
}

fn told(status: StatusCode, body: &serde_json::Value) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::from(format!("{body}\n")));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
