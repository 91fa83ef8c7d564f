//! Whether a factory's database is as it must be: for operators, and for the tests that break things.

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

/// Looks at the whole database. The service may run meanwhile: each rule is looked at in one moment.
///
/// # Errors
/// Names the setting that is wrong.
pub async fn check(
    url: &DatabaseUrl,
    options: &DatabaseOptions,
) -> Result<Vec<Finding>, StartError> {
    let named = |error: StartError| error.named("FACTORY_DATABASE_URL");
    let url = url
        .resolve()?
        .unwrap_or_else(|| SecretString::from(DEFAULT_DATABASE));
    let db = store::open(&url, options).await.map_err(named)?;
    let found = store::sound::check(&db).await;
    db.close().await;
    let found =
        found.map_err(|fault| StartError::new("FACTORY_DATABASE_URL", fault.to_string()))?;
    Ok(found
        .into_iter()
        .map(|(rule, wrong)| Finding { rule, wrong })
        .collect())
}
