//! All bad fields of a request at once.
//!
//! A handler parses every field through one [`Fields`] and stops only at the end, so that
//! the caller repairs a request in one go:
//!
//! ```
//! # use millgate_platform::{Fault, Fields};
//! # fn parse_name(text: &str) -> Result<String, &'static str> {
//! #     if text.is_empty() { Err("must not be empty") } else { Ok(text.to_owned()) }
//! # }
//! # fn handler() -> Result<(), Fault> {
//! let mut fields = Fields::new();
//! let name = fields.parse("name", parse_name("Ada"));
//! let city = fields.parse("city", parse_name("London"));
//! let (name, city) = fields.all((name, city))?;
//! # assert_eq!((name.as_str(), city.as_str()), ("Ada", "London"));
//! # Ok(())
//! # }
//! # handler().unwrap();
//! ```

use crate::fault::{Fault, FieldViolation, Reason};
use crate::idempotency::parse_request_id;

/// What is wrong with one field: the error type of a domain type's `parse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Mostly [`Reason::FieldInvalid`]; a field with its own reason (a password) keeps it.
    pub reason: Reason,
    /// What is wrong, in words for the caller. Never the value itself: it may be a secret.
    pub description: String,
}

impl FieldFault {
    /// A field fault with a reason of its own.
    pub fn new(reason: Reason, description: impl Into<String>) -> Self {
        Self {
            reason,
            description: description.into(),
        }
    }
}

impl From<&str> for FieldFault {
    fn from(description: &str) -> Self {
        Self::new(Reason::FieldInvalid, description)
    }
}

impl From<String> for FieldFault {
    fn from(description: String) -> Self {
        Self::new(Reason::FieldInvalid, description)
    }
}

/// Collects the bad fields of one request.
#[derive(Debug, Default)]
#[must_use = "call `finish` or `all`, else the bad fields are forgotten"]
pub struct Fields {
    faults: Vec<FieldViolation>,
}

impl Fields {
    /// A collector without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The faults of a request with this `request_id`, which is looked at first: it is told together with the rest.
    pub fn of_request(request_id: &str) -> Self {
        let mut fields = Self::new();
        if !request_id.is_empty() {
            fields.parse("request_id", parse_request_id(request_id));
        }
        fields
    }

    /// Keeps the value, or notes what is wrong with `field` and gives `None`.
    pub fn parse<T, E: Into<FieldFault>>(
        &mut self,
        field: &str,
        parsed: Result<T, E>,
    ) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(fault) => {
                self.refuse(field, fault);
                None
            }
        }
    }

    /// Notes that `field` is bad.
    pub fn refuse(&mut self, field: &str, fault: impl Into<FieldFault>) {
        let FieldFault {
            reason,
            description,
        } = fault.into();
        self.faults.push(FieldViolation {
            field: field.to_owned(),
            reason,
            description,
        });
    }

    /// Notes that `field` is bad unless `good`.
    pub fn check(&mut self, field: &str, good: bool, otherwise: impl Into<FieldFault>) {
        if !good {
            self.refuse(field, otherwise);
        }
    }

    /// Whether no fault was noted so far.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// Ends the parsing.
    ///
    /// # Errors
    /// One fault that names every bad field. Its reason is the one that they all share, and
    /// [`Reason::FieldInvalid`] where they differ.
    pub fn finish(self) -> Result<(), Fault> {
        let Some(first) = self.faults.first().map(|fault| fault.reason) else {
            return Ok(());
        };
        let shared = self.faults.iter().all(|fault| fault.reason == first);
        let reason = if shared { first } else { Reason::FieldInvalid };
        Err(Fault::fields(reason, self.faults))
    }

    /// Ends the parsing and unwraps a tuple of what [`Fields::parse`] gave.
    ///
    /// # Errors
    /// As [`Fields::finish`]. A `None` without a noted fault counts as an internal error.
    pub fn all<P: Parsed>(self, parsed: P) -> Result<P::Values, Fault> {
        self.finish()?;
        parsed
            .values()
            .ok_or_else(|| Fault::internal("a field was lost without a fault"))
    }
}

/// A tuple of options that can become a tuple of values. Implemented here for up to twelve.
pub trait Parsed {
    /// The tuple without the options.
    type Values;
    /// The values, if every one of them is there.
    fn values(self) -> Option<Self::Values>;
}

macro_rules! parsed {
    ($($name:ident)+) => {
        impl<$($name),+> Parsed for ($(Option<$name>,)+) {
            type Values = ($($name,)+);
            #[expect(non_snake_case, reason = "the type's name serves as the value's")]
            fn values(self) -> Option<Self::Values> {
                let ($($name,)+) = self;
                Some(($($name?,)+))
            }
        }
    };
}
parsed!(A);
parsed!(A B);
parsed!(A B C);
parsed!(A B C D);
parsed!(A B C D E);
parsed!(A B C D E F);
parsed!(A B C D E F G);
parsed!(A B C D E F G H);
parsed!(A B C D E F G H I);
parsed!(A B C D E F G H I J);
parsed!(A B C D E F G H I J K);
parsed!(A B C D E F G H I J K L);

#[cfg(test)]
mod tests {
    use super::*;

    fn short() -> FieldFault {
        FieldFault::new(Reason::PasswordTooShort, "at least 8 characters")
    }

    #[test]
    fn every_bad_field_is_named_in_one_fault() {
        let mut fields = Fields::new();
        let a = fields.parse("username", Err::<i32, _>("must not be empty"));
        let b = fields.parse("password", Err::<i32, _>(short()));
        let c = fields.parse("email", Ok::<_, &str>(3));
        assert_eq!((a, b, c), (None, None, Some(3)));
        let fault = fields.finish().expect_err("two bad fields");
        assert_eq!(fault.reason(), Reason::FieldInvalid);
        let named: Vec<_> = fault
            .violations()
            .iter()
            .map(|v| v.field.as_str())
            .collect();
        assert_eq!(named, ["username", "password"]);
    }

    #[test]
    fn a_reason_that_all_share_is_kept() {
        let mut fields = Fields::new();
        fields.refuse("password", short());
        assert_eq!(
            fields.finish().expect_err("short").reason(),
            Reason::PasswordTooShort
        );
    }

    #[test]
    fn good_fields_come_back_without_options() {
        let mut fields = Fields::new();
        let a = fields.parse("a", Ok::<_, &str>(1));
        let b = fields.parse("b", Ok::<_, &str>("two"));
        assert_eq!(fields.all((a, b)).expect("all good"), (1, "two"));
    }

    #[test]
    fn a_forgotten_field_is_ours_to_answer_for() {
        let fault = Fields::new()
            .all((None::<i32>,))
            .expect_err("nothing was noted");
        assert_eq!(fault.reason(), Reason::Internal);
    }
}
