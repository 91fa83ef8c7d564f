//! AuditService.

use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{Stream, TryStreamExt as _};
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::audit_service_server::AuditService;
use millgate_platform::{Binding, FieldFault, Fields, PageRequest};
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::Known;
use crate::actions::audit_log;
use crate::app::App;
use crate::audit::verify::{Finding, FindingKind, Progress};
use crate::audit::{DONE, REFUSED};
use crate::domain::Micros;
use crate::domain::audit::Sealed;
use crate::store::audit::{Filter, Order};
use crate::wire;

/// The handlers over what they share.
pub(super) struct Audit(pub(super) Arc<App>);

/// The filter of a request: two messages have the same fields.
macro_rules! filter {
    ($fields:ident, $message:ident) => {{
        let from = $fields.parse("from_time", time($message.from_time.as_ref()));
        let to = $fields.parse("to_time", time($message.to_time.as_ref()));
        let event = $fields.parse("event", word(&$message.event));
        let outcome = $fields.parse("outcome", outcome($message.outcome));
        let subject = $fields.parse("user_id", not_negative($message.user_id));
        let actor = $fields.parse("actor", word(&$message.actor));
        let session = $fields.parse("session_id", word(&$message.session_id));
        let address = $fields.parse("address", word(&$message.address));
        let client_id = $fields.parse("client_id", word(&$message.client_id));
        (|| {
            Some(Filter {
                from: from?,
                to: to?,
                event: event?,
                outcome: outcome?,
                subject: subject.map(|id| (id > 0).then_some(id))?,
                actor: actor?,
                session: session?,
                address: address?,
                client_id: client_id?,
            })
        })()
    }};
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AuditService for Audit {
    async fn list_audit_events(
        &self,
        request: Request<pb::ListAuditEventsRequest>,
    ) -> Result<Response<pb::ListAuditEventsResponse>, Status> {
        let Known {
            caller, message, ..
        } = Known::of(request)?;
        let mut fields = Fields::new();
        let order = fields.parse("order_by", order(&message.order_by));
        let filter = filter!(fields, message);
        let (order, filter) = fields.all((order, filter))?;
        let binding =
            bound_to(Binding::new(&caller.key()), &filter).with("order", message.order_by);
        let (size, token) = (message.page_size, &message.page_token);
        let page = PageRequest::parse(size, token, binding, &self.0.page_key)?;
        let (events, next_page_token) = audit_log::list(&self.0, &filter, order, &page).await?;
        Ok(Response::new(pb::ListAuditEventsResponse {
            audit_events: events.into_iter().map(event).collect(),
            next_page_token,
        }))
    }

    type ExportAuditEventsStream = Answers<pb::AuditEvent>;

    async fn export_audit_events(
        &self,
        request: Request<pb::ExportAuditEventsRequest>,
    ) -> Result<Response<Self::ExportAuditEventsStream>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let mut fields = Fields::new();
        let after = fields.parse("after_sequence", not_negative(message.after_sequence));
        let filter = filter!(fields, message);
        let (after, filter) = fields.all((after, filter))?;
        let events = audit_log::export(self.0.clone(), caller, filter, after, &origin);
        Ok(Response::new(Box::pin(
            events.map_ok(event).map_err(Status::from),
        )))
    }

    type VerifyAuditLogStream = Answers<pb::VerifyAuditLogResponse>;

    async fn verify_audit_log(
        &self,
        request: Request<pb::VerifyAuditLogRequest>,
    ) -> Result<Response<Self::VerifyAuditLogStream>, Status> {
        let Known { caller, origin, .. } = Known::of(request)?;
        let progress = audit_log::verify(self.0.clone(), caller, &origin).await?;
        Ok(Response::new(Box::pin(
            progress
                .map_ok(pb::VerifyAuditLogResponse::from)
                .map_err(Status::from),
        )))
    }
}

/// Longer than every word in the log.
const LONGEST: usize = 200;

fn word(text: &str) -> Result<String, FieldFault> {
    if text.len() <= LONGEST && text.chars().all(|one| one.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be at most {LONGEST} printable ASCII characters without spaces").into())
    }
}

fn not_negative(number: i64) -> Result<i64, FieldFault> {
    if number >= 0 {
        Ok(number)
    } else {
        Err("must not be negative".into())
    }
}

