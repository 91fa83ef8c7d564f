//! `examples/`, run against the one-command form.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use std::path::PathBuf;
use std::process::Command;
use support::{ADMIN_PASSWORD, Backend, World};

fn example(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(file)
}

/// Whether what an example needs is there; a loud word where it is not, and none of that in CI.
fn is_there(what: &str, there: bool) -> bool {
    if !there {
        assert!(std::env::var_os("CI").is_none(), "CI needs {what}");
        eprintln!("\n!!!! SKIPPED an example: {what} is not there !!!!\n");
    }
    there
}

fn imports(modules: &str) -> bool {
    let import = format!("import {modules}");
    let output = Command::new("python3").args(["-c", &import]).output();
    output.is_ok_and(|output| output.status.success())
}

/// Runs an example over HTTP; everything it printed.
fn run(program: &str, file: &str, world: &World) -> String {
    run_at(
        program,
        file,
        &[&format!("http://{}", world.addresses.gateway)],
    )
}

fn run_at(program: &str, file: &str, addresses: &[&str]) -> String {
    let output = Command::new(program)
        .arg(example(file))
        .args(addresses)
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
    if !is_there("python3 with requests", imports("requests")) {
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

#[tokio::test(flavor = "multi_thread")]
async fn the_grpc_client_orders_once_and_is_refused_a_stale_change() {
    let there = imports("grpc_reflection, grpc_status");
    if !is_there("python3 with grpcio-reflection and grpcio-status", there) {
        return;
    }
    let world = World::start(Backend::Sqlite).await.unwrap();
    let addresses = [&*world.addresses.auth, &*world.addresses.factory];
    for _ in 0..2 {
        let shown = run_at("python3", "grpc_client.py", &addresses);
        shows(
            &shown,
            &[
                "no product: PERMISSION_DENIED ROLE_DENIED",
                "orders: 1 left: 7",
                "stale change: ABORTED ETAG_MISMATCH",
            ],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_client_fits_the_types_of_the_document_and_orders_once() {
    let there = example("typescript/node_modules/typescript").exists();
    if !is_there("`npm install` in examples/typescript", there) {
        return;
    }
    let world = World::start(Backend::Sqlite).await.unwrap();
    let shown = run("bash", "typescript/run.sh", &world);
    shows(
        &shown,
        &[
            "no product: 403 ROLE_DENIED",
            "staff make one: /v1/products/",
            "one order: true left: 7",
            "stale change: 412 ETAG_MISMATCH",
        ],
    );
}
