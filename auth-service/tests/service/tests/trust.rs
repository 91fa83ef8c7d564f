//! What ends a right here is refused by every guard that follows the feed.

use std::sync::Arc;
use std::time::Duration;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::access_token_service_client::AccessTokenServiceClient;
use millgate_contract::auth::v1::session_service_client::SessionServiceClient;
use millgate_contract::auth::v1::trust_service_client::TrustServiceClient;
use millgate_contract::auth::v1::watch_request::Said;
use millgate_contract::auth::v1::watch_response::Told;
use millgate_guard::{
    Expectations, FilePermissions, IssuedToken, LiveRevocations, Revocations as _, SharedRing,
    TokenSource, TrustFeed, Verifier,
};
use millgate_platform::{SystemEntropy, on_tx, on_write};
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status, Streaming};

use super::harness::{
    FACTORY, FACTORY_SECRET, House, PASSWORD, Place, at_both, at_once, on_both, reason, refusal,
    with,
};
use super::{access_tokens, phone};

const IN_TIME: Duration = Duration::from_secs(10);

/// Another service: its guard follows the feed, and knows nothing else.
pub(crate) struct Elsewhere {
    pub(crate) known: Arc<LiveRevocations>,
    pub(crate) ring: SharedRing,
    pub(crate) verifier: Verifier,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Elsewhere {
    /// With the house's own key file, read often.
    pub(crate) async fn of(house: &House) -> Self {
        let path = house.place.folder.path().join("keys.json");
        let often = Duration::from_millis(20);
        let (ring, watch) =
            SharedRing::watch(&path, FilePermissions::Private, often).expect("the keys");
        let mut elsewhere = Self::with_ring(house, ring).await;
        elsewhere.tasks.push(tokio::spawn(watch));
        elsewhere
    }

    pub(crate) async fn with_ring(house: &House, ring: SharedRing) -> Self {
        let auth = house.auth.clone();
        let fetch = move || {
            let mut auth = auth.clone();
            let request = pb::IssueServiceTokenRequest {
                client_id: FACTORY.to_owned(),
                client_secret: FACTORY_SECRET.to_owned(),
                scope: String::new(),
            };
            Box::pin(async move {
                let issued = auth.issue_service_token(request).await?.into_inner();
                Ok(IssuedToken {
                    access_token: SecretString::from(issued.access_token),
                    expires_in: Duration::from_secs(900),
                })
            }) as futures::future::BoxFuture<'static, Result<IssuedToken, Status>>
        };
        let tokens = TokenSource::new(fetch, house.clock.clone());
        let known = Arc::new(LiveRevocations::new(house.clock.clone()));
        let feed = TrustFeed::new(known.clone(), ring.clone(), tokens, Arc::new(SystemEntropy));
        let run = tokio::spawn(feed.named("elsewhere").run(house.channel.clone()));
        let synced = tokio::time::timeout(IN_TIME, known.completed()).await;
        synced.expect("a snapshot in time");
        let expect = Expectations::default();
        Self {
            verifier: Verifier::new(ring.clone(), expect, house.clock.clone()),
            ring,
            known,
            tasks: vec![run],
        }
    }

    /// Why a token is refused there, if it is.
    pub(crate) fn refuses(&self, token: &str) -> Option<&'static str> {
        match self.verifier.identify(token) {
            Err(fault) => Some(fault.reason().as_str()),
            Ok(caller) => {
                let by_claims = self.known.refuses(caller.claims());
                let refusal = by_claims.or_else(|| self.known.refuses_key(caller.key_id()));
                refusal.map(|refusal| refusal.as_str())
            }
        }
    }

    #[track_caller]
    fn takes(&self, token: &str) {
        assert_eq!(self.refuses(token), None);
    }
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(IN_TIME, wait).await.is_ok(), "{what}");
}

async fn refused_elsewhere(elsewhere: &Elsewhere, token: &str, reason: &str) {
    until(reason, async || elsewhere.refuses(token) == Some(reason)).await;
}

