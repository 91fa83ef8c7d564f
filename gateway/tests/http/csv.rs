//! Client streams from CSV: what the header row names, a message a row, sent on while the body comes.

use crate::streams::{Library, noted, three_then};
use crate::support::{Answered, Gate};
use bytes::Bytes;
use gateway::LimitArgs;
use serde_json::{Value, json};
use tokio::sync::mpsc;

async fn library() -> (Library, Gate, tempfile::NamedTempFile) {
    let library = three_then(None);
    let limits = LimitArgs {
        max_body_bytes: 1024,
        ..LimitArgs::default()
    };
    let (gate, file) = library.gate(limits).await;
    (library, gate, file)
}

async fn send(gate: &Gate, path: &str, body: impl Into<reqwest::Body>) -> Answered {
    let request = gate.signed("POST", path).header("content-type", "text/csv");
    request.body(body).send().await
}

/// The messages, then how they ended.
fn sent(library: &Library) -> Vec<Value> {
    let noted = library.imported();
    let told = noted
        .iter()
        .map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text)));
    told.collect()
}

#[tokio::test]
async fn rows_follow_the_options_that_the_query_tells() {
    let (library, gate, _file) = library().await;
    let table = "\u{feff}name,colour,inner.name,numbers,numbers,time,second\r\n\
        one,COLOUR_RED,deep,1,2,2026-01-31T09:30:00Z,3\r\n\
        \"two, \"\"quoted\"\"\nover lines\",,,,,,\r\n\
        \n\
        three,1,,7,,,";
    let answered = send(&gate, "/v1/rows:import?dry_run=true&label=a%20b", table).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    assert_eq!(answered.json()["name"], "done");
    let expected = [
        json!({"options": {"dryRun": true, "label": "a b"}}),
        json!({"row": {"line": "2", "name": "one", "colour": "COLOUR_RED", "inner": {"name": "deep"},
            "numbers": [1, 2], "time": "2026-01-31T09:30:00Z", "second": 3}}),
        json!({"row": {"line": "3", "name": "two, \"quoted\"\nover lines"}}),
        json!({"row": {"line": "6", "name": "three", "colour": "COLOUR_RED", "numbers": [7]}}),
        json!("<complete>"),
    ];
    assert_eq!(sent(&library), expected);
}

#[tokio::test]
async fn a_body_field_is_what_rows_fill_and_path_and_query_tell_the_rest_once() {
    let (library, gate, _file) = library().await;
    let table = "line,name\n70,one\n,two\n";
    let answered = send(&gate, "/v1/shelves/top:import?dry_run=true", table).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    let expected = [
        json!({"shelf": "top", "dryRun": true, "row": {"line": "70", "name": "one"}}),
        json!({"shelf": "top", "row": {"name": "two"}}),
        json!("<complete>"),
    ];
    assert_eq!(sent(&library), expected);
    // The same as lines: a line is what the body is.
    let lines = gate
        .signed("POST", "/v1/shelves/top:import?dry_run=true")
        .header("content-type", "application/x-ndjson");
    let answered = lines.body("{\"name\":\"three\"}\n{}\n").send().await;
    assert_eq!(answered.status, 200, "{answered:?}");
    assert_eq!(
        sent(&library)[3..5],
        [
            json!({"shelf": "top", "dryRun": true, "row": {"name": "three"}}),
            json!({"shelf": "top", "row": {}}),
        ]
    );
}

#[tokio::test]
async fn rows_are_sent_on_while_the_body_is_still_coming() {
    let (library, gate, _file) = library().await;
    let (pieces, receive) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = reqwest::Body::wrap_stream(tokio_stream::wrappers::ReceiverStream::new(receive));
    let request = gate
        .signed("POST", "/v1/import")
        .header("content-type", "text/csv; charset=UTF-8");
    let running = tokio::spawn(request.body(body).send());
    // Cut in a name, in a character, and inside of quotes.
    for (piece, number) in [
        ("name,co", 0),
        ("unt\none,1\n\"z\u{fc}", 1),
        ("\n\"\"", 1),
        ("\",2\n", 2),
    ] {
        pieces.send(Ok(piece.into())).await.unwrap();
        assert_eq!(noted(&library, number).await.len(), number, "{piece:?}");
    }
    drop(pieces);
    assert_eq!(running.await.unwrap().status, 200);
    assert_eq!(library.imported(), ["one", "zü\n\"", "<complete>"]);
}

