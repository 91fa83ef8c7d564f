//! JSON as RFC 8259 has it, and nothing beside it: texts that every reader must take, and texts that none may.
//!
//! The body is a `google.protobuf.Value`, so that any JSON is one.

use crate::sample::message;

const TAKEN: &[&str] = &[
    "[]",
    "[ ]",
    "{}",
    "{ }",
    "[[]]",
    "[\"\"]",
    "[\"a\"]",
    "[false]",
    "[null]",
    "[null, 1, \"1\", {}]",
    "true",
    "false",
    "1",
    "-0.1",
    "\"\"",
    "\"a\"",
    " [] ",
    "\t[]\r\n",
    "[1\n]",
    "[1,null,null,null,2]",
    "[2] ",
    "[0]",
    "[-0]",
    "[-1]",
    "[-123]",
    "[0.5]",
    "[123.456]",
    "[0e1]",
    "[0e+1]",
    "[0E1]",
    "[1e1]",
    "[1E22]",
    "[1E-2]",
    "[1E+2]",
    "[123e-10000]",
    "[123.456e78]",
    "[20e1]",
    "[-0.0000000000000000000000000000000000000000000001]",
    "[123456789012345678901234567890]",
    "{\"a\":\"b\"}",
    "{\"\":0}",
    "{\"a\":[]}",
    "{\"a\":{\"b\":{}}}",
    "{\"a\\u0000b\":1}",
    "{\"min\": -1.0e+28, \"max\": 1.0e+28}",
    "{\n\"a\": 1\n}",
    r#"["\"\\\/\b\f\n\r\t"]"#,
    r#"["\u0060\u012a\u12AB"]"#,
    r#"["\uD801\udc37"]"#,
    r#"["\ud83d\ude39\ud83d\udc8d"]"#,
    r#"["\u0000"]"#,
    r#"["\\u0000"]"#,
    r#"["\\a"]"#,
    r#"["\u0022"]"#,
    r#"["\uFFFF"]"#,
    r#"["\uDBFF\uDFFF"]"#,
    "[\"\u{7f}\"]",
    "[\"\u{2028}\u{2029}\"]",
    "[\"\u{20ac}\u{1d11e}\"]",
    "[\"a/*b*/c\"]",
    "[\"\u{a0}\"]",
    "[\"\u{feff}\"]",
];

const REFUSED: &[&str] = &[
    " ",
    "[",
    "]",
    "{",
    "}",
    "[[",
    "[]]",
    "{}}",
    "[}",
    "{]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[,]",
    "[1,,2]",
    "[1 2]",
    "[1 true]",
    "[1]x",
    "[1],",
    "[][]",
    "{}{}",
    "[1:2]",
    "[\"a\":1]",
    "[\"a\" \"b\"]",
    "[\"a\"",
    "[\"a\",4",
    "[\"a",
    "nul",
    "tru",
    "fals",
    "True",
    "NULL",
    "nan",
    "[nan]",
    "[NaN]",
    "[Infinity]",
    "[-Infinity]",
    "[Inf]",
    "[+Inf]",
    "[-NaN]",
    "[+1]",
    "[++1]",
    "[-]",
    "[--1]",
    "[- 1]",
    "[-01]",
    "[01]",
    "[012]",
    "[00]",
    "[1.]",
    "[-2.]",
    "[.5]",
    "[-.5]",
    "[0.]",
    "[0.e1]",
    "[2.e3]",
    "[0e]",
    "[0e+]",
    "[0E]",
    "[1e]",
    "[1e+]",
    "[1eE2]",
    "[1.0e-]",
    "[0.3e]",
    "[1 000]",
    "[1_000]",
    "[0x1]",
    "[0xG]",
    "[1a]",
    "[1.2a]",
    "[\u{ff11}]",
    "[1+2]",
    "[-foo]",
    "[.]",
    "[1.2.3]",
    "'a'",
    "['a']",
    "[a]",
    "\"",
    "\"a",
    "[\"\t\"]",
    "[\"\n\"]",
    "[\"\u{0}\"]",
    "[\"\u{1f}\"]",
    r#"["\"]"#,
    r#"["\a"]"#,
    r#"["\x00"]"#,
    r#"["\'"]"#,
    r#"["\ "]"#,
    r#"["\u"]"#,
    r#"["\u00"]"#,
    r#"["\u00g0"]"#,
    r#"["\u{12}"]"#,
    r#"["\U0041"]"#,
    r#"["\ud800"]"#,
    r#"["\uDC00"]"#,
    r#"["\ud800\u0041"]"#,
    r#"["\ud800\"]"#,
    r#"["\ud800abc"]"#,
    r#"["\uD800\uD800\uDC00"]"#,
    r#"["\🌀"]"#,
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    "{[]:1}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\",1}",
    "{\"a\" 1}",
    "{:1}",
    "{\"a\":1,}",
    "{,\"a\":1}",
    "{\"a\":1,,\"b\":2}",
    "{\"a\":1 \"b\":2}",
    "{\"a\"::1}",
    "{\"a\":1",
    "{\"a\":1]",
    "{\"a\":\"b\"}#",
    "{\"a\":\"b\"}/**/",
    "/*a*/[]",
    "[] // a",
    "[/**/]",
    "# a\n[]",
    "{\"a\":1 2}",
    "{\"a\":1}x",
    "<null>",
    "[<null>]",
    "*",
    "&",
    "@",
    "\\",
    "[\\n]",
    "\u{feff}[]",
    "\u{feff}",
    "[\u{b}1]",
    "\u{c}[]",
    "[\u{c}]",
    "\u{2060}",
    "[\u{a0}1]",
    "\u{a0}[]",
    "[1]\u{0}",
    "\u{0}",
    "[\u{0}]",
];