#[tokio::test]
async fn whatever_ends_a_persons_rights_is_refused_elsewhere_and_nothing_else() {
    on_both(async |house| {
        let elsewhere = Elsewhere::of(&house).await;
        let (_, bystander) = house.person("bystander", pb::Role::User).await;
        let admin = house.admin().await;
        let (mut auth, mut users) = (house.auth.clone(), house.users.clone());
        let mut sessions = SessionServiceClient::new(house.channel.clone());

        // A logout, by the refresh token.
        let (_, one) = house.person("logout", pb::Role::User).await;
        let still = house.login("logout").await;
        elsewhere.takes(&one.access_token);
        let request = pb::LogoutRequest {
            refresh_token: one.refresh_token.clone(),
        };
        auth.logout(request).await.expect("logged out");
        refused_elsewhere(&elsewhere, &one.access_token, "SESSION_ENDED").await;
        elsewhere.takes(&still.access_token);

        // The other session, by its owner.
        let listed = sessions
            .list_sessions(with(
                &still.access_token,
                pb::ListSessionsRequest::default(),
            ))
            .await
            .expect("listed")
            .into_inner();
        let id = listed.sessions.first().expect("a session").id.clone();
        let request = with(&still.access_token, pb::RevokeSessionRequest { id });
        sessions.revoke_session(request).await.expect("revoked");
        refused_elsewhere(&elsewhere, &still.access_token, "SESSION_ENDED").await;

        // All sessions at once.
        let (_, one) = house.person("everywhere", pb::Role::User).await;
        let two = house.login("everywhere").await;
        let request = with(&one.access_token, pb::LogoutEverywhereRequest {});
        auth.logout_everywhere(request).await.expect("logged out");
        for token in [&one.access_token, &two.access_token] {
            until("refused", async || elsewhere.refuses(token).is_some()).await;
        }

        // Another password.
        let (_, one) = house.person("password", pb::Role::User).await;
        let request = pb::ChangePasswordRequest {
            current_password: PASSWORD.to_owned(),
            new_password: "another good battery".to_owned(),
        };
        let new = auth
            .change_password(with(&one.access_token, request))
            .await
            .expect("changed")
            .into_inner();
        refused_elsewhere(&elsewhere, &one.access_token, "TOKEN_REVOKED").await;
        elsewhere.takes(&new.access_token);

        // Another role.
        let (user, one) = house.person("role", pb::Role::User).await;
        house
            .set_role(&admin, user.id, pb::Role::Mechanic)
            .await
            .expect("set");
        refused_elsewhere(&elsewhere, &one.access_token, "TOKEN_REVOKED").await;
        elsewhere.takes(&house.login("role").await.access_token);

        // A closed account.
        let (user, one) = house.person("disabled", pb::Role::User).await;
        let request = pb::DisableUserRequest {
            id: user.id,
            ..Default::default()
        };
        users
            .disable_user(with(&admin, request))
            .await
            .expect("disabled");
        refused_elsewhere(&elsewhere, &one.access_token, "TOKEN_REVOKED").await;

        // A deleted one.
        let (user, one) = house.person("deleted", pb::Role::User).await;
        let request = pb::DeleteUserRequest {
            id: user.id,
            ..Default::default()
        };
        users
            .delete_user(with(&admin, request))
            .await
            .expect("deleted");
        refused_elsewhere(&elsewhere, &one.access_token, "TOKEN_REVOKED").await;

        // A refresh token that came twice ends its session.
        let (_, one) = house.person("reused", pb::Role::User).await;
        let two = house.refresh(&one.refresh_token).await.expect("refreshed");
        house.refresh(&two.refresh_token).await.expect("refreshed");
        house.clock.advance(Duration::from_secs(11));
        assert_eq!(
            reason(house.refresh(&one.refresh_token).await),
            "REFRESH_REUSED"
        );
        refused_elsewhere(&elsewhere, &two.access_token, "SESSION_ENDED").await;

        // A personal access token.
        let (_, one) = house.person("script", pb::Role::User).await;
        let pat = access_tokens::token(&house, &one.access_token, &["products.read"]).await;
        let short = access_tokens::exchange(&house, &pat.token, "")
            .await
            .expect("exchanged")
            .access_token;
        elsewhere.takes(&short);
        let request = pb::RevokeAccessTokenRequest {
            id: pat.id,
            ..Default::default()
        };
        AccessTokenServiceClient::new(house.channel.clone())
            .revoke_access_token(with(&one.access_token, request))
            .await
            .expect("revoked");
        refused_elsewhere(&elsewhere, &short, "SESSION_ENDED").await;
        elsewhere.takes(&one.access_token);

        // One token alone.
        let (_, one) = house.person("token", pb::Role::User).await;
        let two = house.refresh(&one.refresh_token).await.expect("refreshed");
        let request = pb::RevokeTokenRequest {
            token: one.access_token.clone(),
            ..Default::default()
        };
        auth.revoke_token(request).await.expect("revoked");
        refused_elsewhere(&elsewhere, &one.access_token, "TOKEN_REVOKED").await;
        elsewhere.takes(&two.access_token);

        // A second factor, when it is turned on.
        let (_, one) = house.person("factor", pb::Role::User).await;
        let begun = phone::begin(&house, &one.access_token)
            .await
            .expect("begun");
        elsewhere.takes(&one.access_token);
        let code = phone::Phone::scan(&begun).code(&house);
        let new = phone::confirm(&house, &one.access_token, &code).await;
        let new = new.expect("confirmed").tokens.expect("tokens");
        refused_elsewhere(&elsewhere, &one.access_token, "TOKEN_REVOKED").await;
        elsewhere.takes(&new.access_token);

        elsewhere.takes(&bystander.access_token);
    })
    .await;
}

