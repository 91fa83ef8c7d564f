//! The hashes of the systems that accounts move over from. They are checked and never made; the account gets a new hash
//! at its next login.
//!
//! | format | as it is stored |
//! | --- | --- |
//! | Werkzeug (Flask) | `scrypt:N:r:p$salt$hex`, `pbkdf2:sha1\|sha256\|sha512:rounds$salt$hex` |
//! | passlib | `$pbkdf2$rounds$salt$hash` (SHA-1), `$pbkdf2-sha256$...`, `$pbkdf2-sha512$...` |
//! | Django | `pbkdf2_sha256$rounds$salt$base64`, `pbkdf2_sha1$...`, `scrypt$N$salt$r$p$base64`, `argon2$` + PHC, `bcrypt$` and `bcrypt_sha256$` + bcrypt |
//! | bcrypt | `$2a$`, `$2b$`, `$2y$` |
//! | argon2 | `$argon2i$`, `$argon2d$`, and `$argon2id$` of another version than today's (RFC 9106, PHC strings) |
//!
//! Each has a ceiling on the work that a stored text may ask for: it comes from somebody else's database.

mod argon;
mod bcrypt;
mod pbkdf2;
mod scrypt;
mod text;

use crate::domain::Password;

pub(super) use self::argon::is_modest as is_modest_argon2;

/// What a stored hash says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Format {
    /// `scrypt:`
    WerkzeugScrypt,
    /// `pbkdf2:sha1:`
    WerkzeugPbkdf2Sha1,
    /// `pbkdf2:sha256:`
    WerkzeugPbkdf2Sha256,
    /// `pbkdf2:sha512:`
    WerkzeugPbkdf2Sha512,
    /// `$pbkdf2$`
    PasslibPbkdf2Sha1,
    /// `$pbkdf2-sha256$`
    PasslibPbkdf2Sha256,
    /// `$pbkdf2-sha512$`
    PasslibPbkdf2Sha512,
    /// `pbkdf2_sha1$`
    DjangoPbkdf2Sha1,
    /// `pbkdf2_sha256$`
    DjangoPbkdf2Sha256,
    /// `scrypt$`
    DjangoScrypt,
    /// `argon2$`
    DjangoArgon2,
    /// `bcrypt$`
    DjangoBcrypt,
    /// `bcrypt_sha256$`
    DjangoBcryptSha256,
    /// `$2a$`, `$2b$`, `$2y$`
    Bcrypt,
    /// `$argon2i$`
    Argon2i,
    /// `$argon2d$`
    Argon2d,
    /// `$argon2id$`
    Argon2id,
}

impl Format {
    /// The name in a report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WerkzeugScrypt => "werkzeug-scrypt",
            Self::WerkzeugPbkdf2Sha1 => "werkzeug-pbkdf2-sha1",
            Self::WerkzeugPbkdf2Sha256 => "werkzeug-pbkdf2-sha256",
            Self::WerkzeugPbkdf2Sha512 => "werkzeug-pbkdf2-sha512",
            Self::PasslibPbkdf2Sha1 => "passlib-pbkdf2-sha1",
            Self::PasslibPbkdf2Sha256 => "passlib-pbkdf2-sha256",
            Self::PasslibPbkdf2Sha512 => "passlib-pbkdf2-sha512",
            Self::DjangoPbkdf2Sha1 => "django-pbkdf2-sha1",
            Self::DjangoPbkdf2Sha256 => "django-pbkdf2-sha256",
            Self::DjangoScrypt => "django-scrypt",
            Self::DjangoArgon2 => "django-argon2",
            Self::DjangoBcrypt => "django-bcrypt",
            Self::DjangoBcryptSha256 => "django-bcrypt-sha256",
            Self::Bcrypt => "bcrypt",
            Self::Argon2i => "argon2i",
            Self::Argon2d => "argon2d",
            Self::Argon2id => "argon2id",
        }
    }
}

/// Why a stored hash is of no use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HashFault {
    /// No format that is known, or not a whole one of it.
    #[error("is no hash of a known format, or not a whole one")]
    Unknown,
    /// Known, but above the ceiling.
    #[error("asks for more memory or time than a check may take here")]
    TooCostly,
}

/// A stored hash of an older format that asks for no more work than its ceiling.
#[derive(Debug)]
pub(super) struct Stored {
    /// What it is.
    pub(super) format: Format,
    method: Method,
}

#[derive(Debug)]
enum Method {
    Pbkdf2(pbkdf2::Stored),
    Scrypt(scrypt::Stored),
    Bcrypt(bcrypt::Stored),
    Argon(argon::Stored),
}

impl Stored {
    /// Reads a hash.
    ///
    /// # Errors
    /// When it is of no known format, or asks for more than its ceiling.
    pub(super) fn parse(text: &str) -> Result<Self, HashFault> {
        let (format, method) = parts(text)?;
        Ok(Self { format, method })
    }

    /// Whether this is the hash of `password`, as it was typed: none of these systems normalised it.
    pub(super) fn matches(&self, password: &Password) -> bool {
        let typed = password.typed();
        match &self.method {
            Method::Pbkdf2(stored) => stored.matches(typed),
            Method::Scrypt(stored) => stored.matches(typed),
            Method::Bcrypt(stored) => stored.matches(typed),
            Method::Argon(stored) => stored.matches(typed),
        }
    }
}

fn parts(text: &str) -> Result<(Format, Method), HashFault> {
    let after = |prefix: &str| text.strip_prefix(prefix);
    if after("$2").is_some() {
        let stored = bcrypt::Stored::parse(text, bcrypt::Input::Plain)?;
        return Ok((Format::Bcrypt, Method::Bcrypt(stored)));
    }
    if let Some(hash) = after("bcrypt_sha256$") {
        let stored = bcrypt::Stored::parse(hash, bcrypt::Input::Sha256Hex)?;
        return Ok((Format::DjangoBcryptSha256, Method::Bcrypt(stored)));
    }
    if let Some(hash) = after("bcrypt$") {
        let stored = bcrypt::Stored::parse(hash, bcrypt::Input::Plain)?;
        return Ok((Format::DjangoBcrypt, Method::Bcrypt(stored)));
    }
    if let Some(phc) = after("argon2$") {
        // Django's prefix stands where the PHC string's first `$` would.
        let (_, stored) = argon::Stored::parse(&format!("${phc}"))?;
        return Ok((Format::DjangoArgon2, Method::Argon(stored)));
    }
    if after("$argon2").is_some() {
        let (format, stored) = argon::Stored::parse(text)?;
        return Ok((format, Method::Argon(stored)));
    }
    if let Some(found) = scrypt::parse(text) {
        let (format, stored) = found?;
        return Ok((format, Method::Scrypt(stored)));
    }
    let (format, stored) = pbkdf2::parse(text)?;
    Ok((format, Method::Pbkdf2(stored)))
}

#[cfg(test)]
mod tests;
