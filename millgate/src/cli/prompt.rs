//! Secrets from people and from programs; never from the arguments, which everybody on the machine can read.

use std::io::{BufRead as _, IsTerminal as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millgate_platform::{Entropy as _, SystemEntropy};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::Failure;

/// Longer than every password and token.
const LONGEST: u64 = 16 * 1024;

/// One line of standard input.
pub(crate) fn line_of_stdin() -> Result<SecretString, Failure> {
    use std::io::Read as _;
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().take(LONGEST).read_line(&mut line)?;
    let text = line.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::Usage(
            "standard input is empty: a secret was to come from it".to_owned(),
        ));
    }
    Ok(SecretString::from(text))
}

/// Asks the person at the terminal.
///
/// # Errors
/// Says how else the secret can be given where there is nobody to ask.
pub(crate) fn ask(question: &str, otherwise: &str) -> Result<SecretString, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "nobody can be asked for the {question}: {otherwise}"
        )));
    }
    let text = Zeroizing::new(rpassword::prompt_password(format!("{question}: "))?);
    Ok(SecretString::from(text.as_str()))
}

/// A code of a second factor: from the person at the terminal, or else the next line of standard input, so that whoever
/// reads what this command tells can answer.
pub(crate) fn code(question: &str) -> Result<SecretString, Failure> {
    if std::io::stdin().is_terminal() {
        ask(question, "give it on standard input")
    } else {
        line_of_stdin()
    }
}

/// A new password: generated and told once, or asked for twice.
pub(crate) struct NewPassword {
    /// The password.
    pub(crate) password: SecretString,
    /// Whether the person has not seen it yet.
    pub(crate) generated: bool,
}

impl NewPassword {
    /// As the flag says.
    ///
    /// # Errors
    /// When nobody can be asked, or the two differ.
    pub(crate) fn get(generate: bool) -> Result<Self, Failure> {
        if generate {
            let mut bytes = Zeroizing::new([0; 18]);
            SystemEntropy.fill(bytes.as_mut_slice());
            return Ok(Self {
                password: URL_SAFE_NO_PAD.encode(*bytes).into(),
                generated: true,
            });
        }
        const OTHERWISE: &str = "use --generate";
        let password = ask("new password", OTHERWISE)?;
        let again = ask("the same again", OTHERWISE)?;
        if password.expose_secret() != again.expose_secret() {
            return Err(Failure::Refused("the two passwords differ".to_owned()));
        }
        Ok(Self {
            password,
            generated: false,
        })
    }

    /// The password, if it has to be told.
    pub(crate) fn to_tell(&self) -> Option<&str> {
        self.generated.then(|| self.password.expose_secret())
    }
}
