//! Where the key ring comes from.

use std::{path::PathBuf, time::Duration};

use clap::ValueEnum;
use futures::future::BoxFuture;
use millgate_guard::{FilePermissions, KeyRing, SharedRing};
use secrecy::{ExposeSecret as _, SecretString};

use super::StartError;

/// How often the file is looked at for a change.
const REREAD: Duration = Duration::from_secs(1);

/// How strictly the mode of a secret file is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Permissions {
    /// Only the owner may read it (0600 or stricter).
    #[default]
    Strict,
    /// Not checked: for container platforms that mount secrets readable by a group.
    Unchecked,
}

impl From<Permissions> for FilePermissions {
    fn from(permissions: Permissions) -> Self {
        match permissions {
            Permissions::Strict => Self::Private,
            Permissions::Unchecked => Self::Unchecked,
        }
    }
}

/// The ring of keys that signs and verifies tokens: a JWK Set (RFC 7517).
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Keys")]
pub struct KeyArgs {
    /// The file with the JWK Set; read again when it changes.
    #[arg(
        long = "keys",
        env = "MILLGATE_KEYS",
        value_name = "PATH",
        conflicts_with = "keys_json"
    )]
    pub keys: Option<PathBuf>,

    /// The JWK Set itself, for platforms that hand secrets over in the environment.
    #[arg(
        long = "keys-json", env = "MILLGATE_KEYS_JSON", value_name = "JWKS", hide_env_values = true,
        value_parser = super::secret::deps::parse
    )]
    pub keys_json: Option<SecretString>,

    /// Whether a secret file that others can read is refused.
    #[arg(
        long = "keys-permissions",
        env = "MILLGATE_KEYS_PERMISSIONS",
        value_enum,
        default_value_t = Permissions::Strict
    )]
    pub keys_permissions: Permissions,
}

impl KeyArgs {
    /// The ring; from a file it comes with the future that reads it again when it changes:
    /// spawn that for as long as the service runs.
    ///
    /// # Errors
    /// Names the setting when there is no ring, or none that is fit for use.
    pub fn ring(&self) -> Result<(SharedRing, Option<BoxFuture<'static, ()>>), StartError> {
        match (&self.keys, &self.keys_json) {
            (Some(_), Some(_)) => Err(StartError::new(
                "MILLGATE_KEYS",
                "is set together with MILLGATE_KEYS_JSON: use one of them",
            )),
            (Some(path), None) => {
                let (ring, watch) =
                    SharedRing::watch(path, self.keys_permissions.into(), REREAD)
                        .map_err(|error| StartError::new("MILLGATE_KEYS", error.to_string()))?;
                Ok((ring, Some(Box::pin(watch))))
            }
            (None, Some(json)) => {
                let ring = KeyRing::from_jwks(json.expose_secret())
                    .map_err(|error| StartError::new("MILLGATE_KEYS_JSON", error.to_string()))?;
                Ok((SharedRing::new(ring), None))
            }
            (None, None) => Err(StartError::new(
                "MILLGATE_KEYS",
                "is needed (or MILLGATE_KEYS_JSON): the file with the key ring",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use millgate_guard::{SystemClock, SystemEntropy};

    use super::*;

    #[tokio::test]
    async fn a_ring_comes_from_one_place_and_a_bad_one_is_named() {
        let json = KeyRing::generate(&SystemEntropy, &SystemClock);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.json");
        std::fs::write(&path, json.expose_secret()).expect("written");
        let named = |args: KeyArgs| match args.ring() {
            Ok(_) => String::new(),
            Err(error) => error.setting().to_owned(),
        };
        let from_json = KeyArgs {
            keys_json: Some(json),
            ..KeyArgs::default()
        };
        assert_eq!(named(from_json.clone()), "");
        assert_eq!(named(KeyArgs::default()), "MILLGATE_KEYS");
        assert_eq!(
            named(KeyArgs {
                keys: Some(path.clone()),
                ..from_json
            }),
            "MILLGATE_KEYS"
        );
        let readable = KeyArgs {
            keys: Some(path),
            ..KeyArgs::default()
        };
        assert_eq!(
            named(readable.clone()),
            "MILLGATE_KEYS",
            "others can read it"
        );
        let unchecked = KeyArgs {
            keys_permissions: Permissions::Unchecked,
            ..readable
        };
        assert_eq!(named(unchecked), "");
        let weak = r#"{"keys":[{"kty":"oct","kid":"a","alg":"HS256","k":"c2hvcnQ"}]}"#;
        let weak = KeyArgs {
            keys_json: Some(weak.into()),
            ..KeyArgs::default()
        };
        assert_eq!(named(weak), "MILLGATE_KEYS_JSON");
    }
}
