//! The docs page: everything it loads is there, and it loads nothing else.

use crate::support::{Double, Gate};

/// The addresses that a page names in `src` and `href`.
fn loads(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for attribute in ["src=\"", "href=\""] {
        let parts = html.split(attribute).skip(1);
        found.extend(parts.map(|part| part.split('"').next().unwrap().to_owned()));
    }
    found
}

#[tokio::test]
async fn the_page_loads_only_what_is_served_here_under_its_own_type() {
    let gate = Gate::before(&Double::empty()).await;
    let page = gate.request("GET", "/docs").send().await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    let loads = loads(&html);
    assert_eq!(loads.len(), 6, "{loads:?}");
    for path in loads {
        let answered = gate.request("GET", &path).send().await;
        assert_eq!(answered.status, 200, "{path}");
        let expected = match path.rsplit('.').next().unwrap() {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "json" => "application/json",
            _ => "image/png",
        };
        assert_eq!(answered.header("content-type"), expected, "{path}");
        assert_eq!(answered.header("x-content-type-options"), "nosniff");
        assert!(!answered.body.is_empty());
        let kept = answered.header("cache-control").contains("immutable");
        assert_eq!(kept, path.contains("5.35.0"), "{path}");
    }
    let same = gate.request("GET", "/docs/").send().await;
    assert_eq!(same.body, page.body);
}

#[tokio::test]
async fn the_page_may_load_and_call_this_gateway_and_nobody_else() {
    let gate = Gate::before(&Double::empty()).await;
    let page = gate.request("GET", "/docs").send().await;
    let policy = page.header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self';",
        "connect-src 'self';",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("http") && !policy.contains('*') && !policy.contains("eval"));
    // A script or a style inside of the page would be refused by its own policy.
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(!html.contains("<script>") && !html.contains("<style") && !html.contains("style="));
    // What is no page may load nothing at all, as before.
    let answered = gate.request("GET", "/openapi.json").send().await;
    assert_eq!(
        answered.header("content-security-policy"),
        "default-src 'none'; frame-ancestors 'none'"
    );
}

#[tokio::test]
async fn the_licences_come_along_and_no_other_file_of_the_machine() {
    let gate = Gate::before(&Double::empty()).await;
    let licence = gate
        .request("GET", "/docs/swagger-ui-5.35.0/LICENSE")
        .send()
        .await;
    assert!(String::from_utf8_lossy(&licence.body).contains("Apache License"));
    for path in [
        "/docs/../Cargo.toml",
        "/docs/%2e%2e/Cargo.toml",
        "/docs/",
        "/docs//",
        "/docs/x",
    ] {
        let answered = gate.request("GET", path).send().await;
        assert!(
            !String::from_utf8_lossy(&answered.body).contains("[package]"),
            "{path}"
        );
    }
    gate.request("GET", "/docs/x")
        .send()
        .await
        .expect(404, "ROUTE_NOT_FOUND");
    gate.request("POST", "/docs")
        .send()
        .await
        .expect(405, "METHOD_NOT_ALLOWED");
}