#[tokio::test]
async fn a_service_account_that_is_deleted_or_whose_secret_has_leaked_is_refused_elsewhere() {
    on_both(async |house| {
        let elsewhere = Elsewhere::of(&house).await;
        let (admin, mut accounts) = (house.admin().await, house.service_accounts.clone());
        let mut made = Vec::new();
        for client_id in ["deleted", "leaked", "bystander"] {
            let request = pb::CreateServiceAccountRequest {
                service_account: Some(pb::ServiceAccount {
                    client_id: client_id.to_owned(),
                    scopes: vec!["users.read".to_owned()],
                    ..Default::default()
                }),
                ..Default::default()
            };
            let account = accounts.create_service_account(with(&admin, request)).await;
            let secret = account.expect("made").into_inner().client_secret;
            let issued = house.service_token(client_id, &secret, "").await;
            made.push(issued.expect("issued").access_token);
        }
        for token in &made {
            elsewhere.takes(token);
        }
        let request = pb::DeleteServiceAccountRequest {
            client_id: "deleted".to_owned(),
            ..Default::default()
        };
        let deleted = accounts.delete_service_account(with(&admin, request)).await;
        deleted.expect("deleted");
        let request = pb::RotateSecretRequest {
            client_id: "leaked".to_owned(),
            overlap: Some(prost_types::Duration::default()),
            ..Default::default()
        };
        let rotated = accounts.rotate_secret(with(&admin, request)).await;
        rotated.expect("rotated");
        for token in &made[..2] {
            refused_elsewhere(&elsewhere, token, "TOKEN_REVOKED").await;
        }
        elsewhere.takes(&made[2]);
    })
    .await;
}

