//! Accounts that move over from another system.

use std::time::Duration;

use super::binary::{connect, start};
use super::harness::*;
use futures::channel::mpsc;
use futures::{SinkExt as _, stream};
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::auth_service_client::AuthServiceClient;
use millgate_contract::auth::v1::import_users_request::Part;
use millgate_contract::auth::v1::user_service_client::UserServiceClient;
use millgate_platform::on;
use tonic::{Code, Status};

const ID: &str = "9f0e4c1a-2b3c-4d5e-8f90-a1b2c3d4e5f6";
/// Of `PASSWORD`, by passlib 1.7.4.
const HASH: &str =
    "$pbkdf2-sha256$1000$AsCY07rXmhPiPIcwhtC69w$.S8KbvyY0iuMUukQ4LLLZ7eWp8m1lvZ0/rUwr0rPjX0";
const USERS: &str = "SELECT count(*) FROM users";

fn options() -> pb::ImportOptions {
    pb::ImportOptions {
        default_role: pb::Role::Customer.into(),
        ..Default::default()
    }
}

fn named(line: i64, username: &str) -> pb::ImportedUser {
    pb::ImportedUser {
        line,
        username: username.into(),
        password_hash: HASH.into(),
        ..Default::default()
    }
}

fn numbered(lines: std::ops::RangeInclusive<i64>) -> Vec<pb::ImportedUser> {
    lines
        .map(|line| named(line, &format!("user-{line}")))
        .collect()
}

fn part(part: Part) -> pb::ImportUsersRequest {
    pb::ImportUsersRequest { part: Some(part) }
}

fn messages(
    options: pb::ImportOptions,
    rows: Vec<pb::ImportedUser>,
) -> Vec<pb::ImportUsersRequest> {
    let rows = rows.into_iter().map(Part::User);
    std::iter::once(Part::Options(options))
        .chain(rows)
        .map(part)
        .collect()
}

async fn send(
    house: &House,
    token: &str,
    messages: Vec<pb::ImportUsersRequest>,
) -> Result<pb::ImportUsersResponse, Status> {
    let answer = house
        .users
        .clone()
        .import_users(with(token, stream::iter(messages)))
        .await;
    answer.map(tonic::Response::into_inner)
}

async fn import(
    house: &House,
    token: &str,
    options: pb::ImportOptions,
    rows: Vec<pb::ImportedUser>,
) -> Result<pb::ImportUsersResponse, Status> {
    send(house, token, messages(options, rows)).await
}

fn told(report: &pb::ImportUsersResponse) -> Vec<(i64, &str, &str)> {
    let errors = report.errors.iter();
    errors
        .map(|error| (error.line, error.field.as_str(), error.reason.as_str()))
        .collect()
}

