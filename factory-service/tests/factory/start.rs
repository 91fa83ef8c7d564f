//! A start that refuses what is wrong, by name; and a database that goes and comes back.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use factory_service::{Ambient, prepare};
use millgate_contract::factory::v1 as pb;
use millgate_guard::{KeyRing, SystemClock, SystemEntropy};
use millgate_platform::testing::PostgresDatabase;

use crate::world::{World, config, ok, refused};

struct Settings {
    folder: tempfile::TempDir,
}

impl Settings {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        KeyRing::create_file(
            &folder.path().join("keys.json"),
            &SystemEntropy,
            &SystemClock,
        )
        .expect("a ring");
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The start's error with one setting replaced.
    async fn error(&self, flag: &str, value: Option<&str>) -> String {
        let mut settings = vec![
            (
                "--database-url",
                format!("sqlite:{}", self.path("factory.db")),
            ),
            ("--secrets", self.path("factory.secrets")),
            ("--keys", self.path("keys.json")),
            ("--client-secret", "secret".to_owned()),
        ];
        settings.retain(|(name, _)| *name != flag);
        settings.extend(value.map(|value| (flag, value.to_owned())));
        let flags: Vec<&str> = settings
            .iter()
            .flat_map(|(flag, value)| [*flag, value.as_str()])
            .collect();
        match config(&flags) {
            Ok(config) => match prepare(config, Ambient::default()).await {
                Ok(_) => String::new(),
                Err(error) => error.to_string(),
            },
            Err(error) => error,
        }
    }
}

#[tokio::test]
async fn a_wrong_setting_is_refused_by_its_name() {
    let settings = Settings::new();
    assert_eq!(settings.error("--listen", Some("127.0.0.1:0")).await, "");
    for (flag, value, named) in [
        ("--client-secret", None, "FACTORY_CLIENT_SECRET"),
        ("--keys", None, "MILLGATE_KEYS"),
        ("--keys", Some("/no/such/file"), "MILLGATE_KEYS"),
        ("--database-url", Some("mysql://x"), "FACTORY_DATABASE_URL"),
        (
            "--database-url",
            Some("sqlite:/no/such/folder/x.db"),
            "FACTORY_DATABASE_URL",
        ),
        (
            "--database-url",
            Some("postgres://nobody:secret@127.0.0.1:1/x"),
            "FACTORY_DATABASE_URL",
        ),
        (
            "--secrets",
            Some("/no/such/folder/secrets"),
            "FACTORY_SECRETS",
        ),
        ("--auth-endpoint", Some("ftp://x"), "AUTH_ENDPOINT"),
        ("--auth-endpoint", Some("https://auth:1"), "AUTH_ENDPOINT"),
        ("--listen", Some("nowhere"), "--listen"),
        ("--deadline", Some("soon"), "--deadline"),
    ] {
        let error = settings.error(flag, value).await;
        assert!(error.contains(named), "{flag} {value:?}: {error:?}");
        assert!(!error.contains("nobody:secret"), "{error}");
    }
}

#[tokio::test]
async fn a_key_file_that_others_can_read_is_refused() {
    let settings = Settings::new();
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(settings.path("keys.json"), mode).expect("widened");
    let error = settings.error("--listen", Some("127.0.0.1:0")).await;
    assert!(error.starts_with("MILLGATE_KEYS"), "{error:?}");
}

#[tokio::test]
async fn a_database_that_is_gone_is_unavailable_and_comes_back_by_itself() {
    let Some(database) = PostgresDatabase::create().await else {
        return;
    };
    let world = World::start(database.url()).await;
    let bolt = world.product("bolt", 10).await;
    database.lose().await;
    let get = || world.staff(pb::GetProductRequest { id: bolt.id });
    assert_eq!(
        refused(world.products().get_product(get()).await).reason,
        "STORE_UNAVAILABLE"
    );
    database.restore().await;
    for _ in 0..100 {
        if world.products().get_product(get()).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(ok(world.products().get_product(get()).await), bolt);
    world.stop().await;
    database.remove().await;
}
