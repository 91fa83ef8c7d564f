//! What the README and the start tell people to paste, pasted.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use std::process::Command;
use support::process::{Running, binary};
use support::{ADMIN_PASSWORD, Backend, World};

/// The `sh` blocks of the README's quick start, in their order.
fn quick_start() -> Vec<String> {
    let readme = include_str!("../../README.md");
    let section = readme
        .split("\n## ")
        .find(|section| section.starts_with("Quick start"))
        .expect("a quick start");
    let blocks = section
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned());
    blocks.collect()
}

/// Runs a script in bash; both streams, in order.
fn bash(script: &str) -> String {
    let output = Command::new("bash")
        .arg("-c")
        .arg(format!("exec 2>&1\n{script}"))
        .output()
        .expect("bash runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_shows_what_it_says() {
    let world = World::start(Backend::Sqlite).await.unwrap();
    let has_grpcurl = Command::new("grpcurl").arg("--version").output().is_ok();
    assert!(
        has_grpcurl || std::env::var_os("CI").is_none(),
        "grpcurl is missing: cargo install --locked grpcurl-rs"
    );
    let mut blocks = quick_start();
    assert!(blocks.len() >= 5, "{blocks:?}");
    if !has_grpcurl {
        eprintln!(
            "\n!!!! SKIPPED the README's grpcurl commands: cargo install --locked grpcurl-rs !!!!\n"
        );
        blocks.retain(|block| !block.starts_with("grpcurl"));
    }
    let script = blocks.join("\n");
    let script = script
        .replace("the password that was printed", ADMIN_PASSWORD)
        .replace("127.0.0.1:8080", &world.addresses.gateway)
        .replace("127.0.0.1:50051", &world.addresses.auth)
        .replace("127.0.0.1:50052", &world.addresses.factory);
    let shown = bash(&script);
    let mut expected = vec![
        r#""email":"ada@example.com""#,
        "401 Unauthorized",
        "TOKEN_MISSING",
        "ROLE_DENIED",
        r#""sku":"W-1""#,
        "ORDER_STATE_PLACED",
        r#""available":"7""#,
    ];
    if has_grpcurl {
        expected.extend(["millgate.factory.v1.OrderService", "ORDER_STATE_CONFIRMED"]);
    }
    for part in expected {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
}

#[test]
fn the_three_commands_of_the_first_start_work_when_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = binary("millgate");
    command.arg("--data-dir").arg(folder.path().join("data"));
    command.args([
        "--auth-listen",
        "127.0.0.1:0",
        "--factory-listen",
        "127.0.0.1:0",
        "--gateway-listen",
        "127.0.0.1:0",
    ]);
    let running = Running::until_ready(command, "Ready");
    let commands: Vec<&str> = running
        .banner
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .collect();
    assert_eq!(commands.len(), 3, "{}", running.banner);
    let shown = bash(&commands.join("\n"));
    for part in [r#""username":"admin""#, "ROLE_ADMIN", r#""name":"Widget""#] {
        assert!(
            shown.contains(part),
            "{part} is not in:\n{shown}\n{}",
            running.banner
        );
    }
}
