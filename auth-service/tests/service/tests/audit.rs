//! The audit log: what is written, and that it is one chain.

use std::path::Path;
use std::time::Duration;

use futures::TryStreamExt as _;
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::auth_service_client::AuthServiceClient;
use millgate_platform::{Affected as _, on, on_write};
use sqlx::AssertSqlSafe;
use tonic::transport::Channel;

use super::harness::*;

/// A row as text, without its codes.
const ROWS: &str = "SELECT event || ' ' || outcome || ' ' || cause || ' ' || actor || ' ' \
    || coalesce(cast(subject AS TEXT), '-') || ' ' || client_id || ' ' || session || ' ' || address || ' ' || request_id \
    || ' ' || occurrences FROM audit_log ORDER BY seq";
const WAITING: &str = "SELECT count(*) FROM audit_pending";

impl House {
    /// The log, as soon as `count` events of this name are sealed.
    pub(super) async fn sealed(&self, event: &str, count: usize) -> Vec<String> {
        for _ in 0..200 {
            let rows: Vec<String> =
                on!(self.db, |c| sqlx::query_scalar(ROWS).fetch_all(c).await).expect("rows");
            let of_this = |row: &&String| row.starts_with(&format!("{event} "));
            if rows.iter().filter(of_this).count() >= count {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{count} events {event} were not sealed");
    }

    async fn try_sql(&self, sql: &str) -> Result<u64, String> {
        on_write!(self.db, |c| sqlx::query(AssertSqlSafe(sql.to_owned()))
            .execute(c)
            .await
            .affected())
        .map_err(|error| error.to_string())
    }

    async fn assert_one_chain(&self) {
        let (rows, first, last) = (
            self.count("SELECT count(*) FROM audit_log").await,
            self.count("SELECT coalesce(min(seq), 1) FROM audit_log")
                .await,
            self.count("SELECT coalesce(max(seq), 0) FROM audit_log")
                .await,
        );
        assert_eq!((first, last), (1, rows), "no gap");
    }
}

fn checkpoints(folder: &Path) -> Vec<String> {
    std::fs::read_to_string(folder.join("audit.checkpoints"))
        .expect("the file")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn what_is_done_to_accounts_is_in_the_log_with_who_did_it() {
    on_both(async |house| {
        let (ada, tokens) = house.person("ada", pb::Role::User).await;
        house
            .refresh(&tokens.refresh_token)
            .await
            .expect("refreshed");
        house.clock.advance(Duration::from_secs(60));
        assert_eq!(
            reason(house.refresh(&tokens.refresh_token).await),
            "REFRESH_REUSED"
        );
        let rows = house.sealed("refresh", 1).await;
        let admin = house
            .count("SELECT id FROM users WHERE username = 'admin'")
            .await;
        for expected in [
            format!("register done   {} ", ada.id),
            format!("set_user_role done  user:{admin} {} ", ada.id),
            format!("login done   {} ", ada.id),
            format!("refresh refused reused  {} ", ada.id),
            "first_admin done".to_owned(),
            "service_account done configured  - factory-service".to_owned(),
        ] {
            assert!(
                rows.iter().any(|row| row.starts_with(&expected)),
                "{expected:?} in {rows:#?}"
            );
        }
        house.assert_one_chain().await;
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_change_that_is_refused_leaves_no_event_of_it() {
    on_both(async |house| {
        house.register("ada").await;
        let again = house
            .auth
            .clone()
            .register(registration("ada", PASSWORD))
            .await;
        assert_eq!(reason(again), "USERNAME_TAKEN");
        house.login("ada").await;
        let rows = house.sealed("login", 1).await;
        let registered = rows.iter().filter(|row| row.starts_with("register "));
        assert_eq!(registered.count(), 1, "{rows:#?}");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn no_typed_name_and_no_secret_is_in_the_log() {
    const TYPED: &str = "hunter2-the-password";
    on_both(async |house| {
        house.register("ada").await;
        assert!(house.try_login(TYPED, PASSWORD).await.is_err());
        assert!(house.try_login("ada", TYPED).await.is_err());
        assert!(
            house
                .service_token(TYPED, FACTORY_SECRET, "")
                .await
                .is_err()
        );
        assert!(house.service_token(FACTORY, TYPED, "").await.is_err());
        let tokens = house.login("ada").await;
        let place = house.place.clone();
        house.sealed("service_token", 2).await;
        let text = house.sealed("login", 3).await.join("\n") + &checkpoints_or_none(&place);
        for secret in [
            TYPED,
            PASSWORD,
            FACTORY_SECRET,
            "ada ",
            &tokens.refresh_token,
            &tokens.access_token,
        ] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        house.close().await;
    })
    .await;
}

fn checkpoints_or_none(place: &Place) -> String {
    std::fs::read_to_string(place.folder.path().join("audit.checkpoints")).unwrap_or_default()
}

#[tokio::test]
async fn a_flood_of_refusals_is_a_bounded_number_of_rows_whose_counts_add_up() {
    const FLOOD: usize = 1_000;
    on_both(async |house| {
        let auth = house.auth.clone();
        let refused = at_once(FLOOD, move |number| {
            let mut auth = auth.clone();
            async move {
                let request = pb::IssueServiceTokenRequest {
                    client_id: format!("client-{number}"),
                    client_secret: FACTORY_SECRET.to_owned(),
                    scope: String::new(),
                };
                auth.issue_service_token(request).await.is_err()
            }
        })
        .await;
        assert!(refused.into_iter().all(|refused| refused));
        let place = house.close().await;
        let house = House::open(place, &[]).await;
        let count = async |what: &str| -> i64 {
            let sql = format!(
                "SELECT cast({what} AS BIGINT) FROM audit_log WHERE event = 'service_token' AND outcome = 'refused'"
            );
            on!(house.db, |c| sqlx::query_scalar(AssertSqlSafe(sql.clone()))
                .fetch_one(c)
                .await)
            .expect("a number")
        };
        assert_eq!(count("sum(occurrences)").await, 1_000);
        assert_eq!(count("count(*)").await, 6, "five whole, and one for the rest");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn replicas_that_seal_at_once_leave_one_chain_without_a_gap() {
    on_both(async |house| {
        let clock = house.clock.clone();
        let other = House::open_at(house.place.clone(), &[], clock).await;
        let (one, two) = (house.auth.clone(), other.auth.clone());
        at_once(30, move |number| {
            let mut auth = if number % 2 == 0 {
                one.clone()
            } else {
                two.clone()
            };
            async move {
                let name = format!("person-{number}");
                auth.register(registration(&name, PASSWORD))
                    .await
                    .expect("registered");
            }
        })
        .await;
        other.sealed("register", 30).await;
        other.close().await;
        house.assert_one_chain().await;
        assert_eq!(house.count(WAITING).await, 0);
        assert_eq!(
            house
                .count("SELECT count(*) FROM audit_log WHERE event = 'register'")
                .await,
            30
        );
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_database_refuses_to_change_what_is_sealed() {
    on_both(async |house| {
        house.sealed("first_admin", 1).await;
        for sql in [
            "UPDATE audit_log SET cause = 'x'",
            "DELETE FROM audit_log",
            "UPDATE audit_log SET mac = mac WHERE seq = 1",
        ] {
            let error = house.try_sql(sql).await.expect_err(sql);
            assert!(error.contains("append-only"), "{sql}: {error}");
        }
        house.assert_one_chain().await;
        let house = House::open(house.close().await, &[]).await;
        for sql in [
            "UPDATE audit_checkpoints SET seq = 0",
            "DELETE FROM audit_checkpoints",
        ] {
            let error = house.try_sql(sql).await.expect_err(sql);
            assert!(error.contains("append-only"), "{sql}: {error}");
        }
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_graceful_end_seals_everything_and_vouches_for_it() {
    on_both(async |house| {
        assert!(house.try_login("nobody", PASSWORD).await.is_err());
        let place = house.close().await;
        let lines = checkpoints(place.folder.path());
        let house = House::open(place, &[]).await;
        assert_eq!(house.count(WAITING).await, 0);
        let last = house
            .count("SELECT max(seq) FROM audit_log WHERE event = 'login'")
            .await;
        let word = lines
            .last()
            .expect("a line")
            .split(' ')
            .next()
            .expect("a number");
        assert_eq!(
            word,
            last.to_string(),
            "the refused login was the last event"
        );
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_row_that_somebody_put_in_by_hand_is_sealed_as_none_of_ours() {
    on_both(async |house| {
        let forged = "INSERT INTO audit_pending (time, event, outcome, cause, actor, subject, client_id, session, address, \
            request_id, occurrences, mac) SELECT 1, 'login', 'done', 'forged', '', 1, '', '', '', '', 1, mac FROM audit_log \
            WHERE seq = 1";
        house.sealed("first_admin", 1).await;
        house.try_sql(forged).await.expect("put in");
        let rows = house.sealed("audit", 1).await;
        assert!(rows.iter().any(|row| row.starts_with("audit refused not_ours ")));
        assert!(!rows.iter().any(|row| row.contains("forged")), "{rows:#?}");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn whoever_tries_what_they_may_not_is_in_the_log() {
    on_both(async |house| {
        let (ada, tokens) = house.person("ada", pb::Role::Customer).await;
        let (id, session) = (ada.id, &tokens.session_id);
        let refused = house.set_role(&tokens.access_token, id, pb::Role::Admin);
        assert_eq!(reason(refused.await), "ROLE_DENIED");
        let service = house.factory().await;
        let refused = house.set_role(&service, id, pb::Role::Admin).await;
        let of_service = reason(refused);
        let forged = house.issuer.user(id, "admin").token();
        let forged = format!("{}AAAA", &forged[..forged.len() - 4]);
        assert_eq!(reason(house.who_am_i(&forged).await), "TOKEN_INVALID");
        let request = with(&tokens.access_token, pb::LogoutRequest::default());
        house.auth.clone().logout(request).await.expect("ended");
        // By the store, or by the feed, whichever is first.
        let ended = reason(house.who_am_i(&tokens.access_token).await);
        assert!(
            ["SESSION_ENDED", "TOKEN_REVOKED"].contains(&&*ended),
            "{ended}"
        );
        house.sealed("call", 1).await;
        let rows = house.sealed("who_am_i", 1).await;
        for expected in [
            format!("set_user_role refused ROLE_DENIED user:{id} {id}  {session} 127.0.0.1 "),
            format!("set_user_role refused {of_service} service:{FACTORY} - {FACTORY}  127.0.0.1 "),
            "call refused TOKEN_INVALID  -   127.0.0.1 ".to_owned(),
            format!("who_am_i refused {ended} user:{id} {id}  {session} 127.0.0.1 "),
        ] {
            assert!(
                rows.iter().any(|row| row.starts_with(&expected)),
                "{expected:?} in {rows:#?}"
            );
        }
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_every_client_meets_is_not_in_the_log_and_a_flood_of_tries_is_a_few_rows() {
    const OF_CALLS: &str = "SELECT count(*) FROM audit_log WHERE event IN ('who_am_i', 'call')";
    on_both(async |house| {
        let (ada, tokens) = house.person("ada", pb::Role::Customer).await;
        let mut auth = house.auth.clone();
        let nobody = auth.who_am_i(pb::WhoAmIRequest {}).await;
        assert_eq!(reason(nobody), "TOKEN_MISSING");
        let old = house.issuer.user(ada.id, "customer").expired().token();
        assert_eq!(reason(house.who_am_i(&old).await), "TOKEN_EXPIRED");
        let (users, token) = (house.users.clone(), tokens.access_token.clone());
        at_once(300, move |_| {
            let (mut users, token) = (users.clone(), token.clone());
            async move {
                let request = with(&token, pb::ListUsersRequest::default());
                assert_eq!(reason(users.list_users(request).await), "ROLE_DENIED");
            }
        })
        .await;
        let house = House::open(house.close().await, &[]).await;
        assert_eq!(house.count(OF_CALLS).await, 0);
        let count = async |what: &str| -> i64 {
            let sql = format!(
                "SELECT cast({what} AS BIGINT) FROM audit_log WHERE event = 'list_users' AND subject = {}",
                ada.id
            );
            on!(house.db, |c| sqlx::query_scalar(AssertSqlSafe(sql.clone()))
                .fetch_one(c)
                .await)
            .expect("a number")
        };
        assert_eq!(
            (count("sum(occurrences)").await, count("count(*)").await),
            (300, 6)
        );
        house.close().await;
    })
    .await;
}

/// Everybody who is no administrator, and what they are told.
#[tokio::test]
async fn nobody_but_an_administrator_reads_the_log() {
    on_both(async |house| {
        let mut tokens = vec![house.factory().await];
        for (name, role) in [
            ("ada", pb::Role::Customer),
            ("bob", pb::Role::User),
            ("cem", pb::Role::Mechanic),
        ] {
            tokens.push(house.person(name, role).await.1.access_token);
        }
        let mut audit = house.audit.clone();
        for token in tokens {
            let list = with(&token, pb::ListAuditEventsRequest::default());
            assert!(reason(audit.list_audit_events(list).await).ends_with("_DENIED"));
            let export = with(&token, pb::ExportAuditEventsRequest::default());
            let refused = audit.export_audit_events(export).await.map(|_| ());
            assert!(reason(refused).ends_with("_DENIED"));
            let verify = with(&token, pb::VerifyAuditLogRequest {});
            let refused = audit.verify_audit_log(verify).await.map(|_| ());
            assert!(reason(refused).ends_with("_DENIED"));
        }
        let list = audit
            .list_audit_events(pb::ListAuditEventsRequest::default())
            .await;
        assert_eq!(reason(list), "TOKEN_MISSING");
        house.close().await;
    })
    .await;
}

impl House {
    async fn page(
        &self,
        token: &str,
        request: pb::ListAuditEventsRequest,
    ) -> Result<pb::ListAuditEventsResponse, tonic::Status> {
        let request = with(token, request);
        let page = self.audit.clone().list_audit_events(request).await?;
        Ok(page.into_inner())
    }

    async fn exported(
        &self,
        token: &str,
        request: pb::ExportAuditEventsRequest,
    ) -> Vec<pb::AuditEvent> {
        let request = with(token, request);
        let events = self.audit.clone().export_audit_events(request).await;
        let events = events.expect("begun").into_inner();
        events.try_collect().await.expect("to the end")
    }

    async fn verified(&self, token: &str) -> (Vec<pb::AuditFinding>, pb::VerifyAuditLogResponse) {
        let request = with(token, pb::VerifyAuditLogRequest {});
        let steps = self.audit.clone().verify_audit_log(request).await;
        let steps = steps.expect("begun").into_inner();
        let steps: Vec<_> = steps.try_collect().await.expect("to the end");
        let findings = steps
            .iter()
            .flat_map(|step| step.findings.clone())
            .collect();
        (findings, steps.last().expect("a verdict").clone())
    }
}

#[tokio::test]
async fn the_log_is_read_by_page_by_filter_and_as_a_whole() {
    on_both(async |house| {
        let admin = house.admin().await;
        for number in 0..6 {
            house.register(&format!("person-{number}")).await;
        }
        assert!(house.try_login("person-1", "wrong password").await.is_err());
        house.sealed("register", 6).await;
        house.sealed("login", 2).await;
        let mut request = pb::ListAuditEventsRequest {
            page_size: 4,
            event: "register".into(),
            ..Default::default()
        };
        let first = house.page(&admin, request.clone()).await.expect("a page");
        request.page_token.clone_from(&first.next_page_token);
        let second = house.page(&admin, request.clone()).await.expect("a page");
        let listed: Vec<_> = [first.audit_events, second.audit_events].concat();
        assert_eq!((listed.len(), &*second.next_page_token), (6, ""));
        assert!(
            listed
                .windows(2)
                .all(|pair| pair[0].sequence > pair[1].sequence)
        );
        assert!(listed.iter().all(|event| event.event == "register"
            && event.user_id > 0
            && event.outcome() == pb::AuditOutcome::Done
            && !event.request_id.is_empty()
            && event.address == "127.0.0.1"));

        request.event = "login".into();
        assert_eq!(
            reason(house.page(&admin, request.clone()).await),
            "PAGE_TOKEN_INVALID",
            "the token of another filter"
        );
        request.page_token.clear();
        request.set_outcome(pb::AuditOutcome::Refused);
        let refused = house
            .page(&admin, request)
            .await
            .expect("a page")
            .audit_events;
        assert_eq!((refused.len(), &*refused[0].cause), (1, "wrong_password"));
        assert_eq!(refused[0].user_id, listed[4].user_id, "person-1");

        assert!(house.service_token(FACTORY, "wrong", "").await.is_err());
        house.sealed("service_token", 1).await;
        let of = |client_id: &str| pb::ListAuditEventsRequest {
            client_id: client_id.into(),
            ..Default::default()
        };
        let told = house.page(&admin, of(FACTORY)).await.expect("a page");
        let told: Vec<_> = told
            .audit_events
            .iter()
            .map(|event| (&*event.event, &*event.cause))
            .collect();
        assert_eq!(
            told,
            [
                ("service_token", "credentials"),
                ("service_account", "configured")
            ]
        );
        let nobodys = house.page(&admin, of("another")).await.expect("a page");
        assert!(nobodys.audit_events.is_empty());

        let all = house
            .exported(&admin, pb::ExportAuditEventsRequest::default())
            .await;
        let numbers: Vec<_> = all.iter().map(|event| event.sequence).collect();
        assert_eq!(numbers, (1..=all.len() as i64).collect::<Vec<_>>());
        let rest = pb::ExportAuditEventsRequest {
            after_sequence: 3,
            ..Default::default()
        };
        assert_eq!(house.exported(&admin, rest).await, all[3..]);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_bad_question_is_told_all_that_is_wrong_with_it() {
    on_both(async |house| {
        let admin = house.admin().await;
        let request = pb::ListAuditEventsRequest {
            order_by: "time".into(),
            outcome: 9,
            user_id: -1,
            event: "\u{0}".into(),
            actor: "x".repeat(201),
            from_time: Some(prost_types::Timestamp {
                seconds: i64::MAX,
                nanos: 0,
            }),
            ..Default::default()
        };
        let status = house.page(&admin, request).await.expect_err("refused");
        let expected = [
            "order_by",
            "from_time",
            "event",
            "outcome",
            "user_id",
            "actor",
        ];
        assert_eq!(fields(&status), expected);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_log_verifies_until_somebody_touches_it() {
    on_both(async |house| {
        let admin = house.admin().await;
        house.register("ada").await;
        house.sealed("register", 1).await;
        let (findings, verdict) = house.verified(&admin).await;
        assert_eq!(findings, []);
        assert_eq!(verdict.verdict(), pb::AuditVerdict::Intact);
        assert_eq!(verdict.checked_rows, verdict.total_rows);
        assert!(verdict.total_rows >= 4, "{verdict:?}");
        for trigger in match house.db {
            millgate_platform::Database::Sqlite(_) => vec!["DROP TRIGGER audit_log_keep_update"],
            millgate_platform::Database::Postgres(_) => vec!["DROP FUNCTION audit_keep CASCADE"],
        } {
            house.try_sql(trigger).await.expect("dropped");
        }
        house
            .try_sql("UPDATE audit_log SET subject = 1 WHERE event = 'register'")
            .await
            .expect("changed");
        let at = house
            .count("SELECT seq FROM audit_log WHERE event = 'register'")
            .await;
        let (findings, verdict) = house.verified(&admin).await;
        assert_eq!(verdict.verdict(), pb::AuditVerdict::Broken);
        assert_eq!(
            (findings.len(), findings[0].sequence),
            (1, at),
            "{findings:?}"
        );
        assert_eq!(findings[0].kind(), pb::AuditFindingKind::Altered);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_service_that_is_killed_loses_no_event_of_a_change() {
    at_both(async |place| {
        let mut running = super::binary::start(&place);
        let channel = Channel::from_shared(running.endpoint.clone()).expect("an address");
        let mut auth = AuthServiceClient::new(channel.connect().await.expect("connected"));
        let mut made = Vec::new();
        for number in 0..5 {
            let request = registration(&format!("person-{number}"), PASSWORD);
            let user = auth
                .register(request)
                .await
                .expect("registered")
                .into_inner()
                .user;
            made.push(user.expect("a user").id);
        }
        running.process.kill().expect("killed");
        running.process.wait().expect("gone");
        let house = House::open(place.clone(), &[]).await;
        house.sealed("register", 5).await;
        house.assert_one_chain().await;
        let events = house
            .exported(
                &house.admin().await,
                pb::ExportAuditEventsRequest {
                    event: "register".into(),
                    ..Default::default()
                },
            )
            .await;
        let told: Vec<_> = events.iter().map(|event| event.user_id).collect();
        assert_eq!(told, made);
        house.close().await;
    })
    .await;
}
