//! Whether a factory's database is as it must be: for operators, and for the tests that break things.

use std::time::Duration;

use millgate_platform::{DatabaseOptions, StartError};
use secrecy::SecretString;

use crate::config::DatabaseUrl;
use crate::prepare::DEFAULT_DATABASE;
use crate::store;

/// A rule, and how much in the database is against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What must be.
    pub rule: &'static str,
    /// How many rows say otherwise.
    pub wrong: i64,
}

/// Looks at the whole database, tells of each rule as soon as it was looked at, and gives what it told. The service may run
/// meanwhile: each rule is looked at in one moment. Nothing is written, and no statement is stopped: over millions of
/// orders a rule takes minutes.
///
/// # Errors
/// Names the setting that is wrong; also where there is no database, or its schema is another version's.
pub async fn check(
    url: &DatabaseUrl,
    options: &DatabaseOptions,
    mut tell: impl FnMut(&Finding),
) -> Result<Vec<Finding>, StartError> {
    let named = |error: StartError| error.named("FACTORY_DATABASE_URL");
    let url = url
        .resolve()?
        .unwrap_or_else(|| SecretString::from(DEFAULT_DATABASE));
    let options = DatabaseOptions {
        statement_timeout: Duration::ZERO,
        ..options.clone()
    };
    let db = store::open_existing(&url, &options).await.map_err(named)?;
    let mut found = Vec::new();
    for (rule, sql) in store::sound::RULES.iter().copied() {
        match store::sound::wrong(&db, sql).await {
            Ok(wrong) => {
                let finding = Finding { rule, wrong };
                tell(&finding);
                found.push(finding);
            }
            Err(fault) => {
                db.close().await;
                return Err(StartError::new(
                    "FACTORY_DATABASE_URL",
                    format!("{rule}: {fault}"),
                ));
            }
        }
    }
    db.close().await;
    Ok(found)
}
