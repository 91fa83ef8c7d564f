//! The three binaries apart, as an operator runs them.

use super::process::{Running, binary};
use super::{ADMIN_PASSWORD, Addresses, Backend, Databases, World};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The secret of the factory's service account.
pub const CLIENT_SECRET: &str = "the-secret-of-the-factory-of-forty-characters";

/// An installation of three processes with data of its own.
pub struct Apart {
    pub auth: Option<Running>,
    pub factory: Option<Running>,
    pub gateway: Option<Running>,
    pub addresses: Addresses,
    pub folder: tempfile::TempDir,
    pub databases: Option<Databases>,
    /// Flags and values that every process gets in its environment.
    pub environment: Vec<(String, String)>,
    pub scheme: &'static str,
}

impl Apart {
    /// An installation in which nothing runs yet; `None` where there is no PostgreSQL to be had.
    pub async fn new(backend: Backend) -> Option<Self> {
        let databases = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(Databases::create().await?),
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut keys = binary("millgate");
        keys.args(["keys", "init", "--out"])
            .arg(folder.path().join("keys.json"));
        assert!(keys.output().expect("the command runs").status.success());
        let free = String::from("127.0.0.1:0");
        let addresses = Addresses {
            auth: free.clone(),
            factory: free.clone(),
            gateway: free,
        };
        let environment = [
            ("MILLGATE_CALLS_PER_SECOND", "0"),
            ("MILLGATE_LOGINS_PER_MINUTE", "0"),
        ];
        Some(Self {
            auth: None,
            factory: None,
            gateway: None,
            addresses,
            folder,
            databases,
            environment: environment
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            scheme: "http",
        })
    }

    /// Starts all three.
    pub fn run(&mut self) {
        self.run_auth();
        self.run_factory(None);
        self.run_gateway();
    }

    /// Starts auth, where it was before if it ran before.
    pub fn run_auth(&mut self) {
        let url = match &self.databases {
            None => format!("sqlite:{}", self.path("auth.db").display()),
            Some(databases) => databases.auth().url().to_owned(),
        };
        let mut command = self.command("auth-service");
        command
            .env("AUTH_LISTEN", &self.addresses.auth)
            .env("AUTH_DATABASE_URL", url)
            .env("AUTH_SECRETS", self.path("auth.secrets"))
            .env("AUTH_ADMIN_PASSWORD", ADMIN_PASSWORD)
            .env("AUTH_FACTORY_CLIENT_SECRET", CLIENT_SECRET);
        let (running, address) = Running::until_serving(command);
        (self.auth, self.addresses.auth) = (Some(running), address);
    }

    /// Starts the factory, which finds auth at another address if one is given.
    pub fn run_factory(&mut self, auth: Option<&str>) {
        let url = match &self.databases {
            None => format!("sqlite:{}", self.path("factory.db").display()),
            Some(databases) => databases.factory().url().to_owned(),
        };
        let mut command = self.command("factory-service");
        command
            .env("FACTORY_LISTEN", &self.addresses.factory)
            .env("FACTORY_DATABASE_URL", url)
            .env("FACTORY_SECRETS", self.path("factory.secrets"))
            .env("FACTORY_CLIENT_SECRET", CLIENT_SECRET)
            .env(
                "AUTH_ENDPOINT",
                format!("{}://{}", self.scheme, auth.unwrap_or(&self.addresses.auth)),
            );
        let (running, address) = Running::until_serving(command);
        (self.factory, self.addresses.factory) = (Some(running), address);
    }

    pub fn run_gateway(&mut self) {
        let mut command = self.command("gateway");
        command
            .env("GATEWAY_LISTEN", &self.addresses.gateway)
            .env(
                "AUTH_ENDPOINT",
                format!("{}://{}", self.scheme, self.addresses.auth),
            )
            .env(
                "FACTORY_ENDPOINT",
                format!("{}://{}", self.scheme, self.addresses.factory),
            );
        let (running, address) = Running::until_serving(command);
        (self.gateway, self.addresses.gateway) = (Some(running), address);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = binary(name);
        command
            .current_dir(self.folder.path())
            .env("MILLGATE_KEYS", self.path("keys.json"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The clients of [`World`] on these processes.
pub fn as_world(apart: &Apart) -> World {
    World::elsewhere(apart.addresses.clone())
}

/// Writes a file that only its owner reads.
pub fn write_private(path: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, content).expect("the folder can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .expect("its mode can be set");
}
