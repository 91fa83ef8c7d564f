//! The operator's commands, as an operator gives them: the real binary against the real service, on both databases.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::process::binary;
use support::{ADMIN_PASSWORD, World};

on_both_databases!(
    an_administrator_keeps_accounts,
    a_command_of_nobody_is_refused_with_the_servers_reason,
    service_accounts_are_made_and_rotated_and_their_secret_is_told_once,
    the_audit_log_is_listed_exported_and_verified,
    a_token_is_taken_apart_and_the_check_that_fails_is_named,
    a_stopped_service_is_recovered,
    a_file_of_accounts_is_taken_over_and_what_is_refused_is_told_by_line,
    sessions_are_listed_and_ended,
);

/// A command of the administrator.
fn command(world: &World, args: &[&str]) -> Command {
    let mut command = binary("millgate");
    command
        .args(args)
        .env(
            "MILLGATE_SERVER",
            format!("http://{}", world.addresses.auth),
        )
        .env("MILLGATE_PASSWORD", ADMIN_PASSWORD);
    if let Some(databases) = &world.databases {
        command.env("AUTH_DATABASE_URL", databases.auth().url());
    }
    command
}

/// What it answered, its exit code, what it complained of.
#[derive(Debug)]
struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it was not killed"),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

fn give(world: &World, args: &[&str]) -> Answer {
    command(world, args).output().expect("it runs").into()
}

#[track_caller]
fn good(world: &World, args: &[&str]) -> String {
    let answer = give(world, args);
    assert_eq!(answer.code, 0, "{args:?}: {answer:?}");
    answer.out
}

#[track_caller]
fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(object).collect()
}

