//! `millgate audit`.

use indicatif::{ProgressBar, ProgressStyle};
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::audit_service_client::AuditServiceClient;
use prost_types::Timestamp;
use tonic::Request;

use super::connect::{Line, Remote, session, timed};
use super::local::Local;
use super::output::{List, Output, json, time, word};
use super::{Failure, local};
use crate::terminal::say;

/// The commands on the audit log.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Lists events, the newest first.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
    /// Writes all events to standard output as JSON lines, the oldest first.
    Export {
        /// Only events behind this number: the last one of an export before.
        #[arg(long, default_value_t = 0, value_name = "SEQUENCE")]
        after: i64,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        remote: Remote,
    },
    /// Looks at the whole log and says whether anything was changed, taken away, put in or cut off. Ends with 1 if so.
    Verify {
        #[command(flatten)]
        local: Local,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
}

/// Which events.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Which events")]
pub(crate) struct Filter {
    /// At this time or later: RFC 3339, such as 2026-11-20T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
    /// Before this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Timestamp>,
    /// This event, such as `login`.
    #[arg(long, default_value = "", hide_default_value = true)]
    event: String,
    /// What was refused only.
    #[arg(long)]
    refused: bool,
    /// About this account: its id.
    #[arg(
        long,
        default_value_t = 0,
        hide_default_value = true,
        value_name = "ID"
    )]
    user: i64,
    /// By this caller, such as `user:7` or `service:factory-service`.
    #[arg(long, default_value = "", hide_default_value = true)]
    actor: String,
    /// About this session.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    session: String,
    /// From this address.
    #[arg(long, default_value = "", hide_default_value = true)]
    address: String,
    /// About this service account: its client id.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "CLIENT_ID"
    )]
    service: String,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse::<Timestamp>()
        .map_err(|_| "is no time such as 2026-11-20T08:00:00Z".to_owned())
}

impl Filter {
    fn outcome(&self) -> i32 {
        if self.refused {
            pb::AuditOutcome::Refused.into()
        } else {
            pb::AuditOutcome::Unspecified.into()
        }
    }
}

/// Runs one.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List {
            limit,
            filter,
            remote,
            output,
        } => {
            session(&remote, async |line| {
                list(line, limit, filter, output).await
            })
            .await
        }
        Command::Export {
            after,
            filter,
            remote,
        } => session(&remote, async |line| export(line, after, filter).await).await,
        Command::Verify {
            local,
            remote,
            output,
        } => {
            if local.is_meant() {
                local::verify(&local, output).await
            } else {
                session(&remote, async |line| verify(line, output).await).await
            }
        }
    }
}

async fn list(line: Line, limit: usize, filter: Filter, output: Output) -> Result<(), Failure> {
    const PAGE: usize = 1000;
    let columns = [
        "number", "time", "event", "outcome", "cause", "actor", "user", "service", "session",
        "address", "times",
    ];
    let mut told = List::new(output, "AuditEvent", &columns);
    let mut log = AuditServiceClient::new(line);
    let mut request = pb::ListAuditEventsRequest {
        outcome: filter.outcome(),
        from_time: filter.from,
        to_time: filter.to,
        event: filter.event,
        user_id: filter.user,
        actor: filter.actor,
        session_id: filter.session,
        address: filter.address,
        client_id: filter.service,
        ..Default::default()
    };
    let mut left = limit;
    while left > 0 {
        // Bounded by a page, which an i32 holds.
        request.page_size = i32::try_from(left.min(PAGE)).unwrap_or(i32::MAX);
        let page = log
            .list_audit_events(timed(request.clone()))
            .await?
            .into_inner();
        left = left.saturating_sub(page.audit_events.len());
        for event in &page.audit_events {
            told.add(event, || cells(event))?;
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    told.end("events")?;
    Ok(())
}

fn cells(event: &pb::AuditEvent) -> Vec<String> {
    vec![
        event.sequence.to_string(),
        time(event.time.as_ref()),
        event.event.clone(),
        word(event.outcome().as_str_name(), "AUDIT_OUTCOME_"),
        event.cause.clone(),
        event.actor.clone(),
        if event.user_id == 0 {
            String::new()
        } else {
            event.user_id.to_string()
        },
        event.client_id.clone(),
        event.session_id.clone(),
        event.address.clone(),
        event.occurrences.to_string(),
    ]
}

async fn export(line: Line, after: i64, filter: Filter) -> Result<(), Failure> {
    let request = pb::ExportAuditEventsRequest {
        after_sequence: after,
        outcome: filter.outcome(),
        from_time: filter.from,
        to_time: filter.to,
        event: filter.event,
        user_id: filter.user,
        actor: filter.actor,
        session_id: filter.session,
        address: filter.address,
        client_id: filter.service,
    };
    let mut log = AuditServiceClient::new(line);
    let mut events = log
        .export_audit_events(Request::new(request))
        .await?
        .into_inner();
    let mut last = after;
    loop {
        match events.message().await {
            Ok(Some(event)) => {
                last = event.sequence;
                say(&json("AuditEvent", &event)?.to_string())?;
            }
            Ok(None) => return Ok(()),
            Err(status) => {
                let why = Failure::from(status);
                return Err(Failure::Refused(format!(
                    "{why}\n  go on with --after {last}"
                )));
            }
        }
    }
}

async fn verify(line: Line, output: Output) -> Result<(), Failure> {
    let mut log = AuditServiceClient::new(line);
    let steps = log
        .verify_audit_log(Request::new(pb::VerifyAuditLogRequest {}))
        .await?;
    let mut steps = steps.into_inner();
    let mut report = Report::default();
    while let Some(step) = steps.message().await? {
        report.add(step);
    }
    report.tell(output)
}

/// What a verification has found so far.
pub(crate) struct Report {
    bar: ProgressBar,
    all: pb::VerifyAuditLogResponse,
}

impl Default for Report {
    fn default() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} rows") {
            bar.set_style(style);
        }
        Self {
            bar,
            all: pb::VerifyAuditLogResponse::default(),
        }
    }
}

impl Report {
    /// One step further.
    pub(crate) fn add(&mut self, step: pb::VerifyAuditLogResponse) {
        // A number that is none of a row is no reason to stop.
        self.bar.set_length(step.total_rows.try_into().unwrap_or(0));
        self.bar
            .set_position(step.checked_rows.try_into().unwrap_or(0));
        let mut findings = std::mem::take(&mut self.all.findings);
        findings.extend(step.findings.clone());
        self.all = step;
        self.all.findings = findings;
    }

    /// The verdict: a broken log is a failure.
    pub(crate) fn tell(self, output: Output) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        let all = self.all;
        output.one("VerifyAuditLogResponse", &all, || {
            let mut words = format!(
                "{} rows and {} checkpoints looked at",
                all.checked_rows, all.checked_checkpoints
            );
            for finding in &all.findings {
                let kind = word(finding.kind().as_str_name(), "AUDIT_FINDING_KIND_");
                words.push_str(&format!(
                    "\n  row {}: {kind}: {}",
                    finding.sequence, finding.description
                ));
            }
            words
        })?;
        match all.verdict() {
            pb::AuditVerdict::Intact => {
                if !output.json {
                    say("The log is intact.")?;
                }
                Ok(())
            }
            pb::AuditVerdict::Broken => Err(Failure::Refused("the log is broken".to_owned())),
            pb::AuditVerdict::Unspecified => Err(Failure::Refused(
                "the verification ended before it was done".to_owned(),
            )),
        }
    }
}
