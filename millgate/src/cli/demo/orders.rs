//! The orders, each moved to where it stands in the end, and the tickets about them.

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::place_order_request;

use super::super::Failure;
use super::Clients;
use super::dice::Step;
use super::make::{Factory, call, count};
use super::plan::{Order, Ticket};
use super::road::{Next, OrderVerb, TicketVerb};

impl Factory<'_> {
    /// An order and its ticket.
    pub(super) async fn order(&self, number: u32) -> Result<(), Failure> {
        let named = |failure| match failure {
            Failure::Refused(why) => Failure::Refused(format!("order {number}: {why}")),
            usage @ Failure::Usage(_) => usage,
        };
        let plan = self.plan.order(number);
        let id = self.moved(number, &plan).await.map_err(named)?;
        match self.plan.ticket(number) {
            Some(ticket) => self
                .ticket(number, (id, &plan), &ticket)
                .await
                .map_err(named),
            None => Ok(()),
        }
    }

    /// Places an order, where it is not there, and moves it to its goal.
    async fn moved(&self, number: u32, plan: &Order) -> Result<i64, Failure> {
        let (id, mut state) = match self.survey.orders.get(number) {
            Some(found) => found,
            None => self.placed(number, plan).await?,
        };
        loop {
            let verb = match plan.goal.next(state) {
                Next::Do(verb) => verb,
                Next::Arrived => return Ok(id),
                Next::Elsewhere => {
                    count(&self.made.elsewhere);
                    return Ok(id);
                }
            };
            state = self.order_verb(number, id, verb, plan).await?.state();
        }
    }

    async fn placed(&self, number: u32, plan: &Order) -> Result<(i64, pb::OrderState), Failure> {
        let lines = plan.lines.iter().map(|line| place_order_request::Line {
            product_id: self.product_id(line.product),
            quantity: line.quantity,
            discount_basis_points: line.discount_basis_points,
            tax_rate_basis_points: None,
        });
        let request = pb::PlaceOrderRequest {
            customer_id: self.customer_id(plan.customer),
            lines: lines.collect(),
            notes: plan.notes.clone(),
            request_id: self.id(Step::PlaceOrder, number),
            ..Default::default()
        };
        let placed = call!(self.clients, orders.place_order(request)).await?;
        count(&self.made.orders);
        Ok((placed.id, placed.state()))
    }

    async fn order_verb(
        &self,
        number: u32,
        id: i64,
        verb: OrderVerb,
        plan: &Order,
    ) -> Result<pb::Order, Failure> {
        /// The request of a verb that says nothing but the order.
        macro_rules! bare {
            ($request:ident, $rpc:ident, $step:ident) => {{
                let request = pb::$request {
                    id,
                    request_id: self.id(Step::$step, number),
                    ..Default::default()
                };
                call!(self.clients, orders.$rpc(request)).await
            }};
        }
        match verb {
            OrderVerb::Confirm => bare!(ConfirmOrderRequest, confirm_order, ConfirmOrder),
            OrderVerb::StartProduction => {
                bare!(StartProductionRequest, start_production, StartProduction)
            }
            OrderVerb::Ship => bare!(ShipOrderRequest, ship_order, ShipOrder),
            OrderVerb::Complete => bare!(CompleteOrderRequest, complete_order, CompleteOrder),
            OrderVerb::Cancel => {
                let request = pb::CancelOrderRequest {
                    id,
                    reason: plan.cancel_reason.to_owned(),
                    request_id: self.id(Step::CancelOrder, number),
                    ..Default::default()
                };
                call!(self.clients, orders.cancel_order(request)).await
            }
        }
    }

    /// Opens a ticket about an order, where it is not there, and moves it to its goal.
    async fn ticket(
        &self,
        number: u32,
        (order_id, order): (i64, &Order),
        plan: &Ticket,
    ) -> Result<(), Failure> {
        let mut ticket = match self.survey.tickets.get(number) {
            Some((_, state)) if plan.goal.next(state) == Next::Arrived => return Ok(()),
            Some((id, _)) => {
                let request = pb::GetTicketRequest { id };
                call!(self.clients, tickets.get_ticket(request)).await?
            }
            None => {
                let about = order
                    .lines
                    .first()
                    .map(|line| self.product_id(line.product));
                let request = pb::OpenTicketRequest {
                    customer_id: self.customer_id(order.customer),
                    description: plan.description.clone(),
                    priority: plan.priority,
                    product_id: about.unwrap_or_default(),
                    order_id,
                    request_id: self.id(Step::OpenTicket, number),
                };
                let opened = call!(self.clients, tickets.open_ticket(request)).await?;
                count(&self.made.tickets);
                opened
            }
        };
        loop {
            self.part(number, &ticket, plan).await?;
            ticket = match plan.goal.next(ticket.state()) {
                Next::Do(verb) => self.ticket_verb(number, ticket.id, verb, plan).await?,
                Next::Arrived => return Ok(()),
                Next::Elsewhere => {
                    count(&self.made.elsewhere);
                    return Ok(());
                }
            };
        }
    }

    /// Takes the part that a ticket needs, once somebody works on it.
    async fn part(
        &self,
        number: u32,
        ticket: &pb::ServiceTicket,
        plan: &Ticket,
    ) -> Result<(), Failure> {
        let Some((product, quantity)) = plan.part else {
            return Ok(());
        };
        let product_id = self.product_id(product);
        let has_it = ticket
            .parts
            .iter()
            .any(|part| part.product_id == product_id);
        if has_it || ticket.state() != pb::TicketState::InProgress {
            return Ok(());
        }
        let request = pb::AddPartRequest {
            id: ticket.id,
            product_id,
            quantity,
            request_id: self.id(Step::AddPart, number),
            ..Default::default()
        };
        call!(self.clients, tickets.add_part(request)).await?;
        Ok(())
    }

    async fn ticket_verb(
        &self,
        number: u32,
        id: i64,
        verb: TicketVerb,
        plan: &Ticket,
    ) -> Result<pb::ServiceTicket, Failure> {
        match verb {
            TicketVerb::Assign => {
                let request = pb::AssignMechanicRequest {
                    id,
                    employee_id: self.employee_id(plan.mechanic),
                    request_id: self.id(Step::AssignMechanic, number),
                    ..Default::default()
                };
                call!(self.clients, tickets.assign_mechanic(request)).await
            }
            TicketVerb::Start => {
                let request = pb::StartTicketRequest {
                    id,
                    request_id: self.id(Step::StartTicket, number),
                    ..Default::default()
                };
                call!(self.clients, tickets.start_ticket(request)).await
            }
            TicketVerb::Close => {
                let request = pb::CloseTicketRequest {
                    id,
                    labour_minutes: plan.labour_minutes,
                    resolution: plan.resolution.to_owned(),
                    request_id: self.id(Step::CloseTicket, number),
                    ..Default::default()
                };
                call!(self.clients, tickets.close_ticket(request)).await
            }
            TicketVerb::Cancel => {
                let request = pb::CancelTicketRequest {
                    id,
                    request_id: self.id(Step::CancelTicket, number),
                    ..Default::default()
                };
                call!(self.clients, tickets.cancel_ticket(request)).await
            }
        }
    }
}
