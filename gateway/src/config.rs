//! The settings of the gateway.

use millgate_platform::config::duration;
use millgate_platform::{ClientTlsArgs, MetricsArgs, ProxyArgs, TlsArgs};
use secrecy::SecretString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::upstream::UpstreamConfig;

/// The settings of the gateway. Every flag can also be given in the environment.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where the gateway listens.
    #[arg(
        long,
        env = "GATEWAY_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080"
    )]
    pub listen: SocketAddr,

    /// The auth service: serves the package millgate.auth.v1.
    #[arg(
        long,
        env = "AUTH_ENDPOINT",
        value_name = "URL",
        default_value = "http://127.0.0.1:50051"
    )]
    pub auth_endpoint: String,

    /// The factory service: serves the package millgate.factory.v1.
    #[arg(
        long,
        env = "FACTORY_ENDPOINT",
        value_name = "URL",
        default_value = "http://127.0.0.1:50052"
    )]
    pub factory_endpoint: String,

    /// A descriptor set to serve instead of Millgate's contract: what `protoc --include_imports --include_source_info
    /// --descriptor_set_out` or `buf build -o` writes. A service of it without an upstream is not served.
    #[arg(
        long,
        env = "GATEWAY_DESCRIPTORS",
        value_name = "FILE",
        requires = "upstreams"
    )]
    pub descriptors: Option<PathBuf>,

    /// What serves a package or a service, as PREFIX=URL, e.g. shop.v1=http://127.0.0.1:9000 (comma-separated). The
    /// longest prefix wins.
    #[arg(
        id = "upstreams",
        long = "upstream",
        env = "GATEWAY_UPSTREAMS",
        value_name = "PREFIX=URL",
        value_delimiter = ',',
        value_parser = upstream
    )]
    pub more_upstreams: Vec<UpstreamConfig>,

    /// Let calls without a token through to methods that have no access rule (`millgate.access.v1.rule`): the service
    /// decides. Otherwise they are refused, as for every method that is not public.
    #[arg(long, env = "GATEWAY_PASS_UNRULED")]
    pub pass_unruled: bool,

    /// Web pages that may call, by their exact origin, e.g. https://app.example.com (comma-separated).
    #[arg(
        long,
        env = "GATEWAY_CORS_ORIGINS",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub cors_origins: Vec<String>,

    /// What a request and a connection are held to.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// Where the numbers can be read.
    #[command(flatten)]
    pub metrics: MetricsArgs,

    /// The TLS of the listener.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// The TLS towards the services.
    #[command(flatten)]
    pub client_tls: ClientTlsArgs,

    /// Who is believed about a client's address.
    #[command(flatten)]
    pub proxies: ProxyArgs,

    /// By this secret the gateway proves to services in the same process what it says of a client's address. Made anew
    /// at each start, never configured.
    #[arg(skip)]
    pub proxy_secret: Option<SecretString>,
}

/// The limits of the gateway.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// The longest that a call may take; a client's `grpc-timeout` can only shorten it.
    #[arg(long, env = "GATEWAY_DEADLINE", value_name = "TIME", default_value = "10s", value_parser = positive)]
    pub deadline: Duration,

    /// The largest body of a request, in bytes.
    #[arg(long, env = "GATEWAY_MAX_BODY_BYTES", value_name = "BYTES", default_value_t = 4 * 1024 * 1024,
        value_parser = clap::value_parser!(u32).range(1024..=268_435_456))]
    pub max_body_bytes: u32,

    /// The memory that all bodies above 64 KiB may hold at once, in bytes: those of requests, and those of answers to GET
    /// until they are taken. One address has a quarter of it.
    #[arg(long, env = "GATEWAY_BODY_MEMORY_BYTES", value_name = "BYTES", default_value_t = 256 * 1024 * 1024)]
    pub body_memory_bytes: u32,

    /// How long the headers of a request may take to arrive, from their first octet on, and how long a new connection
    /// may wait before it sends one.
    #[arg(long, env = "GATEWAY_HEADER_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = positive)]
    pub header_timeout: Duration,

    /// How long the body of a request may take to arrive; of a stream, how long the next piece of it may.
    #[arg(long, env = "GATEWAY_BODY_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = positive)]
    pub body_timeout: Duration,

    /// How long a connection may stay without another request, and how long a client may take no more of its answer.
    #[arg(long, env = "GATEWAY_IDLE_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = positive)]
    pub idle_timeout: Duration,

    /// How long a TLS handshake may take.
    #[arg(long, env = "GATEWAY_TLS_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "5s", value_parser = positive)]
    pub tls_handshake_timeout: Duration,

    /// Most connections at once.
    #[arg(long, env = "GATEWAY_MAX_CONNECTIONS", value_name = "NUMBER", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// Connections that one address (IPv6: one /64) may have at once, unless it is a trusted proxy's; 0 for any number.
    #[arg(
        long,
        env = "GATEWAY_CONNECTIONS_PER_ADDRESS",
        value_name = "NUMBER",
        default_value_t = 1000
    )]
    pub connections_per_address: u32,

    /// Requests a second from one address (IPv6: one /64); 0 for any number.
    #[arg(
        long,
        env = "GATEWAY_REQUESTS_PER_SECOND",
        value_name = "NUMBER",
        default_value_t = 1000
    )]
    pub requests_per_second: u32,

    /// Requests that an address may make at once before the rate counts.
    #[arg(
        long,
        env = "GATEWAY_REQUESTS_BURST",
        value_name = "NUMBER",
        default_value_t = 2000
    )]
    pub requests_burst: u32,

    /// Streams that one address (IPv6: one /64) may have open at once; 0 for any number.
    #[arg(
        long,
        env = "GATEWAY_STREAMS_PER_ADDRESS",
        value_name = "NUMBER",
        default_value_t = 50
    )]
    pub streams_per_address: u32,

    /// How long a gateway that was told to stop lets running requests finish.
    #[arg(long, env = "GATEWAY_DRAIN", value_name = "TIME", default_value = "10s", value_parser = positive)]
    pub drain: Duration,
}

