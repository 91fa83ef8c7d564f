use super::*;
use crate::descriptors::{FileDescriptorProto, MethodOptions, ServiceDescriptorProto};

fn method(name: &str, rules: Vec<Vec<u8>>) -> MethodDescriptorProto {
    MethodDescriptorProto {
        name: name.to_owned(),
        options: Some(MethodOptions { rule: rules }),
        client_streaming: false,
        server_streaming: false,
    }
}

fn ruled(name: &str, rule: &AccessRule) -> MethodDescriptorProto {
    method(name, vec![rule.encode_to_vec()])
}

/// A descriptor set with these services of the package `test.v1`.
fn set(services: Vec<(&str, Vec<MethodDescriptorProto>)>) -> Vec<u8> {
    let service = services
        .into_iter()
        .map(|(name, method)| ServiceDescriptorProto {
            name: name.to_owned(),
            method,
        })
        .collect();
    FileDescriptorSet {
        file: vec![FileDescriptorProto {
            package: "test.v1".to_owned(),
            service,
        }],
    }
    .encode_to_vec()
}

fn token() -> AccessRule {
    AccessRule {
        token_required: true,
        ..AccessRule::default()
    }
}

fn public() -> AccessRule {
    AccessRule {
        public: true,
        ..AccessRule::default()
    }
}

fn read(rule: &AccessRule) -> Result<Rule, RulesError> {
    let rules = Rules::from_descriptors(&set(vec![("Desk", vec![ruled("Open", rule)])]))?;
    Ok(rules.get("/test.v1.Desk/Open").unwrap().clone())
}

#[derive(Debug, PartialEq)]
enum Found {
    Ruled(Access),
    Unruled,
    Unserved,
}

fn find(rules: &Rules, path: &str) -> Found {
    match rules.route(path) {
        Route::Public => Found::Ruled(Access::Public),
        Route::Ruled(rule) => Found::Ruled(rule.access.clone()),
        Route::Unruled => Found::Unruled,
        Route::Unserved => Found::Unserved,
    }
}

#[test]
fn every_member_of_a_rule_is_read() {
    let rule = read(&AccessRule {
        role_required: vec!["admin".to_owned(), "user".to_owned()],
        scope: "desk.write".to_owned(),
        fresh_within: 300,
        principal: 1,
        ..AccessRule::default()
    });
    let expected = Rule {
        access: Access::Roles(vec!["admin".to_owned(), "user".to_owned()]),
        scope: Some("desk.write".to_owned()),
        fresh_within: Some(Duration::from_secs(300)),
        principal: Some(PrincipalKind::User),
    };
    assert_eq!(rule, Ok(expected));
    assert_eq!(read(&public()).unwrap().access, Access::Public);
    assert_eq!(read(&token()).unwrap().access, Access::Token);
}

#[test]
fn a_rule_that_contradicts_itself_is_refused() {
    let admin = || vec!["admin".to_owned()];
    for rule in [
        AccessRule::default(),
        AccessRule {
            token_required: true,
            ..public()
        },
        AccessRule {
            role_required: admin(),
            ..public()
        },
        AccessRule {
            role_required: admin(),
            ..token()
        },
        AccessRule {
            scope: "a".to_owned(),
            ..public()
        },
        AccessRule {
            fresh_within: 1,
            ..public()
        },
        AccessRule {
            principal: 1,
            ..public()
        },
        AccessRule {
            fresh_within: -1,
            ..token()
        },
        AccessRule {
            principal: 3,
            ..token()
        },
        AccessRule {
            principal: -1,
            ..token()
        },
        AccessRule {
            scope: "a b".to_owned(),
            ..token()
        },
        AccessRule {
            role_required: vec![String::new()],
            ..AccessRule::default()
        },
    ] {
        assert!(
            matches!(read(&rule), Err(RulesError::BadRule { .. })),
            "{rule:?}"
        );
    }
}