#[tokio::test]
async fn a_bad_row_is_told_by_its_line_and_its_columns_and_completes_nothing() {
    let (library, gate, _file) = library().await;
    let cases: [(&str, &str, &str, &[&str]); 11] = [
        ("name,nam\n", "UNKNOWN_FIELD", "line 1: ", &["nam"]),
        ("name,name\n", "DUPLICATE_FIELD", "line 1: ", &["name"]),
        ("name,\n", "UNKNOWN_FIELD", "line 1: ", &[""]),
        ("inner\n", "FIELD_INVALID", "line 1: ", &["inner"]),
        (
            "name,colour\none\n",
            "MESSAGE_MALFORMED",
            "line 2: there are 1 cells",
            &[],
        ),
        (
            "name\none\n\"a\nb\",c\n",
            "MESSAGE_MALFORMED",
            "line 3: there are 2 cells",
            &[],
        ),
        (
            "name\none\n\"two\n",
            "MESSAGE_MALFORMED",
            "line 3: a quote is not closed",
            &[],
        ),
        (
            "name\n\"a\"x\"b\nc\"\n",
            "MESSAGE_MALFORMED",
            "line 2: the quotes do not fit",
            &[],
        ),
        (
            "colour,time\nBLUE,noon\n",
            "FIELD_INVALID",
            "line 2: ",
            &["colour", "time"],
        ),
        (
            "first,second\na,1\n",
            "FIELD_INVALID",
            "line 2: ",
            &["second"],
        ),
        (
            "name\none\nt\0wo\r\n\n\nnumbers\n\"",
            "MESSAGE_MALFORMED",
            "line 7: ",
            &[],
        ),
    ];
    for (table, reason, message, fields) in cases {
        let refused = send(&gate, "/v1/rows:import", table).await;
        refused.expect(400, reason);
        let json = refused.json();
        let told = json["error"]["message"].as_str().unwrap();
        assert!(told.starts_with(message), "{table:?}: {told}");
        assert_eq!(refused.fields(), fields, "{table:?}");
    }
    let latin = [&b"name\n"[..], b"z\xfc\n"].concat();
    send(&gate, "/v1/rows:import", latin)
        .await
        .expect(400, "MESSAGE_MALFORMED");
    for query in [
        "dry_run=maybe",
        "row.name=x",
        "options.label=x",
        "nothing=1",
    ] {
        let refused = send(&gate, &format!("/v1/rows:import?{query}"), "name\none\n").await;
        assert_eq!(refused.status, 400, "{query}: {refused:?}");
    }
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert!(!library.imported().contains(&"<complete>".to_owned()));
}

#[tokio::test]
async fn what_a_row_may_weigh_has_a_bound_and_what_all_may_has_none() {
    let (library, gate, _file) = library().await;
    let quoted = format!("name\n\"{}", "a\n".repeat(2000));
    let refused = send(&gate, "/v1/rows:import", quoted).await;
    refused.expect(413, "MESSAGE_TOO_LARGE");
    let wide = format!("name{}\n", ",".repeat(2000));
    send(&gate, "/v1/rows:import", wide)
        .await
        .expect(413, "MESSAGE_TOO_LARGE");
    let many = format!("name\n{}", "one\n".repeat(2000));
    assert_eq!(send(&gate, "/v1/import", many).await.status, 200);
    assert_eq!(
        library
            .imported()
            .iter()
            .filter(|name| *name == "one")
            .count(),
        2000
    );
    for kind in [
        "text/csv; charset=latin1",
        "text/csv; header=absent",
        "text/plain",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
    ] {
        let request = gate
            .signed("POST", "/v1/rows:import")
            .header("content-type", kind);
        request
            .body("name\none\n")
            .send()
            .await
            .expect(415, "CONTENT_TYPE");
    }
}

#[test]
fn the_document_tells_of_both_forms_and_of_the_options() {
    let document = crate::sample::openapi();
    let rows = &document["paths"]["/v1/rows:import"]["post"];
    let content = rows["requestBody"]["content"].as_object().unwrap();
    assert!(content.contains_key("application/x-ndjson") && content.contains_key("text/csv"));
    let names: Vec<&str> = rows["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["dry_run", "label"]);
    assert!(document["paths"]["/v1/import"]["post"]["parameters"].is_null());
}
