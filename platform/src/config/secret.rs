//! Secrets from a flag, the environment, or a file.

use std::path::Path;

use secrecy::SecretString;

use super::StartError;

/// Longest secret that is read from a file, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Declares a `clap::Args` struct for one secret `X`: from the flag, from the environment
/// variable `X`, or from the file that `X_FILE` names (as container platforms mount them).
///
/// ```
/// millgate_platform::secret_arg! {
///     /// The password of the first admin.
///     pub struct AdminPassword { flag: "admin-password", env: "AUTH_ADMIN_PASSWORD" }
/// }
/// # fn f(arg: AdminPassword) -> Result<(), millgate_platform::StartError> {
/// let password: Option<secrecy::SecretString> = arg.resolve()?;
/// # let _ = password; Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! secret_arg {
    ($(#[doc = $doc:literal])+ $vis:vis struct $name:ident { flag: $flag:literal, env: $env:literal }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Default, clap::Args)]
        $vis struct $name {
            $(#[doc = $doc])+
            #[arg(
                id = $flag, long = $flag, env = $env, hide_env_values = true, value_name = "SECRET",
                value_parser = $crate::config::secret_deps::parse
            )]
            pub value: Option<$crate::config::secret_deps::SecretString>,
            /// The file that holds it instead; a newline at its end is dropped.
            #[arg(
                id = concat!($flag, "-file"), long = concat!($flag, "-file"),
                env = concat!($env, "_FILE"), value_name = "PATH"
            )]
            pub file: Option<std::path::PathBuf>,
        }

        impl $name {
            /// The secret, if the operator gave one.
            ///
            /// # Errors
            /// Names the setting when both forms are given, the file cannot be read, or the
            /// secret is empty.
            $vis fn resolve(
                &self,
            ) -> Result<Option<$crate::config::secret_deps::SecretString>, $crate::StartError> {
                $crate::config::secret_from($env, self.value.as_ref(), self.file.as_deref())
            }
        }
    };
}

/// What the code of [`secret_arg!`](crate::secret_arg) refers to.
#[doc(hidden)]
pub mod deps {
    pub use secrecy::SecretString;

    /// clap's parser of a secret: every text is one.
    pub fn parse(text: &str) -> Result<SecretString, std::convert::Infallible> {
        Ok(SecretString::from(text))
    }
}

/// The secret of the setting `name`, from its value or its file.
///
/// # Errors
/// When both are given, the file cannot be read, or the secret is empty.
pub fn secret_from(
    name: &str,
    value: Option<&SecretString>,
    file: Option<&Path>,
) -> Result<Option<SecretString>, StartError> {
    use secrecy::ExposeSecret as _;
    match (value, file) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(StartError::new(
            name,
            format!("is set together with {name}_FILE: use one of them"),
        )),
        (Some(value), None) if value.expose_secret().is_empty() => {
            Err(StartError::new(name, "is empty"))
        }
        (Some(value), None) => Ok(Some(value.clone())),
        (None, Some(file)) => read_secret(&format!("{name}_FILE"), file).map(Some),
    }
}

/// Reads a secret from a file; one line ending at its end is dropped.
///
/// # Errors
/// When the file cannot be read, is not UTF-8, is empty, or is larger than 64 KiB.
pub fn read_secret(name: &str, file: &Path) -> Result<SecretString, StartError> {
    let failed =
        |error: String| StartError::new(name, format!("cannot read {}: {error}", file.display()));
    let size = std::fs::metadata(file)
        .map_err(|error| failed(error.to_string()))?
        .len();
    if size > LONGEST {
        return Err(failed(format!(
            "it has {size} bytes, at most {LONGEST} are read"
        )));
    }
    let mut text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(failed(String::from("it is empty")));
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use secrecy::ExposeSecret as _;

    crate::secret_arg! {
        /// A password.
        struct TestPassword { flag: "test-password", env: "MILLGATE_TEST_ONLY_PASSWORD" }
    }

    crate::secret_arg! {
        /// Another one, to prove that two can stand side by side.
        struct OtherSecret { flag: "other-secret", env: "MILLGATE_TEST_ONLY_OTHER" }
    }

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        password: TestPassword,
        #[command(flatten)]
        other: OtherSecret,
    }

    fn resolved(args: &[&str]) -> Result<Option<String>, String> {
        let cli = Cli::try_parse_from([&["test"], args].concat()).map_err(|e| e.to_string())?;
        let secret = cli.password.resolve().and_then(|secret| {
            cli.other.resolve()?;
            Ok(secret)
        });
        let secret = secret.map_err(|e| e.to_string())?;
        Ok(secret.map(|secret| secret.expose_secret().to_owned()))
    }

    #[test]
    fn a_secret_comes_from_the_flag_or_from_a_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "two words\r\n").expect("written");
        let path = file.path().to_str().expect("a path");
        assert_eq!(resolved(&[]), Ok(None));
        assert_eq!(
            resolved(&["--test-password", "x"]),
            Ok(Some("x".to_owned()))
        );
        assert_eq!(
            resolved(&["--test-password-file", path]),
            Ok(Some("two words".to_owned()))
        );
    }

    #[test]
    fn a_wrong_secret_is_refused_by_the_name_of_its_setting() {
        let both = resolved(&["--test-password", "x", "--test-password-file", "y"]);
        assert!(
            both.expect_err("both")
                .starts_with("MILLGATE_TEST_ONLY_PASSWORD: ")
        );
        let gone = resolved(&["--test-password-file", "/no/such/file"]);
        assert!(
            gone.expect_err("gone")
                .starts_with("MILLGATE_TEST_ONLY_PASSWORD_FILE: ")
        );
        assert!(resolved(&["--test-password", ""]).is_err());
    }

    #[test]
    fn debug_never_shows_a_secret() {
        let cli = Cli::try_parse_from(["test", "--test-password", "hunter2"]).expect("parsed");
        assert!(!format!("{cli:?}").contains("hunter2"));
    }
}
