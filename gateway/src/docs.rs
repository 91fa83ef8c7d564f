//! `/docs`: a page that shows the OpenAPI document and makes calls, from files that are built into the binary. Nothing is
//! loaded from anywhere else, and the page may not.

use crate::own::Text;
use bytes::Bytes;
use std::sync::OnceLock;

/// What the page may load and call: its own files, and this gateway. The viewer draws its icons from `data:` images.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where the viewer's files are: the version is in the path, so that they can be kept.
macro_rules! viewer {
    ($file:literal) => {
        (
            concat!("/docs/swagger-ui-5.35.0/", $file),
            include_bytes!(concat!("../assets/swagger-ui-dist-5.35.0/", $file)).as_slice(),
        )
    };
}

macro_rules! page {
    ($path:literal, $file:literal) => {
        (
            $path,
            include_bytes!(concat!("../assets/docs/", $file)).as_slice(),
        )
    };
}

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

const PAGE: &[(&str, &str)] = &[("content-security-policy", POLICY)];
const KEPT: &[(&str, &str)] = &[("cache-control", "public, max-age=31536000, immutable")];

/// The page and all that it loads, with the licences of what is not ours.
pub(crate) fn files() -> impl Iterator<Item = Text> {
    let files = [
        (page!("/docs", "index.html"), HTML, PAGE),
        (page!("/docs/docs.js", "docs.js"), JAVASCRIPT, &[]),
        (page!("/docs/docs.css", "docs.css"), CSS, &[]),
        (viewer!("swagger-ui-bundle.js"), JAVASCRIPT, KEPT),
        (viewer!("swagger-ui.css"), CSS, KEPT),
        (viewer!("favicon-32x32.png"), "image/png", KEPT),
        (viewer!("LICENSE"), PLAIN, KEPT),
        (viewer!("NOTICE"), PLAIN, KEPT),
        (viewer!("swagger-ui-bundle.js.LICENSE.txt"), PLAIN, KEPT),
    ];
    files
        .into_iter()
        .map(|((path, content), media_type, headers)| Text {
            path,
            media_type,
            headers,
            content: Bytes::from_static(content),
            compressed: OnceLock::new(),
            etag: OnceLock::new(),
        })
}
