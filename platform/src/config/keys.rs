//! Where the key ring comes from.

use std::path::PathBuf;

use clap::ValueEnum;
use millgate_guard::FilePermissions;
use secrecy::SecretString;

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