#[test]
fn json_is_taken() {
    for text in TAKEN {
        let taken = message("PUT", "/v1/value", text);
        assert!(taken.is_ok(), "{text:?}: {taken:?}");
    }
}

#[test]
fn what_is_nearly_json_is_refused() {
    for text in REFUSED {
        let refused = message("PUT", "/v1/value", text);
        let reason = refused
            .map(|message| format!("{message:?}"))
            .map_err(|problem| problem.reason);
        assert_eq!(reason, Err("JSON_MALFORMED".into()), "{text:?}");
    }
}

#[test]
fn octets_that_are_no_utf_8_are_refused() {
    let texts: &[&[u8]] = &[
        b"[\"\xff\"]",
        b"[\xff]",
        b"[\"\xc0\xaf\"]",
        b"[\"\xe0\xff\"]",
        b"[\"\xf4\xbf\xbf\xbf\"]",
        b"[\"\xed\xa0\x80\"]",
        b"[\"\xfc\x80\x80\x80\x80\x80\"]",
        b"[\"\x81\"]",
        b"[1e1\xe5]",
        b"[0\xe5]",
        b"[a\xe5]",
        b"\xe5",
        b"{\"\xb9\":\"0\"}",
        b"\xff\xfe[\x00]\x00",
        b"\x00[\x00]",
        b"[\x00]\x00",
        b"\xef\xbb",
        b"{\"a\":\"\xf0\x9d\"}",
    ];
    for text in texts {
        let refused = message("PUT", "/v1/value", text);
        let reason = refused
            .map(|message| format!("{message:?}"))
            .map_err(|problem| problem.reason);
        assert_eq!(
            reason,
            Err("JSON_MALFORMED".into()),
            "{:?}",
            text.escape_ascii().to_string()
        );
    }
}

#[test]
fn depth_has_a_bound_and_no_text_breaks_the_reader() {
    for open in ["[", "{\"a\":", "[{\"a\":", "{\"a\":["] {
        let deep = open.repeat(100_000);
        assert!(message("PUT", "/v1/value", &deep).is_err());
    }
    let closed = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(message("PUT", "/v1/value", &closed).is_err());
    // Numbers that no double holds are refused as values, or rounded to none.
    for text in [
        "[1e400]",
        "[-1e400]",
        "[123.456e789]",
        "[1e-400]",
        "[0.4e00669999999999999999999999999999999999999999999999999999999999999999999999999999]",
    ] {
        if let Err(problem) = message("PUT", "/v1/value", text) {
            assert_eq!(problem.code, tonic::Code::InvalidArgument, "{text}");
        }
    }
}
