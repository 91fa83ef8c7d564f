//! A success: status, `Location`, `ETag` and the JSON body.

use crate::api::Binding;
use crate::compression::Secret;
use crate::json;
use crate::location::Location;
use crate::raw;
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
    let part = binding.response_body.as_ref();
    let (media_type, body) = if raw::is_given(binding) {
        let raw = raw::of_answer(answer, part).map_err(serde::ser::Error::custom)?;
        (raw.media_type, raw.octets)
    } else {
        let mut body = match part {
            None => json::encode(answer)?,
            Some(field) => json::encode_field(answer, field)?,
        };
        // So that a terminal shows its prompt on a line of its own.
        body.push(b'\n');
        (HeaderValue::from_static("application/json"), body.into())
    };
    let mut response = Response::new(AnswerBody::from(body));
    *response.status_mut() = binding.method.success;
    if binding.method.answers_secret {
        response.extensions_mut().insert(Secret);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type);
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