fn time(at: Option<&Timestamp>) -> Result<Option<Micros>, FieldFault> {
    let Some(Timestamp { seconds, nanos }) = at else {
        return Ok(None);
    };
    // The range of google.protobuf.Timestamp: the years 1 to 9999.
    let good =
        (-62_135_596_800..=253_402_300_799).contains(seconds) && (0..1_000_000_000).contains(nanos);
    if good {
        Ok(Some(seconds * 1_000_000 + i64::from(nanos / 1_000)))
    } else {
        Err("is not a time".into())
    }
}

fn outcome(number: i32) -> Result<Option<&'static str>, FieldFault> {
    match pb::AuditOutcome::try_from(number) {
        Ok(pb::AuditOutcome::Unspecified) => Ok(None),
        Ok(pb::AuditOutcome::Done) => Ok(Some(DONE)),
        Ok(pb::AuditOutcome::Refused) => Ok(Some(REFUSED)),
        Err(_) => Err("is not an outcome".into()),
    }
}

fn order(text: &str) -> Result<Order, &'static str> {
    match text {
        "" | "sequence desc" => Ok(Order::Newest),
        "sequence" => Ok(Order::Oldest),
        _ => Err("must be `sequence` or `sequence desc`"),
    }
}

fn bound_to(binding: Binding, filter: &Filter) -> Binding {
    let number = |at: Option<i64>| at.map(|at| at.to_string()).unwrap_or_default();
    binding
        .with("from", number(filter.from))
        .with("to", number(filter.to))
        .with("event", &filter.event)
        .with("outcome", filter.outcome.unwrap_or_default())
        .with("subject", number(filter.subject))
        .with("actor", &filter.actor)
        .with("session", &filter.session)
        .with("address", &filter.address)
        .with("client_id", &filter.client_id)
}

fn event(row: Sealed) -> pb::AuditEvent {
    let Sealed { seq, record, .. } = row;
    let outcome = if record.outcome == DONE {
        pb::AuditOutcome::Done
    } else {
        pb::AuditOutcome::Refused
    };
    pb::AuditEvent {
        sequence: seq,
        time: Some(wire::timestamp(record.time)),
        event: record.event,
        outcome: outcome.into(),
        cause: record.cause,
        actor: record.actor,
        user_id: record.subject.unwrap_or_default(),
        client_id: record.client_id,
        session_id: record.session,
        address: record.address,
        request_id: record.request_id,
        occurrences: record.occurrences,
    }
}

impl From<Progress> for pb::VerifyAuditLogResponse {
    fn from(progress: Progress) -> Self {
        let verdict = match progress.intact {
            None => pb::AuditVerdict::Unspecified,
            Some(true) => pb::AuditVerdict::Intact,
            Some(false) => pb::AuditVerdict::Broken,
        };
        Self {
            checked_rows: progress.rows,
            total_rows: progress.total,
            checked_checkpoints: progress.checkpoints,
            findings: progress.findings.into_iter().map(finding).collect(),
            verdict: verdict.into(),
        }
    }
}

fn finding(found: Finding) -> pb::AuditFinding {
    let kind = match found.kind {
        FindingKind::Altered => pb::AuditFindingKind::Altered,
        FindingKind::Missing => pb::AuditFindingKind::Missing,
        FindingKind::CutOff => pb::AuditFindingKind::CutOff,
        FindingKind::PutIn => pb::AuditFindingKind::PutIn,
        FindingKind::Checkpoint => pb::AuditFindingKind::Checkpoint,
    };
    pb::AuditFinding {
        sequence: found.seq,
        kind: kind.into(),
        description: found.description,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_no_row_can_match_is_refused() {
        assert!(word("user:7").is_ok() && word("").is_ok());
        assert!(word("a b").is_err() && word("\u{0}").is_err() && word(&"x".repeat(201)).is_err());
        assert!(outcome(3).is_err() && outcome(-1).is_err());
        assert!(order("time").is_err());
    }

    #[test]
    fn a_time_beyond_the_calendar_is_refused_and_not_wrapped() {
        let at = |seconds, nanos| Timestamp { seconds, nanos };
        assert_eq!(time(Some(&at(1, 500_000_000))), Ok(Some(1_500_000)));
        for bad in [
            at(i64::MAX, 0),
            at(i64::MIN, 0),
            at(0, -1),
            at(0, 1_000_000_000),
        ] {
            assert!(time(Some(&bad)).is_err(), "{bad:?}");
        }
    }
}
