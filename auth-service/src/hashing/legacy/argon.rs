//! argon2 of the variants and versions that are not made here, and Django's.

use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;

use super::{Format, HashFault};

/// The most memory that somebody else's hash may ask for, in KiB: 128 MiB. argon2-cffi's default is half of it
/// (RFC 9106's second recommendation), Django's 100 MiB; RFC 9106's first, 2 GiB, is refused.
const MOST_MEMORY: u32 = 128 * 1024;
/// The most memory times passes, in KiB: eight passes over half of it, four over all of it.
const MOST_WORK: u64 = 4 * 128 * 1024;
/// The most lanes.
const MOST_LANES: u32 = 16;

/// Whether somebody else's hash asks for no more than it may.
pub(in crate::hashing) fn is_modest(params: &Params) -> bool {
    params.m_cost() <= MOST_MEMORY
        && u64::from(params.m_cost()) * u64::from(params.t_cost()) <= MOST_WORK
        && params.p_cost() <= MOST_LANES
}

/// A stored hash.
pub(super) struct Stored {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    output: Output,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Stored {
    /// Reads a PHC string.
    ///
    /// # Errors
    /// As [`super::Stored::parse`].
    pub(super) fn parse(text: &str) -> Result<(Format, Self), HashFault> {
        let unknown = |_| HashFault::Unknown;
        let phc = PasswordHash::new(text).map_err(|_| HashFault::Unknown)?;
        let (format, algorithm) = match phc.algorithm.as_str() {
            "argon2i" => (Format::Argon2i, Algorithm::Argon2i),
            "argon2d" => (Format::Argon2d, Algorithm::Argon2d),
            "argon2id" => (Format::Argon2id, Algorithm::Argon2id),
            _ => return Err(HashFault::Unknown),
        };
        // The first version wrote none (argon2 1.0, 2015).
        let version = Version::try_from(phc.version.unwrap_or(16)).map_err(unknown)?;
        let params = Params::try_from(&phc).map_err(|_| HashFault::Unknown)?;
        if !is_modest(&params) {
            return Err(HashFault::TooCostly);
        }
        let stored = Self {
            algorithm,
            version,
            params,
            salt: phc.salt.ok_or(HashFault::Unknown)?.to_vec(),
            output: phc.hash.ok_or(HashFault::Unknown)?,
        };
        Ok((format, stored))
    }

    /// Whether this is the hash of `password`.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let mut output = vec![0; self.output.len()];
        let done = Argon2::new(self.algorithm, self.version, self.params.clone())
            .hash_password_into(password, &self.salt, &mut output);
        done.is_ok() && bool::from(output.as_slice().ct_eq(self.output.as_bytes()))
    }
}
