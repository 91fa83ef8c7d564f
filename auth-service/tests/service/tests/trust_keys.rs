//! Keys come and go without an outage, and at once when one was stolen.

use std::time::Duration;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::trust_service_client::TrustServiceClient;
use millgate_guard::{FilePermissions, KeyRing, KeyStatus, SharedRing};
use tonic::Status;
use tonic::transport::Channel;

use super::exchange;
use super::harness::{FACTORY, House, at_both, at_once, on_both, on_both_with, reason, with};
use super::trust::{Elsewhere, until};
use super::validate::validate;

const QUICK: &[&str] = &["--key-announced-for", "0s"];

fn trust(house: &House) -> TrustServiceClient<Channel> {
    TrustServiceClient::new(house.channel.clone())
}

async fn keys(house: &House, token: &str) -> pb::ListKeysResponse {
    let listed = trust(house)
        .list_keys(with(token, pb::ListKeysRequest {}))
        .await;
    listed.expect("listed").into_inner()
}

async fn rotate(
    house: &House,
    token: &str,
    algorithm: pb::KeyAlgorithm,
) -> Result<pb::Key, Status> {
    let request = pb::RotateKeyRequest {
        algorithm: algorithm.into(),
    };
    let rotated = trust(house).rotate_key(with(token, request)).await;
    rotated.map(tonic::Response::into_inner)
}

async fn retire(house: &House, token: &str, key_id: &str, force: bool) -> Result<(), Status> {
    let request = pb::RetireKeyRequest {
        key_id: key_id.to_owned(),
        force,
    };
    trust(house)
        .retire_key(with(token, request))
        .await
        .map(drop)
}

fn active(keys: &pb::ListKeysResponse) -> String {
    let active = |key: &&pb::Key| key.state() == pb::KeyState::Active;
    keys.keys
        .iter()
        .find(active)
        .expect("a key that signs")
        .key_id
        .clone()
}

#[tokio::test]
async fn a_rotation_waits_for_the_guard_that_has_not_got_the_key_and_names_it() {
    on_both_with(QUICK, async |house| {
        let admin = house.admin().await;
        let path = house.place.folder.path().join("keys.json");
        let old_file = KeyRing::load(&path, FilePermissions::Private).expect("the ring");
        let stale = Elsewhere::with_ring(&house, SharedRing::new(old_file)).await;
        let ready = Elsewhere::of(&house).await;
        drop(ready);
        let before = active(&keys(&house, &admin).await);

        let announced = rotate(&house, &admin, pb::KeyAlgorithm::Unspecified)
            .await
            .expect("announced");
        assert_eq!(announced.state(), pb::KeyState::Announced);
        assert_ne!(announced.key_id, before);
        // Asked again, nothing more is made.
        let again = rotate(&house, &admin, pb::KeyAlgorithm::Hs256).await;
        assert_eq!(again.expect("the same").key_id, announced.key_id);
        let other = rotate(&house, &admin, pb::KeyAlgorithm::Eddsa).await;
        assert_eq!(reason(other), "STATE_CONFLICT");

        // It waits, and says for whom.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let listed = keys(&house, &admin).await;
        assert_eq!(active(&listed), before);
        let waiting = &listed.keys[1].unknown_to;
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        assert_eq!(
            (waiting[0].client_id.as_str(), waiting[0].instance.as_str()),
            ("factory-service", "elsewhere")
        );
        assert!(
            listed
                .guards
                .iter()
                .any(|guard| guard.client_id == "auth-service")
        );

        // The operator brings it the key.
        let file = KeyRing::load(&path, FilePermissions::Private).expect("the ring");
        stale.ring.replace(file).expect("taken");
        until("the new key signs", async || {
            active(&keys(&house, &admin).await) == announced.key_id
        })
        .await;
        let (_, tokens) = house.person("after", pb::Role::User).await;
        assert_eq!(stale.refuses(&tokens.access_token), None);
        // What the old key signed lives on: the administrator is still one.
        let listed = keys(&house, &admin).await;
        assert_eq!(listed.keys[0].state(), pb::KeyState::Retiring);
        assert_eq!(
            reason(retire(&house, &admin, &before, false).await),
            "STATE_CONFLICT"
        );
        assert_eq!(
            reason(retire(&house, &admin, &announced.key_id, false).await),
            "STATE_CONFLICT"
        );

        // And is removed when the last of its tokens has expired.
        house.clock.advance(Duration::from_secs(16 * 60));
        let admin = house.admin().await;
        until("the old key is gone", async || {
            keys(&house, &admin).await.keys.len() == 1
        })
        .await;
        let file = KeyRing::load(&path, FilePermissions::Private).expect("the ring");
        assert_eq!(file.kids().collect::<Vec<_>>(), [announced.key_id.as_str()]);
    })
    .await;
}

