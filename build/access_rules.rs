//! The check that no method reaches the world without a sound access rule. Part of `build.rs`; tested on its own.

use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};

/// Fails, naming every method at fault, unless each says who may call it in exactly one way.
pub fn check(descriptors: &[u8]) -> Result<(), String> {
    let pool = DescriptorPool::decode(descriptors).map_err(|error| error.to_string())?;
    let faults: Vec<String> = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .filter_map(|method| {
            rule_fault(&pool, &method).map(|fault| format!("{}: {fault}", method.full_name()))
        })
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!(
        "access rules (option millgate.access.v1.rule, see proto/millgate/access/v1/access.proto):\n  {}",
        faults.join("\n  ")
    ))
}

fn rule_fault(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<String> {
    // What cannot be read is a fault: the check must never pass because its own terms have moved.
    let unreadable =
        || Some("millgate/access/v1/access.proto is not the one this check knows".to_owned());
    let Some(extension) = pool.get_extension_by_name("millgate.access.v1.rule") else {
        return unreadable();
    };
    let options: DynamicMessage = method.options();
    if !options.has_extension(&extension) {
        return Some("no access rule: say public, token_required or role_required".into());
    }
    let value = options.get_extension(&extension);
    let Some(rule) = value.as_message() else {
        return unreadable();
    };
    let is = |name: &str| {
        rule.get_field_by_name(name)
            .and_then(|value| value.as_bool())
            == Some(true)
    };
    let number = |name: &str| {
        rule.get_field_by_name(name)
            .and_then(|value| value.as_i32().or(value.as_enum_number()))
    };
    let (Some(roles), Some(scope), Some(fresh_within), Some(principal)) = (
        rule.get_field_by_name("role_required"),
        rule.get_field_by_name("scope"),
        number("fresh_within"),
        number("principal"),
    ) else {
        return unreadable();
    };
    let (Some(roles), Some(scope)) = (roles.as_list(), scope.as_str()) else {
        return unreadable();
    };
    let ways = [is("public"), is("token_required"), !roles.is_empty()];
    match ways.iter().filter(|way| **way).count() {
        0 => Some("an empty access rule: say public, token_required or role_required".into()),
        1 if is("public")
            && ["scope", "fresh_within", "principal"]
                .iter()
                .any(|name| rule.has_field_by_name(name)) =>
        {
            Some("a public method takes no scope, fresh_within or principal".into())
        }
        1 if roles
            .iter()
            .any(|role| role.as_str().is_none_or(str::is_empty)) =>
        {
            Some("an empty role in role_required".into())
        }
        // RFC 6749 section 3.3: printable ASCII without space, quote and backslash.
        1 if !scope
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) =>
        {
            Some("scope is not one scope-token of RFC 6749".into())
        }
        1 if fresh_within < 0 => Some("fresh_within is negative".into()),
        1 if !(0..=2).contains(&principal) => Some("principal is of an unknown kind".into()),
        1 => None,
        _ => Some("more than one of public, token_required and role_required".into()),
    }
}
