//! What the gateway serves itself, beside the routes: texts that are made or known when it starts.

use crate::api::Api;
use crate::docs;
use crate::gateway::AnswerBody;
use crate::openapi;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, Response};

/// One of the texts.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) path: &'static str,
    pub(crate) media_type: &'static str,
    /// Instead of what every answer carries.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) content: Bytes,
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
            headers: &[],
            content: Bytes::from(openapi::document(api).to_string()),
        };
        Self(std::iter::once(document).chain(docs::files()).collect())
    }

    /// The answer, if the path is one of ours.
    pub(crate) fn answer(&self, method: &Method, path: &str) -> Option<Found> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let text = self.0.iter().find(|text| text.path == path)?;
        if !matches!(*method, Method::GET | Method::HEAD) {
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
        Some(Found::Answer(response))
    }
}
