//! The second factor from the terminal: the real binary against the real service, on both databases.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use millgate_platform::{Clock as _, SystemClock};
use support::process::binary;
use support::{ADMIN_PASSWORD, World};
use totp_rs::{Builder, Secret, Totp};

on_both_databases!(
    a_second_factor_is_turned_on_used_and_taken_away,
    the_last_administrator_who_lost_it_is_let_in_again,
);

/// A command of the administrator, who types on standard input.
fn command(world: &World, args: &[&str]) -> Child {
    let mut command: Command = binary("millgate");
    command
        .args(args)
        .env(
            "MILLGATE_SERVER",
            format!("http://{}", world.addresses.auth),
        )
        .env("MILLGATE_PASSWORD", ADMIN_PASSWORD)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(databases) = &world.databases {
        command.env("AUTH_DATABASE_URL", databases.auth().url());
    }
    command.spawn().expect("it runs")
}

/// Types a line, and gives the exit code and what was told since, on either stream.
fn answer(mut command: Child, rest: Option<BufReader<ChildStdout>>, line: &str) -> (i32, String) {
    let mut stdin = command.stdin.take().expect("it reads");
    // A command that asks for nothing may have ended already.
    let _ = writeln!(stdin, "{line}");
    drop(stdin);
    let mut told = String::new();
    if let Some(mut rest) = rest {
        rest.read_to_string(&mut told).expect("UTF-8");
    }
    let output = command.wait_with_output().expect("it ends");
    told.push_str(&String::from_utf8_lossy(&output.stdout));
    told.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.code().expect("it was not killed"), told)
}

/// What an app shows so many steps from now.
fn shows(app: &Totp, steps: u64) -> String {
    let now = u64::try_from(SystemClock.now_seconds()).expect("after the epoch");
    app.generate(now + 30 * steps).to_string()
}

/// Turns the administrator's factor on; gives the app and the recovery codes.
fn enrolled(world: &World) -> (Totp, Vec<String>) {
    let mut enroll = command(world, &["totp", "enroll"]);
    let mut out = BufReader::new(enroll.stdout.take().expect("it tells"));
    let (mut picture, mut line) = (String::new(), String::new());
    let secret = loop {
        line.clear();
        assert_ne!(out.read_line(&mut line).expect("UTF-8"), 0, "{picture}");
        match line.trim_end().rsplit_once("or type: ") {
            Some((_, secret)) => break secret.to_owned(),
            None => picture.push_str(&line),
        }
    };
    let rows = picture.lines().filter(|row| row.starts_with("████"));
    assert!(rows.count() > 15, "a QR code:\n{picture}");
    let app = Builder::new()
        .with_secret(Secret::try_from_base32(&secret).expect("base32"))
        .build()
        .expect("an app");
    let (code, told) = answer(enroll, Some(out), &shows(&app, 0));
    assert_eq!(code, 0, "{told}");
    let codes = told.lines().map(str::trim).filter(|line| line.len() == 19);
    let codes: Vec<_> = codes.map(str::to_owned).collect();
    assert_eq!(codes.len(), 10, "{told}");
    (app, codes)
}

async fn a_second_factor_is_turned_on_used_and_taken_away(world: World) {
    let (app, codes) = enrolled(&world);
    // From now on every command asks for a code.
    let wrong = command(&world, &["users", "list"]);
    let (code, told) = answer(wrong, None, &codes[0].replace('-', "!"));
    assert!(code == 1 && told.contains("FIELD_INVALID"), "{told}");
    let used = command(&world, &["users", "list"]);
    let (code, told) = answer(used, None, &codes[0]);
    assert!(code == 0 && told.contains("admin"), "{told}");
    let again = command(&world, &["users", "list"]);
    let (code, told) = answer(again, None, &codes[0]);
    assert!(code == 1 && told.contains("CREDENTIALS_INVALID"), "{told}");

    // One code logs in, another takes the factor away.
    let both = format!("{}\n{}", shows(&app, 1), codes[1]);
    let (code, told) = answer(command(&world, &["totp", "remove"]), None, &both);
    assert!(code == 0 && told.contains("removed"), "{told}");
    let (code, told) = answer(command(&world, &["users", "list"]), None, "");
    assert!(code == 0 && told.contains("admin"), "{told}");
}

async fn the_last_administrator_who_lost_it_is_let_in_again(mut world: World) {
    enrolled(&world);
    let data = world.data_folder();
    let data = data.to_str().expect("UTF-8").to_owned();
    world.running().terminate();
    world.running().wait();
    let remove = ["totp", "remove", "--local", "--data-dir", &data, "--user"];
    let (code, told) = answer(command(&world, &remove[..5]), None, "");
    assert!(code == 2 && told.contains("--user"), "{told}");
    let nobody = [&remove[..], &["nobody"]].concat();
    let (code, told) = answer(command(&world, &nobody), None, "");
    assert!(code == 1 && told.contains("USER_NOT_FOUND"), "{told}");
    let admin = [&remove[..], &["admin"]].concat();
    let (code, told) = answer(command(&world, &admin), None, "");
    assert!(code == 0 && told.contains("removed"), "{told}");
    let (code, told) = answer(command(&world, &admin), None, "");
    assert!(code == 1 && told.contains("STATE_CONFLICT"), "{told}");
    world.run();
    let (code, told) = answer(command(&world, &["users", "list"]), None, "");
    assert!(code == 0 && told.contains("admin"), "{told}");
}
