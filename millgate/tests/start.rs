//! Starting: what it prints, what it keeps, and what it refuses with the name of the setting at fault.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use millgate_contract::auth::v1::WhoAmIRequest;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::process::{Running, binary, output};
use support::{Backend, World, bearing};

fn serve(data: &std::path::Path) -> Command {
    let mut command = binary("millgate");
    command.arg("serve").arg("--data-dir").arg(data);
    command.args([
        "--auth-listen",
        "127.0.0.1:0",
        "--factory-listen",
        "127.0.0.1:0",
        "--gateway-listen",
        "127.0.0.1:0",
    ]);
    command
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path)
        .expect("the file is there")
        .permissions()
        .mode()
        & 0o777
}

#[test]
fn the_generated_password_is_printed_once_and_logs_in() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = Running::until_ready(serve(&data), "Ready");
    let password = first
        .banner
        .lines()
        .find_map(|line| line.split_once("password "))
        .map(|(_, password)| password.trim().to_owned());
    let password = password.unwrap_or_else(|| panic!("no password in:\n{}", first.banner));
    assert!(password.len() >= 20, "{password}");
    drop(first);
    let second = Running::until_ready(serve(&data), "Ready");
    assert!(
        !second.banner.contains(&password),
        "it is printed only when it is made"
    );
}

#[test]
fn a_first_start_that_fails_after_making_the_administrator_has_told_the_password() {
    for (complaint, settings) in [
        (
            "FACTORY_DATABASE_URL",
            &[("FACTORY_DATABASE_URL", "postgres://127.0.0.1:1/none")][..],
        ),
        (
            "MILLGATE_TLS_CERT",
            &[
                ("MILLGATE_TLS_CERT", "/no/such/file"),
                ("MILLGATE_TLS_KEY", "/no/such/file"),
                ("MILLGATE_CLIENT_TLS_CA", "/no/such/file"),
            ],
        ),
        (
            "MILLGATE_READY_FILE",
            &[("MILLGATE_READY_FILE", "/no/such/folder/file")],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut command = serve(&data);
        command.envs(settings.iter().copied());
        let (fine, first) = output(command);
        assert!(!fine && first.contains(complaint), "{complaint}: {first}");
        let second = Running::until_ready(serve(&data), "Ready");
        let told = first.matches("told only this once").count()
            + second.banner.matches("told only this once").count();
        assert_eq!(told, 1, "{complaint}: {first}\n{}", second.banner);
    }
}

#[test]
fn the_first_password_can_be_given_as_the_auth_service_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = serve(&folder.path().join("data"));
    command.env("AUTH_ADMIN_PASSWORD", "a long enough one");
    let running = Running::until_ready(command, "Ready");
    assert!(
        !running.banner.contains("told only this once"),
        "{}",
        running.banner
    );
}

#[test]
fn a_start_that_waits_ends_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    drop(Running::until_ready(serve(&data), "Ready"));
    let lock = std::fs::File::open(data.join("factory.db.lock")).unwrap();
    lock.lock().unwrap();
    let mut child = serve(&data).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert!(child.try_wait().unwrap().is_none(), "it waits for the lock");
    let sent = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    std::thread::sleep(Duration::from_secs(3));
    let ended = child.try_wait().unwrap();
    let _ = child.kill();
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}

#[test]
fn a_reader_who_has_seen_enough_is_no_reason_to_panic() {
    for page in ["settings", "policy"] {
        let mut command = binary("millgate");
        let mut child = command
            .arg(page)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.is_empty(), "{page}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_data_folder_keeps_only_its_owner_reads_and_a_token_outlives_a_restart() {
    let mut world = World::start(Backend::Sqlite).await.unwrap();
    let admin = world.admin().await;
    let data = world.data_folder();
    assert_eq!(mode(&data), 0o700);
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "others can use {}", path.display());
    }
    world.kill();
    world.run();
    assert!(
        world
            .auth()
            .who_am_i(bearing(&admin, WhoAmIRequest {}))
            .await
            .is_ok()
    );
}

#[test]
fn a_data_folder_that_cannot_be_written_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "not a folder").unwrap();
    let (fine, text) = output(serve(&file.join("data")));
    assert!(!fine && text.contains("--data-dir"), "{text}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a folder");
}

#[test]
fn keys_that_others_can_read_or_that_are_weak_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.json");
    let made = |command: &mut Command| {
        command
            .args(["keys", "init", "--out"])
            .arg(&keys)
            .output()
            .unwrap()
    };
    assert!(made(&mut binary("millgate")).status.success());
    assert_eq!(mode(&keys), 0o600);
    let content = std::fs::read_to_string(&keys).unwrap();
    assert!(
        !made(&mut binary("millgate")).status.success(),
        "a ring is never overwritten"
    );
    assert_eq!(std::fs::read_to_string(&keys).unwrap(), content);

    let refused = |permissions: u32, content: &str, complaint: &str| {
        std::fs::write(&keys, content).unwrap();
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(permissions)).unwrap();
        let mut command = serve(&folder.path().join("data"));
        command.arg("--keys").arg(&keys);
        let (fine, text) = output(command);
        assert!(
            !fine && text.contains("MILLGATE_KEYS") && text.contains(complaint),
            "{complaint}: {text}"
        );
    };
    refused(0o644, &content, "0644");
    refused(0o600, "", "");
    refused(0o600, r#"{"keys":[]}"#, "");
    let weak = r#"{"keys":[{"kty":"oct","kid":"a","alg":"HS256","k":"c2hvcnQ"}]}"#;
    refused(0o600, weak, "256");
}

#[test]
fn a_wrong_value_is_refused_with_the_name_of_its_setting() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, value) in [
        ("--auth-listen", "nowhere"),
        ("--factory-database-url", "mysql://localhost/x"),
        ("--auth-database-url", "postgres://127.0.0.1:1/none"),
        ("--deadline", "soon"),
        ("--no-such-flag", "1"),
    ] {
        let mut command = serve(&folder.path().join("data"));
        command.args([flag, value]);
        let (fine, text) = output(command);
        let variable = flag
            .trim_start_matches("--")
            .replace('-', "_")
            .to_uppercase();
        assert!(
            !fine && (text.contains(flag) || text.contains(&variable)),
            "{flag} {value}: {text}"
        );
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn an_address_that_is_taken_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = serve(&folder.path().join("data"));
    command.args(["--gateway-listen", &taken.local_addr().unwrap().to_string()]);
    let (fine, text) = output(command);
    assert!(!fine && text.contains("--gateway-listen"), "{text}");
}
