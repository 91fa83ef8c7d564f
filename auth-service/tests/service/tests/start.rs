//! What a start makes, refuses, and leaves alone.

use super::harness::*;
use auth_service::{Ambient, prepare};
use millgate_contract::auth::v1 as pb;
use millgate_platform::{Permissions, ServiceSecrets, SystemEntropy};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

async fn refused(place: &Place, settings: &[&str]) -> String {
    prepare(place.config(settings), Ambient::default())
        .await
        .expect_err("refused")
        .to_string()
}

#[tokio::test]
async fn replicas_that_start_together_make_one_administrator_and_one_service_account() {
    at_both(async |place| {
        let starts = (0..6).map(|_| prepare(place.config(&[]), Ambient::default()));
        let prepared = futures::future::join_all(starts).await;
        let made = prepared
            .iter()
            .filter(|one| one.as_ref().expect("started").admin_created() == Some(ADMIN))
            .count();
        assert_eq!(made, 1);
        drop(prepared);
        let house = House::open(place, &[]).await;
        assert_eq!(house.count("SELECT count(*) FROM users").await, 1);
        assert_eq!(
            house.count("SELECT count(*) FROM service_accounts").await,
            1
        );
        house.factory().await;
        house.login(ADMIN).await;
    })
    .await;
}

#[tokio::test]
async fn two_replicas_serve_one_database_as_one_service() {
    at_both(async |place| {
        let one = House::open(place.clone(), &[]).await;
        let two = House::open_at(place, &[], one.clock.clone()).await;
        let tokens = one.login(ADMIN).await;
        let fresh = two
            .refresh(&tokens.refresh_token)
            .await
            .expect("refreshed at the other");
        let again = one
            .refresh(&tokens.refresh_token)
            .await
            .expect("a retry at the first");
        assert_eq!(again.refresh_token, fresh.refresh_token);
        two.auth
            .clone()
            .logout(with(&fresh.access_token, pb::LogoutRequest::default()))
            .await
            .expect("logged out");
        assert_eq!(
            reason(one.who_am_i(&fresh.access_token).await),
            "SESSION_ENDED"
        );
    })
    .await;
}

