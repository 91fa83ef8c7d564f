//! The scopes that there are: those that some method's access rule asks for.

use millgate_guard::{Rules, Scopes};
use millgate_platform::Fields;

/// How many wrong scopes of a list are pointed at.
const MOST_POINTED_AT: usize = 3;
/// The longest line that an answer shows whole (`millgate_platform::Fault` cuts at 200 bytes).
const LONGEST_LINE: usize = 180;

/// The registry of scopes, read from the access rules: a scope that no method asks for would be a promise about nothing.
#[derive(Debug)]
pub(crate) struct KnownScopes(Vec<String>);

impl KnownScopes {
    /// The scopes that these rules ask for.
    pub(crate) fn of(rules: &Rules) -> Self {
        Self(rules.scopes().map(str::to_owned).collect())
    }

    /// Reads a list of scopes that somebody asks to have granted. What is wrong is noted, together with the scopes that
    /// there are.
    pub(crate) fn parse(
        &self,
        fields: &mut Fields,
        field: &str,
        asked: &[String],
    ) -> Option<Scopes> {
        if asked.is_empty() {
            fields.refuse(field, "at least one scope is needed");
            self.tell(fields, field);
            return None;
        }
        let unknown = |scope: &String| self.0.binary_search(scope).is_err();
        let mut good = true;
        let wrong = asked.iter().enumerate().filter(|(_, scope)| unknown(scope));
        for (place, _) in wrong.take(MOST_POINTED_AT) {
            fields.refuse(&format!("{field}[{place}]"), "there is no such scope");
            good = false;
        }
        if !good {
            self.tell(fields, field);
            return None;
        }
        fields.parse(
            field,
            Scopes::parse(&asked.join(" ")).map_err(|error| error.to_string()),
        )
    }

    /// Names all scopes, in lines that are short enough to be shown whole.
    fn tell(&self, fields: &mut Fields, field: &str) {
        let mut line = String::new();
        for scope in &self.0 {
            if !line.is_empty() && line.len() + scope.len() + 2 > LONGEST_LINE {
                fields.refuse(field, std::mem::take(&mut line));
            }
            line.push_str(if line.is_empty() { "there are " } else { ", " });
            line.push_str(scope);
        }
        fields.refuse(field, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> KnownScopes {
        KnownScopes::of(
            &Rules::from_descriptors(millgate_contract::DESCRIPTORS).expect("the rules"),
        )
    }

    fn parse(asked: &[&str]) -> Result<Option<Scopes>, millgate_platform::Fault> {
        let asked: Vec<String> = asked.iter().map(|&scope| scope.to_owned()).collect();
        let mut fields = Fields::new();
        let scopes = known().parse(&mut fields, "scopes", &asked);
        fields.finish().map(|()| scopes)
    }

    #[test]
    fn scopes_that_a_rule_asks_for_are_known() {
        let scopes = parse(&["users.write", "users.read", "users.read"]).expect("known");
        assert_eq!(scopes.expect("some").to_string(), "users.read users.write");
    }

    #[test]
    fn what_no_rule_asks_for_is_refused_and_all_that_there_is_is_named() {
        for bad in [
            &["users.read", "users.*"][..],
            &["users.read users.write"],
            &["Users.read"],
            &[""],
            &[],
        ] {
            let fault = parse(bad).expect_err("unknown");
            let told: Vec<&str> = fault
                .violations()
                .iter()
                .map(|violation| violation.description.as_str())
                .collect();
            assert!(told.iter().all(|line| line.len() <= 200), "{told:?}");
            let told = told.join(", ");
            for scope in &known().0 {
                assert!(told.contains(scope.as_str()), "{scope} in {told}");
            }
        }
    }

    #[test]
    fn a_flood_of_wrong_scopes_is_answered_briefly() {
        let flood = vec!["x"; 10_000];
        assert!(parse(&flood).expect_err("unknown").violations().len() < 16);
    }
}
