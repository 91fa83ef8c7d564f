use super::harness::*;
use millgate_contract::auth::v1 as pb;
use std::time::Duration;
use tonic::{Code, Status};

async fn list(
    house: &House,
    token: &str,
    request: pb::ListSessionsRequest,
) -> Result<pb::ListSessionsResponse, Status> {
    let request = with(token, request);
    let listed = house.sessions.clone().list_sessions(request).await;
    listed.map(tonic::Response::into_inner)
}

async fn own(house: &House, token: &str) -> Vec<pb::Session> {
    let listed = list(house, token, pb::ListSessionsRequest::default()).await;
    listed.expect("listed").sessions
}

async fn revoke(house: &House, token: &str, id: &str) -> Result<(), Status> {
    let request = with(token, pb::RevokeSessionRequest { id: id.to_owned() });
    house
        .sessions
        .clone()
        .revoke_session(request)
        .await
        .map(drop)
}

async fn log_out_everywhere(house: &House, token: &str) -> Result<i32, Status> {
    let request = with(token, pb::LogoutEverywhereRequest {});
    let ended = house.auth.clone().logout_everywhere(request).await;
    ended.map(|ended| ended.into_inner().sessions_ended)
}

fn ids(sessions: &[pb::Session]) -> Vec<&str> {
    sessions.iter().map(|session| session.id.as_str()).collect()
}

#[tokio::test]
async fn people_see_where_they_are_logged_in() {
    on_both(async |house| {
        house.register("ada").await;
        house.register("bob").await;
        house.login("bob").await;
        let request = pb::LoginRequest {
            device_label: "Ada's phone".into(),
            ..login("ada", PASSWORD)
        };
        let phone = house.auth.clone().login(request).await.expect("logged in");
        let phone = phone.into_inner();
        house.clock.advance(Duration::from_secs(60));
        let desk = house.login("ada").await;
        house.clock.advance(Duration::from_secs(60));
        house
            .refresh(&phone.refresh_token)
            .await
            .expect("refreshed");

        let seen = own(&house, &desk.access_token).await;
        assert_eq!(
            ids(&seen),
            [&desk.session_id, &phone.session_id],
            "the newest first"
        );
        let (here, there) = (&seen[0], &seen[1]);
        assert!(here.current && !there.current);
        assert_eq!(there.device_label, "Ada's phone");
        assert_eq!(
            (there.address.as_str(), there.amr.as_slice()),
            ("127.0.0.1", ["pwd".to_owned()].as_slice())
        );
        assert!(there.user_agent.starts_with("tonic/"));
        let seconds =
            |time: &Option<prost_types::Timestamp>| time.as_ref().map(|time| time.seconds);
        let began = seconds(&there.create_time).expect("a time");
        assert_eq!(seconds(&there.auth_time), Some(began));
        assert_eq!(seconds(&there.last_used_time), Some(began + 120));
        assert_eq!(
            seconds(&there.expire_time),
            Some(began + 120 + 7 * 24 * 60 * 60)
        );
        assert_eq!((&there.end_time, there.end_reason.as_str()), (&None, ""));
    })
    .await;
}

#[tokio::test]
async fn a_list_goes_by_pages_and_shows_the_ended_ones_when_asked() {
    on_both_with(&["--session-idle", "1h"], async |house| {
        house.register("ada").await;
        let idle = house.login("ada").await;
        house.clock.advance(Duration::from_secs(60 * 60));
        let mut live = Vec::new();
        // Several in one microsecond: the id breaks the tie.
        for index in 0..5 {
            if index == 3 {
                house.clock.advance(Duration::from_secs(1));
            }
            live.push(house.login("ada").await);
        }
        let token = live[0].access_token.clone();
        let left = live.pop().expect("one");
        revoke(&house, &token, &left.session_id)
            .await
            .expect("revoked");

        for (include_ended, order_by, expected) in [
            (false, "", 4),
            (false, "create_time", 4),
            (true, "create_time desc", 6),
        ] {
            let mut request = pb::ListSessionsRequest {
                page_size: 1,
                include_ended,
                order_by: order_by.into(),
                ..Default::default()
            };
            let mut seen = Vec::new();
            loop {
                let page = list(&house, &token, request.clone()).await.expect("a page");
                assert_eq!(page.sessions.len(), 1);
                seen.extend(page.sessions);
                if page.next_page_token.is_empty() {
                    break;
                }
                request.page_token = page.next_page_token;
            }
            assert_eq!(seen.len(), expected, "{order_by}");
            let all = pb::ListSessionsRequest {
                page_size: 0,
                page_token: String::new(),
                ..request.clone()
            };
            let all = list(&house, &token, all).await.expect("a page");
            assert_eq!(all.sessions, seen, "{order_by}");
            let ended = seen.iter().find(|session| session.id == left.session_id);
            assert_eq!(
                ended.map(|ended| ended.end_reason.as_str()),
                include_ended.then_some("revoked")
            );
            assert_eq!(
                seen.iter().any(|session| session.id == idle.session_id),
                include_ended
            );
            request.include_ended = !include_ended;
            let refused = list(&house, &token, request).await;
            if expected > 1 {
                assert_eq!(reason(refused), "PAGE_TOKEN_INVALID");
            }
        }
        let bad = pb::ListSessionsRequest {
            user_id: -1,
            order_by: "address".into(),
            ..Default::default()
        };
        let status = list(&house, &token, bad).await.expect_err("refused");
        assert_eq!(fields(&status), ["user_id", "order_by"]);
    })
    .await;
}

