//! What requests say of a production run: parsed, with every bad field at once.

use millgate_contract::factory::v1 as pb;
use millgate_platform::{Etag, Fault, FieldFault, Fields};

use super::convert::{id, id_filter, micros, not_writable, time};
use crate::domain::production::{Outcome, Plan, Run, RunState, RunVerb, quantity};
use crate::store::production::Filter;

/// A run, and the verbs that the caller may use on it now.
pub(super) fn message_of(run: &Run, verbs: &[RunVerb]) -> pb::ProductionRun {
    pb::ProductionRun {
        id: run.id,
        product_id: run.product_id,
        employee_id: run.employee_id.unwrap_or_default(),
        planned_quantity: run.planned,
        produced_quantity: run.outcome.produced,
        scrap_quantity: run.outcome.scrap,
        state: state_message(run.state).into(),
        start_time: time(run.start_time),
        finish_time: run.finish_time.and_then(time),
        next_actions: verbs.iter().map(|verb| verb.as_str().to_owned()).collect(),
        etag: Etag::of(run.revision),
        create_time: time(run.create_time),
        update_time: time(run.update_time),
    }
}

fn state_message(state: RunState) -> pb::RunState {
    match state {
        RunState::Running => pb::RunState::Running,
        RunState::Completed => pb::RunState::Completed,
        RunState::Cancelled => pb::RunState::Cancelled,
    }
}

/// A run's state; `None` where it is not said.
fn run_state(state: i32) -> Result<Option<RunState>, FieldFault> {
    match pb::RunState::try_from(state) {
        Ok(pb::RunState::Unspecified) => Ok(None),
        Ok(state) => Ok(RunState::ALL
            .into_iter()
            .find(|known| state_message(*known) == state)),
        Err(_) => Err("is not a state of a production run".into()),
    }
}

pub(super) fn parse_new(request: &pb::CreateRunRequest) -> Result<Plan, Fault> {
    let mut fields = Fields::of_request(&request.request_id);
    let unset = pb::ProductionRun::default();
    let message = request.run.as_ref().unwrap_or(&unset);
    let served = [
        ("run.id", message.id != 0),
        ("run.produced_quantity", message.produced_quantity != 0),
        ("run.scrap_quantity", message.scrap_quantity != 0),
        ("run.state", message.state != 0),
        ("run.finish_time", message.finish_time.is_some()),
        ("run.next_actions", !message.next_actions.is_empty()),
        ("run.etag", !message.etag.is_empty()),
        ("run.create_time", message.create_time.is_some()),
        ("run.update_time", message.update_time.is_some()),
    ];
    for (field, set) in served {
        fields.check(field, !set, not_writable());
    }
    let product_id = fields.parse("run.product_id", id(message.product_id));
    let employee_id = fields.parse("run.employee_id", id_filter(message.employee_id));
    let planned = fields.parse(
        "run.planned_quantity",
        quantity(message.planned_quantity, 1),
    );
    let start_time = fields.parse("run.start_time", message.start_time.map(micros).transpose());
    let (product_id, employee_id, planned, start_time) =
        fields.all((product_id, employee_id, planned, start_time))?;
    Ok(Plan {
        product_id,
        employee_id,
        planned,
        start_time,
    })
}

pub(super) fn parse_outcome(request: &pb::CompleteRunRequest) -> Result<(i64, Outcome), Fault> {
    let mut fields = Fields::of_request(&request.request_id);
    let id = fields.parse("id", id(request.id));
    let produced = fields.parse("produced_quantity", quantity(request.produced_quantity, 0));
    let scrap = fields.parse("scrap_quantity", quantity(request.scrap_quantity, 0));
    let (id, produced, scrap) = fields.all((id, produced, scrap))?;
    Ok((id, Outcome { produced, scrap }))
}

pub(super) fn parse_filter(message: &pb::ListRunsRequest) -> Result<Filter, Fault> {
    let mut fields = Fields::new();
    let state = fields.parse("state", run_state(message.state));
    let product_id = fields.parse("product_id", id_filter(message.product_id));
    let employee_id = fields.parse("employee_id", id_filter(message.employee_id));
    let after = fields.parse(
        "started_after",
        message.started_after.map(micros).transpose(),
    );
    let before = fields.parse(
        "started_before",
        message.started_before.map(micros).transpose(),
    );
    let (state, product_id, employee_id, started_after, started_before) =
        fields.all((state, product_id, employee_id, after, before))?;
    Ok(Filter {
        state,
        product_id,
        employee_id,
        started_after,
        started_before,
    })
}
