//! The texts of JSONTestSuite (`json_test_suite/README.md`): what every reader must take is taken, and what none may is
//! 400 and never 5xx. Sent over HTTP, so that the whole way counts.

use crate::sample::{DESCRIPTORS, message};
use crate::support::{Double, Gate};
use gateway::{Config, LimitArgs, UpstreamConfig};

#[derive(serde::Deserialize)]
struct Text {
    name: String,
    #[serde(default)]
    input: String,
    /// Instead of the input: a piece, so many times.
    #[serde(default)]
    repeated: String,
    #[serde(default)]
    times: usize,
}

fn texts() -> Vec<(String, String)> {
    let texts: Vec<Text> =
        serde_json::from_str(include_str!("json_test_suite/texts.json")).unwrap();
    assert_eq!(texts.len(), 271);
    let whole = |text: Text| (text.name, text.input + &text.repeated.repeat(text.times));
    texts.into_iter().map(whole).collect()
}

#[tokio::test]
async fn every_text_is_taken_or_refused_as_it_must_be() {
    let address = Double::empty().listen().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), DESCRIPTORS.as_slice()).unwrap();
    let gate = Gate::with(Config {
        descriptors: Some(file.path().to_owned()),
        more_upstreams: vec![UpstreamConfig {
            prefix: "sample".to_owned(),
            endpoint: format!("http://{address}"),
            setting: "GATEWAY_UPSTREAMS".to_owned(),
        }],
        limits: LimitArgs {
            requests_per_second: 0,
            ..LimitArgs::default()
        },
        ..Config::default()
    })
    .await;
    for (name, text) in texts() {
        let taken = name.starts_with("y_");
        // The body is a google.protobuf.Value: any JSON is one, but for an object that names a member twice, which
        // RFC 8259 leaves open and we refuse.
        let twice = name.starts_with("y_object_duplicated_key");
        let read = message("PUT", "/v1/value", &text);
        assert_eq!(
            read.is_ok(),
            taken && !twice || text.is_empty(),
            "{name}: {read:?}"
        );
        let answered = gate
            .signed("PUT", "/v1/value")
            .json(text.as_str())
            .send()
            .await;
        let expected = if taken && !twice || text.is_empty() {
            200
        } else {
            400
        };
        assert_eq!(answered.status.as_u16(), expected, "{name}: {answered:?}");
    }
}
