//! The access table: who may call which RPC, as the protos say it.

use millgate_guard::{Access, PrincipalKind, Rule, Rules, RulesError};
use std::fmt::Write as _;

/// The roles of this system, the least mighty first. The guard itself takes roles as plain strings.
const ROLES: [&str; 4] = ["customer", "mechanic", "user", "admin"];

/// The whole table as a Markdown page: what `docs/access.md` holds and `millgate policy` prints.
///
/// # Errors
/// When the contract's descriptors hold an unsound rule; `build.rs` keeps that from happening.
pub(crate) fn page() -> Result<String, RulesError> {
    let rules = Rules::from_descriptors(millgate_contract::DESCRIPTORS)?;
    let mut page = String::from(HEAD);
    let mut service = "";
    for (path, rule) in rules.iter() {
        let (of, method) = path
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((path, ""));
        if of != service {
            service = of;
            let _ = write!(
                page,
                "\n## {service}\n\n| RPC | nobody | {} | service | besides |\n| --- |",
                ROLES.join(" | ")
            );
            page.push_str(&" --- |".repeat(ROLES.len() + 3));
            page.push('\n');
        }
        let _ = writeln!(page, "| {method} | {} |", cells(rule).join(" | "));
    }
    Ok(page)
}

const HEAD: &str = "\
# Who may call what

Generated from the access rules in `proto/` by `millgate policy`; a test keeps it in step, and another calls every cell
on running services. A token's role decides for a person; a service has no role and passes with the scope named, and
never otherwise. A person's token that is scoped needs that scope too, and passes nothing without one. What only the
data can decide (a customer's own order, one's own account) comes on top, and answers NOT_FOUND.
";

fn cells(rule: &Rule) -> Vec<String> {
    let public = rule.access == Access::Public;
    let yes_or_no = |yes: bool| String::from(if yes { "yes" } else { "no" });
    let people = |role: &str| match &rule.access {
        Access::Public => true,
        Access::Token => rule.principal != Some(PrincipalKind::Service),
        Access::Roles(roles) => {
            rule.principal != Some(PrincipalKind::Service)
                && roles.iter().any(|listed| listed == role)
        }
    };
    let service = match (&rule.scope, rule.principal) {
        _ if public => String::from("yes"),
        (Some(scope), None | Some(PrincipalKind::Service)) => format!("with `{scope}`"),
        _ => String::from("no"),
    };
    let besides = rule
        .fresh_within
        .map(|life| format!("proved at most {} s ago", life.as_secs()));
    let mut cells = vec![yes_or_no(public)];
    cells.extend(ROLES.map(people).map(yes_or_no));
    cells.extend([service, besides.unwrap_or_default()]);
    cells
}

/// A page under `docs/` is what the program says; rewritten when `MILLGATE_UPDATE_DOCS` is set.
#[cfg(test)]
pub(crate) fn in_step(name: &str, page: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    if std::env::var_os("MILLGATE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == kept,
        "docs/{name} is out of step: MILLGATE_UPDATE_DOCS=1 cargo test -p millgate --bins"
    );
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_access_table_in_the_docs_is_the_one_of_the_protos() {
        super::in_step("access.md", &super::page().unwrap());
    }
}
