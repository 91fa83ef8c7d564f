//! What a guard holds: bytes an entry, the time of a look-up, the time of a snapshot.

use std::hint::black_box;
use std::time::Instant;

use millgate_guard::{LiveRevocations, Revocation, Revocations as _, SystemClock, Target};

use crate::Problem;

const LOOKUPS: usize = 200_000;

/// Measures, and prints.
pub(crate) fn measure(entries: usize) -> Result<(), Problem> {
    let snapshot: Vec<Revocation> = (0..entries)
        .map(|number| Revocation {
            target: Target::Session(format!("0198c0de-0000-4000-8000-{number:012}")),
            expires_at: i64::MAX,
        })
        .collect();
    let known = LiveRevocations::new(std::sync::Arc::new(SystemClock));
    let before = resident()?;
    let begun = Instant::now();
    known.replace(&snapshot);
    let took = begun.elapsed();
    let bytes = resident()?.saturating_sub(before);
    println!(
        "{entries} revocations: snapshot taken in {took:?}; about {:.0} bytes each",
        bytes as f64 / entries as f64
    );
    let claims = millgate_guard::Claims {
        issuer: String::new(),
        audience: String::new(),
        subject: "7".to_owned(),
        issued_at: 0,
        expires_at: 0,
        not_before: None,
        token_id: "another token".to_owned(),
        auth_time: None,
        amr: Vec::new(),
        scope: None,
        role: None,
        session: Some("another session".to_owned()),
        generation: Some(0),
        actors: Vec::new(),
    };
    let begun = Instant::now();
    for _ in 0..LOOKUPS {
        black_box(known.refuses(black_box(&claims)));
    }
    println!(
        "  asked about a token: {:?}",
        begun.elapsed() / LOOKUPS as u32
    );
    let begun = Instant::now();
    let one = Revocation {
        target: Target::Token("one more".to_owned()),
        expires_at: i64::MAX,
    };
    known.add(&one);
    println!("  one more added in {:?}", begun.elapsed());
    Ok(())
}

/// The memory of this process, in bytes, as the system counts it.
fn resident() -> Result<u64, Problem> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .ok_or("no VmRSS")?;
    Ok(kib.parse::<u64>()? * 1024)
}
