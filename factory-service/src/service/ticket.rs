//! ServiceTicketService.

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::service_ticket_service_server::ServiceTicketService;
use millgate_guard::Admitted;
use millgate_platform::{Cursor, Fault, Fields, Page, Reason, Tx};
use tonic::{Request, Response};

use super::convert::id;
use super::log::Seen;
use super::paging::fitting;
use super::ticket_fields::{parse_filter, parse_new};
use super::{Answer, Begun, Shared, Who, Work};
use crate::domain::access::{Owner, TicketSight};
use crate::domain::paging::OrderBy;
use crate::domain::ticket::{self, MAX_PARTS, MAX_TEXT, Part, TicketFields, TicketVerb};
use crate::domain::{employee, product, text};
use crate::store::ticket::{self as store, Filter};
use crate::store::{customer, employee as employees, product as products, stock, ticket_part};

/// What customers want looked at or mended.
pub(crate) struct Tickets(pub(crate) Shared);

#[tonic::async_trait]
impl ServiceTicketService for Tickets {
    async fn open_ticket(
        &self,
        request: Request<pb::OpenTicketRequest>,
    ) -> Answer<pb::ServiceTicket> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let who = Who::of(caller);
        let (owner, fields) = parse_new(&message, who.sight)?;
        let request_id = std::mem::take(&mut message.request_id);
        let mut work = match self
            .0
            .begin(&who.caller, "OpenTicket", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let customer_id = customer::refer_to(&mut work.tx, owner).await?;
        subject_is_there(&mut work.tx, customer_id, &fields).await?;
        let ticket = store::insert(&mut work.tx, customer_id, &fields, work.now).await?;
        work.created(Seen::Ticket(&ticket)).await?;
        Ok(Response::new(work.done(who.ticket(&ticket, &[])).await?))
    }

    async fn get_ticket(
        &self,
        request: Request<pb::GetTicketRequest>,
    ) -> Answer<pb::ServiceTicket> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let mut fields = Fields::new();
        let id = fields.parse("id", id(message.id));
        let (id,) = fields.all((id,))?;
        let found = store::get(&self.0.db, id, TicketSight::of(&caller)).await?;
        let (found, parts) = found.ok_or_else(|| ticket::not_found(id))?;
        Ok(Response::new(Who::of(caller).ticket(&found, &parts)))
    }

    async fn list_tickets(
        &self,
        request: Request<pb::ListTicketsRequest>,
    ) -> Answer<pb::ListTicketsResponse> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let (size, token) = (
            std::mem::take(&mut message.page_size),
            std::mem::take(&mut message.page_token),
        );
        let page = self
            .0
            .page(&caller, (size, &token), "ListTickets", &message)?;
        let filter = parse_filter(&message)?;
        let by = OrderBy {
            column: "id",
            descending: false,
        };
        let (tickets, next_page_token) = self.listed(&filter, by, &page, &Who::of(caller)).await?;
        Ok(Response::new(pb::ListTicketsResponse {
            tickets,
            next_page_token,
        }))
    }

    async fn list_my_tickets(
        &self,
        request: Request<pb::ListMyTicketsRequest>,
    ) -> Answer<pb::ListMyTicketsResponse> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let (size, token) = (
            std::mem::take(&mut message.page_size),
            std::mem::take(&mut message.page_token),
        );
        let page = self
            .0
            .page(&caller, (size, &token), "ListMyTickets", &message)?;
        let (filter, owner) = match TicketSight::of(&caller) {
            TicketSight::Mechanic { user_id } => {
                let assigned = Filter {
                    login: Some(user_id),
                    ..Filter::default()
                };
                (assigned, None)
            }
            TicketSight::All | TicketSight::Customer { .. } => {
                let owner = Owner::of_caller(&caller)?;
                // One of both, whoever it is: without either it would be a list of everybody's.
                let (customer_id, user_id) = owner.keys();
                let own = Filter {
                    customer_id,
                    user_id,
                    ..Filter::default()
                };
                (own, Some(owner))
            }
        };
        let newest_first = OrderBy {
            column: "id",
            descending: true,
        };
        let (tickets, next_page_token) = self
            .listed(&filter, newest_first, &page, &Who::of(caller))
            .await?;
        if let Some(owner) = owner.filter(|_| tickets.is_empty()) {
            // Nothing was found, so nothing was said of the profile either.
            customer::id_of(&self.0.db, owner).await?;
        }
        Ok(Response::new(pb::ListMyTicketsResponse {
            tickets,
            next_page_token,
        }))
    }

    async fn assign_mechanic(
        &self,
        request: Request<pb::AssignMechanicRequest>,
    ) -> Answer<pb::ServiceTicket> {
        let request = Admitted::of(request)?;
        let message = &request.message;
        let mut fields = Fields::of_request(&message.request_id);
        let ticket = fields.parse("id", id(message.id));
        let employee = fields.parse("employee_id", id(message.employee_id));
        let (ticket, employee) = fields.all((ticket, employee))?;
        self.moved(request, ticket, Effect::Assign(employee)).await
    }

    async fn start_ticket(
        &self,
        request: Request<pb::StartTicketRequest>,
    ) -> Answer<pb::ServiceTicket> {
        let request = Admitted::of(request)?;
        let mut fields = Fields::of_request(&request.message.request_id);
        let ticket = fields.parse("id", id(request.message.id));
        let (ticket,) = fields.all((ticket,))?;
        self.moved(request, ticket, Effect::Start).await
    }

    async fn add_part(&self, request: Request<pb::AddPartRequest>) -> Answer<pb::ServiceTicket> {
        let request = Admitted::of(request)?;
        let message = &request.message;
        let mut fields = Fields::of_request(&message.request_id);
        let ticket = fields.parse("id", id(message.id));
        let product = fields.parse("product_id", id(message.product_id));
        let quantity = fields.parse("quantity", ticket::pieces(message.quantity));
        let (ticket, product, quantity) = fields.all((ticket, product, quantity))?;
        self.moved(request, ticket, Effect::Take(product, quantity))
            .await
    }

    async fn close_ticket(
        &self,
        request: Request<pb::CloseTicketRequest>,
    ) -> Answer<pb::ServiceTicket> {
        let request = Admitted::of(request)?;
        let message = &request.message;
        let mut fields = Fields::of_request(&message.request_id);
        let ticket = fields.parse("id", id(message.id));
        let labour = fields.parse("labour_minutes", ticket::labour(message.labour_minutes));
        let resolution = text::paragraph(&message.resolution, 0, MAX_TEXT);
        let resolution = fields.parse("resolution", resolution);
        let (ticket, labour, resolution) = fields.all((ticket, labour, resolution))?;
        self.moved(request, ticket, Effect::Close(labour, resolution))
            .await
    }

    async fn cancel_ticket(
        &self,
        request: Request<pb::CancelTicketRequest>,
    ) -> Answer<pb::ServiceTicket> {
        let request = Admitted::of(request)?;
        let mut fields = Fields::of_request(&request.message.request_id);
        let ticket = fields.parse("id", id(request.message.id));
        let (ticket,) = fields.all((ticket,))?;
        self.moved(request, ticket, Effect::Cancel).await
    }
}

