//! Anybody's services behind the gateway, its numbers, and how often one address may ask.

use crate::sample::DESCRIPTORS;
use crate::support::{Double, Gate, config, nobody};
use gateway::{Config, LimitArgs, UpstreamConfig, prepare};
use millgate_platform::{MetricsArgs, SystemEntropy};
use std::sync::Arc;

fn sample(endpoint: String) -> (tempfile::NamedTempFile, Config) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), DESCRIPTORS.as_slice()).unwrap();
    let config = Config {
        descriptors: Some(file.path().to_owned()),
        more_upstreams: vec![UpstreamConfig {
            prefix: "sample".to_owned(),
            endpoint,
            setting: "GATEWAY_UPSTREAMS".to_owned(),
        }],
        ..Config::default()
    };
    (file, config)
}

#[tokio::test]
async fn anybodys_services_are_served_from_their_descriptors() {
    let double = Double::empty();
    let address = double.clone().listen().await;
    let (_file, config) = sample(format!("http://{address}"));
    let gate = Gate::with(config).await;
    let answered = gate.signed("GET", "/v1/shelves/1/books/2").send().await;
    assert_eq!(answered.status, 200, "{answered:?}");
    assert_eq!(double.only().path, "/sample.Library/GetBook");
    // The contract is not there, and the document is of what is.
    gate.signed("GET", "/v1/products")
        .send()
        .await
        .expect(404, "ROUTE_NOT_FOUND");
    let document = gate.request("GET", "/openapi.json").send().await.json();
    assert_eq!(document["info"]["title"], "sample");
}

#[tokio::test]
async fn a_service_of_ones_own_may_stand_beside_or_before_the_contracts() {
    let (usual, other) = (Double::empty(), Double::empty());
    let usual_at = usual.clone().listen().await;
    let other_at = other.clone().listen().await;
    let gate = Gate::with(Config {
        more_upstreams: vec![UpstreamConfig {
            prefix: "millgate.factory.v1.ProductService".to_owned(),
            endpoint: format!("http://{other_at}"),
            setting: "GATEWAY_UPSTREAMS".to_owned(),
        }],
        ..config(usual_at)
    })
    .await;
    assert_eq!(
        gate.signed("GET", "/v1/products/7").send().await.status,
        200
    );
    assert_eq!(gate.signed("GET", "/v1/orders/7").send().await.status, 200);
    assert_eq!(
        other.only().path,
        "/millgate.factory.v1.ProductService/GetProduct"
    );
    assert_eq!(
        usual.only().path,
        "/millgate.factory.v1.OrderService/GetOrder"
    );
}

#[tokio::test]
async fn a_descriptor_set_that_cannot_be_served_is_refused_at_start() {
    let start = |config: Config| {
        let refused = prepare(config, Arc::new(SystemEntropy));
        refused.map(|_| ()).unwrap_err().to_string()
    };
    let (file, config) = sample("http://127.0.0.1:1".to_owned());
    std::fs::write(file.path(), b"no descriptors").unwrap();
    assert!(start(config).contains("descriptor set"));
    let (_file, config) = sample("nowhere".to_owned());
    assert!(start(config).contains("GATEWAY_UPSTREAMS"));
    let (file, config) = sample("http://127.0.0.1:1".to_owned());
    drop(file);
    assert!(start(config).contains("GATEWAY_DESCRIPTORS"));
    // A name that nothing has is misspelt.
    let (_file, mut config) = sample("http://127.0.0.1:1".to_owned());
    let mut other = config.more_upstreams[0].clone();
    other.prefix = "sampel".to_owned();
    config.more_upstreams.push(other);
    let refused = start(config);
    assert!(
        refused.contains("GATEWAY_UPSTREAMS") && refused.contains("sampel"),
        "{refused}"
    );
}

