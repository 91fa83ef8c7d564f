//! `millgate keys`: the key ring that tokens are signed and verified with.

use std::path::PathBuf;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::trust_service_client::TrustServiceClient;
use millgate_guard::{KeyAlgorithm, KeyRing};
use millgate_platform::{SystemClock, SystemEntropy};

use super::Failure;
use super::connect::{Line, Remote, session, timed};
use super::output::{List, Output, time, word};
use crate::terminal::say;

/// The commands on the ring.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Makes a ring with one new key, in a new file that only its owner can read. Never overwrites one.
    Init {
        /// The file to make.
        #[arg(
            long,
            env = "MILLGATE_KEYS",
            value_name = "PATH",
            default_value = "keys.json"
        )]
        out: PathBuf,
        /// What the key signs with.
        #[arg(long, value_enum, default_value_t)]
        algorithm: Algorithm,
    },
    /// Announces a new key. It signs as soon as every connected service knows it; who does not is told.
    Rotate {
        /// What the new key signs with; as the one that signs now, when nothing is said.
        #[arg(long, value_enum)]
        algorithm: Option<Algorithm>,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
    /// Lists the keys, and the services that do not know one: those that are connected, or left within ten minutes.
    List {
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
    /// Removes a key that does not sign.
    Remove {
        /// Which.
        key_id: String,
        /// Because it was stolen: everything that was signed with it is refused everywhere, at once.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        remote: Remote,
    },
}

/// What a key signs with.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum Algorithm {
    /// One secret signs and verifies.
    #[default]
    #[value(name = "HS256")]
    Hs256,
    /// A private half signs, a public half verifies.
    #[value(name = "EdDSA")]
    EdDsa,
}

/// Runs one.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init { out, algorithm } => init(&out, algorithm),
        Command::Rotate {
            algorithm,
            remote,
            output,
        } => {
            let algorithm = match algorithm {
                None => pb::KeyAlgorithm::Unspecified,
                Some(Algorithm::Hs256) => pb::KeyAlgorithm::Hs256,
                Some(Algorithm::EdDsa) => pb::KeyAlgorithm::Eddsa,
            };
            let request = pb::RotateKeyRequest {
                algorithm: algorithm.into(),
            };
            session(&remote, async |line| {
                let mut trust = TrustServiceClient::new(line);
                let key = trust.rotate_key(timed(request)).await?.into_inner();
                output.one("Key", &key, || {
                    format!(
                        "announced {}; it signs when every connected service knows it; unknown to {}",
                        key.key_id,
                        names(&key)
                    )
                })
            })
            .await
        }
        Command::List { remote, output } => {
            session(&remote, async |line| list(line, output).await).await
        }
        Command::Remove {
            key_id,
            force,
            remote,
        } => {
            let told = format!("removed {key_id}");
            let request = pb::RetireKeyRequest { key_id, force };
            session(&remote, async |line| {
                let mut trust = TrustServiceClient::new(line);
                trust.retire_key(timed(request)).await?;
                say(&told)?;
                Ok(())
            })
            .await
        }
    }
}

fn init(out: &std::path::Path, algorithm: Algorithm) -> Result<(), Failure> {
    let (kind, readers) = match algorithm {
        Algorithm::Hs256 => (
            KeyAlgorithm::Hs256,
            "every service reads this file, auth signs with it",
        ),
        Algorithm::EdDsa => (
            KeyAlgorithm::EdDsa,
            "only auth reads this file; it writes the others' one (AUTH_VERIFIER_KEYS)",
        ),
    };
    KeyRing::create_file_with(out, kind, &SystemEntropy, &SystemClock)
        .map_err(|error| Failure::Refused(format!("--out (MILLGATE_KEYS): {error}")))?;
    let (file, name) = (out.display(), kind.as_str());
    say(&format!("made {file} with one {name} key; {readers}"))?;
    Ok(())
}

async fn list(line: Line, output: Output) -> Result<(), Failure> {
    let columns = ["key", "algorithm", "state", "since", "unknown to"];
    let mut told = List::new(output, "Key", &columns);
    let mut trust = TrustServiceClient::new(line);
    let listed = trust.list_keys(timed(pb::ListKeysRequest {})).await?;
    for key in &listed.into_inner().keys {
        told.add(key, || {
            vec![
                key.key_id.clone(),
                word(key.algorithm().as_str_name(), "KEY_ALGORITHM_"),
                word(key.state().as_str_name(), "KEY_STATE_"),
                time(key.state_time.as_ref()),
                names(key),
            ]
        })?;
    }
    told.end("keys")?;
    Ok(())
}

/// The services that do not know a key, and are connected or expected back.
fn names(key: &pb::Key) -> String {
    let away = |guard: &pb::ConnectedGuard| if guard.away { ", away" } else { "" };
    let name = |guard: &pb::ConnectedGuard| {
        format!("{} ({}{})", guard.client_id, guard.instance, away(guard))
    };
    let names: Vec<String> = key.unknown_to.iter().map(name).collect();
    match names.is_empty() {
        true => "nobody".to_owned(),
        false => names.join(", "),
    }
}
