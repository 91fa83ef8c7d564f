//! Logs: one line an event, for people or as JSON, each with the request that it belongs to.
//!
//! Every line inside a request carries the span `rpc` with `request_id`, `trace_id`, `method`
//! and `principal`. Bodies, tokens and header values are never logged.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::StartError;

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Logs")]
pub struct LogArgs {
    /// What is logged: a level, or levels by module, e.g. `info,sqlx=warn`.
    #[arg(
        long = "log",
        env = "MILLGATE_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub log: String,

    /// The shape of a line.
    #[arg(long, env = "MILLGATE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
}

impl Default for LogArgs {
    fn default() -> Self {
        Self {
            log: String::from("info"),
            log_format: LogFormat::Auto,
        }
    }
}

/// Starts the logging of this process, on standard error. Panics are logged as well, without
/// their payload reaching any caller.
///
/// # Errors
/// When the filter cannot be read, or the process logs already.
pub fn init(args: &LogArgs) -> Result<(), StartError> {
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|error| StartError::new("MILLGATE_LOG", error.to_string()))?;
    let json = match args.log_format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let line = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = if json {
        registry
            .with(line.json().flatten_event(true).with_current_span(false))
            .try_init()
    } else {
        registry
            .with(line.with_ansi(std::io::stderr().is_terminal()))
            .try_init()
    };
    started.map_err(|error| StartError::new("MILLGATE_LOG", error.to_string()))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("a panic without a text");
        tracing::error!(target: "millgate.panic", place, text, "panic");
    }));
    Ok(())
}
