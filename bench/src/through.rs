//! (i) The gateway against the RPCs behind it, in one process, and its look-up of a route.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway::cors::Cors;
use gateway::rate::Rate;
use gateway::router::{Found, Router, Verb};
use gateway::streams::Streams;
use gateway::template::Template;
use gateway::{Gateway, LimitArgs, Peer, Rules, Upstream, UpstreamConfig};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::uri::InvalidUri;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::Full;
use millgate_contract::DESCRIPTORS;
use millgate_contract::factory::v1::product_service_client::ProductServiceClient;
use millgate_contract::factory::v1::{CreateProductRequest, Product};
use millgate_contract::google::r#type::Money;
use millgate_platform::{SystemEntropy, TrustedProxies};

use crate::Problem;
use crate::client::{Client, scattered, slot, told};
use crate::double::guarded;
use crate::keys::Keys;
use crate::load::{Load, Outcome};
use crate::measure::{Measured, Plan, Ratio, Subject, interleaved};
use crate::table::{Aim, Compared};

const ROUTES: usize = 200;
const PRODUCT: &str = r#"{"sku":"BENCH","name":"A product of the benchmark","unit_price":{"currency_code":"EUR","units":"12","nanos":500000000},"on_hand":"1000"}"#;

/// The look-up alone: among as many routes as a large API has, with ids and verbs in them.
pub(crate) async fn routes(plan: &Plan) -> Result<(Vec<Measured>, Vec<Compared>), Problem> {
    let mut router = Router::default();
    for number in 0..ROUTES {
        let text = match number % 4 {
            0 => format!("/v1/things-{number}"),
            1 => format!("/v1/things-{number}/{{id}}"),
            2 => format!("/v1/things-{number}/{{id}}:verb"),
            _ => format!("/v1/{{parent=things-{number}/*}}/parts/{{id}}"),
        };
        let inserted = router.insert(Verb::Only(Method::GET), Template::parse(&text)?, number);
        inserted.map_err(|other| format!("{text} is {other}"))?;
    }
    // Written beforehand: a request brings its path along.
    let paths: Vec<String> = (0..ROUTES)
        .map(|number| match number % 4 {
            0 => format!("/v1/things-{number}"),
            1 => format!("/v1/things-{number}/4711"),
            2 => format!("/v1/things-{number}/4711:verb"),
            _ => format!("/v1/things-{number}/7/parts/4711"),
        })
        .collect();
    let load = Load::computations(move |number| {
        let number = slot(scattered(number), ROUTES);
        let path = &paths[number];
        match router.find(&Method::GET, path) {
            Found::Route { target, .. } if *target == number => Ok(()),
            _ => Err(format!("{path} is not found")),
        }
    });
    let name = format!("(i) one look-up among {ROUTES} routes");
    Ok((
        interleaved(vec![Subject::new(name, load)], plan).await,
        Vec::new(),
    ))
}

