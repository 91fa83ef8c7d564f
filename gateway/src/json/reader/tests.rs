use super::*;
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Result<(), Malformed> {
    let mut reader = Reader::new(bytes)?;
    reader.skip()?;
    reader.end()
}

#[test]
fn json_is_accepted_and_anything_else_is_not() {
    let good: [&str; 16] = [
        "{}",
        "[]",
        " [ ] ",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1.5e+10",
        "\"\"",
        "\"\\u00e9\\uD83D\\uDE00\"",
        "{\"a\":[1,{\"b\":null}]}",
        "\t\r\n1\n",
        "\"\u{7f}\"",
        "1E400",
        "[\"a\",\"\\\\\"]",
    ];
    for text in good {
        assert_eq!(read(text.as_bytes()), Ok(()), "{text}");
    }
    let bad: [&[u8]; 45] = [
        b"",
        b" ",
        b"{",
        b"[",
        b"}",
        b"]",
        b"{,}",
        b"[,]",
        b"[1,]",
        b"{\"a\":1,}",
        b"[1 2]",
        b"{\"a\" 1}",
        b"{\"a\"}",
        b"{a:1}",
        b"{'a':1}",
        b"{1:1}",
        b"[1",
        b"{\"a\":1",
        b"nul",
        b"True",
        b"NaN",
        b"Infinity",
        b"-",
        b"+1",
        b"01",
        b"-01",
        b"1.",
        b".5",
        b"1e",
        b"1e+",
        b"0x1",
        b"\"",
        b"\"\\x\"",
        b"\"\\u12\"",
        b"\"\\ud800\"",
        b"\"\\ud800\\u0041\"",
        b"\"\\udc00\"",
        b"\"\n\"",
        b"\"\x00\"",
        b"\"\xff\"",
        b"\xef\xbb\xbf{}",
        b"{}x",
        b"1 1",
        b"/**/1",
        b"[1]//",
    ];
    for text in bad {
        assert!(read(text).is_err(), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn the_place_of_a_fault_is_told() {
    let cases: [(&[u8], usize, usize); 5] = [
        (b"{\"a\": x}", 1, 7),
        (b"{\n  \"a\": 1,\n}", 3, 1),
        ("{\"é\": é}".as_bytes(), 1, 7),
        (b"[\n1,\n\xff", 3, 1),
        (b"", 1, 1),
    ];
    for (text, line, column) in cases {
        let fault = read(text).unwrap_err();
        assert_eq!((fault.line, fault.column), (line, column), "{fault}");
    }
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(read(nested(MOST_DEPTH).as_bytes()), Ok(()));
    assert_eq!(
        read(nested(MOST_DEPTH + 1).as_bytes()).unwrap_err().cause,
        "nested too deep"
    );
    assert_eq!(
        read("[".repeat(1_000_000).as_bytes()).unwrap_err().cause,
        "nested too deep"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_json_or_refused_exactly_as_serde_json_says(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let theirs = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok() && std::str::from_utf8(&bytes).is_ok();
        prop_assert_eq!(read(&bytes).is_ok(), theirs);
    }

    #[test]
    fn json_like_text_is_refused_exactly_as_serde_json_says(text in r#"[\[\]{}:,"\\u0-9a-f.eE+\- truefalsn]{0,24}"#) {
        let theirs = serde_json::from_str::<Loose>(&text).is_ok();
        prop_assert_eq!(read(text.as_bytes()).is_ok(), theirs, "{}", text);
    }

    #[test]
    fn a_string_is_read_as_it_was_written(value in ".*") {
        let text = serde_json::to_string(&value).unwrap();
        let mut reader = Reader::new(text.as_bytes()).unwrap();
        prop_assert_eq!(reader.string().unwrap(), value);
    }
}

/// serde_json checks escapes only where the text is wanted, and numbers only where they are kept.
#[derive(Debug)]
struct Loose;
impl<'de> serde::Deserialize<'de> for Loose {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Loose;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("anything")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Loose, E> {
                Ok(Loose)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Loose, E> {
                Ok(Loose)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Loose, E> {
                Ok(Loose)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Loose, E> {
                Ok(Loose)
            }
            fn visit_str<E>(self, _: &str) -> Result<Loose, E> {
                Ok(Loose)
            }
            fn visit_unit<E>(self) -> Result<Loose, E> {
                Ok(Loose)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Loose, A::Error> {
                while seq.next_element::<Loose>()?.is_some() {}
                Ok(Loose)
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Loose, A::Error> {
                while map.next_entry::<String, Loose>()?.is_some() {}
                Ok(Loose)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
