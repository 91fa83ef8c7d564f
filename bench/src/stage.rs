//! Where the services of a run live: a folder and PostgreSQL databases, all gone afterwards.

use millgate_platform::testing::PostgresDatabase;
use sqlx::Connection as _;
use tempfile::TempDir;

use crate::Problem;
use crate::auth::Auth;
use crate::factory::Factory;
use crate::keys::Keys;
use crate::wire::Wire;

/// The folder and the databases.
pub(crate) struct Stage {
    folder: TempDir,
    postgres: Option<PostgresDatabase>,
    /// For the auth service.
    auth: Option<PostgresDatabase>,
    /// For the factory whose messages are counted.
    counted: Option<PostgresDatabase>,
}

impl Stage {
    /// Makes them; without a PostgreSQL server there is only the folder.
    pub(crate) async fn set() -> Result<Self, Problem> {
        Ok(Self {
            folder: tempfile::Builder::new()
                .prefix("millgate-bench-")
                .tempdir()?,
            postgres: PostgresDatabase::create().await,
            auth: PostgresDatabase::create().await,
            counted: PostgresDatabase::create().await,
        })
    }

    /// Whether there is a PostgreSQL.
    pub(crate) fn has_postgres(&self) -> bool {
        self.postgres.is_some()
    }

    /// A factory on each database.
    pub(crate) async fn factories(&self, keys: &Keys) -> Result<Vec<Factory>, Problem> {
        let folder = self.folder.path();
        let sqlite = format!("sqlite:{}", folder.join("factory.db").display());
        let mut factories = vec![Factory::start("SQLite", &sqlite, folder, keys).await?];
        if let Some(postgres) = &self.postgres {
            factories.push(Factory::start("PostgreSQL", postgres.url(), folder, keys).await?);
        }
        Ok(factories)
    }

    /// A factory whose messages to PostgreSQL are counted on their way, where there is one.
    pub(crate) async fn counted(&self, keys: &Keys) -> Result<Option<(Factory, Wire)>, Problem> {
        let Some(postgres) = &self.counted else {
            return Ok(None);
        };
        let wire = Wire::to(postgres.url()).await?;
        let factory = Factory::start("counted", wire.url(), self.folder.path(), keys).await?;
        Ok(Some((factory, wire)))
    }

    /// An auth service on each database.
    pub(crate) async fn auths(&self, keys: &Keys) -> Result<Vec<Auth>, Problem> {
        let folder = self.folder.path();
        let sqlite = format!("sqlite:{}", folder.join("auth.db").display());
        let mut auths = vec![Auth::start("SQLite", &sqlite, folder, keys).await?];
        if let Some(postgres) = &self.auth {
            auths.push(Auth::start("PostgreSQL", postgres.url(), folder, keys).await?);
        }
        Ok(auths)
    }

    /// The server's version and whether it waits for the disk, which decides what PlaceOrder costs there.
    pub(crate) async fn server(&self) -> Result<Option<String>, Problem> {
        let Some(postgres) = &self.postgres else {
            return Ok(None);
        };
        let mut connection = sqlx::PgConnection::connect(postgres.url()).await?;
        let said: String = sqlx::query_scalar(
            "SELECT 'PostgreSQL ' || current_setting('server_version') || ', fsync ' || current_setting('fsync') \
             || ', synchronous_commit ' || current_setting('synchronous_commit')",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok(Some(said))
    }

    /// Removes all, whoever still uses them.
    pub(crate) async fn strike(self) -> Result<(), Problem> {
        for postgres in [self.postgres, self.auth, self.counted]
            .into_iter()
            .flatten()
        {
            postgres.remove().await;
        }
        self.folder.close()?;
        Ok(())
    }
}