/// The calls, direct and through the gateway: the same service, the same number of channels.
pub(crate) async fn measure(
    keys: &Keys,
    plan: &Plan,
) -> Result<(Vec<Measured>, Vec<Compared>), Problem> {
    let serving = guarded(keys).await?;
    let direct = Client::connect(serving.address, keys.bearer()?).await?;
    let products: Arc<[i64]> = (1..=1_000).collect();
    let upstream = UpstreamConfig {
        prefix: "millgate.factory.v1".to_owned(),
        endpoint: format!("http://{}", serving.address),
        setting: "bench".to_owned(),
    };
    let rules = Rules {
        deadline: Duration::from_secs(10),
        max_body_bytes: 4 * 1024 * 1024,
        body_timeout: Duration::from_secs(30),
        proxies: TrustedProxies::default(),
        proxy_secret: None,
        cors: Cors::default(),
        rate: Arc::new(Rate::new(&LimitArgs {
            requests_per_second: 0,
            ..LimitArgs::default()
        })),
        streams: Streams::new(0),
        tls: false,
        unruled: gateway::api::Unruled::default(),
        memory: gateway::memory::Memory::new(1 << 28, 1 << 22),
    };
    let upstreams = vec![Upstream::new(&upstream, None)?];
    let gateway = Arc::new(Gateway::new(
        DESCRIPTORS,
        upstreams,
        rules,
        Arc::new(SystemEntropy),
    )?);
    let bearer = HeaderValue::from_str(keys.bearer()?.to_str()?)?;
    let get = asked(&gateway, &bearer, Method::GET, |number| {
        let path = format!("/v1/products/{}", 1 + slot(scattered(number), 1_000));
        (path, "")
    });
    let post = asked(&gateway, &bearer, Method::POST, |_| {
        ("/v1/products".to_owned(), PRODUCT)
    });
    let subjects = vec![
        Subject::new(
            "(i) GetProduct of a double, over gRPC",
            direct.get_product(&products),
        ),
        Subject::new("(i) the same by GET through the gateway", get),
        Subject::new("(i) CreateProduct of a double, over gRPC", create(&direct)),
        Subject::new("(i) the same by POST through the gateway", post),
    ];
    let measured = interleaved(subjects, plan).await;
    let compared = |name: &str, over: usize, under: usize| Compared {
        name: name.to_owned(),
        ratio: Ratio::of_rates(&measured[over], &measured[under]),
        aim: Aim::AtLeast(0.60),
    };
    let compared = vec![
        compared("(i) rate of GET through the gateway / of the RPC", 1, 0),
        compared("(i) rate of POST through the gateway / of the RPC", 3, 2),
    ];
    Ok((measured, compared))
}

/// Requests that the gateway answers, from its first line of code to its last: without a connection in front.
fn asked(
    gateway: &Arc<Gateway>,
    bearer: &HeaderValue,
    method: Method,
    what: fn(u64) -> (String, &'static str),
) -> Load {
    let gateway = Arc::clone(gateway);
    // Read beforehand, as whoever reads a connection hands them over: the gateway's part begins after that.
    let headers = HeaderMap::from_iter([
        (HOST, HeaderValue::from_static("bench")),
        (AUTHORIZATION, bearer.clone()),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ]);
    let peer = Peer {
        address: IpAddr::from([127, 0, 0, 1]),
        is_proxy: false,
    };
    Load::calls(move |number| {
        let gateway = Arc::clone(&gateway);
        let (path, body) = what(number);
        let mut request = Request::new(Full::new(Bytes::from_static(body.as_bytes())));
        request.method_mut().clone_from(&method);
        request.headers_mut().clone_from(&headers);
        async move {
            *request.uri_mut() = path
                .parse()
                .map_err(|error: InvalidUri| error.to_string())?;
            answered(&gateway, request, peer).await
        }
    })
}

async fn answered(gateway: &Gateway, request: Request<Full<Bytes>>, peer: Peer) -> Outcome {
    let answer = gateway.answer(request, peer).await;
    match answer.status().is_success() {
        true => Ok(()),
        false => Err(format!("{}: {:?}", answer.status(), answer.body().whole())),
    }
}

fn create(client: &Client) -> Load {
    let client = client.clone();
    Load::calls(move |number| {
        let mut products = ProductServiceClient::new(client.channel(number));
        let product = Product {
            sku: "BENCH".to_owned(),
            name: "A product of the benchmark".to_owned(),
            unit_price: Some(Money {
                currency_code: "EUR".to_owned(),
                units: 12,
                nanos: 500_000_000,
            }),
            on_hand: 1_000,
            ..Product::default()
        };
        let request = client.request(CreateProductRequest {
            product: Some(product),
            request_id: String::new(),
        });
        async move {
            let answer = products.create_product(request).await;
            answer.map(drop).map_err(|status| told(&status))
        }
    })
}