#[tokio::test]
async fn what_has_no_access_rule_asks_for_a_token_unless_it_is_set_otherwise() {
    let double = Double::empty();
    let address = double.clone().listen().await;
    let (_file, strict) = sample(format!("http://{address}"));
    let lenient = Config {
        pass_unruled: true,
        ..strict.clone()
    };
    let gate = Gate::with(strict).await;
    let refused = gate.request("GET", "/v1/shelves/1/books/2").send().await;
    refused.expect(401, "TOKEN_MISSING");
    assert!(double.seen().is_empty());
    let of = |document: &serde_json::Value| {
        let operation = &document["paths"]["/v1/any"]["get"];
        (
            operation["security"].to_string(),
            operation["description"].to_string(),
        )
    };
    let document = gate.request("GET", "/openapi.json").send().await.json();
    let (security, description) = of(&document);
    assert_eq!(security, r#"[{"bearer":[]}]"#);
    assert!(description.contains("with a token; the service decides"));

    let gate = Gate::with(lenient).await;
    let passed = gate.request("GET", "/v1/shelves/1/books/2").send().await;
    assert_eq!(passed.status, 200, "{passed:?}");
    assert_eq!(double.only().header("authorization"), None);
    let document = gate.request("GET", "/openapi.json").send().await.json();
    let (security, _) = of(&document);
    assert_eq!(security, r#"[{},{"bearer":[]}]"#);

    // A rule is a rule, whatever is set.
    let double = Double::empty();
    let gate = Gate::with(Config {
        pass_unruled: true,
        ..config(double.clone().listen().await)
    })
    .await;
    let refused = gate.request("GET", "/v1/products").send().await;
    refused.expect(401, "TOKEN_MISSING");
    assert!(double.seen().is_empty());
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_when_to_come_back() {
    let double = Double::empty();
    let upstream = double.clone().listen().await;
    let gate = Gate::with(Config {
        limits: LimitArgs {
            requests_per_second: 1,
            requests_burst: 3,
            ..LimitArgs::default()
        },
        ..config(upstream)
    })
    .await;
    let ask = || gate.signed("GET", "/v1/products").send();
    for _ in 0..3 {
        assert_eq!(ask().await.status, 200);
    }
    let refused = ask().await;
    refused.expect(429, "RATE_LIMITED");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(double.seen().len(), 3);
    // Whether it is ready costs the services a call each, so that is counted, too.
    gate.request("GET", "/readyz")
        .send()
        .await
        .expect(429, "RATE_LIMITED");
    // Whoever asks for the state of the process is not counted, and an invented address helps nobody.
    assert_eq!(gate.request("GET", "/healthz").send().await.status, 200);
    let posing = gate
        .signed("GET", "/v1/products")
        .header("x-forwarded-for", "192.0.2.9");
    posing.send().await.expect(429, "RATE_LIMITED");
}

#[tokio::test]
async fn requests_are_counted_by_rpc_and_no_stranger_makes_up_a_series() {
    let upstream = Double::empty().listen().await;
    let numbers = nobody().await;
    let gate = Gate::with(Config {
        metrics: MetricsArgs {
            metrics_listen: Some(numbers),
            ..MetricsArgs::default()
        },
        ..config(upstream)
    })
    .await;
    gate.signed("GET", "/v1/products/7").send().await;
    gate.request("GET", "/v1/products/7").send().await;
    gate.request("GET", "/made-up").send().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let scraped = client
        .get(format!("http://{numbers}/metrics"))
        .send()
        .await
        .unwrap();
    let text = scraped.text().await.unwrap();
    let method = "millgate.factory.v1.ProductService.GetProduct";
    for line in [
        format!("millgate_http_requests_total{{method=\"{method}\",status=\"200\"}} 1"),
        format!("millgate_http_requests_total{{method=\"{method}\",status=\"401\"}} 1"),
        "millgate_http_requests_total{method=\"other\",status=\"404\"} 1".to_owned(),
        format!("millgate_http_request_seconds_count{{method=\"{method}\"}} 2"),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(!text.contains("made-up"));
    // The numbers are not for those who call.
    gate.request("GET", "/metrics")
        .send()
        .await
        .expect(404, "ROUTE_NOT_FOUND");
}