/// What a verb does besides moving the ticket.
enum Effect {
    /// The employee has it from now on.
    Assign(i64),
    Start,
    /// Pieces of a product are taken from the stock.
    Take(i64, i64),
    /// The minutes it took, and what was done.
    Close(i32, String),
    Cancel,
}

impl Effect {
    /// The verb, and the RPC that says it.
    fn verb(&self) -> (TicketVerb, &'static str) {
        match self {
            Self::Assign(_) => (TicketVerb::AssignMechanic, "AssignMechanic"),
            Self::Start => (TicketVerb::Start, "StartTicket"),
            Self::Take(..) => (TicketVerb::AddPart, "AddPart"),
            Self::Close(..) => (TicketVerb::Close, "CloseTicket"),
            Self::Cancel => (TicketVerb::Cancel, "CancelTicket"),
        }
    }
}

impl Tickets {
    /// Moves a ticket: every transition goes this way.
    async fn moved<M: VerbRequest>(
        &self,
        request: Admitted<M>,
        id: i64,
        effect: Effect,
    ) -> Answer<pb::ServiceTicket> {
        let Admitted {
            caller,
            mut message,
            ..
        } = request;
        let who = Who::of(caller);
        let sight = TicketSight::of(&who.caller);
        let (verb, method) = effect.verb();
        let request_id = message.take_request_id();
        let mut work = match self
            .0
            .begin(&who.caller, method, &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let before = store::lock(&mut work.tx, id, sight)
            .await?
            .ok_or_else(|| ticket::not_found(id))?;
        let mut ticket = before.clone();
        ticket.apply(verb, sight, message.etag(), work.now)?;
        match effect {
            Effect::Assign(employee_id) => {
                can_be_assigned(&mut work.tx, employee_id).await?;
                ticket.employee_id = Some(employee_id);
            }
            Effect::Take(product_id, quantity) => {
                take(&mut work, &who, id, (product_id, quantity)).await?;
            }
            Effect::Close(labour_minutes, resolution) => {
                ticket.labour_minutes = labour_minutes;
                ticket.resolution = resolution;
            }
            Effect::Start | Effect::Cancel => {}
        }
        store::save_move(&mut work.tx, &ticket).await?;
        let parts = ticket_part::of_locked(&mut work.tx, id).await?;
        let after = match parts.last() {
            Some(taken) if verb == TicketVerb::AddPart => Seen::TicketAndPart(&ticket, taken),
            _ => Seen::Ticket(&ticket),
        };
        work.changed(verb.as_str(), Seen::Ticket(&before), after)
            .await?;
        Ok(Response::new(work.done(who.ticket(&ticket, &parts)).await?))
    }

    async fn listed(
        &self,
        filter: &Filter,
        by: OrderBy,
        page: &Page,
        who: &Who,
    ) -> Result<(Vec<pb::ServiceTicket>, String), Fault> {
        let rows = store::list(&self.0.db, filter, by, page).await?;
        Ok(fitting(
            page,
            &rows,
            |ticket| Cursor::id(ticket.id),
            |ticket| who.ticket(ticket, &[]),
        ))
    }
}

/// What a ticket is about must be there, and an order must be the customer's: whose it is not, for them it is not there.
/// A product on their order may have been deleted since.
async fn subject_is_there(
    tx: &mut Tx,
    customer_id: i64,
    fields: &TicketFields,
) -> Result<(), Fault> {
    match (fields.order_id, fields.product_id) {
        (None, None) => Ok(()),
        (None, Some(product_id)) => match products::refer_to(tx, product_id).await? {
            true => Ok(()),
            false => Err(product::not_found(product_id)),
        },
        (Some(order_id), product_id) => {
            if !store::is_order_of(tx, order_id, customer_id).await? {
                let what = format_args!("order {order_id}");
                return Err(Fault::not_found(Reason::OrderNotFound, what));
            }
            match product_id {
                Some(id) if !store::is_on_order(tx, id, order_id).await? => {
                    Err(Fault::field("product_id", "is not on this order"))
                }
                _ => Ok(()),
            }
        }
    }
}

async fn can_be_assigned(tx: &mut Tx, employee_id: i64) -> Result<(), Fault> {
    let employee = employees::refer_to(tx, employee_id)
        .await?
        .ok_or_else(|| employee::not_found(employee_id))?;
    if employee.fields.user_id.is_none() {
        return Err(Fault::field(
            "employee_id",
            "this employee has no login, and could not work on it",
        ));
    }
    Ok(())
}

/// Takes pieces from the stock for a ticket that is locked: the part, the stock and the ledger in one transaction. The
/// ticket is locked before the product, by everybody.
async fn take(
    work: &mut Work<pb::ServiceTicket>,
    who: &Who,
    ticket_id: i64,
    (product_id, quantity): (i64, i64),
) -> Result<(), Fault> {
    let taken: Vec<Part> = ticket_part::of_locked(&mut work.tx, ticket_id).await?;
    if taken.len() >= MAX_PARTS {
        let message = format!("ticket {ticket_id} has {MAX_PARTS} parts, the most there are");
        return Err(Fault::new(Reason::StateConflict, message));
    }
    let before = products::lock(&mut work.tx, product_id)
        .await?
        .ok_or_else(|| product::not_found(product_id))?;
    let mut product = before.clone();
    product.take(quantity, work.now)?;
    products::save(&mut work.tx, &product).await?;
    let tx = &mut work.tx;
    let part = ticket_part::insert(tx, ticket_id, &product, quantity, work.now).await?;
    stock::note_part(tx, part, (product_id, quantity), &who.actor, work.now).await?;
    let (before, after) = (Seen::Product(&before), Seen::Product(&product));
    work.changed("takePart", before, after).await
}

/// What the requests of all verbs have in common.
trait VerbRequest: prost::Message {
    fn etag(&self) -> &str;
    fn take_request_id(&mut self) -> String;
}

macro_rules! verb_request {
    ($($message:ident),+) => {
        $(impl VerbRequest for pb::$message {
            fn etag(&self) -> &str {
                &self.etag
            }
            fn take_request_id(&mut self) -> String {
                std::mem::take(&mut self.request_id)
            }
        })+
    };
}
verb_request!(
    AssignMechanicRequest,
    StartTicketRequest,
    AddPartRequest,
    CloseTicketRequest,
    CancelTicketRequest
);
