//! The build refuses an RPC without a sound access rule.

#[path = "../build/access_rules.rs"]
mod access_rules;

/// What the check says of one method with this option.
fn check(option: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let proto = format!(
        r#"syntax = "proto3";
        package shop.v1;
        import "millgate/access/v1/access.proto";
        service ShopService {{ rpc Open(OpenRequest) returns (OpenRequest) {{ {option} }} }}
        message OpenRequest {{}}"#
    );
    let file = folder.path().join("shop.proto");
    std::fs::write(&file, proto).unwrap();
    let contract = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let mut compiler = protox::Compiler::new([folder.path(), contract.as_ref()]).unwrap();
    compiler.include_imports(true).open_file(file).unwrap();
    access_rules::check(&compiler.encode_file_descriptor_set())
}

#[test]
fn a_method_without_a_sound_rule_does_not_compile() {
    let rule = |rule: &str| format!("option (millgate.access.v1.rule) = {{{rule}}};");
    for (option, complaint) in [
        (String::new(), "no access rule"),
        (rule(""), "an empty access rule"),
        (rule("scope: \"shop\""), "an empty access rule"),
        (
            rule("public: true role_required: [\"admin\"]"),
            "more than one of",
        ),
        (
            rule("token_required: true role_required: [\"admin\"]"),
            "more than one of",
        ),
        (
            rule("public: true scope: \"shop\""),
            "a public method takes no scope",
        ),
        (rule("role_required: [\"\"]"), "an empty role"),
        (
            rule("token_required: true scope: \"two scopes\""),
            "one scope-token",
        ),
        (
            rule("token_required: true fresh_within: -1"),
            "fresh_within is negative",
        ),
    ] {
        let refused = check(&option).expect_err(&option);
        assert!(
            refused.contains("shop.v1.ShopService.Open") && refused.contains(complaint),
            "{option}: {refused}"
        );
    }
}

#[test]
fn a_check_whose_terms_have_moved_does_not_pass() {
    let mut compiler =
        protox::Compiler::new([concat!(env!("CARGO_MANIFEST_DIR"), "/proto")]).unwrap();
    compiler
        .open_file(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/proto/google/api/http.proto"
        ))
        .unwrap();
    let mut described = compiler.file_descriptor_set();
    let method = prost_types::MethodDescriptorProto {
        name: Some("Open".into()),
        input_type: Some(".google.api.Http".into()),
        output_type: Some(".google.api.Http".into()),
        ..Default::default()
    };
    let service = prost_types::ServiceDescriptorProto {
        name: Some("ShopService".into()),
        method: vec![method],
        ..Default::default()
    };
    described.file[0].service.push(service);
    let refused = access_rules::check(&prost::Message::encode_to_vec(&described)).unwrap_err();
    assert!(
        refused.contains("ShopService.Open") && refused.contains("access.proto"),
        "{refused}"
    );
}

#[test]
fn each_of_the_three_ways_compiles() {
    for rule in [
        "public: true",
        "token_required: true scope: \"shop\"",
        "role_required: [\"admin\", \"user\"]",
    ] {
        assert_eq!(
            check(&format!("option (millgate.access.v1.rule) = {{{rule}}};")),
            Ok(())
        );
    }
}

#[test]
fn a_message_with_a_secret_does_not_print_it() {
    use millgate_contract::auth::v1::{LoginRequest, TokenResponse};
    let login = LoginRequest {
        username: "ada".into(),
        password: "hunter2".into(),
        ..Default::default()
    };
    assert_eq!(format!("{login:?}"), "LoginRequest { .. }");
    let tokens = TokenResponse {
        access_token: "eyJ".into(),
        ..Default::default()
    };
    assert_eq!(format!("{tokens:?}"), "TokenResponse { .. }");
}
