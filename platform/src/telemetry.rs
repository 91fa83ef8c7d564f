//! Logs: one line an event, for people or as JSON, each with the request that it belongs to.
//!
//! Every line inside a request carries the span `rpc` with `request_id`, `trace_id`, `method`
//! and `principal`. Bodies, tokens and header values are never logged.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, Layer as _, fmt::MakeWriter, layer::SubscriberExt as _};

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

/// As many lines wait for a slow reader of standard error; more are dropped and counted.
const WAITING_LINES: usize = 16_384;

/// Keep this as long as the process logs: when it is dropped, the lines that wait are written.
#[must_use = "the log ends with this"]
pub struct Logging {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

impl Drop for Logging {
    fn drop(&mut self) {
        let lines = self.dropped.dropped_lines();
        if lines > 0 {
            tracing::warn!(
                lines,
                "log lines were dropped: standard error was read too slowly"
            );
        }
    }
}

/// Starts the logging of this process, on standard error. Panics are logged as well; their
/// text never reaches a caller.
///
/// A thread of its own writes the lines: whoever floods the log with refusals, or does not read
/// it, holds up no call and fills no memory.
///
/// # Errors
/// When the filter cannot be read, or the process logs already.
pub fn init(args: &LogArgs) -> Result<Logging, StartError> {
    let to_a_person = std::io::stderr().is_terminal();
    let (lines, writer) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(std::io::stderr());
    let logging = Logging {
        dropped: lines.error_counter(),
        _writer: writer,
    };
    tracing::subscriber::set_global_default(subscriber(args, to_a_person, lines)?)
        .map_err(|error| StartError::new("MILLGATE_LOG", error.to_string()))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("a panic without a text");
        tracing::error!(target: "millgate.panic", place, text, "panic");
    }));
    Ok(logging)
}

/// What [`init`] installs, with lines going to `writer`: for tests. `to_a_person` decides the
/// format where the settings leave it open, and whether there are colours.
///
/// # Errors
/// When the filter cannot be read.
pub fn subscriber<W>(
    args: &LogArgs,
    to_a_person: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, StartError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|error| StartError::new("MILLGATE_LOG", error.to_string()))?;
    let is_json = match args.log_format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => !to_a_person,
    };
    let line = tracing_subscriber::fmt::layer().with_writer(writer);
    let line = if is_json {
        // The list of spans holds the request; the current span would repeat the last of them.
        line.json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed()
    } else {
        line.with_ansi(to_a_person).boxed()
    };
    Ok(tracing_subscriber::registry().with(filter).with(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_refused_by_the_name_of_its_setting() {
        let args = LogArgs {
            log: "info,=[".to_owned(),
            ..LogArgs::default()
        };
        let error = subscriber(&args, false, std::io::sink)
            .err()
            .expect("refused");
        assert_eq!(error.setting(), "MILLGATE_LOG");
    }
}
