//! The access rules of a service against the table that its authors have in mind.

use std::collections::BTreeMap;

use crate::rules::Rules;

/// Fails unless the RPCs of these descriptors are exactly those of the table, each with its rule:
/// pairs of `notes.v1.NoteService/CreateNote` and the rule as it displays. A new RPC must be added
/// to the table by hand, and so is thought about.
///
/// # Panics
/// When they are not; the message lists every difference.
#[expect(clippy::panic, reason = "an assertion for tests")]
pub fn assert_access(descriptors: &[u8], table: &[(&str, &str)]) {
    let rules = match Rules::from_descriptors(descriptors) {
        Ok(rules) => rules,
        Err(error) => panic!("{error}"),
    };
    let name = |path: &str| path.trim_start_matches('/').to_owned();
    let mut found: BTreeMap<String, String> = rules
        .iter()
        .map(|(path, rule)| (name(path), rule.to_string()))
        .collect();
    found.extend(
        rules
            .unruled()
            .map(|path| (name(path), "no rule".to_owned())),
    );
    let mut wrong = Vec::new();
    for (path, expected) in table {
        match found.remove(*path) {
            Some(rule) if rule == *expected => {}
            Some(rule) => wrong.push(format!("{path}: {rule}, and not {expected}")),
            None => wrong.push(format!("{path}: not there, or twice in the table")),
        }
    }
    let unlisted = found
        .iter()
        .map(|(path, rule)| format!("{path}: {rule}, not in the table"));
    wrong.extend(unlisted);
    assert!(
        wrong.is_empty(),
        "the access rules differ:\n  {}",
        wrong.join("\n  ")
    );
}