/// The events of this name, as soon as there are so many: they are sealed within a second of each command.
async fn sealed(world: &World, event: &str, count: usize) -> Vec<Value> {
    for _ in 0..100 {
        let events = lines(&good(world, &["audit", "list", "--event", event, "--json"]));
        if events.len() >= count {
            return events;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Vec::new()
}

async fn an_administrator_keeps_accounts(world: World) {
    let create = [
        "users",
        "create",
        "ada",
        "--role",
        "user",
        "--generate",
        "--json",
    ];
    let ada = object(&good(&world, &create));
    let password = ada["password"].as_str().expect("told once");
    assert!(password.len() >= 20 && ada["role"] == "ROLE_USER", "{ada}");

    let again = give(&world, &create);
    assert_eq!((again.code, &*again.out), (1, ""));
    assert!(again.err.contains("USERNAME_TAKEN"), "{again:?}");

    let listed = lines(&good(&world, &["users", "list", "--json"]));
    let names: Vec<_> = listed
        .iter()
        .map(|user| user["username"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["admin", "ada"]);
    let table = good(&world, &["users", "list", "--role", "user"]);
    assert!(
        table.contains("ada") && !table.contains("admin") && table.contains("1 accounts"),
        "{table}"
    );

    good(&world, &["users", "set-role", "ADA", "mechanic"]);
    let closed = good(&world, &["users", "disable", ada["id"].as_str().unwrap()]);
    assert!(
        closed.contains("mechanic") && closed.contains("disabled"),
        "{closed}"
    );
    let mut as_ada = command(&world, &["users", "list", "--username", "ada"]);
    as_ada.env("MILLGATE_PASSWORD", password);
    let refused = Answer::from(as_ada.output().unwrap());
    assert!(
        refused.code == 1 && refused.err.contains("CREDENTIALS_INVALID"),
        "{refused:?}"
    );
    good(&world, &["users", "enable", "ada"]);
    let refused = Answer::from(as_ada.output().unwrap());
    assert!(
        refused.code == 1 && refused.err.contains("ROLE_DENIED"),
        "{refused:?}"
    );

    let last = give(&world, &["users", "disable", "admin"]);
    assert!(
        last.code == 1 && last.err.contains("LAST_ADMIN"),
        "{last:?}"
    );
    let reset = give(&world, &["users", "reset-password", "ada"]);
    if world.databases.is_some() {
        let told = "MAIL_NOT_CONFIGURED";
        assert!(reset.code == 1 && reset.err.contains(told), "{reset:?}");
    } else {
        // Embedded, as in development: the mail is written to the log.
        let told = "a mail is on its way";
        assert!(reset.code == 0 && reset.out.contains(told), "{reset:?}");
    }
    assert!(
        reset.err.contains("no email address"),
        "ada has none: {reset:?}"
    );
    let nobody = give(&world, &["users", "enable", "nobody"]);
    assert!(
        nobody.code == 1 && nobody.err.contains("nobody"),
        "{nobody:?}"
    );
    let ended = sealed(&world, "logout", 5).await;
    assert!(
        ended.len() >= 5,
        "every command ends its session: {ended:?}"
    );
}

async fn a_command_of_nobody_is_refused_with_the_servers_reason(world: World) {
    let list = ["users", "list"];
    for (name, value, code, told) in [
        (
            "MILLGATE_PASSWORD",
            "wrong password",
            1,
            "CREDENTIALS_INVALID",
        ),
        ("MILLGATE_PASSWORD", "", 2, "MILLGATE_PASSWORD"),
        ("MILLGATE_TOKEN", "a.b.c", 1, "TOKEN_INVALID"),
        ("MILLGATE_SERVER", "http://127.0.0.1:1", 1, ""),
        ("MILLGATE_SERVER", "nonsense", 2, "MILLGATE_SERVER"),
    ] {
        let mut command = command(&world, &list);
        let answer = Answer::from(command.env(name, value).output().unwrap());
        assert_eq!(
            (answer.code, &*answer.out),
            (code, ""),
            "{name}={value}: {answer:?}"
        );
        assert!(answer.err.contains(told), "{name}={value}: {answer:?}");
        assert!(
            !answer.err.contains("wrong password"),
            "no secret is repeated: {answer:?}"
        );
    }
    for wrong in [
        &["users", "create", "ada", "--role", "king"][..],
        &["users", "create", "ada"],
        &["users", "reset-password", "ada", "--generate"],
        &["audit", "list", "--from", "yesterday"],
        &["audit", "rewrite"],
    ] {
        assert_eq!(give(&world, wrong).code, 2, "{wrong:?}");
    }
    let mut piped = command(&world, &["users", "list", "--password-stdin", "--json"]);
    piped
        .env_remove("MILLGATE_PASSWORD")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{ADMIN_PASSWORD}").unwrap();
    drop(stdin);
    let answer = Answer::from(child.wait_with_output().unwrap());
    assert_eq!(
        (answer.code, lines(&answer.out).len()),
        (0, 1),
        "{answer:?}"
    );
}

async fn service_accounts_are_made_and_rotated_and_their_secret_is_told_once(world: World) {
    let create = [
        "service-accounts",
        "create",
        "reports",
        "--scope",
        "orders.read",
        "--json",
    ];
    let made = object(&good(&world, &create));
    let first = made["client_secret"].as_str().expect("a secret").to_owned();
    let rotate = [
        "service-accounts",
        "rotate",
        "reports",
        "--overlap",
        "0",
        "--json",
    ];
    let second = object(&good(&world, &rotate))["client_secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    assert!(first.len() >= 32 && second.len() >= 32 && first != second);
    let listed = good(&world, &["service-accounts", "list", "--json"]);
    assert!(
        !listed.contains(&first) && !listed.contains(&second),
        "{listed}"
    );
    let names: Vec<_> = lines(&listed)
        .iter()
        .map(|one| one["client_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["factory-service", "reports"]);
    let bad = give(
        &world,
        &[
            "service-accounts",
            "create",
            "other",
            "--scope",
            "no.such.scope",
        ],
    );
    assert!(
        bad.code == 1 && bad.err.contains("FIELD_INVALID"),
        "{bad:?}"
    );
}

async fn the_audit_log_is_listed_exported_and_verified(world: World) {
    for name in ["ada", "bob", "cem"] {
        good(
            &world,
            &["users", "create", name, "--role", "customer", "--generate"],
        );
    }
    let events = sealed(&world, "create_user", 3).await;
    assert_eq!(events.len(), 3);
    assert!(events[0]["sequence"].as_str() != events[1]["sequence"].as_str());
    let services = [
        "audit",
        "list",
        "--service",
        "factory-service",
        "--event",
        "service_account",
        "--json",
    ];
    assert_eq!(lines(&good(&world, &services)).len(), 1);
    let limited = good(&world, &["audit", "list", "--limit", "2"]);
    assert!(limited.contains("2 events"), "{limited}");

    let exported = lines(&good(&world, &["audit", "export"]));
    let numbers: Vec<i64> = exported
        .iter()
        .map(|event| event["sequence"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
    let rest = lines(&good(&world, &["audit", "export", "--after", "4"]));
    assert_eq!(rest[0]["sequence"], "5");

    let words = good(&world, &["audit", "verify"]);
    assert!(words.contains("The log is intact."), "{words}");
    let verdict = object(&good(&world, &["audit", "verify", "--json"]));
    assert_eq!(verdict["verdict"], "AUDIT_VERDICT_INTACT");
}

async fn a_token_is_taken_apart_and_the_check_that_fails_is_named(world: World) {
    let token = world.admin().await;
    let keys = world.data_folder().join("keys.json");
    let keys = keys.to_str().unwrap();
    let inspect = |token: &str, args: &[&str]| {
        let mut command = command(&world, &[&["tokens", "inspect", "--json"], args].concat());
        Answer::from(command.env("MILLGATE_TOKEN", token).output().unwrap())
    };
    let signature = token.rsplit_once('.').unwrap().1;
    let check = |answer: &Answer, name: &str| {
        assert!(!answer.out.contains(signature) && !answer.err.contains(signature));
        let report = object(&answer.out);
        let checks = report["checks"].as_array().unwrap().clone();
        let found = checks
            .iter()
            .find(|check| check["check"] == name)
            .expect(name);
        found["result"].as_str().unwrap().to_owned()
    };

    let fine = inspect(&token, &["--keys", keys]);
    assert_eq!(
        (fine.code, check(&fine, "signature")),
        (0, "ok".to_owned()),
        "{fine:?}"
    );
    assert_eq!(object(&fine.out)["claims"]["role"], "admin");
    let unknown = inspect(&token, &[]);
    assert_eq!(unknown.code, 0);
    assert!(
        check(&unknown, "signature").starts_with("not made"),
        "{unknown:?}"
    );

    let (signed, _) = token.rsplit_once('.').unwrap();
    let forged = inspect(&format!("{signed}.{}", "A".repeat(43)), &["--keys", keys]);
    assert_eq!(forged.code, 1);
    assert!(
        check(&forged, "signature").starts_with("failed"),
        "{forged:?}"
    );
    assert_eq!(
        (check(&forged, "key"), check(&forged, "expiry")),
        ("ok".into(), "not reached".into())
    );

    let foreign = inspect(&token, &["--keys", keys, "--audience", "elsewhere"]);
    assert_eq!(foreign.code, 1);
    assert!(
        check(&foreign, "audience").starts_with("failed"),
        "{foreign:?}"
    );
    assert_eq!(check(&foreign, "signature"), "ok");

    let nonsense = inspect("nonsense", &["--keys", keys]);
    assert_eq!(nonsense.code, 1);
    assert!(
        check(&nonsense, "form").contains("three parts"),
        "{nonsense:?}"
    );
}

async fn a_stopped_service_is_recovered(mut world: World) {
    let data = world.data_folder();
    let data = data.to_str().unwrap().to_owned();
    let local = |args: &[&str]| {
        [args, &["--local", "--data-dir", &data]]
            .concat()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let give_local = |world: &World, args: &[&str]| {
        let args = local(args);
        give(world, &args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let reset = ["users", "reset-password", "admin", "--generate", "--json"];
    let sqlite = world.databases.is_none();
    if sqlite {
        let running = give_local(&world, &reset);
        assert!(
            running.code == 1 && running.err.contains("a service runs"),
            "{running:?}"
        );
    }
    world.running().terminate();
    world.running().wait();

    let done = give_local(&world, &reset);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(done.err.contains("nobody knows"), !sqlite, "{done:?}");
    let password = object(&done.out)["password"]
        .as_str()
        .expect("told once")
        .to_owned();
    let made = give_local(
        &world,
        &["users", "create", "eve", "--role", "admin", "--generate"],
    );
    assert!(
        made.code == 0 && made.out.contains("told only this once"),
        "{made:?}"
    );
    let taken = give_local(
        &world,
        &["users", "create", "Eve", "--role", "admin", "--generate"],
    );
    assert!(
        taken.code == 1 && taken.err.contains("USERNAME_TAKEN"),
        "{taken:?}"
    );
    let nobody = give_local(&world, &["users", "reset-password", "nobody", "--generate"]);
    assert!(
        nobody.code == 1 && nobody.err.contains("USER_NOT_FOUND"),
        "{nobody:?}"
    );
    let intact = give_local(&world, &["audit", "verify"]);
    assert!(
        intact.code == 0 && intact.out.contains("intact"),
        "{intact:?}"
    );

    world.run();
    let old = give(&world, &["users", "list"]);
    assert!(
        old.code == 1 && old.err.contains("CREDENTIALS_INVALID"),
        "{old:?}"
    );
    let mut listed = command(&world, &["audit", "list", "--actor", "local", "--json"]);
    let listed = Answer::from(listed.env("MILLGATE_PASSWORD", &password).output().unwrap());
    let events: Vec<_> = lines(&listed.out)
        .iter()
        .map(|event| event["event"].clone())
        .collect();
    assert_eq!(events, ["create_user", "reset_password"], "{listed:?}");
    assert!(!listed.out.contains(&password));
}

#[test]
fn a_database_that_is_not_there_is_not_made_by_a_recovery() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("nowhere");
    let mut command = binary("millgate");
    command.args([
        "users",
        "create",
        "ada",
        "--role",
        "admin",
        "--generate",
        "--local",
        "--data-dir",
    ]);
    let answer = Answer::from(command.arg(&data).output().unwrap());
    assert!(
        answer.code == 1 && answer.err.contains("there is no folder"),
        "{answer:?}"
    );
    assert!(!data.exists());
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let answer = Answer::from(command.output().unwrap());
    assert!(
        answer.code == 1 && answer.err.contains("there is no database"),
        "{answer:?}"
    );
    assert_eq!(
        std::fs::read_dir(&data).unwrap().count(),
        0,
        "nothing was made"
    );
}

/// The administrator's password in the format of passlib's `pbkdf2_sha256`, over the salt `0123456789abcdef`.
const HASH: &str =
    "$pbkdf2-sha256$1000$MDEyMzQ1Njc4OWFiY2RlZg$yqSq2SygY1sB4EcH9f2FG0JTMES.wqLsOT5YmiRBplI";

async fn a_file_of_accounts_is_taken_over_and_what_is_refused_is_told_by_line(world: World) {
    let path = |name: &str| world.data.path().join(name).to_str().unwrap().to_owned();
    let csv = path("people.csv");
    let rows = format!(
        "username,password_hash,role\nada,{hash},staff\nbob,{hash},customer\ncem,plain text,customer\ndua,{hash},king\n",
        hash = HASH
    );
    std::fs::write(&csv, rows).unwrap();
    let import = [
        "users",
        "import",
        &csv,
        "--map-role",
        "staff=user",
        "--json",
    ];
    let dry = give(&world, &[&import[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 1, "{dry:?}");
    assert_eq!(object(&dry.out)["created"], "2");
    assert_eq!(
        lines(&good(&world, &["users", "list", "--json"])).len(),
        1,
        "nothing was written"
    );

    let done = give(&world, &import);
    assert!(
        done.code == 1 && done.err.contains("2 rows were not taken"),
        "{done:?}"
    );
    let report = object(&done.out);
    assert_eq!(
        (&report["created"], &report["refused"]),
        (&"2".into(), &"1".into()),
        "{report}"
    );
    assert_eq!(
        (
            &report["errors"][0]["line"],
            &report["unreadable"][0]["line"]
        ),
        (&"4".into(), &"5".into())
    );
    assert!(
        !done.out.contains("plain text") && !done.err.contains(HASH),
        "{done:?}"
    );
    let ada = command(&world, &["sessions", "list", "--username", "ada", "--json"])
        .output()
        .unwrap();
    assert_eq!(
        lines(&Answer::from(ada).out).len(),
        1,
        "the old password logs in"
    );

    let three = good(&world, &["users", "list"]);
    assert!(three.contains("3 accounts"), "{three}");
    let jsonl = path("people.jsonl");
    std::fs::write(
        &jsonl,
        format!("{{\"username\":\"eve\",\"password_hash\":\"{}\"}}\n", HASH),
    )
    .unwrap();
    let words = good(
        &world,
        &["users", "import", &jsonl, "--default-role", "mechanic"],
    );
    assert!(words.contains("1 made"), "{words}");
    let taken = good(
        &world,
        &[
            "users",
            "import",
            &jsonl,
            "--default-role",
            "mechanic",
            "--skip-taken",
        ],
    );
    assert!(taken.contains("1 passed over"), "{taken}");
    for wrong in [
        &["users", "import", "/no/such/file.csv"][..],
        &["users", "import", &path("people"), "--format", "csv"],
    ] {
        assert_eq!(give(&world, wrong).code, 1, "{wrong:?}");
    }
    assert_eq!(
        give(&world, &["users", "import", &path("people")]).code,
        2,
        "which format?"
    );
}

async fn sessions_are_listed_and_ended(world: World) {
    let token = world.admin().await;
    let listed = lines(&good(
        &world,
        &["sessions", "list", "--user", "admin", "--json"],
    ));
    assert_eq!(listed.len(), 2, "the one above, and the command's own");
    let other = listed
        .iter()
        .find(|one| one["current"] == false)
        .expect("another");
    good(
        &world,
        &["sessions", "revoke", other["id"].as_str().unwrap()],
    );
    let mut with_token = command(&world, &["sessions", "list"]);
    let refused = Answer::from(with_token.env("MILLGATE_TOKEN", token).output().unwrap());
    assert!(
        refused.code == 1 && refused.err.contains("SESSION_ENDED"),
        "{refused:?}"
    );
    let ended = good(&world, &["sessions", "list", "--ended"]);
    assert!(
        ended.contains("revoked") && ended.contains("logout"),
        "{ended}"
    );
    let unknown = give(
        &world,
        &["sessions", "revoke", "00000000-0000-4000-8000-000000000000"],
    );
    assert!(
        unknown.code == 1 && unknown.err.contains("SESSION_NOT_FOUND"),
        "{unknown:?}"
    );
}

/// A password or a secret that is told once must not be taken for told.
#[test]
fn an_answer_that_cannot_be_written_is_a_failure_and_a_reader_that_went_away_is_none() {
    let full = || std::fs::File::options().write(true).open("/dev/full");
    let folder = tempfile::tempdir().unwrap();
    let ring = folder.path().join("keys.json").display().to_string();
    for args in [&["errors"][..], &["keys", "init", "--out", &ring]] {
        let output = binary("millgate")
            .args(args)
            .stdout(full().unwrap())
            .output()
            .unwrap();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {complained}");
        assert!(complained.contains("standard output"), "{complained}");
    }
    let mut command = binary("millgate");
    let mut gone = command
        .arg("errors")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(gone.stdout.take());
    assert_eq!(gone.wait().unwrap().code(), Some(0));
}
