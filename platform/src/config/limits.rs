//! The limits of a server. All are on by default; a limit of 0 is off.

use std::time::Duration;

use super::{StartError, duration};

/// The settings behind [`Limits`].
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Limits (0 switches one off)")]
pub struct LimitArgs {
    /// Longest time of one unary call, its answer's body included. A shorter `grpc-timeout`
    /// of the caller is honoured.
    #[arg(long, env = "MILLGATE_DEADLINE", default_value = "10s", value_parser = duration)]
    pub deadline: Duration,

    /// Largest message, in bytes.
    #[arg(long, env = "MILLGATE_MAX_MESSAGE_BYTES", default_value_t = 4 * 1024 * 1024,
        value_parser = clap::value_parser!(u32).range(1024..=268_435_456))]
    pub max_message_bytes: u32,

    /// Most calls at once on one connection.
    #[arg(long, env = "MILLGATE_MAX_STREAMS", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_streams: u32,

    /// Most connections at once.
    #[arg(long, env = "MILLGATE_MAX_CONNECTIONS", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub max_connections: u32,

    /// How long a connection may stay without any call, and how long the reader of a stream may take
    /// nothing of what waits for them.
    #[arg(long, env = "MILLGATE_IDLE_TIMEOUT", default_value = "5m", value_parser = duration)]
    pub idle_timeout: Duration,

    /// How long a new connection has for its first call, the TLS handshake included.
    #[arg(long, env = "MILLGATE_FIRST_BYTE_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub first_byte_timeout: Duration,

    /// How long a TLS handshake may take.
    #[arg(long, env = "MILLGATE_TLS_HANDSHAKE_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub tls_handshake_timeout: Duration,

    /// How often the server asks a silent connection for a sign of life.
    #[arg(long, env = "MILLGATE_KEEPALIVE_INTERVAL", default_value = "30s", value_parser = duration)]
    pub keepalive_interval: Duration,

    /// How long the connection has to answer that.
    #[arg(long, env = "MILLGATE_KEEPALIVE_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub keepalive_timeout: Duration,

    /// Calls a second of one principal (of one address, where there is no token).
    #[arg(long, env = "MILLGATE_CALLS_PER_SECOND", default_value_t = 100)]
    pub calls_per_second: u32,

    /// Calls that a principal may make at once before the rate counts.
    #[arg(long, env = "MILLGATE_CALLS_BURST", default_value_t = 200,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub calls_burst: u32,

    /// Logins a minute from one address (IPv6: one /64).
    #[arg(long, env = "MILLGATE_LOGINS_PER_MINUTE", default_value_t = 30)]
    pub logins_per_minute: u32,

    /// How long a server that was told to stop lets running calls finish.
    #[arg(long, env = "MILLGATE_DRAIN", default_value = "10s", value_parser = duration)]
    pub drain: Duration,
}

/// What a [`Server`](crate::Server) enforces. `None` and `0` switch a limit off.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest time of one unary call, the body of its answer included.
    pub deadline: Option<Duration>,
    /// Largest message in bytes.
    pub max_message_bytes: usize,
    /// Most calls at once on one connection.
    pub max_streams: u32,
    /// Most connections at once; 0 for any number.
    pub max_connections: usize,
    /// How long a connection may stay without a call, and a stream's answer without being taken.
    pub idle_timeout: Option<Duration>,
    /// How long a new connection has for its first call.
    pub first_byte_timeout: Option<Duration>,
    /// How long a TLS handshake may take.
    pub tls_handshake_timeout: Option<Duration>,
    /// How often a silent connection is asked for a sign of life.
    pub keepalive_interval: Option<Duration>,
    /// How long it has to answer.
    pub keepalive_timeout: Duration,
    /// Calls a second of one principal; 0 for any number.
    pub calls_per_second: u32,
    /// The burst of the same.
    pub calls_burst: u32,
    /// The calls that count as logins, and how many of them an address has.
    pub logins: LoginLimit,
    /// How long running calls may take after the order to stop.
    pub drain: Duration,
}

/// Logins of one address.
#[derive(Debug, Clone, Default)]
pub struct LoginLimit {
    /// How many a minute; 0 for any number.
    pub per_minute: u32,
    /// The paths that count, e.g. `/millgate.auth.v1.AuthService/Login`.
    pub paths: Vec<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Some(Duration::from_secs(10)),
            max_message_bytes: 4 * 1024 * 1024,
            max_streams: 100,
            max_connections: 10_000,
            idle_timeout: Some(Duration::from_secs(300)),
            first_byte_timeout: Some(Duration::from_secs(10)),
            tls_handshake_timeout: Some(Duration::from_secs(5)),
            keepalive_interval: Some(Duration::from_secs(30)),
            keepalive_timeout: Duration::from_secs(10),
            calls_per_second: 100,
            calls_burst: 200,
            logins: LoginLimit {
                per_minute: 30,
                paths: Vec::new(),
            },
            drain: Duration::from_secs(10),
        }
    }
}

impl LimitArgs {
    /// The limits; `login_paths` are the calls that count as logins.
    ///
    /// # Errors
    /// Names a setting that contradicts another one.
    pub fn limits(&self, login_paths: &[&str]) -> Result<Limits, StartError> {
        let unless_zero = |limit: Duration| (!limit.is_zero()).then_some(limit);
        if self.keepalive_timeout.is_zero() && !self.keepalive_interval.is_zero() {
            return Err(StartError::new(
                "MILLGATE_KEEPALIVE_TIMEOUT",
                "must not be 0",
            ));
        }
        Ok(Limits {
            deadline: unless_zero(self.deadline),
            max_message_bytes: self.max_message_bytes as usize,
            max_streams: self.max_streams,
            max_connections: self.max_connections as usize,
            idle_timeout: unless_zero(self.idle_timeout),
            first_byte_timeout: unless_zero(self.first_byte_timeout),
            tls_handshake_timeout: unless_zero(self.tls_handshake_timeout),
            keepalive_interval: unless_zero(self.keepalive_interval),
            keepalive_timeout: self.keepalive_timeout,
            calls_per_second: self.calls_per_second,
            calls_burst: self.calls_burst,
            logins: LoginLimit {
                per_minute: self.logins_per_minute,
                paths: login_paths.iter().map(|path| (*path).to_owned()).collect(),
            },
            drain: self.drain,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn limits(args: &[&str]) -> Result<Limits, String> {
        let cli = Cli::try_parse_from([&["test"], args].concat()).map_err(|e| e.to_string())?;
        cli.limits.limits(&[]).map_err(|e| e.to_string())
    }

    #[test]
    fn the_documented_defaults_are_the_ones_of_the_struct() {
        let parsed = limits(&[]).expect("defaults");
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Limits::default()));
    }

    #[test]
    fn zero_switches_a_limit_off() {
        let off = limits(&["--deadline", "0", "--calls-per-second", "0"]).expect("off");
        assert_eq!((off.deadline, off.calls_per_second), (None, 0));
    }

    #[test]
    fn a_wrong_value_is_refused_by_the_name_of_its_setting() {
        for (flag, value) in [
            ("--deadline", "soon"),
            ("--max-message-bytes", "10"),
            ("--calls-burst", "0"),
        ] {
            let error = limits(&[flag, value]).expect_err(flag);
            assert!(error.contains(flag), "{error}");
        }
    }
}