/// The numbers of ids are taken at the insertion, on PostgreSQL, and not at the commit.
#[tokio::test]
async fn an_event_that_is_committed_late_is_not_passed_over() {
    at_both(async |place| {
        if place.url.starts_with("sqlite:") {
            // One writer after the other: nobody commits late.
            return;
        }
        let house = House::open(place, &[]).await;
        let elsewhere = Elsewhere::of(&house).await;
        let draft = house
            .issuer
            .user(7, "user")
            .with(|it| it.token_id = "late".to_owned());
        let late = draft.token();
        elsewhere.takes(&late);
        let mut tx = house.db.begin().await.expect("begun");
        const INSERT: &str = "INSERT INTO trust_events (kind, name, value, expire_time) \
            VALUES ('token', 'late', 0, 9000000000000000)";
        on_tx!(tx, |c| sqlx::query(INSERT).execute(c).await.map(drop)).expect("inserted");
        for name in ["one", "two"] {
            let (_, tokens) = house.person(name, pb::Role::User).await;
            let request = pb::LogoutRequest {
                refresh_token: tokens.refresh_token,
            };
            house
                .auth
                .clone()
                .logout(request)
                .await
                .expect("logged out");
            refused_elsewhere(&elsewhere, &tokens.access_token, "SESSION_ENDED").await;
        }
        elsewhere.takes(&late);
        tx.commit().await.expect("committed");
        refused_elsewhere(&elsewhere, &late, "TOKEN_REVOKED").await;
        drop(elsewhere);
        house.close().await;
    })
    .await;
}

/// What a guard is told first, and the feed's name and the number where it then is.
async fn first_told(house: &House, hello: pb::Hello) -> (Told, i64) {
    let token = house.factory().await;
    let mut stream = watch(house, &token, vec![Said::Hello(hello)])
        .await
        .expect("open");
    let message = tokio::time::timeout(IN_TIME, stream.message()).await;
    let message = message.expect("in time").expect("told").expect("something");
    (message.told.expect("something"), message.sequence)
}

#[tokio::test]
async fn a_guard_goes_on_at_another_replica_where_it_was_at_the_first() {
    at_both(async |place| {
        if place.url.starts_with("sqlite:") {
            return;
        }
        let here = House::open(place.clone(), &[]).await;
        let there = House::open(place.clone(), &[]).await;
        let hello = pb::Hello {
            instance: "by-hand".to_owned(),
            ..Default::default()
        };
        let (told, sequence) = first_told(&here, hello.clone()).await;
        let Told::Snapshot(part) = told else {
            panic!("{told:?}")
        };
        let (_, tokens) = here.person("leaver", pb::Role::Customer).await;
        let request = pb::LogoutRequest {
            refresh_token: tokens.refresh_token,
        };
        here.auth.clone().logout(request).await.expect("logged out");
        until("the other replica knows", async || {
            reason(there.who_am_i(&tokens.access_token).await) == "SESSION_ENDED"
                && there
                    .count("SELECT count(*) FROM trust_events WHERE sequence IS NULL")
                    .await
                    == 0
        })
        .await;
        here.close().await;
        let hello = pb::Hello {
            feed: part.feed,
            sequence,
            ..hello
        };
        let (told, next) = first_told(&there, hello).await;
        let Told::Revoked(revocation) = told else {
            panic!("not what was missed: {told:?}")
        };
        assert!(matches!(
            revocation.target,
            Some(pb::revocation::Target::SessionId(_))
        ));
        assert_eq!(next, sequence + 1);
        there.close().await;
    })
    .await;
}

/// What is to be run on a database that came back from a backup, as docs/operations.md has it.
fn rename(place: &Place) -> &'static str {
    let rename = match place.url.starts_with("sqlite:") {
        true => "UPDATE trust_feed SET name = lower(hex(randomblob(16)));",
        false => "UPDATE trust_feed SET name = gen_random_uuid()::text;",
    };
    let page = include_str!("../../../../docs/operations.md");
    assert!(page.contains(rename), "the page says something else");
    rename
}

