//! What the gateway serves itself, beside the routes: texts that are made or known when it starts.

use crate::api::Api;
use crate::compression;
use crate::docs;
use crate::openapi;
use crate::reply::AnswerBody;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderName};
use http::request::Parts as Head;
use http::{HeaderValue, Method, Response};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::OnceLock;

/// One of the texts.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) path: &'static str,
    pub(crate) media_type: &'static str,
    /// Instead of what every answer carries.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) content: Bytes,
    /// Made when it is asked for first, and so is the entity tag.
    pub(crate) compressed: OnceLock<Bytes>,
    pub(crate) etag: OnceLock<Option<HeaderValue>>,
}

impl Text {
    /// Weak: the same for what is compressed.
    fn etag(&self) -> Option<&HeaderValue> {
        let made = self.etag.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            self.content.hash(&mut hasher);
            HeaderValue::from_str(&format!("W/\"{:016x}\"", hasher.finish())).ok()
        });
        made.as_ref()
    }
}

/// The texts, by their path.
#[derive(Debug)]
pub(crate) struct Own(Vec<Text>);

/// What a path of ours answers.
pub(crate) enum Found {
    /// This.
    Answer(Response<AnswerBody>),
    /// Only to these methods.
    WrongMethod(Vec<String>),
}

impl Own {
    /// Makes them.
    pub(crate) fn new(api: &Api) -> Self {
        let document = Text {
            path: "/openapi.json",
            media_type: "application/json",
            // Kept, and asked about before each use.
            headers: &[("cache-control", "no-cache")],
            compressed: OnceLock::new(),
            etag: OnceLock::new(),
            content: Bytes::from(format!("{}\n", openapi::document(api))),
        };
        Self(std::iter::once(document).chain(docs::files()).collect())
    }

    /// Whether a path is one of these.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.0.iter().any(|text| text.path == path)
    }

    /// The answer, if the path is one of ours.
    pub(crate) fn answer(&self, head: &Head) -> Option<Found> {
        let path = head.uri.path();
        let path = path.strip_suffix('/').unwrap_or(path);
        let text = self.0.iter().find(|text| text.path == path)?;
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Some(Found::WrongMethod(vec![
                "GET".to_owned(),
                "HEAD".to_owned(),
            ]));
        }
        let mut response = Response::new(AnswerBody::from(text.content.clone()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(text.media_type));
        for (name, value) in text.headers {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        if let Some(etag) = text.etag() {
            headers.insert(ETAG, etag.clone());
        }
        if !text.media_type.starts_with("image/") {
            let compressed = compression::is_accepted(&head.headers).then(|| {
                let compressed = text
                    .compressed
                    .get_or_init(|| compression::gzip(&text.content));
                compressed.clone()
            });
            compression::mark(&mut response, compressed);
        }
        Some(Found::Answer(response))
    }
}
