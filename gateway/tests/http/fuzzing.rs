//! What the fuzz target (`fuzz/`) does with a request, with requests that are nearly right: so it compiles and holds.

#[path = "../../fuzz/request.rs"]
mod request;

use proptest::prelude::*;

const LINES: [&str; 8] = [
    "POST /v1/products",
    "PATCH /v1/products/7",
    "GET /v1/products?page_size=",
    "POST /v1/orders",
    "POST /v1/orders/7:confirm",
    "POST /v1/auth/login",
    "GET /v1/users/7?",
    "POST /register",
];

#[test]
fn a_request_for_a_method_is_known_as_one() {
    for line in LINES {
        let request = format!("{line}\n{{}}");
        assert!(request::is_bound_or_refused(request.as_bytes()), "{line}");
    }
    for other in ["", "GET /v1/products", "GET /nowhere\n", "? /v1/products\n"] {
        assert!(!request::is_bound_or_refused(other.as_bytes()), "{other}");
    }
}

proptest! {
    #[test]
    fn whatever_is_sent_to_a_method_is_bound_or_refused(
        line in prop::sample::select(LINES.to_vec()),
        more in "[a-z0-9&=.%_-]{0,20}",
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            r#"\{("(product|sku|name|unit_price|units|lines|quantity|id|x)":(\{\}|\[\{\}\]|"7"|7|null|true),?){0,4}\}"#.prop_map(String::into_bytes),
        ],
    ) {
        let request = [line.as_bytes(), more.as_bytes(), b"\n", &body].concat();
        request::is_bound_or_refused(&request);
    }
}