/// Its numbers are given again, to other events than those that the guard had under them.
#[tokio::test]
async fn a_guard_that_stood_further_on_than_a_restored_database_is_told_everything_again() {
    on_both(async |house| {
        let hello = pb::Hello {
            instance: "by-hand".to_owned(),
            ..Default::default()
        };
        let (told, backup) = first_told(&house, hello.clone()).await;
        let Told::Snapshot(part) = told else {
            panic!("{told:?}")
        };
        let rename = rename(&house.place);
        on_write!(house.db, |c| sqlx::query(rename).execute(c).await.map(drop)).expect("renamed");
        let (_, tokens) = house.person("leaver", pb::Role::Customer).await;
        let request = pb::LogoutRequest {
            refresh_token: tokens.refresh_token,
        };
        house
            .auth
            .clone()
            .logout(request)
            .await
            .expect("logged out");
        // The guard had one more event of the lost days.
        let hello = pb::Hello {
            feed: part.feed,
            sequence: backup + 1,
            ..hello
        };
        let (told, _) = first_told(&house, hello).await;
        let Told::Snapshot(part) = told else {
            panic!("not everything: {told:?}")
        };
        assert!(!part.revocations.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_learns_nothing_does_not_say_that_nothing_has_happened() {
    on_both(async |house| {
        let token = house.factory().await;
        let mut stream = hello(&house, &token).await.expect("open");
        while !matches!(told(&mut stream).await, Ok(Told::Heartbeat(_))) {}
        let rename = "ALTER TABLE trust_feed RENAME TO trust_feed_gone";
        on_write!(house.db, |c| sqlx::query(rename).execute(c).await.map(drop)).expect("renamed");
        let ends = async {
            loop {
                if let Err(status) = told(&mut stream).await {
                    break status;
                }
            }
        };
        let end = tokio::time::timeout(2 * IN_TIME, ends).await;
        let end = end.expect("no more heartbeats");
        assert_eq!(reason::<()>(Err(end)), "STORE_UNAVAILABLE");
    })
    .await;
}

#[tokio::test]
async fn a_service_account_that_is_switched_off_is_refused_elsewhere_and_loses_the_feed() {
    on_both(async |house| {
        let elsewhere = Elsewhere::of(&house).await;
        let (admin, mut accounts) = (house.admin().await, house.service_accounts.clone());
        let request = pb::CreateServiceAccountRequest {
            service_account: Some(pb::ServiceAccount {
                client_id: "shop".to_owned(),
                scopes: vec!["trust.watch".to_owned()],
                ..Default::default()
            }),
            ..Default::default()
        };
        let made = accounts.create_service_account(with(&admin, request)).await;
        let secret = made.expect("made").into_inner().client_secret;
        let shop = async || {
            let issued = house.service_token("shop", &secret, "").await;
            issued.expect("issued").access_token
        };
        let token = shop().await;
        elsewhere.takes(&token);
        let mut stream = hello(&house, &token).await.expect("open");
        while !matches!(told(&mut stream).await, Ok(Told::Heartbeat(_))) {}
        let request = pb::DisableServiceAccountRequest {
            client_id: "shop".to_owned(),
            ..Default::default()
        };
        accounts
            .disable_service_account(with(&admin, request))
            .await
            .expect("disabled");
        refused_elsewhere(&elsewhere, &token, "TOKEN_REVOKED").await;
        let end = loop {
            if let Err(status) = told(&mut stream).await {
                break status;
            }
        };
        let revoked = (Code::Unauthenticated, "TOKEN_REVOKED".to_owned());
        assert_eq!(refusal::<()>(Err(end)), revoked);
        // Back in use, it gets tokens that are good, one second later.
        let request = pb::EnableServiceAccountRequest {
            client_id: "shop".to_owned(),
            ..Default::default()
        };
        accounts
            .enable_service_account(with(&admin, request))
            .await
            .expect("enabled");
        house.clock.advance(Duration::from_secs(1));
        elsewhere.takes(&shop().await);
        assert_eq!(elsewhere.refuses(&token), Some("TOKEN_REVOKED"));
    })
    .await;
}

#[tokio::test]
async fn a_guard_that_comes_later_knows_what_was_revoked_before_and_only_what_still_matters() {
    on_both(async |house| {
        let (_, one) = house.person("early", pb::Role::User).await;
        let request = pb::LogoutRequest {
            refresh_token: one.refresh_token,
        };
        house
            .auth
            .clone()
            .logout(request)
            .await
            .expect("logged out");
        let elsewhere = Elsewhere::of(&house).await;
        assert_eq!(elsewhere.refuses(&one.access_token), Some("SESSION_ENDED"));
        let known = elsewhere.known.stats().entries;
        assert!(known > 0);
        // When the tokens have expired, also for a guard with a leeway, nobody needs to know.
        house.clock.advance(Duration::from_secs(17 * 60));
        let later = Elsewhere::of(&house).await;
        assert_eq!(later.known.stats().entries, 0);
        until("the rows are deleted", async || {
            house.count("SELECT count(*) FROM trust_events").await == 0
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn two_replicas_tell_each_other() {
    at_both(async |place| {
        if place.url.starts_with("sqlite:") {
            return;
        }
        let here = House::open(place.clone(), &[]).await;
        let there = House::open(place.clone(), &[]).await;
        let elsewhere = Elsewhere::of(&there).await;
        for name in ["one", "two", "three"] {
            let (_, tokens) = here.person(name, pb::Role::User).await;
            elsewhere.takes(&tokens.access_token);
            let request = pb::LogoutRequest {
                refresh_token: tokens.refresh_token,
            };
            here.auth.clone().logout(request).await.expect("logged out");
            refused_elsewhere(&elsewhere, &tokens.access_token, "SESSION_ENDED").await;
            // The other replica's own guard, too.
            until("there", async || {
                reason(there.who_am_i(&tokens.access_token).await) == "SESSION_ENDED"
            })
            .await;
        }
        drop(elsewhere);
        here.close().await;
        there.close().await;
    })
    .await;
}

#[tokio::test]
async fn no_number_is_skipped_however_many_end_together() {
    on_both(async |house| {
        let elsewhere = Elsewhere::of(&house).await;
        let mut tokens = Vec::new();
        for number in 0..12 {
            tokens.push(
                house
                    .person(&format!("many{number}"), pb::Role::Customer)
                    .await
                    .1,
            );
        }
        let all = Arc::new(tokens);
        let (auth, asked) = (house.auth.clone(), all.clone());
        let ended = at_once(12, move |index| {
            let mut auth = auth.clone();
            let refresh_token = asked[index].refresh_token.clone();
            async move {
                auth.logout(pb::LogoutRequest { refresh_token })
                    .await
                    .is_ok()
            }
        })
        .await;
        assert!(ended.iter().all(|ended| *ended));
        for token in all.iter() {
            refused_elsewhere(&elsewhere, &token.access_token, "SESSION_ENDED").await;
        }
        let untold = "SELECT count(*) FROM trust_events WHERE sequence IS NULL";
        assert_eq!(house.count(untold).await, 0);
        let last = house.count("SELECT sequence FROM trust_feed").await;
        let first = house.count("SELECT min(sequence) FROM trust_events").await;
        let rows = house.count("SELECT count(*) FROM trust_events").await;
        assert_eq!((first, last), (2, rows + 1));
        until("told", async || elsewhere.known.stats().sequence == last).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_revoked_is_said_before_what_the_role_may_not() {
    on_both(async |house| {
        let (_, one) = house.person("customer", pb::Role::Customer).await;
        let keys = with(&one.access_token, pb::ListKeysRequest {});
        let mut trust = TrustServiceClient::new(house.channel.clone());
        assert_eq!(reason(trust.list_keys(keys).await), "ROLE_DENIED");
        let request = pb::LogoutRequest {
            refresh_token: one.refresh_token,
        };
        house
            .auth
            .clone()
            .logout(request)
            .await
            .expect("logged out");
        until("the session has ended", async || {
            let keys = with(&one.access_token, pb::ListKeysRequest {});
            reason(trust.list_keys(keys).await) == "SESSION_ENDED"
        })
        .await;
    })
    .await;
}

/// Opens the feed with this token, and says hello.
async fn hello(house: &House, token: &str) -> Result<Streaming<pb::WatchResponse>, Status> {
    let hello = pb::Hello {
        instance: "by-hand".to_owned(),
        ..Default::default()
    };
    watch(house, token, vec![Said::Hello(hello)]).await
}

async fn watch(
    house: &House,
    token: &str,
    said: Vec<Said>,
) -> Result<Streaming<pb::WatchResponse>, Status> {
    use futures::StreamExt as _;

    let said = said
        .into_iter()
        .map(|said| pb::WatchRequest { said: Some(said) });
    let said = futures::stream::iter(said).chain(futures::stream::pending());
    let request: Request<_> = with(token, said);
    let mut trust = TrustServiceClient::new(house.channel.clone());
    trust.watch(request).await.map(tonic::Response::into_inner)
}

async fn told(stream: &mut Streaming<pb::WatchResponse>) -> Result<Told, Status> {
    let message = tokio::time::timeout(IN_TIME, stream.message()).await;
    let message = message.expect("an answer in time")?;
    Ok(message.expect("not the end").told.expect("something"))
}

#[tokio::test]
async fn only_services_that_may_follow_the_feed_do() {
    on_both(async |house| {
        let admin = house.admin().await;
        assert_eq!(reason(hello(&house, &admin).await), "PRINCIPAL_KIND_DENIED");
        let scoped = house
            .service_token(FACTORY, FACTORY_SECRET, "users.read")
            .await;
        let scoped = scoped.expect("issued").access_token;
        assert_eq!(reason(hello(&house, &scoped).await), "SCOPE_DENIED");
        let good = house.factory().await;
        let is_bad = async |said: Vec<Said>| {
            let refused = watch(&house, &good, said).await;
            refusal(refused) == (Code::InvalidArgument, "FIELD_INVALID".to_owned())
        };
        let greeting = || pb::Hello {
            instance: "i".to_owned(),
            ..Default::default()
        };
        assert!(is_bad(vec![Said::Keys(pb::KnownKeys::default())]).await);
        for bad in [
            pb::Hello::default(),
            pb::Hello {
                instance: "a b".to_owned(),
                ..greeting()
            },
            pb::Hello {
                instance: "x".repeat(129),
                ..greeting()
            },
            pb::Hello {
                sequence: -1,
                ..greeting()
            },
            pb::Hello {
                key_ids: vec!["a b".to_owned()],
                ..greeting()
            },
            pb::Hello {
                key_ids: vec!["k".to_owned(); 65],
                ..greeting()
            },
        ] {
            assert!(is_bad(vec![Said::Hello(bad.clone())]).await, "{bad:?}");
        }
        // A number or a feed that nobody gave gets a snapshot.
        for (feed, sequence) in [("another", 1), ("", 7), ("", i64::MAX)] {
            let feed = feed.to_owned();
            let hello = pb::Hello {
                feed,
                sequence,
                ..greeting()
            };
            let mut stream = watch(&house, &good, vec![Said::Hello(hello)])
                .await
                .expect("open");
            assert!(matches!(told(&mut stream).await, Ok(Told::Snapshot(_))));
        }
        // A second hello, or a token of somebody else, ends the stream.
        let other = house.admin().await;
        for (said, why) in [
            (Said::Hello(greeting()), "FIELD_INVALID"),
            (Said::AccessToken(other), "TOKEN_INVALID"),
        ] {
            let said = vec![Said::Hello(greeting()), said];
            let mut stream = watch(&house, &good, said).await.expect("open");
            let end = loop {
                if let Err(status) = told(&mut stream).await {
                    break status;
                }
            };
            assert_eq!(reason::<()>(Err(end)), why);
        }
    })
    .await;
}
