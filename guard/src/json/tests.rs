use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Whether the reader takes the text, reading nothing in particular.
fn takes(text: &str) -> Result<(), Flaw> {
    read_object(text.as_bytes(), |value, _| value.skip_value())
}

fn string_of(text: &str) -> Result<String, Flaw> {
    let mut read = String::new();
    read_object(text.as_bytes(), |value, _| {
        read = value.string()?.into_owned();
        Ok(())
    })?;
    Ok(read)
}

fn integer_of(text: &str) -> Result<i64, Flaw> {
    let mut read = 0;
    read_object(text.as_bytes(), |value, _| {
        read = value.integer()?;
        Ok(())
    })?;
    Ok(read)
}

#[test]
fn objects_are_read_with_and_without_whitespace() {
    for text in [
        "{}",
        " { } ",
        r#"{"a":1}"#,
        "\r\n\t {\"a\" : [ ] ,\n\"b\":[ 1 , {} ]} ",
        r#"{"a":-0.5e+7,"b":1E5,"c":0,"d":true,"e":false,"f":null,"g":"x"}"#,
        r#"{"":""}"#,
    ] {
        assert_eq!(takes(text), Ok(()), "{text}");
    }
}

#[test]
fn what_is_not_one_object_is_refused() {
    for text in [
        "",
        " ",
        "[]",
        "1",
        "\"a\"",
        "null",
        "{",
        "}",
        "{}{}",
        "{},",
        "{}x",
        "\u{feff}{}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":[1,]}",
        "{\"a\":[,1]}",
        "{\"a\":[1 2]}",
        "{\"a\":[}",
        "{\"a\":tru}",
        "{\"a\":nul}",
        "{\"a\":True}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{/**/}",
        "{\"a\"\u{a0}:1}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":-}",
        "{\"a\":0x1}",
        "{\"a\":1_0}",
    ] {
        assert!(takes(text).is_err(), "{text}");
    }
}

#[test]
fn a_name_may_not_stand_twice_anywhere() {
    let flaw = Err("a member name stands twice");
    assert_eq!(takes(r#"{"a":1,"a":1}"#), flaw);
    assert_eq!(takes(r#"{"x":{"a":1,"b":2,"a":3}}"#), flaw);
    assert_eq!(takes(r#"{"x":[[{"a":1,"a":2}]]}"#), flaw);
    // Spelled with an escape it is the same name.
    assert_eq!(takes(r#"{"role":"customer","\u0072ole":"admin"}"#), flaw);
    assert_eq!(takes(r#"{"a":{"a":{"a":1}},"A":1}"#), Ok(()));
    // However many there are before.
    let many = |last: &str| {
        let members: Vec<String> = (0..40).map(|number| format!("\"m{number}\":0")).collect();
        format!("{{{},\"{last}\":1}}", members.join(","))
    };
    assert_eq!(takes(&many("m40")), Ok(()));
    for twice in (0..40).map(|number| format!("m{number}")) {
        assert_eq!(takes(&many(&twice)), flaw, "{twice}");
    }
}

#[test]
fn a_string_ends_at_its_quote_wherever_that_stands() {
    for length in 0..40 {
        for fill in ["a", "!", "#", "[", "\u{7f}", "\u{e9}", "\u{1f600}"] {
            let text = fill.repeat(length);
            assert_eq!(
                string_of(&format!("{{\"a\":\"{text}\"}}")),
                Ok(text.clone())
            );
            let escaped = format!("{{\"a\":\"{text}\\n{text}\"}}");
            assert_eq!(string_of(&escaped), Ok(format!("{text}\n{text}")));
            for control in ["\u{0}", "\u{1f}", "\n"] {
                let broken = format!("{{\"a\":\"{text}{control}{text}\"}}");
                assert_eq!(
                    string_of(&broken),
                    Err("a string holds a control character")
                );
            }
        }
    }
}

#[test]
fn sixteen_levels_are_read_and_seventeen_refused() {
    let nested = |levels: usize| {
        let inner = levels - 1;
        format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
    };
    assert_eq!(takes(&nested(16)), Ok(()));
    assert_eq!(takes(&nested(17)), Err("the JSON is nested too deeply"));
    assert!(takes(&"{\"a\":".repeat(10_000)).is_err());
    // Closing gives the levels back.
    let wide = format!("{{\"a\":[{}]}}", ["[[]]"; 100].join(","));
    assert_eq!(takes(&wide), Ok(()));
}

#[test]
fn integers_are_integers() {
    assert_eq!(integer_of(r#"{"a":0}"#), Ok(0));
    assert_eq!(integer_of(r#"{"a":-7}"#), Ok(-7));
    assert_eq!(integer_of(r#"{"a":9223372036854775807}"#), Ok(i64::MAX));
    assert_eq!(integer_of(r#"{"a":-9223372036854775808}"#), Ok(i64::MIN));
    for value in [
        "9223372036854775808",
        "-0",
        "1.0",
        "1e3",
        "1E3",
        "01",
        "-01",
        "\"1\"",
        "true",
        "null",
        "[1]",
        "",
        "+1",
        "1f",
    ] {
        let text = format!("{{\"a\":{value}}}");
        assert!(integer_of(&text).is_err(), "{text}");
    }
}

#[test]
fn strings_are_unescaped() {
    let text = r#"{"a":"q\"\\\/\b\f\n\r\tä\u00e4\ud83d\ude00\u0000"}"#;
    assert_eq!(
        string_of(text).as_deref(),
        Ok("q\"\\/\u{8}\u{c}\n\r\tää😀\0")
    );
}

#[test]
fn bad_strings_are_refused() {
    for value in [
        r#""\ud83d""#,
        r#""\ud83dx""#,
        r#""\ud83d\n""#,
        r#""\ud83d\u0041""#,
        r#""\ud83d\ue000""#,
        r#""\ud83d\ud83d""#,
        r#""\ude00""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\u+123""#,
        r#""\x41""#,
        r#""\U0041""#,
        "\"\\",
        "\"a",
        "\"a\nb\"",
        "\"a\0b\"",
        "\"\u{1f}\"",
        "a",
    ] {
        let text = format!("{{\"a\":{value}}}");
        assert!(string_of(&text).is_err(), "{text}");
    }
    assert!(read_object(b"{\"a\":\"\xff\"}", |value, _| value.skip_value()).is_err());
    assert!(read_object(b"{\"a\":\"\xed\xa0\x80\"}", |value, _| value.skip_value()).is_err());
}

/// JSON of every kind, as text, nested at most four levels.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_read(value in any_json(), name in any::<String>()) {
        let text = serde_json::json!({ name: value }).to_string();
        prop_assert_eq!(takes(&text), Ok(()));
    }

    #[test]
    fn strings_are_read_as_serde_json_reads_them(text in any::<String>()) {
        let object = serde_json::json!({ "a": text }).to_string();
        prop_assert_eq!(string_of(&object), Ok(text));
    }

    /// Nothing passes that the well-known parser would refuse, and no bytes make it panic.
    #[test]
    fn what_is_read_is_json(text in r#"[{}\[\]",:\\a0-9eE.+\-u tfn]{0,24}"#) {
        let text = format!("{{{text}}}");
        if takes(&text).is_ok() {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_object(&bytes, |value, _| value.skip_value());
        let _ = read_object(&bytes, |value, _| value.integer().map(drop));
    }
}