impl Default for LimitArgs {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            max_body_bytes: 4 * 1024 * 1024,
            body_memory_bytes: 256 * 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            tls_handshake_timeout: Duration::from_secs(5),
            max_connections: 10_000,
            connections_per_address: 1000,
            requests_per_second: 1000,
            requests_burst: 2000,
            streams_per_address: 50,
            drain: Duration::from_secs(10),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            auth_endpoint: "http://127.0.0.1:50051".to_owned(),
            factory_endpoint: "http://127.0.0.1:50052".to_owned(),
            descriptors: None,
            more_upstreams: Vec::new(),
            pass_unruled: false,
            cors_origins: Vec::new(),
            metrics: MetricsArgs::default(),
            limits: LimitArgs::default(),
            tls: TlsArgs::default(),
            client_tls: ClientTlsArgs::default(),
            proxies: ProxyArgs::default(),
            proxy_secret: None,
        }
    }
}

impl Config {
    /// The services behind the gateway.
    pub fn upstreams(&self) -> Vec<UpstreamConfig> {
        let upstream = |prefix: &str, setting: &str, endpoint: &String| UpstreamConfig {
            prefix: prefix.to_owned(),
            endpoint: endpoint.clone(),
            setting: setting.to_owned(),
        };
        if self.descriptors.is_some() {
            return self.more_upstreams.clone();
        }
        let ours = [
            upstream("millgate.auth.v1", "AUTH_ENDPOINT", &self.auth_endpoint),
            upstream(
                "millgate.factory.v1",
                "FACTORY_ENDPOINT",
                &self.factory_endpoint,
            ),
        ];
        ours.into_iter()
            .chain(self.more_upstreams.clone())
            .collect()
    }
}

/// `PREFIX=URL`.
fn upstream(text: &str) -> Result<UpstreamConfig, String> {
    let (prefix, endpoint) = text
        .split_once('=')
        .filter(|(prefix, endpoint)| !prefix.is_empty() && !endpoint.is_empty())
        .ok_or("must be PREFIX=URL")?;
    Ok(UpstreamConfig {
        prefix: prefix.trim().to_owned(),
        endpoint: endpoint.trim().to_owned(),
        setting: "GATEWAY_UPSTREAMS".to_owned(),
    })
}

/// A duration that is not zero: none of these limits can be switched off.
fn positive(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must not be 0".to_owned()),
        limit => Ok(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }

    #[test]
    fn the_documented_defaults_are_the_ones_of_the_struct() {
        let parsed = Cli::try_parse_from(["gateway"]).unwrap().config;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn a_wrong_value_is_refused_by_the_name_of_its_setting() {
        let cases = [
            ("--listen", "8080"),
            ("--deadline", "0"),
            ("--deadline", "soon"),
            ("--max-body-bytes", "10"),
            ("--max-connections", "0"),
            ("--trusted-proxies", "everybody"),
            ("--upstream", "shop.v1"),
            ("--upstream", "=http://a:1"),
            ("--descriptors", "set.binpb"),
        ];
        for (flag, value) in cases {
            let error = Cli::try_parse_from(["gateway", flag, value])
                .unwrap_err()
                .to_string();
            assert!(error.contains(flag), "{error}");
        }
    }
}