#[test]
fn a_member_of_a_later_version_refuses_the_rule() {
    let mut encoded = token().encode_to_vec();
    encoded.extend([7 << 3, 1]);
    let bytes = set(vec![("Desk", vec![method("Open", vec![encoded])])]);
    let refused = Rules::from_descriptors(&bytes).unwrap_err();
    assert!(
        refused.to_string().contains("/test.v1.Desk/Open"),
        "{refused}"
    );
}

#[test]
fn two_rules_or_half_a_rule_are_refused() {
    let encoded = token().encode_to_vec();
    for rules in [
        vec![encoded.clone(), encoded],
        vec![vec![0x1a, 5, b'a']],
        vec![vec![0xff]],
    ] {
        let bytes = set(vec![("Desk", vec![method("Open", rules)])]);
        assert!(matches!(
            Rules::from_descriptors(&bytes),
            Err(RulesError::BadRule { .. })
        ));
    }
    assert_eq!(
        Rules::from_descriptors(b"\xff").unwrap_err(),
        RulesError::NotADescriptorSet
    );
    let twice = set(vec![
        ("Desk", vec![ruled("Open", &token())]),
        ("Desk", vec![ruled("Open", &public())]),
    ]);
    assert!(matches!(
        Rules::from_descriptors(&twice),
        Err(RulesError::Duplicate(_))
    ));
}

#[test]
fn what_is_not_ruled_is_not_allowed() {
    let bare = MethodDescriptorProto {
        name: "Bare".to_owned(),
        options: None,
        client_streaming: false,
        server_streaming: false,
    };
    let bytes = set(vec![
        (
            "Desk",
            vec![ruled("Open", &token()), method("Unruled", vec![]), bare],
        ),
        (
            "Other",
            vec![ruled("Public", &public()), method("Unruled", vec![])],
        ),
    ]);
    let rules = Rules::from_descriptors(&bytes).unwrap();
    assert_eq!(
        find(&rules, "/test.v1.Other/Public"),
        Found::Ruled(Access::Public)
    );
    let rules = rules.serving(&["test.v1.Desk", "test.v1.Undescribed"]);
    assert_eq!(
        find(&rules, "/test.v1.Desk/Open"),
        Found::Ruled(Access::Token)
    );
    assert_eq!(find(&rules, "/test.v1.Desk/Unruled"), Found::Unruled);
    assert_eq!(find(&rules, "/test.v1.Desk/Bare"), Found::Unruled);
    assert_eq!(find(&rules, "/test.v1.Desk/Unknown"), Found::Unserved);
    assert_eq!(find(&rules, "/test.v1.Undescribed/Open"), Found::Unruled);
    // Described, but not served here: also what is public elsewhere.
    assert_eq!(find(&rules, "/test.v1.Other/Public"), Found::Unserved);
    assert_eq!(find(&rules, "/test.v1.Other/Unruled"), Found::Unserved);
    assert_eq!(rules.unruled().count(), 2);
}

#[test]
fn only_the_exact_path_finds_its_rule() {
    let bytes = set(vec![("Desk", vec![ruled("Open", &public())])]);
    let rules = Rules::from_descriptors(&bytes)
        .unwrap()
        .serving(&["test.v1.Desk"]);
    for path in [
        "",
        "/",
        "//",
        "*",
        "test.v1.Desk/Open",
        "//test.v1.Desk/Open",
        "/test.v1.Desk/Open/",
        "/test.v1.Desk//Open",
        "/test.v1.desk/Open",
        "/test.v1.Desk/open",
        "/test.v1.Desk",
        "/test.v1.Desk/",
        "/test.v1.Desk/Open/Open",
        "/test.v1.Desk/%4fpen",
        "/Desk/Open",
        "/test.v1.Desk/../test.v1.Desk/Open",
        "/test.v1.Desk/Open\u{0}",
        "/test.v1.Desk/Open ",
    ] {
        assert_eq!(find(&rules, path), Found::Unserved, "{path}");
    }
}