#[tokio::test]
async fn what_an_administrator_changed_by_hand_survives_the_next_start() {
    at_both(async |place| {
        let house = House::open(place, &[]).await;
        let token = house.admin().await;
        let request = pb::ChangePasswordRequest {
            current_password: PASSWORD.into(),
            new_password: "changed by hand".into(),
        };
        house
            .auth
            .clone()
            .change_password(with(&token, request))
            .await
            .expect("changed");
        let place = house.close().await;
        let other_secret = "x".repeat(32);
        let settings = [
            "--factory-client-secret",
            other_secret.as_str(),
            "--admin-username",
            "second",
        ];
        let prepared = prepare(place.config(&[]), Ambient::default())
            .await
            .expect("started");
        assert_eq!(prepared.admin_created(), None);
        drop(prepared);
        let mut config = place.config(&[]);
        config.admin_username = settings[3].to_owned();
        config.factory_client_secret.value = Some(other_secret.as_str().into());
        let prepared = prepare(config, Ambient::default())
            .await
            .expect("started, with a warning");
        assert_eq!(prepared.admin_created(), None);
        drop(prepared);
        let house = House::open(place, &[]).await;
        house
            .try_login(ADMIN, "changed by hand")
            .await
            .expect("kept");
        assert_eq!(
            reason(house.try_login(ADMIN, PASSWORD).await),
            "CREDENTIALS_INVALID"
        );
        house.factory().await;
        assert_eq!(house.count("SELECT count(*) FROM users").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_start_without_an_administrator_or_a_way_to_make_one_is_refused() {
    at_both(async |place| {
        let mut config = place.config(&[]);
        config.admin_password.value = None;
        let error = prepare(config, Ambient::default())
            .await
            .expect_err("refused")
            .to_string();
        assert!(error.starts_with("AUTH_ADMIN_PASSWORD: "), "{error}");
        for weak in ["short", "password123"] {
            let mut config = place.config(&[]);
            config.admin_password.value = Some(weak.into());
            let error = prepare(config, Ambient::default())
                .await
                .expect_err("refused")
                .to_string();
            assert!(
                error.starts_with("AUTH_ADMIN_PASSWORD: ") && !error.contains(weak),
                "{error}"
            );
        }
        let mut config = place.config(&[]);
        config.factory_client_secret.value = Some("too short".into());
        let error = prepare(config, Ambient::default())
            .await
            .expect_err("refused")
            .to_string();
        assert!(error.starts_with("AUTH_FACTORY_CLIENT_SECRET: "), "{error}");
    })
    .await;
}

#[tokio::test]
async fn the_password_may_come_from_a_file_and_is_not_needed_a_second_time() {
    at_both(async |place| {
        let file = place.folder.path().join("admin-password");
        std::fs::write(&file, format!("{PASSWORD}\n")).expect("written");
        let mut config = place.config(&[]);
        config.admin_password.value = None;
        config.admin_password.file = Some(file);
        let prepared = prepare(config, Ambient::default()).await.expect("started");
        assert_eq!(prepared.admin_created(), Some(ADMIN));
        drop(prepared);
        let mut config = place.config(&[]);
        config.admin_password.value = None;
        prepare(config, Ambient::default())
            .await
            .expect("there is an administrator");
        House::open(place, &[]).await.login(ADMIN).await;
    })
    .await;
}

#[tokio::test]
async fn wrong_settings_are_refused_by_name() {
    at_both(async |place| {
        let secrets = place.folder.path().join("auth.secrets");
        drop(
            prepare(place.config(&[]), Ambient::default())
                .await
                .expect("started"),
        );
        std::fs::set_permissions(&secrets, std::fs::Permissions::from_mode(0o644))
            .expect("changed");
        assert!(refused(&place, &[]).await.starts_with("AUTH_SECRETS: "));
        std::fs::remove_file(&secrets).expect("removed");
        let lost = refused(&place, &[]).await;
        assert!(lost.starts_with("AUTH_SECRETS: "), "{lost}");
        assert!(
            !secrets.exists(),
            "a new file would hide that the right one is lost"
        );
        ServiceSecrets::load_or_create(&secrets, Permissions::Strict, &SystemEntropy)
            .expect("made");
        let other = refused(&place, &[]).await;
        assert!(
            other.starts_with("AUTH_SECRETS: "),
            "other secrets than the database was used with: {other}"
        );

        let keys = place.folder.path().join("keys.json");
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o640)).expect("changed");
        assert!(refused(&place, &[]).await.starts_with("MILLGATE_KEYS: "));
        std::fs::remove_file(&keys).expect("removed");
        assert!(refused(&place, &[]).await.starts_with("MILLGATE_KEYS: "));
        let mut config = place.config(&[]);
        config.keys.keys = None;
        let error = prepare(config, Ambient::default())
            .await
            .expect_err("refused")
            .to_string();
        assert!(error.starts_with("MILLGATE_KEYS: "), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_refused_by_name_and_without_its_password() {
    let place = Place::at("postgres://user:hunter2@127.0.0.1:1/nothing");
    let error = refused(&place, &[]).await;
    assert!(
        error.starts_with("AUTH_DATABASE_URL: ") && !error.contains("hunter2"),
        "{error}"
    );
    let place = Place::at("sqlite:/no/such/folder/auth.db");
    assert!(
        refused(&place, &[])
            .await
            .starts_with("AUTH_DATABASE_URL: ")
    );
    let place = Place::at("mysql://localhost/x");
    assert!(
        refused(&place, &[])
            .await
            .starts_with("AUTH_DATABASE_URL: ")
    );
}

#[test]
fn the_help_lists_every_setting_with_its_variable() {
    let help = Command::new(env!("CARGO_BIN_EXE_auth-service"))
        .arg("--help")
        .output()
        .expect("it runs");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    for variable in [
        "AUTH_DATABASE_URL",
        "AUTH_DATABASE_URL_FILE",
        "AUTH_LISTEN",
        "AUTH_SECRETS",
        "MILLGATE_KEYS",
        "AUTH_ACCESS_TOKEN_LIFE",
        "AUTH_SESSION_IDLE",
        "AUTH_SESSION_ABSOLUTE",
        "AUTH_ADMIN_USERNAME",
        "AUTH_ADMIN_PASSWORD",
        "AUTH_ADMIN_PASSWORD_FILE",
        "AUTH_FACTORY_CLIENT_ID",
        "AUTH_FACTORY_CLIENT_SECRET",
        "AUTH_FACTORY_CLIENT_SECRET_FILE",
        "AUTH_HASH_MEMORY",
    ] {
        assert!(help.contains(&format!("[env: {variable}")), "{variable}");
    }
    assert!(help.contains("[default: 127.0.0.1:50051]") && help.contains("[default: 15m]"));
}

#[test]
fn the_binary_refuses_a_wrong_value_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auth-service"));
        let output = command
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .output()
            .expect("it runs");
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    assert!(run(&["--listen", "nowhere"]).contains("--listen"));
    assert!(run(&["--access-token-life", "2d"]).contains("AUTH_ACCESS_TOKEN_LIFE"));
    assert!(run(&[]).contains("MILLGATE_KEYS"));
    assert!(run(&["healthcheck", "--endpoint", "http://127.0.0.1:1"]).contains("127.0.0.1:1"));
}
