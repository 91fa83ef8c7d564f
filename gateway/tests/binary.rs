//! The real binary: its settings, its refusals at start, its end.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

fn gateway(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.args(args).env_clear();
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn help_lists_every_setting_with_its_default() {
    let help = text(&gateway(&["--help"]).output().unwrap());
    for expected in [
        "GATEWAY_LISTEN",
        "127.0.0.1:8080",
        "AUTH_ENDPOINT",
        "http://127.0.0.1:50051",
        "FACTORY_ENDPOINT",
        "http://127.0.0.1:50052",
        "GATEWAY_CORS_ORIGINS",
        "GATEWAY_DEADLINE",
        "GATEWAY_MAX_BODY_BYTES",
        "4194304",
        "MILLGATE_TRUSTED_PROXIES",
        "MILLGATE_TLS_CERT",
        "MILLGATE_CLIENT_TLS_CA",
        "healthcheck",
    ] {
        assert!(help.contains(expected), "{expected} is not in\n{help}");
    }
}

#[test]
fn a_wrong_value_is_refused_at_start_by_its_name() {
    let cases = [
        (&["--listen", "nowhere"][..], "--listen"),
        (&["--listen", "192.0.2.1:1"], "GATEWAY_LISTEN"),
        (
            &["--listen", "127.0.0.1:0", "--auth-endpoint", "nowhere"],
            "AUTH_ENDPOINT",
        ),
        (
            &[
                "--listen",
                "127.0.0.1:0",
                "--factory-endpoint",
                "https://a:1",
            ],
            "FACTORY_ENDPOINT",
        ),
        (
            &["--listen", "127.0.0.1:0", "--cors-origins", "*"],
            "GATEWAY_CORS_ORIGINS",
        ),
        (
            &[
                "--listen",
                "127.0.0.1:0",
                "--tls-cert",
                "/none",
                "--tls-key",
                "/none",
            ],
            "MILLGATE_TLS_CERT",
        ),
        (&["--deadline", "0"], "--deadline"),
    ];
    for (args, name) in cases {
        let output = gateway(args).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        assert!(text(&output).contains(name), "{args:?}: {}", text(&output));
    }
}

#[test]
fn it_ends_well_when_told_to_stop_and_a_healthcheck_of_nobody_fails() {
    let mut running = gateway(&["--listen", "127.0.0.1:0", "--log-format", "json"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    let line = lines.find(|line| {
        line.as_ref()
            .is_ok_and(|line| line.contains("the gateway serves"))
    });
    let line = line.expect("it says that it serves").unwrap();
    let port = line.split("127.0.0.1:").nth(1).unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();

    // It lives, and says that nobody is behind it.
    let listen = format!("127.0.0.1:{port}");
    let asked = gateway(&["healthcheck", "--listen", &listen])
        .output()
        .unwrap();
    assert!(
        !asked.status.success() && text(&asked).contains("503"),
        "{}",
        text(&asked)
    );

    let told = Command::new("kill")
        .arg(running.id().to_string())
        .status()
        .unwrap();
    assert!(told.success());
    assert!(running.wait().unwrap().success());
    let asked = gateway(&["healthcheck", "--listen", &listen])
        .output()
        .unwrap();
    assert!(!asked.status.success());
}