/// The key that the first of these rotations announces, once the guard that lacks it is known to have left.
async fn announced_while_somebody_left(house: &House, admin: &str) -> pb::Key {
    let path = house.place.folder.path().join("keys.json");
    let old_file = KeyRing::load(&path, FilePermissions::Private).expect("the ring");
    let stale = Elsewhere::with_ring(house, SharedRing::new(old_file)).await;
    let next = rotate(house, admin, pb::KeyAlgorithm::Unspecified)
        .await
        .expect("announced");
    drop(stale);
    until("it is known to have left", async || {
        let listed = keys(house, admin).await;
        assert_eq!(listed.keys[1].state(), pb::KeyState::Announced);
        let waiting = &listed.keys[1].unknown_to;
        assert!(
            waiting.iter().any(|it| it.instance == "elsewhere"),
            "{waiting:?}"
        );
        let here = listed.guards.iter().any(|it| it.instance == "elsewhere");
        waiting.iter().any(|it| it.away) && !here
    })
    .await;
    next
}

#[tokio::test]
async fn a_guard_that_left_without_the_key_is_waited_for_across_a_restart_until_it_has_it() {
    on_both_with(QUICK, async |house| {
        let admin = house.admin().await;
        let before = active(&keys(&house, &admin).await);
        let next = announced_while_somebody_left(&house, &admin).await;
        // The auth service stops and comes back, before the guard does.
        let clock = house.clock.clone();
        let house = House::open_at(house.close().await, QUICK, clock).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let listed = keys(&house, &admin).await;
        assert_eq!(active(&listed), before);
        assert!(
            listed.keys[1].unknown_to.iter().any(|it| it.away),
            "{listed:?}"
        );
        // It comes back, and has got the key.
        let _back = Elsewhere::of(&house).await;
        until("the new key signs", async || {
            active(&keys(&house, &admin).await) == next.key_id
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_guard_that_never_comes_back_does_not_hold_a_rotation_back_for_ever() {
    on_both_with(QUICK, async |house| {
        let admin = house.admin().await;
        let before = active(&keys(&house, &admin).await);
        let next = announced_while_somebody_left(&house, &admin).await;
        house.clock.advance(Duration::from_secs(9 * 60));
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(active(&keys(&house, &admin).await), before);
        house.clock.advance(Duration::from_secs(61));
        until("the new key signs", async || {
            active(&keys(&house, &admin).await) == next.key_id
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn whoever_rotates_at_the_same_time_gets_the_same_key() {
    on_both_with(&["--key-announced-for", "1h"], async |house| {
        let admin = house.admin().await;
        let (client, token) = (trust(&house), admin.clone());
        let made = at_once(6, move |_| {
            let (mut client, token) = (client.clone(), token.clone());
            async move {
                let request = with(&token, pb::RotateKeyRequest::default());
                let key = client.rotate_key(request).await.expect("announced");
                key.into_inner().key_id
            }
        })
        .await;
        assert!(made.iter().all(|key| *key == made[0]), "{made:?}");
        assert_eq!(keys(&house, &admin).await.keys.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn of_two_replicas_that_see_an_old_key_one_replaces_it() {
    at_both(async |place| {
        if place.url.starts_with("sqlite:") {
            return;
        }
        let settings = &["--key-announced-for", "0s", "--key-max-age", "30d"];
        let here = House::open(place.clone(), settings).await;
        let there = House::open_at(place.clone(), settings, here.clock.clone()).await;
        let before = active(&keys(&here, &here.admin().await).await);
        here.clock.advance(Duration::from_secs(31 * 24 * 60 * 60));
        let admin = here.admin().await;
        for house in [&here, &there] {
            // To the one that goes first the other was last seen a month ago, and is not waited for: for a moment it
            // may not know the key that the token was signed with.
            until("another key signs", async || {
                let listed = trust(house)
                    .list_keys(with(&admin, pb::ListKeysRequest {}))
                    .await;
                listed.is_ok_and(|listed| active(listed.get_ref()) != before)
            })
            .await;
        }
        // Each has looked after the ring several times since.
        tokio::time::sleep(Duration::from_secs(3)).await;
        for house in [&here, &there] {
            let listed = keys(house, &admin).await;
            assert_eq!(listed.keys.len(), 2, "{listed:?}");
        }
        here.close().await;
        there.close().await;
    })
    .await;
}

/// Otherwise each would wait for the other to learn its key, which nobody brings.
#[tokio::test]
async fn of_two_replicas_with_files_of_their_own_one_begins_a_rotation_by_age() {
    at_both(async |place| {
        if place.url.starts_with("sqlite:") {
            return;
        }
        let file = |name: &str| place.folder.path().join(name);
        std::fs::copy(file("keys.json"), file("other.json")).expect("copied");
        let other = file("other.json").display().to_string();
        let aged = ["--key-announced-for", "0s", "--key-max-age", "30d"];
        let here = House::open(place.clone(), &aged).await;
        let mut config = place.config(&aged);
        config.keys.keys = Some(other.clone().into());
        let there = House::open_with_at(place.clone(), config, here.clock.clone()).await;
        here.clock.advance(Duration::from_secs(31 * 24 * 60 * 60));
        let read =
            |name: &str| KeyRing::load(&file(name), FilePermissions::Private).expect("a ring");
        let count = || read("keys.json").kids().count() + read("other.json").kids().count();
        until("one has begun", async || count() == 3).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(count(), 3);
        // The operator brings the file; what was begun goes on.
        let (from, to) = match read("keys.json").kids().count() {
            2 => ("keys.json", "other.json"),
            _ => ("other.json", "keys.json"),
        };
        std::fs::copy(file(from), file(to)).expect("copied");
        until("the new key signs at the one that began", async || {
            let ring = read(from);
            ring.infos().all(|key| key.status != KeyStatus::Announced)
        })
        .await;
        here.close().await;
        there.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_stolen_key_is_refused_everywhere_at_once() {
    on_both_with(&["--key-announced-for", "1h"], async |house| {
        let elsewhere = Elsewhere::of(&house).await;
        let admin = house.admin().await;
        let (_, tokens) = house.person("somebody", pb::Role::User).await;
        let stolen = active(&keys(&house, &admin).await);
        let thief = house.issuer.user(1, "admin").token();
        assert_eq!(elsewhere.refuses(&thief), None);
        // Nobody would sign any more.
        assert_eq!(
            reason(retire(&house, &admin, &stolen, true).await),
            "STATE_CONFLICT"
        );
        let next = rotate(&house, &admin, pb::KeyAlgorithm::Unspecified)
            .await
            .expect("announced");
        retire(&house, &admin, &stolen, true)
            .await
            .expect("removed");
        for token in [&thief, &tokens.access_token, &admin] {
            until("refused elsewhere", async || {
                matches!(
                    elsewhere.refuses(token),
                    Some("TOKEN_REVOKED" | "TOKEN_INVALID")
                )
            })
            .await;
        }
        let told = reason(house.who_am_i(&admin).await);
        assert!(
            ["TOKEN_REVOKED", "TOKEN_INVALID"].contains(&told.as_str()),
            "{told}"
        );
        // Who logs in again is let in, with the other key; and the refresh token works.
        let admin = house.admin().await;
        assert_eq!(active(&keys(&house, &admin).await), next.key_id);
        let refreshed = house
            .refresh(&tokens.refresh_token)
            .await
            .expect("refreshed");
        until("taken", async || {
            elsewhere.refuses(&refreshed.access_token).is_none()
        })
        .await;
        // The thief's ring still has it; the guards refuse it for ever, also those that come later.
        house.clock.advance(Duration::from_secs(48 * 60 * 60));
        let later = Elsewhere::of(&house).await;
        assert!(later.known.stats().entries > 0);
        let forged = house.issuer.user(1, "admin").token();
        assert!(later.refuses(&forged).is_some());
        // A second time is no fault.
        let admin = house.admin().await;
        retire(&house, &admin, &stolen, true)
            .await
            .expect("still removed");
    })
    .await;
}

/// What the guards look at in the head of a call. A replica with a file of its own still has the key in its ring.
#[tokio::test]
async fn a_stolen_key_counts_for_no_token_in_the_body_of_a_call_either() {
    at_both(async |place| {
        if place.url.starts_with("sqlite:") {
            return;
        }
        let file = |name: &str| place.folder.path().join(name);
        let here = House::open(place.clone(), QUICK).await;
        let (_, tokens) = here.person("ada", pb::Role::Customer).await;
        let stolen = active(&keys(&here, &here.admin().await).await);
        let forged = here.issuer.service(FACTORY, "users.read").token();
        rotate(&here, &here.admin().await, pb::KeyAlgorithm::Unspecified)
            .await
            .expect("announced");
        until("the new key signs", async || {
            active(&keys(&here, &here.admin().await).await) != stolen
        })
        .await;
        std::fs::copy(file("keys.json"), file("other.json")).expect("copied");
        let mut config = place.config(QUICK);
        config.keys.keys = Some(file("other.json"));
        let there = House::open_with_at(place.clone(), config, here.clock.clone()).await;
        let admin = here.admin().await;
        let factory = exchange::service(&here, "shop", &["users.read"]).await;
        for good in [&forged, &tokens.access_token] {
            assert!(validate(&there, &admin, good).await.active);
        }
        retire(&here, &admin, &stolen, true).await.expect("removed");
        for bad in [&forged, &tokens.access_token] {
            until("not good there", async || {
                validate(&there, &admin, bad).await.reason == "TOKEN_REVOKED"
            })
            .await;
        }
        let request = pb::ExchangeTokenRequest {
            subject_token: tokens.access_token.clone(),
            scope: "users.read".into(),
            ..Default::default()
        };
        let traded = exchange::exchange(&there, &factory, request).await;
        assert_eq!(reason(traded), "DELEGATION_DENIED");
        let request = with(&tokens.access_token, pb::LogoutRequest::default());
        there
            .auth
            .clone()
            .logout(request)
            .await
            .expect("nothing to end");
        let live = "SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id \
             WHERE u.username = 'ada' AND s.ended_time IS NULL";
        assert_eq!(here.count(live).await, 1, "nobody was logged out");
        there.close().await;
        here.close().await;
    })
    .await;
}

#[tokio::test]
async fn from_one_secret_to_a_pair_is_a_rotation_like_any_other() {
    on_both_with(QUICK, async |house| {
        let elsewhere = Elsewhere::of(&house).await;
        let admin = house.admin().await;
        let jwks = async || {
            let asked = trust(&house).get_jwks(pb::GetJwksRequest {}).await;
            asked.expect("public").into_inner().keys
        };
        assert!(jwks().await.is_empty());
        let next = rotate(&house, &admin, pb::KeyAlgorithm::Eddsa)
            .await
            .expect("announced");
        until("the pair signs", async || {
            active(&keys(&house, &admin).await) == next.key_id
        })
        .await;
        let public = jwks().await;
        assert_eq!(public.len(), 1);
        assert_eq!(
            (
                public[0].kty.as_str(),
                public[0].crv.as_str(),
                public[0].alg.as_str()
            ),
            ("OKP", "Ed25519", "EdDSA")
        );
        assert_eq!(public[0].kid, next.key_id);
        let (_, tokens) = house.person("somebody", pb::Role::User).await;
        until("taken", async || {
            elsewhere.refuses(&tokens.access_token).is_none()
        })
        .await;
        assert_eq!(elsewhere.refuses(&admin), None);
        house.who_am_i(&tokens.access_token).await.expect("known");
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_old_enough_is_replaced_by_itself() {
    let settings = &["--key-announced-for", "0s", "--key-max-age", "30d"];
    on_both_with(settings, async |house| {
        let admin = house.admin().await;
        let before = active(&keys(&house, &admin).await);
        house.clock.advance(Duration::from_secs(31 * 24 * 60 * 60));
        let admin = house.admin().await;
        until("another key signs", async || {
            active(&keys(&house, &admin).await) != before
        })
        .await;
        assert_eq!(keys(&house, &admin).await.keys.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn only_administrators_who_have_just_proved_who_they_are_change_keys() {
    on_both(async |house| {
        let (_, user) = house.person("staff", pb::Role::User).await;
        let token = &user.access_token;
        let any = pb::KeyAlgorithm::Unspecified;
        assert_eq!(reason(rotate(&house, token, any).await), "ROLE_DENIED");
        assert_eq!(
            reason(retire(&house, token, "a", true).await),
            "ROLE_DENIED"
        );
        let admin = house.admin().await;
        for bad in ["", "a b", &"k".repeat(65)] {
            assert_eq!(
                reason(retire(&house, &admin, bad, false).await),
                "FIELD_INVALID"
            );
        }
        assert_eq!(
            reason(retire(&house, &admin, "nobody", false).await),
            "KEY_NOT_FOUND"
        );
        let request = pb::RotateKeyRequest { algorithm: 9 };
        let odd = trust(&house).rotate_key(with(&admin, request)).await;
        assert_eq!(reason(odd), "FIELD_INVALID");
        house.clock.advance(Duration::from_secs(301));
        assert_eq!(
            reason(rotate(&house, &admin, any).await),
            "FRESH_TOKEN_REQUIRED"
        );
        assert_eq!(keys(&house, &admin).await.keys.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_file_for_verifiers_is_kept_in_step_and_signs_nothing() {
    on_both(async |house| {
        let place = house.close().await;
        let path = place.folder.path().join("verifiers.json");
        let text = path.display().to_string();
        let settings = [
            "--verifier-keys",
            text.as_str(),
            "--key-announced-for",
            "0s",
        ];
        let house = House::open(place, &settings).await;
        let verifiers = || KeyRing::load(&path, FilePermissions::Private).expect("a ring");
        assert_eq!(verifiers().kids().count(), 1);
        let admin = house.admin().await;
        let next = rotate(&house, &admin, pb::KeyAlgorithm::Eddsa)
            .await
            .expect("announced");
        until("the pair signs", async || {
            active(&keys(&house, &admin).await) == next.key_id
        })
        .await;
        until("the verifiers know", async || {
            verifiers().active_kid() == next.key_id
        })
        .await;
        assert!(verifiers().signer().is_none());
        let elsewhere = Elsewhere::with_ring(&house, SharedRing::new(verifiers())).await;
        let (_, tokens) = house.person("somebody", pb::Role::User).await;
        assert_eq!(elsewhere.refuses(&tokens.access_token), None);
    })
    .await;
}
