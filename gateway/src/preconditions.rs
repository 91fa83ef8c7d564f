//! `If-Match` (RFC 9110 section 13.1.1) and `Idempotency-Key`, which become the fields `etag` and `request_id`.

use crate::api::{Binding, Body};
use crate::problem::{Problem, reason};
use http::Method as HttpMethod;
use http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};
use tonic::Code;

/// The header that makes a retry safe (draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

const ETAG: &str = "etag";
const REQUEST_ID: &str = "request_id";

/// What the headers ask for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Preconditions {
    /// The revision that the client holds; `None` without `If-Match`, and for `If-Match: *`.
    pub etag: Option<String>,
    /// The key of the request, so that a retry is known as one.
    pub request_id: Option<String>,
    /// Whether there is an `If-None-Match`.
    pub if_none_match: bool,
}

impl Preconditions {
    /// Reads the headers. Refuses what cannot be honoured instead of passing over it.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let etag = match only(headers, &IF_MATCH)? {
            None | Some("*") => None,
            Some(value) if value.starts_with("W/") => {
                // A weak tag never matches where the strong comparison is asked for (RFC 9110 section 13.1.1).
                return Err(Problem::new(
                    Code::Aborted,
                    reason::ETAG_MISMATCH,
                    "a weak entity tag matches no revision",
                ));
            }
            Some(value) => Some(unquoted(value).ok_or_else(|| {
                Problem::field("If-Match", "must be one entity tag in double quotes")
            })?),
        };
        let request_id = match only(headers, &IDEMPOTENCY_KEY)? {
            None => None,
            Some(value) => Some(unquoted(value).ok_or_else(|| {
                Problem::field(
                    "Idempotency-Key",
                    "must be one key, in double quotes or bare",
                )
            })?),
        };
        Ok(Self {
            etag,
            request_id,
            if_none_match: headers.contains_key(IF_NONE_MATCH),
        })
    }

    /// Writes them into the request.
    pub fn apply(
        &self,
        request: &mut DynamicMessage,
        binding: &Binding,
        method: &HttpMethod,
    ) -> Result<(), Problem> {
        if self.if_none_match && !method.is_safe() {
            // Who sends it wants nothing to happen where something is already, and that cannot be promised here.
            return Err(Problem::field("If-None-Match", "is for GET and HEAD only"));
        }
        if let Some(request_id) = &self.request_id
            && let Some(field) = text_field(request, REQUEST_ID)
        {
            put(request, &field, request_id, "Idempotency-Key")?;
        }
        let Some(etag) = &self.etag else {
            return Ok(());
        };
        if let Some(field) = text_field(request, ETAG) {
            return put(request, &field, etag, "If-Match");
        }
        if let Body::Field(body) = &binding.body
            && let Some(resource) = request.get_field_mut(body).as_message_mut()
            && let Some(field) = text_field(resource, ETAG)
        {
            return put(resource, &field, etag, "If-Match");
        }
        if method.is_safe() {
            return Ok(());
        }
        Err(Problem::field("If-Match", "this method takes no etag"))
    }
}

fn put(
    message: &mut DynamicMessage,
    field: &FieldDescriptor,
    value: &str,
    header: &str,
) -> Result<(), Problem> {
    let sent = message.get_field(field).into_owned();
    match sent.as_str() {
        Some("") | None => {}
        Some(same) if same == value => {}
        Some(_) => {
            let description = format!("is told differently by the header {header}");
            return Err(Problem::field(field.name(), description));
        }
    }
    message.set_field(field, Value::String(value.to_owned()));
    Ok(())
}

fn text_field(message: &DynamicMessage, name: &str) -> Option<FieldDescriptor> {
    prost_reflect::ReflectMessage::descriptor(message)
        .get_field_by_name(name)
        .filter(|field| field.kind() == Kind::String && !field.is_list())
}

/// The value of a header that may be sent once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.map(|text| Some(text.trim()))
        .ok_or_else(|| Problem::field(name.as_str(), "must be given once, in visible characters"))
}

/// The one value, without its quotes. A list of several, or a quote inside, is none.
fn unquoted(value: &str) -> Option<String> {
    let inner = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    let good = !inner.is_empty()
        && inner
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b',');
    good.then(|| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, values: &[&str]) -> Result<Preconditions, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        Preconditions::from_headers(&headers)
    }

    #[test]
    fn if_match_is_one_strong_tag() {
        type Expected = Result<Option<&'static str>, &'static str>;
        let cases: [(&[&str], Expected); 10] = [
            (&[], Ok(None)),
            (&["*"], Ok(None)),
            (&["\"7\""], Ok(Some("7"))),
            (&["7"], Ok(Some("7"))),
            (&["W/\"7\""], Err("ETAG_MISMATCH")),
            (&["\"7\", \"8\""], Err("FIELD_INVALID")),
            (&["\"7\"", "\"8\""], Err("FIELD_INVALID")),
            (&["\"7"], Err("FIELD_INVALID")),
            (&["\"\""], Err("FIELD_INVALID")),
            (&[""], Err("FIELD_INVALID")),
        ];
        for (values, expected) in cases {
            let found = read("if-match", values)
                .map(|found| found.etag)
                .map_err(|problem| problem.reason);
            let expected = expected
                .map(|etag| etag.map(str::to_owned))
                .map_err(Into::into);
            assert_eq!(found, expected, "{values:?}");
        }
    }

    #[test]
    fn an_idempotency_key_is_taken_bare_or_quoted() {
        for value in ["\"0b9e\"", "0b9e"] {
            assert_eq!(
                read("idempotency-key", &[value])
                    .unwrap()
                    .request_id
                    .as_deref(),
                Some("0b9e")
            );
        }
        assert!(read("idempotency-key", &["a b"]).is_err());
        assert!(read("idempotency-key", &["a", "a"]).is_err());
    }
}