#[tokio::test]
async fn the_old_password_logs_in_whatever_the_format_and_the_hash_is_argon2id_afterwards() {
    const REAL: &str = include_str!("../../data/password-hashes.tsv");
    const OURS: &str =
        "SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'";
    on_both(async |house| {
        let admin = house.admin().await;
        let mut real: Vec<Vec<&str>> = REAL
            .lines()
            .map(|line| line.split('\t').collect())
            .collect();
        // The first of each format: the hashing's own tests check them all.
        real.sort_by_key(|row| row[0]);
        real.dedup_by_key(|row| row[0]);
        let rows = real.iter().enumerate().map(|(at, row)| pb::ImportedUser {
            password_hash: row[2].into(),
            ..named(i64::try_from(at + 1).expect("few"), &format!("old-{at}"))
        });
        let report = import(&house, &admin, options(), rows.collect())
            .await
            .expect("imported");
        assert_eq!((report.created, report.refused), (16, 0), "{report:?}");
        assert_eq!(report.formats.len(), 16);
        assert_eq!(
            report
                .formats
                .iter()
                .map(|format| format.count)
                .sum::<i64>(),
            16
        );
        assert!(
            report
                .formats
                .is_sorted_by_key(|format| format.format.clone())
        );

        for (at, row) in real.iter().enumerate() {
            let name = format!("old-{at}");
            let wrong = house.try_login(&name, "some other password").await;
            assert_eq!(reason(wrong), "CREDENTIALS_INVALID", "{row:?}");
            house.try_login(&name, row[1]).await.expect(row[2]);
        }
        assert_eq!(house.count(OURS).await, 17, "the administrator's too");
        for (at, row) in real.iter().enumerate() {
            house
                .try_login(&format!("old-{at}"), row[1])
                .await
                .expect("again");
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_told_with_its_line_and_the_rest_is_there() {
    on_both(async |house| {
        let admin = house.admin().await;
        house.register("taken").await;
        let rows = vec![
            named(1, "good"),
            named(3, "a@b"),
            pb::ImportedUser {
                email: "nothing".into(),
                password_hash: "plain text".into(),
                ..named(4, "")
            },
            pb::ImportedUser {
                password_hash: "scrypt:4194304:8:1$s$00".into(),
                ..named(5, "greedy")
            },
            pb::ImportedUser {
                password_hash: String::new(),
                ..named(6, "hashless")
            },
            pb::ImportedUser {
                password_hash: format!("pbkdf2:sha256:1000${}$00", "s".repeat(600)),
                ..named(7, "long")
            },
            pb::ImportedUser {
                role: 77,
                state: -1,
                external_id: "x".repeat(129),
                create_time: Some(prost_types::Timestamp {
                    seconds: i64::MAX,
                    nanos: -1,
                }),
                ..named(8, "odd")
            },
            named(9, "TAKEN"),
            named(10, "Good"),
            pb::ImportedUser {
                email: "Ada@Example.com".into(),
                role: pb::Role::Admin.into(),
                state: pb::UserState::Disabled.into(),
                external_id: "17".into(),
                create_time: Some(prost_types::Timestamp {
                    seconds: 86_400,
                    nanos: 5_000,
                }),
                ..named(1_000_000_000_000, "ada")
            },
        ];
        let report = import(&house, &admin, options(), rows)
            .await
            .expect("imported");
        assert_eq!(
            (report.read, report.created, report.skipped, report.refused),
            (10, 2, 0, 8)
        );
        let expected = [
            (3, "username", "FIELD_INVALID"),
            (4, "email", "FIELD_INVALID"),
            (4, "password_hash", "PASSWORD_HASH_UNKNOWN"),
            (5, "password_hash", "PASSWORD_HASH_TOO_COSTLY"),
            (6, "password_hash", "FIELD_INVALID"),
            (7, "password_hash", "PASSWORD_HASH_UNKNOWN"),
            (8, "role", "FIELD_INVALID"),
            (8, "state", "FIELD_INVALID"),
            (8, "external_id", "FIELD_INVALID"),
            (8, "create_time", "FIELD_INVALID"),
            (9, "username", "USERNAME_TAKEN"),
            (10, "username", "USERNAME_TAKEN"),
        ];
        assert_eq!(told(&report), expected);
        let text = format!("{:?}", report.errors).to_lowercase();
        assert!(!text.contains("plain text") && !text.contains("4194304"));

        let ada = super::lists::list(
            &house,
            &admin,
            pb::ListUsersRequest {
                external_id: "17".into(),
                ..Default::default()
            },
        );
        let ada = ada.await.expect("listed").users.remove(0);
        assert_eq!(
            (
                ada.username.as_str(),
                ada.email.as_str(),
                ada.role(),
                ada.state()
            ),
            (
                "ada",
                "Ada@Example.com",
                pb::Role::Admin,
                pb::UserState::Disabled
            )
        );
        assert_eq!(
            ada.create_time.map(|at| (at.seconds, at.nanos)),
            Some((86_400, 5_000))
        );
        assert_eq!(
            reason(house.try_login("ada", PASSWORD).await),
            "CREDENTIALS_INVALID"
        );
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_tells_the_same_and_writes_nothing() {
    on_both(async |house| {
        let admin = house.admin().await;
        house.register("taken").await;
        let mut rows = numbered(1..=700);
        rows.extend([named(800, "USER-7"), named(801, "Taken"), named(802, "a@b")]);
        let before = house.snapshot().await;
        let dry = pb::ImportOptions {
            dry_run: true,
            import_id: ID.into(),
            ..options()
        };
        let rehearsed = import(&house, &admin, dry, rows.clone())
            .await
            .expect("rehearsed");
        assert_eq!(house.snapshot().await, before);
        assert_eq!(house.count("SELECT count(*) FROM user_imports").await, 0);
        let wet = pb::ImportOptions {
            import_id: ID.into(),
            ..options()
        };
        let done = import(&house, &admin, wet, rows).await.expect("imported");
        assert_eq!((done.created, done.refused), (700, 3));
        let dry_run = true;
        assert_eq!(rehearsed, pb::ImportUsersResponse { dry_run, ..done });
    })
    .await;
}

#[tokio::test]
async fn names_that_are_taken_are_refused_or_passed_over_and_never_changed() {
    on_both(async |house| {
        let admin = house.admin().await;
        import(&house, &admin, options(), numbered(1..=3))
            .await
            .expect("imported");
        house.login("user-2").await;
        let before = house.snapshot().await;
        let other = pb::ImportedUser {
            role: pb::Role::Admin.into(),
            ..named(2, "user-2")
        };
        let report = import(
            &house,
            &admin,
            options(),
            vec![named(1, "user-1"), other.clone()],
        )
        .await;
        assert_eq!(report.expect("told").refused, 2);
        let skip = pb::ImportOptions {
            on_conflict: pb::ImportConflict::Skip.into(),
            ..options()
        };
        let rows = vec![named(1, "USER-1"), other, named(9, "new")];
        let report = import(&house, &admin, skip, rows).await.expect("told");
        assert_eq!((report.created, report.skipped, report.refused), (1, 2, 0));
        assert!(report.errors.is_empty());
        let after: Vec<_> = house.snapshot().await;
        let same = before.iter().filter(|line| !after.contains(line)).count();
        assert_eq!(same, 0, "what was there is as it was");
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_broke_off_is_sent_again_and_goes_on() {
    on_both(async |house| {
        let admin = house.admin().await;
        let mut rows = numbered(1..=1_200);
        rows[10].username = "a@b".into();
        let named = pb::ImportOptions {
            import_id: ID.to_uppercase(),
            ..options()
        };

        let (sender, receiver) = mpsc::unbounded();
        for message in messages(named.clone(), rows[..700].to_vec()) {
            sender.unbounded_send(message).expect("sent");
        }
        let (mut users, request) = (house.users.clone(), with(&admin, receiver));
        let call = tokio::spawn(async move { users.import_users(request).await.map(drop) });
        while house.count(USERS).await < 500 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        call.abort();
        assert!(call.await.is_err());
        assert_eq!(
            house.count(USERS).await,
            500,
            "499 and the administrator: one batch, whole"
        );

        let other = pb::ImportOptions {
            default_role: pb::Role::Admin.into(),
            ..named.clone()
        };
        let refused = import(&house, &admin, other, rows.clone()).await;
        assert_eq!(
            refusal(refused),
            (Code::AlreadyExists, "REQUEST_ID_REUSED".into())
        );
        assert_eq!(house.count(USERS).await, 500);

        let done = import(&house, &admin, named.clone(), rows.clone())
            .await
            .expect("imported");
        assert_eq!((done.read, done.created, done.resumed), (1_200, 1_199, 500));
        assert_eq!(
            told(&done),
            [(11, "username", "FIELD_INVALID")],
            "of the first stream"
        );
        let again = import(&house, &admin, named, rows).await.expect("the same");
        assert_eq!(
            again,
            pb::ImportUsersResponse {
                resumed: 1_200,
                ..done
            }
        );
        assert_eq!(house.count(USERS).await, 1_200);
        let events = house.sealed("import_users", 3).await;
        let events = events.iter().filter(|row| row.starts_with("import_users "));
        let counts: Vec<_> = events.filter_map(|row| row.rsplit(' ').next()).collect();
        assert_eq!(
            counts,
            ["499", "500", "200"],
            "a row for each batch that made some"
        );
    })
    .await;
}

#[tokio::test]
async fn of_several_streams_of_one_import_at_once_each_row_is_written_once() {
    on_both(async |house| {
        let admin = house.admin().await;
        let named = pb::ImportOptions {
            import_id: ID.into(),
            ..options()
        };
        let users = house.users.clone();
        let reports = at_once(4, |_| {
            let request = with(
                &admin,
                stream::iter(messages(named.clone(), numbered(1..=1_300))),
            );
            let mut users = users.clone();
            async move { users.import_users(request).await }
        })
        .await;
        for report in reports {
            let report = report.expect("imported").into_inner();
            assert_eq!((report.created, report.refused), (1_300, 0));
        }
        assert_eq!(house.count(USERS).await, 1_301);
    })
    .await;
}

#[tokio::test]
async fn the_import_of_another_administrator_is_another_one() {
    on_both(async |house| {
        let admin = house.admin().await;
        let (_, other) = house.person("other", pb::Role::Admin).await;
        let named = pb::ImportOptions {
            import_id: ID.into(),
            ..options()
        };
        import(&house, &admin, named.clone(), numbered(1..=2))
            .await
            .expect("imported");
        let report = import(&house, &other.access_token, named, numbered(1..=3))
            .await
            .expect("told");
        assert_eq!((report.created, report.refused, report.resumed), (1, 2, 0));
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_none_of_an_import_is_refused_and_writes_nothing() {
    on_both(async |house| {
        let admin = house.admin().await;
        let before = house.snapshot().await;
        let start = || part(Part::Options(options()));
        let row = |line| part(Part::User(named(line, &format!("user-{line}"))));
        let bad_id = pb::ImportOptions {
            import_id: "7".into(),
            default_role: 9,
            on_conflict: 9,
            ..Default::default()
        };
        for (messages, field) in [
            (vec![], "options"),
            (vec![pb::ImportUsersRequest { part: None }], "options"),
            (vec![row(1)], "options"),
            (vec![start(), row(1), start()], "user"),
            (vec![start(), pb::ImportUsersRequest { part: None }], "user"),
            (vec![start(), row(0)], "user.line"),
            (vec![start(), row(-1)], "user.line"),
            (vec![start(), row(2), row(2)], "user.line"),
            (vec![start(), row(i64::MAX), row(1)], "user.line"),
            (vec![part(Part::Options(bad_id))], "options.import_id"),
        ] {
            let status = send(&house, &admin, messages).await.expect_err(field);
            assert_eq!(fields(&status)[0], field);
            assert_eq!(
                refusal::<()>(Err(status)),
                (Code::InvalidArgument, "FIELD_INVALID".into())
            );
        }
        assert_eq!(house.snapshot().await, before);
        let empty = send(&house, &admin, vec![start()])
            .await
            .expect("an empty file");
        assert_eq!(
            (empty.read, uuid::Uuid::parse_str(&empty.import_id).is_ok()),
            (0, true)
        );
    })
    .await;
}

#[tokio::test]
async fn nobody_but_an_administrator_imports() {
    on_both(async |house| {
        let (_, staff) = house.person("staff", pb::Role::User).await;
        let factory = house.factory().await;
        let before = house.snapshot().await;
        for token in [&staff.access_token, &factory] {
            let refused = import(&house, token, options(), numbered(1..=2)).await;
            assert_eq!(refusal(refused).0, Code::PermissionDenied);
        }
        let request = stream::iter(messages(options(), numbered(1..=2)));
        assert_eq!(
            reason(house.users.clone().import_users(request).await),
            "TOKEN_MISSING"
        );
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn an_import_ends_with_the_rights_of_who_runs_it_and_another_goes_on() {
    on_both(async |house| {
        let (rival, tokens) = house.person("rival", pb::Role::Admin).await;
        let (sender, receiver) = mpsc::unbounded();
        let feed = |rows: Vec<pb::ImportedUser>| {
            for row in rows {
                sender.unbounded_send(part(Part::User(row))).expect("sent");
            }
        };
        sender
            .unbounded_send(part(Part::Options(options())))
            .expect("sent");
        feed(numbered(1..=500));
        let (mut users, request) = (house.users.clone(), with(&tokens.access_token, receiver));
        let call = tokio::spawn(async move { users.import_users(request).await.map(drop) });
        while house.count(USERS).await < 502 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let disable = pb::DisableUserRequest {
            id: rival.id,
            ..Default::default()
        };
        let admin = house.admin().await;
        house
            .users
            .clone()
            .disable_user(with(&admin, disable))
            .await
            .expect("closed");
        feed(numbered(501..=1_000));
        assert_eq!(
            refusal(call.await.expect("no panic")),
            (Code::Unauthenticated, "TOKEN_REVOKED".into())
        );
        assert_eq!(house.count(USERS).await, 502);
    })
    .await;
}

#[tokio::test]
async fn an_import_ends_when_its_token_expires() {
    on_both(async |house| {
        let admin = house.admin().await;
        let (sender, receiver) = mpsc::unbounded();
        for message in messages(options(), numbered(1..=500)) {
            sender.unbounded_send(message).expect("sent");
        }
        let (mut users, request) = (house.users.clone(), with(&admin, receiver));
        let call = tokio::spawn(async move { users.import_users(request).await.map(drop) });
        while house.count(USERS).await < 501 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        house.clock.advance(Duration::from_secs(901));
        sender
            .unbounded_send(part(Part::User(named(501, "late"))))
            .expect("sent");
        drop(sender);
        assert_eq!(reason(call.await.expect("no panic")), "TOKEN_EXPIRED");
        assert_eq!(house.count(USERS).await, 501);
    })
    .await;
}

#[tokio::test]
async fn a_report_tells_a_thousand_reasons_and_counts_the_rest() {
    on_both(async |house| {
        let admin = house.admin().await;
        let rows = (1..=1_300).map(|line| named(line, "a@b")).collect();
        let report = import(&house, &admin, options(), rows).await.expect("told");
        assert_eq!((report.refused, report.errors_left_out), (1_300, 300));
        assert_eq!(report.errors.len(), 1_000);
        assert_eq!(report.errors[999].line, 1_000);
    })
    .await;
}

/// The memory that a process holds, in KiB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

/// `cargo test --test service -- --ignored a_hundred_thousand --nocapture`
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "100,000 accounts on each database take a minute"]
async fn a_hundred_thousand_accounts_in_one_import_do_not_make_the_service_grow() {
    const ROWS: i64 = 100_000;
    const WARM: i64 = 10_000;
    at_both(async |place| {
        let running = start(&place);
        let channel = connect(&running.endpoint).await;
        let mut auth = AuthServiceClient::new(channel.clone());
        let admin = auth.login(login(ADMIN, PASSWORD)).await.expect("logged in");
        let admin = admin.into_inner().access_token;
        let mut users = UserServiceClient::new(channel);
        for dry_run in [true, false] {
            let (mut rows, stream) = mpsc::channel(64);
            let process = running.process.id();
            let sending = tokio::spawn(async move {
                let options = pb::ImportOptions {
                    dry_run,
                    ..options()
                };
                rows.send(part(Part::Options(options))).await.expect("sent");
                let mut warm = 0;
                for line in 1..=ROWS {
                    let row = named(line, &format!("user-{line}"));
                    rows.send(part(Part::User(row))).await.expect("sent");
                    if line == WARM {
                        warm = resident(process);
                    }
                }
                (warm, resident(process))
            });
            let begun = std::time::Instant::now();
            let report = users.import_users(with(&admin, stream)).await;
            let report = report.expect("imported").into_inner();
            let (warm, end) = sending.await.expect("no panic");
            eprintln!(
                "{ROWS} rows (dry run: {dry_run}) in {:.1?}: {warm} KiB after {WARM} rows, {end} KiB at the end",
                begun.elapsed()
            );
            assert_eq!((report.created, report.refused), (ROWS, 0));
            // A dry run remembers a number for each name.
            let room = if dry_run { 8 * 1024 } else { 4 * 1024 };
            assert!(end < warm + room, "it grew from {warm} to {end} KiB");
        }
        running.kill();
    })
    .await;
}

#[tokio::test]
async fn an_unfinished_import_is_forgotten_after_a_week() {
    on_both(async |house| {
        let admin = house.admin().await;
        let named = pb::ImportOptions {
            import_id: ID.into(),
            ..options()
        };
        import(&house, &admin, named, numbered(1..=2))
            .await
            .expect("imported");
        let rows: i64 = on!(house.db, |c| sqlx::query_scalar(
            "SELECT count(*) FROM user_imports"
        )
        .fetch_one(c)
        .await)
        .expect("read");
        assert_eq!(rows, 1);
        let place = house.close().await;
        let clock = millgate_guard::testing::ManualClock::shared(
            millgate_platform::Clock::now_micros(&millgate_platform::SystemClock)
                + 8 * 24 * 60 * 60 * 1_000_000,
        );
        let house = House::open_at(place, &[], clock).await;
        while house.count("SELECT count(*) FROM user_imports").await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(house.count(USERS).await, 3);
    })
    .await;
}

#[tokio::test]
async fn whoever_gets_rights_by_an_import_is_in_the_log_one_by_one() {
    on_both(async |house| {
        let admin = house.admin().await;
        let planted = pb::ImportedUser {
            role: pb::Role::Admin.into(),
            ..named(2, "planted")
        };
        import(
            &house,
            &admin,
            options(),
            vec![named(1, "ada"), planted, named(3, "bob")],
        )
        .await
        .expect("imported");
        let id = house
            .count("SELECT id FROM users WHERE username = 'planted'")
            .await;
        let rows = house.sealed("create_user", 1).await;
        let made: Vec<_> = rows
            .iter()
            .filter(|row| row.starts_with("create_user "))
            .collect();
        assert_eq!(made.len(), 1, "{made:?}");
        let row = format!("create_user done import user:1 {id} ");
        assert!(made[0].starts_with(&row), "{made:?}");
    })
    .await;
}
