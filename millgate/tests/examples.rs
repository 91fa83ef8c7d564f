//! `examples/`, run against the one-command form.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use std::path::PathBuf;
use std::process::Command;
use support::{ADMIN_PASSWORD, Backend, World};

/// Runs an example; everything it printed.
fn run(program: &str, file: &str, world: &World) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(file);
    let output = Command::new(program)
        .arg(path)
        .arg(format!("http://{}", world.addresses.gateway))
        .env("PASSWORD", ADMIN_PASSWORD)
        .env("NO_PROXY", "*")
        .env("no_proxy", "*")
        .output()
        .expect("the example runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}{errors}");
    shown
}

fn shows(shown: &str, parts: &[&str]) {
    for part in parts {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_curl_script_orders_once_and_is_refused_a_stale_change() {
    let world = World::start(Backend::Sqlite).await.unwrap();
    for _ in 0..2 {
        let shown = run("bash", "curl.sh", &world);
        shows(
            &shown,
            &[r#""available":"7""#, "ORDER_STATE_PLACED", "\n200\n412\n"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_orders_once_and_is_refused_a_stale_change() {
    let there = Command::new("python3")
        .args(["-c", "import requests"])
        .output();
    if !there.is_ok_and(|output| output.status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI needs python3 with requests"
        );
        eprintln!("\n!!!! SKIPPED examples/client.py: python3 with requests is not there !!!!\n");
        return;
    }
    let world = World::start(Backend::Sqlite).await.unwrap();
    for _ in 0..2 {
        let shown = run("python3", "client.py", &world);
        shows(
            &shown,
            &[
                "no product: 403 ROLE_DENIED",
                "staff make one: 201 /v1/products/",
                "one order: True left: 7",
                "stale change: 412 ETAG_MISMATCH",
                "['product.name', 'product.sku']",
            ],
        );
    }
}