#[test]
fn health_and_reflection_are_public_by_their_methods_only_when_asked() {
    let rules = Rules::default();
    assert_eq!(
        find(&rules, "/grpc.health.v1.Health/Check"),
        Found::Unserved
    );
    let rules = rules
        .allow_public(&[HEALTH_SERVICE])
        .allow_public(&REFLECTION_SERVICES);
    for path in [
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        assert_eq!(find(&rules, path), Found::Ruled(Access::Public), "{path}");
    }
    assert_eq!(
        find(&rules, "/grpc.health.v1.Health/Other"),
        Found::Unserved
    );
    assert_eq!(
        find(&rules, "/grpc.health.v2.Health/Check"),
        Found::Unserved
    );
}

#[test]
fn a_service_with_rules_does_not_become_public_by_its_name() {
    let bytes = set(vec![(
        "Desk",
        vec![ruled("Open", &token()), method("Unruled", vec![])],
    )]);
    let rules = Rules::from_descriptors(&bytes)
        .unwrap()
        .serving(&["test.v1.Desk", "vendor.Metrics"])
        .allow_public(&["test.v1.Desk", "vendor.Metrics"]);
    assert_eq!(
        find(&rules, "/test.v1.Desk/Open"),
        Found::Ruled(Access::Token)
    );
    assert_eq!(find(&rules, "/test.v1.Desk/Unruled"), Found::Unruled);
    assert_eq!(find(&rules, "/test.v1.Desk/Unknown"), Found::Unserved);
    assert_eq!(
        find(&rules, "/vendor.Metrics/Get"),
        Found::Ruled(Access::Public)
    );
    assert_eq!(find(&rules, "/vendor.Metrics/Get/"), Found::Unserved);
}

/// What `serving` leaves out may still be mounted: its rules are not there, and so it stays shut.
#[test]
fn a_service_with_rules_that_is_not_said_to_be_served_does_not_become_public_either() {
    let bytes = set(vec![
        ("Desk", vec![ruled("Open", &token())]),
        ("Admin", vec![ruled("Erase", &token())]),
    ]);
    for services in [&["test.v1.Desk"][..], &[]] {
        let rules = Rules::from_descriptors(&bytes)
            .unwrap()
            .serving(services)
            .allow_public(&["test.v1.Admin"]);
        assert_eq!(find(&rules, "/test.v1.Admin/Erase"), Found::Unserved);
    }
}

/// Whoever reads the policy must see every door that is open.
#[test]
fn a_service_that_is_public_by_its_name_is_listed() {
    let rules = Rules::default().allow_public(&["vendor.Metrics"]);
    let listed: Vec<_> = rules.iter().collect();
    assert_eq!(listed, [("/vendor.Metrics/*", &PUBLIC)]);
    assert_eq!(rules.get("/vendor.Metrics/Get"), Some(&PUBLIC));
    assert_eq!(rules.get("/vendor.Other/Get"), None);
}

#[test]
fn rules_are_listed_by_path() {
    let bytes = set(vec![
        ("B", vec![ruled("B", &token()), ruled("A", &public())]),
        ("A", vec![ruled("Z", &token())]),
    ]);
    let rules = Rules::from_descriptors(&bytes).unwrap();
    let paths: Vec<&str> = rules.iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/test.v1.A/Z", "/test.v1.B/A", "/test.v1.B/B"]);
}

#[test]
fn the_rules_of_our_own_contract_are_sound() {
    let rules = Rules::from_descriptors(millgate_contract::DESCRIPTORS).unwrap();
    let ours = |path: &str| path.starts_with("/millgate.");
    assert!(rules.iter().filter(|(path, _)| ours(path)).count() > 0);
    assert_eq!(rules.unruled().find(|path| ours(path)), None);
}

#[test]
fn the_scopes_are_those_that_some_rule_asks_for() {
    let scoped = |scope: &str| AccessRule {
        scope: scope.to_owned(),
        ..token()
    };
    let rules = Rules::from_descriptors(&set(vec![
        (
            "Desk",
            vec![ruled("A", &scoped("b")), ruled("B", &public())],
        ),
        (
            "Door",
            vec![
                ruled("A", &scoped("a")),
                ruled("B", &scoped("b")),
                ruled("C", &token()),
            ],
        ),
    ]))
    .unwrap();
    assert_eq!(rules.scopes().collect::<Vec<_>>(), ["a", "b"]);
}