#[tokio::test]
async fn nobody_but_an_administrator_sees_or_ends_anothers_sessions() {
    on_both(async |house| {
        let ada = house.register("ada").await;
        let adas = house.login("ada").await;
        let (_, worker) = house.person("worker", pb::Role::User).await;
        let before = house.snapshot().await;
        let of_ada = pb::ListSessionsRequest {
            user_id: ada.id,
            ..Default::default()
        };
        let token = worker.access_token.as_str();
        assert_eq!(
            refusal(list(&house, token, of_ada.clone()).await),
            (Code::NotFound, "USER_NOT_FOUND".into())
        );
        let hidden = revoke(&house, token, &adas.session_id).await;
        let unknown = revoke(&house, token, "00000000-0000-4000-8000-000000000000").await;
        for refused in [hidden, unknown] {
            assert_eq!(
                refusal(refused),
                (Code::NotFound, "SESSION_NOT_FOUND".into())
            );
        }
        assert_eq!(
            reason(revoke(&house, token, "x' OR 1=1").await),
            "FIELD_INVALID"
        );
        let factory = house.factory().await;
        let refused = list(&house, &factory, pb::ListSessionsRequest::default()).await;
        assert_eq!(reason(refused), "PRINCIPAL_KIND_DENIED");
        let refused = revoke(&house, &factory, &adas.session_id).await;
        assert_eq!(reason(refused), "PRINCIPAL_KIND_DENIED");
        let refused = log_out_everywhere(&house, &factory).await;
        assert_eq!(reason(refused), "PRINCIPAL_KIND_DENIED");
        assert_eq!(house.snapshot().await, before);

        let admin = house.admin().await;
        let listed = list(&house, &admin, of_ada).await.expect("listed");
        assert_eq!(ids(&listed.sessions), [&adas.session_id]);
        let nobody = pb::ListSessionsRequest {
            user_id: 99,
            ..Default::default()
        };
        assert_eq!(reason(list(&house, &admin, nobody).await), "USER_NOT_FOUND");
        revoke(&house, &admin, &adas.session_id.to_uppercase())
            .await
            .expect("revoked");
        revoke(&house, &admin, &adas.session_id)
            .await
            .expect("it has ended, and that is fine");
        assert_eq!(
            reason(house.who_am_i(&adas.access_token).await),
            "SESSION_ENDED"
        );
        assert_eq!(
            reason(house.refresh(&adas.refresh_token).await),
            "SESSION_ENDED"
        );
    })
    .await;
}

#[tokio::test]
async fn one_session_is_ended_and_the_others_go_on() {
    on_both(async |house| {
        house.register("ada").await;
        let (here, there) = (house.login("ada").await, house.login("ada").await);
        revoke(&house, &here.access_token, &there.session_id)
            .await
            .expect("revoked");
        assert_eq!(
            reason(house.who_am_i(&there.access_token).await),
            "SESSION_ENDED"
        );
        house
            .who_am_i(&here.access_token)
            .await
            .expect("it goes on");
        assert_eq!(
            ids(&own(&house, &here.access_token).await),
            [&here.session_id]
        );
        revoke(&house, &here.access_token, &here.session_id)
            .await
            .expect("also the own one");
        assert_eq!(
            reason(house.who_am_i(&here.access_token).await),
            "SESSION_ENDED"
        );
    })
    .await;
}

#[tokio::test]
async fn a_logout_everywhere_leaves_nothing_alive() {
    on_both(async |house| {
        house.register("ada").await;
        house.register("bob").await;
        let (here, there, bob) = (
            house.login("ada").await,
            house.login("ada").await,
            house.login("bob").await,
        );
        assert_eq!(
            log_out_everywhere(&house, &here.access_token)
                .await
                .expect("ended"),
            2
        );
        for tokens in [&here, &there] {
            assert_eq!(
                reason(house.who_am_i(&tokens.access_token).await),
                "TOKEN_REVOKED"
            );
            assert_eq!(
                reason(house.refresh(&tokens.refresh_token).await),
                "SESSION_ENDED"
            );
        }
        house.who_am_i(&bob.access_token).await.expect("another's");
        let again = house.login("ada").await;
        house
            .who_am_i(&again.access_token)
            .await
            .expect("a new one");
    })
    .await;
}

#[tokio::test]
async fn past_the_most_sessions_the_one_not_used_for_the_longest_ends() {
    on_both_with(&["--sessions-per-user", "3"], async |house| {
        house.register("ada").await;
        let mut sessions = Vec::new();
        for _ in 0..3 {
            sessions.push(house.login("ada").await);
            house.clock.advance(Duration::from_secs(1));
        }
        house
            .refresh(&sessions[0].refresh_token)
            .await
            .expect("refreshed");
        let fourth = house.login("ada").await;
        assert_eq!(
            reason(house.who_am_i(&sessions[1].access_token).await),
            "SESSION_ENDED"
        );
        assert_eq!(
            reason(house.refresh(&sessions[1].refresh_token).await),
            "SESSION_ENDED"
        );
        for alive in [&sessions[0], &sessions[2], &fourth] {
            house.who_am_i(&alive.access_token).await.expect("alive");
        }
        // Also when they all come at once.
        house.clock.advance(Duration::from_secs(1));
        let auth = house.auth.clone();
        let logins = at_once(10, |_| {
            let mut auth = auth.clone();
            async move { auth.login(login("ada", PASSWORD)).await }
        })
        .await;
        let last = logins
            .into_iter()
            .map(|login| login.expect("logged in").into_inner());
        let mut alive = 0;
        for tokens in last {
            alive += usize::from(house.who_am_i(&tokens.access_token).await.is_ok());
        }
        assert_eq!(alive, 3);
    })
    .await;
}
