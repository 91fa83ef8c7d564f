//! `millgate tokens`.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millgate_guard::{Claims, Expectations, TokenFault, Verifier};
use millgate_platform::{Clock as _, KeyArgs, SystemClock};
use prost_types::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::output::{Output, time};
use super::{Failure, prompt};

/// The commands on tokens.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Shows what an access token says, and which check it fails. With the key ring (--keys) it is verified as a service
    /// does it; whether its session has ended only the running service knows.
    ///
    /// The token comes from MILLGATE_TOKEN, from a file, or from standard input: arguments can be read by everybody on the
    /// machine. It is never printed.
    Inspect {
        /// A file with the token.
        #[arg(long, value_name = "PATH")]
        file: Option<PathBuf>,
        /// The issuer that is expected.
        #[arg(long, default_value = "millgate")]
        issuer: String,
        /// The audience that is expected.
        #[arg(long, default_value = "millgate")]
        audience: String,
        #[command(flatten)]
        keys: Box<KeyArgs>,
        #[command(flatten)]
        output: Output,
    },
}

/// Runs one.
pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    let Command::Inspect {
        file,
        issuer,
        audience,
        keys,
        output,
    } = command;
    let token = token(file.as_ref())?;
    let expect = Expectations {
        issuer: issuer.clone(),
        audience: audience.clone(),
        ..Expectations::default()
    };
    let text = token.expose_secret();
    let verdict = verdict(text, keys, expect)?;
    let checks = checks(verdict.as_ref());
    let report = json!({
        "header": part(text, 0),
        "claims": part(text, 1),
        "checks": checks.iter().map(|(name, result)| json!({"check": name, "result": result})).collect::<Vec<_>>(),
        "good": match &verdict { Some(Ok(_)) => json!(true), Some(Err(_)) => json!(false), None => Value::Null },
    });
    output.value(&report, || words(&report, &checks))?;
    match verdict {
        Some(Err(fault)) => Err(Failure::Refused(format!(
            "{}: {}",
            fault.reason().as_str(),
            cause(fault)
        ))),
        Some(Ok(_)) => Ok(()),
        None if report["claims"].is_null() => Err(Failure::Refused(
            "this is no token that can be read".to_owned(),
        )),
        None => Ok(()),
    }
}

fn token(file: Option<&PathBuf>) -> Result<SecretString, Failure> {
    let text = match (file, std::env::var("MILLGATE_TOKEN")) {
        (Some(path), _) => {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::Refused(format!("{shown}: {error}")))?;
            SecretString::from(text)
        }
        (None, Ok(text)) if !text.is_empty() => SecretString::from(text),
        (None, _) => prompt::line_of_stdin()?,
    };
    let bare = text.expose_secret().trim();
    let bare = bare.strip_prefix("Bearer ").unwrap_or(bare);
    Ok(SecretString::from(bare))
}

/// What the verifier of every service says, where there is a key ring.
fn verdict(
    token: &str,
    keys: &KeyArgs,
    expect: Expectations,
) -> Result<Option<Result<Claims, TokenFault>>, Failure> {
    if keys.keys.is_none() && keys.keys_json.is_none() {
        return Ok(None);
    }
    let (ring, _watch) = keys.ring()?;
    Ok(Some(
        Verifier::new(ring, expect, Arc::new(SystemClock)).verify(token),
    ))
}

/// The checks in the order in which they are made.
const CHECKS: [&str; 10] = [
    "form",
    "key",
    "algorithm",
    "signature",
    "type",
    "issuer",
    "audience",
    "life",
    "begin",
    "expiry",
];

fn place(fault: TokenFault) -> usize {
    let name = match fault {
        TokenFault::UnknownKey => "key",
        TokenFault::WrongAlgorithm => "algorithm",
        TokenFault::BadSignature => "signature",
        TokenFault::WrongType => "type",
        TokenFault::WrongIssuer => "issuer",
        TokenFault::WrongAudience => "audience",
        TokenFault::LivesTooLong => "life",
        TokenFault::NotYetValid => "begin",
        TokenFault::Expired => "expiry",
        // Malformed, and whatever may come.
        _ => "form",
    };
    CHECKS.iter().position(|check| *check == name).unwrap_or(0)
}

fn checks(verdict: Option<&Result<Claims, TokenFault>>) -> Vec<(&'static str, String)> {
    let result = |index: usize| match verdict {
        None => "not made: no key ring (--keys)".to_owned(),
        Some(Ok(_)) => "ok".to_owned(),
        Some(Err(fault)) if index < place(*fault) => "ok".to_owned(),
        Some(Err(fault)) if index == place(*fault) => format!("failed: {}", cause(*fault)),
        Some(Err(_)) => "not reached".to_owned(),
    };
    CHECKS
        .iter()
        .enumerate()
        .map(|(index, check)| (*check, result(index)))
        .collect()
}

fn cause(fault: TokenFault) -> String {
    match fault {
        TokenFault::Malformed(flaw) => flaw.to_owned(),
        other => other.cause().replace('_', " "),
    }
}

/// The header or the claims; the third part, the signature, is never looked at.
fn part(token: &str, index: usize) -> Value {
    token
        .split('.')
        .nth(index)
        .and_then(|part| URL_SAFE_NO_PAD.decode(part).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or(Value::Null)
}

fn words(report: &Value, checks: &[(&str, String)]) -> String {
    let mut words = String::new();
    for name in ["header", "claims"] {
        words.push_str(name);
        words.push('\n');
        match report[name].as_object() {
            None => words.push_str("  cannot be read\n"),
            Some(members) => {
                for (key, value) in members {
                    words.push_str(&format!("  {key}: {value}{}\n", moment(key, value)));
                }
            }
        }
    }
    words.push_str("checks\n");
    for (name, result) in checks {
        words.push_str(&format!("  {name}: {result}\n"));
    }
    // What a forger wrote must not move the cursor.
    words
        .trim_end()
        .replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

/// A time beside its number.
fn moment(key: &str, value: &Value) -> String {
    let Some(seconds) = value
        .as_i64()
        .filter(|_| ["exp", "iat", "nbf", "auth_time"].contains(&key))
    else {
        return String::new();
    };
    let at = time(Some(&Timestamp { seconds, nanos: 0 }));
    let away = seconds.saturating_sub(SystemClock.now_seconds());
    if away < 0 {
        format!(" ({at}, {} s ago)", away.saturating_neg())
    } else {
        format!(" ({at}, in {away} s)")
    }
}
