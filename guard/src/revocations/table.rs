//! Many small sorted tables, each replaced as a whole: readers never wait, and an entry costs 24
//! bytes (32 with a limit), whatever its name was.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

/// With a million entries a table has about a thousand: copying one to change it is 24 KB.
const TABLES: usize = 1024;

/// A name as 128 bits under keys of this process. That two names of a million meet has a
/// probability below 2^-88, and nobody outside can look for two that do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(u64, u64);

/// The keys of [`Name`]s.
pub(super) struct Names([RandomState; 2]);

impl Names {
    pub(super) fn new() -> Self {
        Self([RandomState::new(), RandomState::new()])
    }

    /// The same text of another kind is another name.
    pub(super) fn of(&self, kind: u8, text: &str) -> Name {
        let [one, other] = &self.0;
        Name(one.hash_one((kind, text)), other.hash_one((kind, text)))
    }
}

/// An entry: until when it is needed (seconds since the Unix epoch, below the year 2106), and
/// what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<V> {
    pub(super) name: Name,
    pub(super) expires_at: u32,
    pub(super) value: V,
}

/// The entries by their names.
pub(super) struct Table<V> {
    parts: Box<[ArcSwap<Vec<Entry<V>>>]>,
    count: AtomicUsize,
}

impl<V: Copy + Ord> Table<V> {
    pub(super) fn new() -> Self {
        let empty = Arc::new(Vec::new());
        Self {
            parts: (0..TABLES).map(|_| ArcSwap::new(empty.clone())).collect(),
            count: AtomicUsize::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// What the entry of this name says.
    pub(super) fn get(&self, name: Name) -> Option<V> {
        let part = self.parts[part_of(name)].load();
        let at = part.binary_search_by(|entry| entry.name.cmp(&name)).ok()?;
        Some(part[at].value)
    }

    /// Adds an entry, or widens the one that is there: the later end and the greater value count,
    /// so that the order in which they become known does not matter. Callers take turns.
    pub(super) fn add(&self, entry: Entry<V>) {
        let part = &self.parts[part_of(entry.name)];
        let old = part.load();
        let mut new = Vec::with_capacity(old.len() + 1);
        match old.binary_search_by(|held| held.name.cmp(&entry.name)) {
            Ok(at) => {
                new.extend_from_slice(&old);
                new[at].expires_at = new[at].expires_at.max(entry.expires_at);
                new[at].value = new[at].value.max(entry.value);
            }
            Err(at) => {
                new.extend_from_slice(&old[..at]);
                new.push(entry);
                new.extend_from_slice(&old[at..]);
                self.count.fetch_add(1, Ordering::Relaxed);
            }
        }
        part.store(Arc::new(new));
    }

    /// Takes these entries in place of all that are there. What is in both is never missing.
    pub(super) fn replace(&self, mut entries: Vec<Entry<V>>) {
        entries.sort_unstable_by_key(|entry| (entry.name, entry.value, entry.expires_at));
        // Of two with one name the last has the greater value; it keeps the later end, too.
        entries.dedup_by(|later, kept| {
            let same = later.name == kept.name;
            if same {
                kept.expires_at = kept.expires_at.max(later.expires_at);
                kept.value = later.value;
            }
            same
        });
        let mut rest = entries.as_slice();
        for (index, part) in self.parts.iter().enumerate() {
            let end = rest.partition_point(|entry| part_of(entry.name) <= index);
            let (mine, others) = rest.split_at(end);
            part.store(Arc::new(mine.to_vec()));
            rest = others;
        }
        self.count.store(entries.len(), Ordering::Relaxed);
    }

    /// Drops what is over. Callers take turns.
    pub(super) fn sweep(&self, now: u32) {
        for part in &self.parts {
            let old = part.load();
            if old.iter().any(|entry| entry.expires_at <= now) {
                let living = old.iter().filter(|entry| entry.expires_at > now);
                let new: Vec<Entry<V>> = living.copied().collect();
                self.count
                    .fetch_sub(old.len() - new.len(), Ordering::Relaxed);
                part.store(Arc::new(new));
            }
        }
    }
}

/// The upper ten bits, so that tables side by side hold names side by side.
fn part_of(name: Name) -> usize {
    usize::try_from(name.0 >> 54).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Add(u8, u32, i64),
        Replace(Vec<(u8, u32, i64)>),
        Sweep(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let entry = || (0..40u8, 1..50u32, 0..5i64);
        let step = prop_oneof![
            6 => entry().prop_map(|(name, end, value)| Step::Add(name, end, value)),
            1 => proptest::collection::vec(entry(), 0..60).prop_map(Step::Replace),
            2 => (0..50u32).prop_map(Step::Sweep),
        ];
        proptest::collection::vec(step, 0..12)
    }

    proptest! {
        #[test]
        fn a_table_is_what_a_map_would_be(steps in steps()) {
            let names = Names::new();
            let name = |n: u8| names.of(0, &n.to_string());
            let (table, mut map) = (Table::new(), BTreeMap::<u8, (u32, i64)>::new());
            fn widen(map: &mut BTreeMap<u8, (u32, i64)>, n: u8, end: u32, value: i64) {
                let held = map.entry(n).or_insert((end, value));
                *held = (held.0.max(end), held.1.max(value));
            }
            for step in steps {
                match step {
                    Step::Add(n, end, value) => {
                        table.add(Entry { name: name(n), expires_at: end, value });
                        widen(&mut map, n, end, value);
                    }
                    Step::Replace(all) => {
                        map.clear();
                        for (n, end, value) in &all {
                            widen(&mut map, *n, *end, *value);
                        }
                        let entry = |(n, expires_at, value)| Entry { name: name(n), expires_at, value };
                        table.replace(all.into_iter().map(entry).collect());
                    }
                    Step::Sweep(now) => {
                        table.sweep(now);
                        map.retain(|_, (end, _)| *end > now);
                    }
                }
                prop_assert_eq!(table.len(), map.len());
                for n in 0..40 {
                    prop_assert_eq!(table.get(name(n)), map.get(&n).map(|(_, value)| *value));
                }
            }
        }
    }

    #[test]
    fn the_same_text_of_another_kind_is_another_name() {
        let names = Names::new();
        assert_ne!(names.of(0, "a"), names.of(1, "a"));
        assert_ne!(names.of(0, "a"), Names::new().of(0, "a"));
        assert_eq!(names.of(0, "a"), names.of(0, "a"));
    }
}
