//! ServiceTicketService.

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::service_ticket_service_server::ServiceTicketService;
use millgate_guard::Admitted;
use millgate_platform::{Cursor, Fault, Fields, Page, Reason};
use tonic::{Request, Response};

use super::convert::{id, id_filter, ticket_state};
use super::paging::fitting;
use super::{Answer, Begun, Shared, Who};
use crate::domain::access::Owner;
use crate::domain::paging::OrderBy;
use crate::domain::text;
use crate::domain::ticket::{MAX_DESCRIPTION, TicketVerb};
use crate::store::customer;
use crate::store::ticket::{self as store, Filter};

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
        let mut fields = Fields::of_request(&message.request_id);
        let owner = fields.parse("customer_id", Owner::of(who.sight, message.customer_id));
        let description = text::paragraph(&message.description, 1, MAX_DESCRIPTION);
        let description = fields.parse("description", description);
        let (owner, description) = fields.all((owner, description))?;
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
        let ticket = store::insert(&mut work.tx, customer_id, &description, work.now).await?;
        Ok(Response::new(work.done(who.ticket(&ticket)).await?))
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
        let who = Who::of(caller);
        let ticket = store::get(&self.0.db, id, who.sight).await?;
        Ok(Response::new(
            who.ticket(&ticket.ok_or_else(|| not_found(id))?),
        ))
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
        let mut fields = Fields::new();
        let state = fields.parse("state", ticket_state(message.state));
        let customer_id = fields.parse("customer_id", id_filter(message.customer_id));
        let (state, customer_id) = fields.all((state, customer_id))?;
        let by = OrderBy {
            column: "id",
            descending: false,
        };
        let (tickets, next_page_token) = self
            .listed(&Filter { state, customer_id }, by, &page, &Who::of(caller))
            .await?;
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
        let customer_id = customer::id_of(&self.0.db, Owner::of_caller(&caller)?).await?;
        let filter = Filter {
            state: None,
            customer_id: Some(customer_id),
        };
        let newest_first = OrderBy {
            column: "id",
            descending: true,
        };
        let (tickets, next_page_token) = self
            .listed(&filter, newest_first, &page, &Who::of(caller))
            .await?;
        Ok(Response::new(pb::ListMyTicketsResponse {
            tickets,
            next_page_token,
        }))
    }

    async fn cancel_ticket(
        &self,
        request: Request<pb::CancelTicketRequest>,
    ) -> Answer<pb::ServiceTicket> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let who = Who::of(caller);
        let mut fields = Fields::of_request(&message.request_id);
        let id = fields.parse("id", id(message.id));
        let (id,) = fields.all((id,))?;
        let request_id = std::mem::take(&mut message.request_id);
        let mut work = match self
            .0
            .begin(&who.caller, "CancelTicket", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let ticket = store::lock(&mut work.tx, id, who.sight).await?;
        let mut ticket = ticket.ok_or_else(|| not_found(id))?;
        ticket.apply(TicketVerb::Cancel, &message.etag, work.now)?;
        store::save_move(&mut work.tx, &ticket).await?;
        Ok(Response::new(work.done(who.ticket(&ticket)).await?))
    }
}

impl Tickets {
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
            |ticket| who.ticket(ticket),
        ))
    }
}

fn not_found(id: i64) -> Fault {
    Fault::not_found(Reason::TicketNotFound, format_args!("ticket {id}"))
}
