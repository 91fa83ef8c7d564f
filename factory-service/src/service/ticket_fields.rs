//! Between the messages of service tickets and the domain's values.

use millgate_contract::factory::v1 as pb;
use millgate_platform::{Etag, Fault, FieldFault, Fields};

use super::convert::{id_filter, money, time};
use crate::domain::access::{Owner, Sight};
use crate::domain::text;
use crate::domain::ticket::{
    MAX_TEXT, Part, Priority, Ticket, TicketFields, TicketState, TicketVerb,
};
use crate::store::ticket::Filter;

/// A ticket with its parts, and the verbs that the caller may use on it now.
pub(super) fn message_of(
    ticket: &Ticket,
    parts: &[Part],
    verbs: &[TicketVerb],
) -> pb::ServiceTicket {
    let fields = &ticket.fields;
    pb::ServiceTicket {
        id: ticket.id,
        customer_id: ticket.customer_id,
        state: state_message(ticket.state).into(),
        description: fields.description.clone(),
        next_actions: verbs.iter().map(|verb| verb.as_str().to_owned()).collect(),
        etag: Etag::of(ticket.revision),
        create_time: time(ticket.create_time),
        update_time: time(ticket.update_time),
        priority: priority_message(fields.priority).into(),
        product_id: fields.product_id.unwrap_or_default(),
        order_id: fields.order_id.unwrap_or_default(),
        employee_id: ticket.employee_id.unwrap_or_default(),
        parts: parts.iter().map(part).collect(),
        labour_minutes: ticket.labour_minutes,
        resolution: ticket.resolution.clone(),
        start_time: ticket.start_time.and_then(time),
        finish_time: ticket.finish_time.and_then(time),
    }
}

fn part(part: &Part) -> pb::TicketPart {
    pb::TicketPart {
        product_id: part.product_id,
        sku: part.sku.clone(),
        name: part.name.clone(),
        unit_price: money(part.unit_price),
        quantity: part.quantity,
        create_time: time(part.create_time),
    }
}

fn state_message(state: TicketState) -> pb::TicketState {
    match state {
        TicketState::Open => pb::TicketState::Open,
        TicketState::Assigned => pb::TicketState::Assigned,
        TicketState::InProgress => pb::TicketState::InProgress,
        TicketState::Closed => pb::TicketState::Closed,
        TicketState::Cancelled => pb::TicketState::Cancelled,
    }
}

fn priority_message(priority: Priority) -> pb::TicketPriority {
    match priority {
        Priority::Low => pb::TicketPriority::Low,
        Priority::Normal => pb::TicketPriority::Normal,
        Priority::High => pb::TicketPriority::High,
        Priority::Urgent => pb::TicketPriority::Urgent,
    }
}

/// A ticket's state; `None` where it is not said.
fn ticket_state(state: i32) -> Result<Option<TicketState>, FieldFault> {
    match pb::TicketState::try_from(state) {
        Ok(state) => Ok(TicketState::ALL
            .into_iter()
            .find(|known| state_message(*known) == state)),
        Err(_) => Err("is not a state of a ticket".into()),
    }
}

/// A ticket's priority; `None` where it is not said.
fn priority(priority: i32) -> Result<Option<Priority>, FieldFault> {
    match pb::TicketPriority::try_from(priority) {
        Ok(priority) => Ok(Priority::ALL
            .into_iter()
            .find(|known| priority_message(*known) == priority)),
        Err(_) => Err("is not a priority of a ticket".into()),
    }
}

pub(super) fn parse_new(
    message: &pb::OpenTicketRequest,
    sight: Sight,
) -> Result<(Owner, TicketFields), Fault> {
    let mut fields = Fields::of_request(&message.request_id);
    let owner = fields.parse("customer_id", Owner::of(sight, message.customer_id));
    let description = text::paragraph(&message.description, 1, MAX_TEXT);
    let description = fields.parse("description", description);
    let priority = fields.parse("priority", priority(message.priority));
    let product_id = fields.parse("product_id", id_filter(message.product_id));
    let order_id = fields.parse("order_id", id_filter(message.order_id));
    let (owner, description, priority, product_id, order_id) =
        fields.all((owner, description, priority, product_id, order_id))?;
    let fields = TicketFields {
        description,
        priority: priority.unwrap_or(Priority::Normal),
        product_id,
        order_id,
    };
    Ok((owner, fields))
}

pub(super) fn parse_filter(message: &pb::ListTicketsRequest) -> Result<Filter, Fault> {
    let mut fields = Fields::new();
    let state = fields.parse("state", ticket_state(message.state));
    let customer_id = fields.parse("customer_id", id_filter(message.customer_id));
    let employee_id = fields.parse("employee_id", id_filter(message.employee_id));
    let priority = fields.parse("priority", priority(message.priority));
    let (state, customer_id, employee_id, priority) =
        fields.all((state, customer_id, employee_id, priority))?;
    Ok(Filter {
        state,
        customer_id,
        user_id: None,
        employee_id,
        priority,
        login: None,
    })
}
