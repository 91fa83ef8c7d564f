//! argon2id (RFC 9106), in PHC strings.

use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use millgate_platform::Fault;
use subtle::ConstantTimeEq;

use super::legacy::is_modest_argon2;
use super::workers::Memory;

/// The least that OWASP's Password Storage Cheat Sheet recommends: memory in KiB and passes. More of one allows less
/// of the other.
const FLOORS: [(u32, u32); 5] = [
    (47_104, 1),
    (19_456, 2),
    (12_288, 3),
    (9_216, 4),
    (7_168, 5),
];
/// The most memory, in KiB, that a setting or a stored hash may ask for: 256 MiB.
const MOST_MEMORY: u32 = 256 * 1024;
/// The most passes.
const MOST_PASSES: u32 = 16;
/// The most lanes.
const MOST_LANES: u32 = 16;

/// How much work a new hash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    memory: u32,
    passes: u32,
    lanes: u32,
}

/// Why a cost is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CostFault {
    /// Weaker than the floor.
    #[error(
        "too weak; at least (memory in KiB, passes) one of (47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5)"
    )]
    Weak,
    /// More than the service will compute.
    #[error("too much; at most 262144 KiB of memory, 16 passes, 16 lanes")]
    Excessive,
}

impl Default for Cost {
    /// 19456 KiB, 2 passes, 1 lane: the first recommendation of OWASP's cheat sheet.
    fn default() -> Self {
        Self {
            memory: 19_456,
            passes: 2,
            lanes: 1,
        }
    }
}

impl Cost {
    /// A cost of `memory` KiB, `passes` and `lanes`.
    ///
    /// # Errors
    /// Below OWASP's recommendations, or above the ceilings (256 MiB, 16 passes, 16 lanes).
    pub(crate) fn new(memory: u32, passes: u32, lanes: u32) -> Result<Self, CostFault> {
        if lanes == 0
            || !FLOORS
                .iter()
                .any(|floor| memory >= floor.0 && passes >= floor.1)
        {
            return Err(CostFault::Weak);
        }
        if memory > MOST_MEMORY || passes > MOST_PASSES || lanes > MOST_LANES {
            return Err(CostFault::Excessive);
        }
        Ok(Self {
            memory,
            passes,
            lanes,
        })
    }
}

/// The PHC string of a new hash.
///
/// # Errors
/// INTERNAL when the memory cannot be had.
pub(super) fn hash(
    password: &[u8],
    salt: &[u8; 16],
    cost: Cost,
    memory: &mut Memory,
) -> Result<String, Fault> {
    let failed =
        |error: argon2::Error| Fault::internal("argon2 failed").with_source(error.to_string());
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(32)).map_err(failed)?;
    let mut output = [0; 32];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    memory
        .with_usual(&params, |blocks| {
            argon.hash_password_into_with_memory(password, salt, &mut output, blocks)
        })
        .map_err(failed)?;
    let Cost {
        memory,
        passes,
        lanes,
    } = cost;
    let (salt, output) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output));
    Ok(format!(
        "$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${output}"
    ))
}

/// A stored argon2id hash that asks for no more than the ceilings.
pub(super) struct Stored {
    params: Params,
    salt: Vec<u8>,
    output: Output,
}

impl Stored {
    /// Reads a PHC string.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let phc = PasswordHash::new(text).ok()?;
        if phc.algorithm.as_str() != "argon2id" || phc.version != Some(19) {
            return None;
        }
        let params = Params::try_from(&phc).ok()?;
        let modest = params.m_cost() <= MOST_MEMORY
            && params.t_cost() <= MOST_PASSES
            && params.p_cost() <= MOST_LANES;
        Some(Self {
            params,
            salt: phc.salt?.to_vec(),
            output: phc.hash?,
        })
        .filter(|_| modest)
    }

    /// Whether this is the hash of `password`; `usual` is what most cost.
    pub(super) fn matches(&self, password: &[u8], usual: Cost, memory: &mut Memory) -> bool {
        let mut output = vec![0; self.output.len()];
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let compute = |blocks: &mut [Block]| {
            argon.hash_password_into_with_memory(password, &self.salt, &mut output, blocks)
        };
        let done = if self.costs(usual) {
            memory.with_usual(&self.params, compute)
        } else {
            memory.with(&self.params, compute)
        };
        done.is_ok() && bool::from(output.as_slice().ct_eq(self.output.as_bytes()))
    }

    /// Whether it asks for no more than a hash that was made elsewhere may.
    pub(super) fn is_modest(&self) -> bool {
        is_modest_argon2(&self.params)
    }

    /// Whether a new hash would cost the same.
    pub(super) fn costs(&self, cost: Cost) -> bool {
        (
            self.params.m_cost(),
            self.params.t_cost(),
            self.params.p_cost(),
        ) == (cost.memory, cost.passes, cost.lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_checked_by_its_own_parameters() {
        let mut memory = Memory::default();
        let stored =
            hash(b"correct horse", &[7; 16], Cost::default(), &mut memory).expect("hashed");
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        let parsed = Stored::parse(&stored).expect("parsed");
        assert!(parsed.matches(b"correct horse", Cost::default(), &mut memory));
        assert!(!parsed.matches(b"correct horsf", Cost::default(), &mut memory));
        assert!(parsed.costs(Cost::default()));
        assert!(!parsed.costs(Cost::new(12_288, 3, 1).expect("a cost")));
    }

    #[test]
    fn the_known_answer_of_the_reference_implementation() {
        // argon2 (C) 20190702: echo -n password | argon2 somesalt -id -t 2 -k 65536 -p 1
        let stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let stored = Stored::parse(stored).expect("parsed");
        assert!(stored.matches(b"password", Cost::default(), &mut Memory::default()));
    }

    #[test]
    fn a_stored_hash_that_asks_for_too_much_is_not_obeyed() {
        let with = |params: &str| {
            format!(
                "$argon2id$v=19${params}$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
            )
        };
        assert!(Stored::parse(&with("m=65536,t=2,p=1")).is_some());
        for greedy in [
            "m=4194304,t=2,p=1",
            "m=65536,t=1000000,p=1",
            "m=65536,t=2,p=1000",
        ] {
            assert!(Stored::parse(&with(greedy)).is_none(), "{greedy}");
        }
    }

    #[test]
    fn a_cost_has_a_floor_and_a_ceiling() {
        assert_eq!(Cost::new(19_456, 2, 1), Ok(Cost::default()));
        assert!(Cost::new(7_168, 5, 1).is_ok());
        for weak in [(19_456, 1), (7_167, 5), (1_024, 16), (0, 0)] {
            assert_eq!(
                Cost::new(weak.0, weak.1, 1),
                Err(CostFault::Weak),
                "{weak:?}"
            );
        }
        assert_eq!(Cost::new(19_456, 2, 0), Err(CostFault::Weak));
        for excessive in [(262_145, 2, 1), (19_456, 17, 1), (19_456, 2, 17)] {
            let (memory, passes, lanes) = excessive;
            assert_eq!(
                Cost::new(memory, passes, lanes),
                Err(CostFault::Excessive),
                "{excessive:?}"
            );
        }
    }
}
