//! Update masks: which fields an update writes (AIP-134, AIP-161).

use prost_types::FieldMask;

use crate::fault::{Fault, FieldViolation, Reason};

/// The fields that an update writes: checked, each once, top level only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask(Vec<&'static str>);

impl Mask {
    /// Resolves the mask of a request.
    ///
    /// - `known`: every field of the resource, as the proto names it.
    /// - `writable`: those that this caller may write.
    /// - `set`: the writable fields that are set in the request. They are what an absent or
    ///   empty mask means; a field in `set` that is not writable is left out then.
    ///
    /// `*` means all writable fields.
    ///
    /// # Errors
    /// [`Reason::UnknownField`] for a path that is no field (a nested path neither),
    /// [`Reason::FieldNotWritable`] for one that the caller may not write. All bad paths are
    /// named, the unknown ones first.
    pub fn resolve(
        update_mask: Option<&FieldMask>,
        known: &[&'static str],
        writable: &[&'static str],
        set: &[&'static str],
    ) -> Result<Self, Fault> {
        let paths = update_mask
            .map(|mask| mask.paths.as_slice())
            .unwrap_or_default();
        let named = |path: &str| move_to_static(known, path);
        let picked: Vec<&'static str> = if paths.is_empty() {
            set.iter()
                .copied()
                .filter(|field| writable.contains(field))
                .collect()
        } else if matches!(paths, [only] if only == "*") {
            writable.to_vec()
        } else {
            refuse(
                Reason::UnknownField,
                "no such field",
                paths.iter().filter(|path| named(path).is_none()),
            )?;
            let fields: Vec<_> = paths.iter().filter_map(|path| named(path)).collect();
            refuse(
                Reason::FieldNotWritable,
                "this field cannot be written",
                fields.iter().filter(|field| !writable.contains(field)),
            )?;
            fields
        };
        let mut fields = Vec::with_capacity(picked.len());
        for field in picked {
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        Ok(Self(fields))
    }

    /// Whether the update writes this field.
    pub fn has(&self, field: &str) -> bool {
        self.0.contains(&field)
    }

    /// Whether the update writes nothing at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields, in the order in which the caller named them.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().copied()
    }
}

fn move_to_static(known: &[&'static str], path: &str) -> Option<&'static str> {
    known.iter().copied().find(|field| *field == path)
}

fn refuse(
    reason: Reason,
    description: &str,
    bad: impl Iterator<Item = impl AsRef<str>>,
) -> Result<(), Fault> {
    let violations: Vec<_> = bad
        .map(|path| FieldViolation {
            field: format!("update_mask.{}", printable(path.as_ref())),
            reason,
            description: description.to_owned(),
        })
        .collect();
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Fault::fields(reason, violations))
    }
}

/// The answer repeats the path: no control characters, and not more of it than helps.
fn printable(path: &str) -> String {
    path.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["id", "name", "price", "etag"];
    const WRITABLE: &[&str] = &["name", "price"];

    fn resolve(paths: &[&str], set: &[&'static str]) -> Result<Mask, Fault> {
        let mask = FieldMask {
            paths: paths.iter().map(|p| (*p).to_owned()).collect(),
        };
        Mask::resolve(Some(&mask), KNOWN, WRITABLE, set)
    }

    #[test]
    fn no_mask_and_an_empty_one_mean_the_writable_fields_that_are_set() {
        let none = Mask::resolve(None, KNOWN, WRITABLE, &["id", "name"]).expect("no mask");
        assert_eq!(none.iter().collect::<Vec<_>>(), ["name"]);
        assert_eq!(
            resolve(&[], &["price"])
                .expect("empty")
                .iter()
                .collect::<Vec<_>>(),
            ["price"]
        );
    }

    #[test]
    fn a_named_field_is_written_once_whether_set_or_not() {
        let mask = resolve(&["price", "name", "price"], &[]).expect("good");
        assert_eq!(mask.iter().collect::<Vec<_>>(), ["price", "name"]);
        assert!(mask.has("name") && !mask.has("id"));
    }

    #[test]
    fn a_star_means_all_writable_fields_but_only_alone() {
        assert_eq!(
            resolve(&["*"], &[])
                .expect("star")
                .iter()
                .collect::<Vec<_>>(),
            WRITABLE
        );
        let fault = resolve(&["*", "name"], &[]).expect_err("star is no field");
        assert_eq!(fault.reason(), Reason::UnknownField);
    }

    #[test]
    fn unknown_nested_and_unwritable_fields_are_refused_by_name() {
        let fault = resolve(&["name", "price.units", "Name", ""], &[]).expect_err("unknown");
        assert_eq!(fault.reason(), Reason::UnknownField);
        assert_eq!(fault.violations().len(), 3);
        let fault = resolve(&["id", "etag", "name"], &[]).expect_err("not writable");
        assert_eq!(fault.reason(), Reason::FieldNotWritable);
        assert_eq!(fault.violations().len(), 2);
    }

    #[test]
    fn a_hostile_path_is_cut_down_before_it_is_repeated() {
        let fault = resolve(&[&"a\n".repeat(10_000)], &[]).expect_err("unknown");
        assert!(fault.violations()[0].field.len() < 100);
        assert!(!fault.message().contains('\n'));
    }
}
