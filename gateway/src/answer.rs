//! A success: status, `Location`, `ETag` and the JSON body.

use crate::api::Binding;
use crate::compression::Secret;
use crate::json;
use crate::location::Location;
use crate::reply::AnswerBody;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderValue, Response};
use prost_reflect::DynamicMessage;

/// Tells the answer of a method over HTTP. Fails only for a message that has no JSON.
pub fn success(
    binding: &Binding,
    answer: &DynamicMessage,
    location: Option<&Location>,
) -> Result<Response<AnswerBody>, serde_json::Error> {
    let mut body = match &binding.response_body {
        None => json::encode(answer)?,
        Some(field) => json::encode_field(answer, field)?,
    };
    // So that a terminal shows its prompt on a line of its own.
    body.push(b'\n');
    let mut response = Response::new(AnswerBody::from(body));
    *response.status_mut() = binding.method.success;
    if binding.method.answers_secret {
        response.extensions_mut().insert(Secret);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(etag) = etag(answer) {
        headers.insert(ETAG, etag);
    }
    if let Some(path) = location.and_then(|location| location.of(answer))
        && let Ok(path) = HeaderValue::from_str(&path)
    {
        headers.insert(LOCATION, path);
    }
    Ok(response)
}

/// The answer's field `etag`, as an entity tag (RFC 9110 section 8.8.3).
fn etag(answer: &DynamicMessage) -> Option<HeaderValue> {
    let value = answer.get_field_by_name("etag")?;
    let value = value.as_str().filter(|value| !value.is_empty())?;
    let good = value
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'"');
    good.then(|| HeaderValue::from_str(&format!("\"{value}\"")).ok())
        .flatten()
}
