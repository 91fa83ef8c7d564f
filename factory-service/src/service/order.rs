//! OrderService.

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::order_service_server::OrderService;
use millgate_guard::Admitted;
use millgate_platform::{Cursor, Fault, Fields, Page, Reason};
use prost::Message;
use std::pin::Pin;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::convert::{id, id_filter, micros, order_state, past_state, time};
use super::log::{self, Seen};
use super::paging::fitting_of_more;
use super::watching::{self, Watch};
use super::{Answer, Begun, Shared, Who};
use crate::domain::access::{Owner, Sight};
use crate::domain::change::{Change, Kind};
use crate::domain::customer::MAX_ADDRESS;
use crate::domain::order::{MAX_NOTES, MAX_REASON, Order, OrderVerb};
use crate::domain::paging::OrderBy;
use crate::domain::placement::{AskedLine, Placement, WantedLines};
use crate::domain::text;
use crate::store::change;
use crate::store::order::Filter;
use crate::store::placing::NewOrder;
use crate::store::{customer, order as store, placing, stock};

/// Orders and the verbs that move them.
pub(crate) struct Orders(pub(crate) Shared);

#[tonic::async_trait]
impl OrderService for Orders {
    type WatchOrdersStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchOrdersResponse, Status>> + Send>>;

    async fn place_order(&self, request: Request<pb::PlaceOrderRequest>) -> Answer<pb::Order> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let who = Who::of(caller);
        let asked = parse_placement(&message, who.sight)?;
        let request_id = std::mem::take(&mut message.request_id);
        let mut work = match self
            .0
            .begin(&who.caller, "PlaceOrder", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let (mut buyer, offers) = placing::offers(&mut work.tx, asked.owner, &asked.wanted).await?;
        if !asked.shipping_address.is_empty() {
            buyer.shipping_address = asked.shipping_address;
        }
        let placement = Placement::price(&asked.wanted, &offers)?;
        let new = NewOrder {
            buyer: &buyer,
            placement: &placement,
            notes: &asked.notes,
        };
        let head = placing::place(&mut work.tx, &new, &who.actor, work.now).await?;
        let order = Order {
            head,
            lines: placement.lines,
        };
        work.created(Seen::Order(&order)).await?;
        Ok(Response::new(work.done(who.order(&order)).await?))
    }

    async fn get_order(&self, request: Request<pb::GetOrderRequest>) -> Answer<pb::Order> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let who = Who::of(caller);
        let mut fields = Fields::new();
        let id = fields.parse("id", id(message.id));
        let (id,) = fields.all((id,))?;
        let order = store::get(&self.0.db, id, who.sight)
            .await?
            .ok_or_else(|| not_found(id))?;
        Ok(Response::new(who.order(&order)))
    }

    async fn list_order_states(
        &self,
        request: Request<pb::ListOrderStatesRequest>,
    ) -> Answer<pb::ListOrderStatesResponse> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let mut fields = Fields::new();
        let id = fields.parse("id", id(message.id));
        let (id,) = fields.all((id,))?;
        let sight = Sight::of(&caller);
        let states = store::states(&self.0.db, id, sight).await?;
        if states.is_empty() {
            return Err(not_found(id).into());
        }
        Ok(Response::new(pb::ListOrderStatesResponse {
            states: states.iter().map(|past| past_state(past, sight)).collect(),
        }))
    }

    async fn watch_orders(
        &self,
        request: Request<pb::WatchOrdersRequest>,
    ) -> Answer<Self::WatchOrdersStream> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let mut fields = Fields::new();
        let from = fields.parse("from_sequence", watching::from(message.from_sequence));
        let (from,) = fields.all((from,))?;
        let filter = change::Filter {
            kind: Some(Kind::Order),
            owner: Sight::of(&caller).owner(),
            ..change::Filter::default()
        };
        let watch = Watch { filter, from };
        let stream =
            watching::stream(&self.0.db, &self.0.feed, &caller.key(), watch, watched).await?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn list_orders(
        &self,
        request: Request<pb::ListOrdersRequest>,
    ) -> Answer<pb::ListOrdersResponse> {
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
            .page(&caller, (size, &token), "ListOrders", &message)?;
        let (filter, by) = parse_filter(&message)?;
        let (orders, next_page_token) = self.listed(&filter, by, &page, &Who::of(caller)).await?;
        Ok(Response::new(pb::ListOrdersResponse {
            orders,
            next_page_token,
        }))
    }

    async fn list_my_orders(
        &self,
        request: Request<pb::ListMyOrdersRequest>,
    ) -> Answer<pb::ListMyOrdersResponse> {
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
            .page(&caller, (size, &token), "ListMyOrders", &message)?;
        let mut fields = Fields::new();
        let state = fields.parse("state", order_state(message.state));
        let (state,) = fields.all((state,))?;
        let owner = Owner::of_caller(&caller)?;
        // One of both, whoever it is: without either it would be a list of everybody's.
        let (customer_id, user_id) = owner.keys();
        let filter = Filter {
            state,
            customer_id,
            user_id,
            ..Filter::default()
        };
        let newest_first = OrderBy {
            column: "id",
            descending: true,
        };
        let (orders, next_page_token) = self
            .listed(&filter, newest_first, &page, &Who::of(caller))
            .await?;
        if orders.is_empty() {
            // Nothing was found, so nothing was said of the profile either.
            customer::id_of(&self.0.db, owner).await?;
        }
        Ok(Response::new(pb::ListMyOrdersResponse {
            orders,
            next_page_token,
        }))
    }

    async fn confirm_order(&self, request: Request<pb::ConfirmOrderRequest>) -> Answer<pb::Order> {
        self.moved(Admitted::of(request)?, OrderVerb::Confirm).await
    }

    async fn start_production(
        &self,
        request: Request<pb::StartProductionRequest>,
    ) -> Answer<pb::Order> {
        self.moved(Admitted::of(request)?, OrderVerb::StartProduction)
            .await
    }

    async fn ship_order(&self, request: Request<pb::ShipOrderRequest>) -> Answer<pb::Order> {
        self.moved(Admitted::of(request)?, OrderVerb::Ship).await
    }

    async fn complete_order(
        &self,
        request: Request<pb::CompleteOrderRequest>,
    ) -> Answer<pb::Order> {
        self.moved(Admitted::of(request)?, OrderVerb::Complete)
            .await
    }

    async fn cancel_order(&self, request: Request<pb::CancelOrderRequest>) -> Answer<pb::Order> {
        self.moved(Admitted::of(request)?, OrderVerb::Cancel).await
    }
}

impl Orders {
    /// Moves an order by a verb: every transition goes this way.
    async fn moved<M: VerbRequest>(
        &self,
        request: Admitted<M>,
        verb: OrderVerb,
    ) -> Answer<pb::Order> {
        let Admitted {
            caller,
            mut message,
            ..
        } = request;
        let who = Who::of(caller);
        let request_id = message.take_request_id();
        let mut fields = Fields::of_request(&request_id);
        let id = fields.parse("id", id(message.id()));
        let reason = fields.parse("reason", text::paragraph(message.reason(), 0, MAX_REASON));
        let (id, reason) = fields.all((id, reason))?;
        let mut work = match self
            .0
            .begin(&who.caller, verb.as_str(), &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let before = store::lock(&mut work.tx, id, who.sight)
            .await?
            .ok_or_else(|| not_found(id))?;
        let mut head = before.clone();
        head.apply(verb, who.sight, message.etag(), work.now)?;
        head.cancel_reason = reason;
        stock::settle(&mut work.tx, id, verb.stock_effect(), &who.actor, work.now).await?;
        store::save_move(&mut work.tx, &head, &who.actor).await?;
        let (before, after) = (Seen::OrderHead(&before), Seen::OrderHead(&head));
        work.changed(verb.as_str(), before, after).await?;
        let order = store::with_its_lines(&mut work.tx, head).await?;
        Ok(Response::new(work.done(who.order(&order)).await?))
    }

    async fn listed(
        &self,
        filter: &Filter,
        by: OrderBy,
        page: &Page,
        who: &Who,
    ) -> Result<(Vec<pb::Order>, String), Fault> {
        let (orders, is_cut) = store::list(&self.0.db, filter, by, page).await?;
        Ok(fitting_of_more(
            page,
            (&orders, is_cut),
            |order| Cursor::id(order.head.id),
            |order| who.order(order),
        ))
    }
}

/// A change of an order, for who watches.
fn watched(change: &Change) -> Result<pb::WatchOrdersResponse, Fault> {
    let order = match &change.after {
        Some(after) => Some(log::read(Kind::Order, after)?),
        None => None,
    };
    Ok(pb::WatchOrdersResponse {
        sequence: change.seq,
        time: time(change.time),
        verb: change.verb.clone(),
        order,
    })
}

fn not_found(id: i64) -> Fault {
    Fault::not_found(Reason::OrderNotFound, format_args!("order {id}"))
}

/// An order that is asked for.
struct AskedOrder {
    owner: Owner,
    wanted: WantedLines,
    notes: String,
    /// Empty: the customer's own.
    shipping_address: String,
}

fn parse_placement(message: &pb::PlaceOrderRequest, sight: Sight) -> Result<AskedOrder, Fault> {
    let mut fields = Fields::of_request(&message.request_id);
    let owner = fields.parse("customer_id", Owner::of(sight, message.customer_id));
    let lines = message.lines.iter().map(|line| AskedLine {
        product_id: line.product_id,
        quantity: line.quantity,
        discount: line.discount_basis_points,
        tax_rate: line.tax_rate_basis_points,
    });
    let wanted = WantedLines::parse(lines, sight.is_all(), &mut fields);
    let notes = fields.parse("notes", text::paragraph(&message.notes, 0, MAX_NOTES));
    let address = text::paragraph(&message.shipping_address, 0, MAX_ADDRESS);
    let address = fields.parse("shipping_address", address);
    let (owner, wanted, notes, shipping_address) = fields.all((owner, wanted, notes, address))?;
    Ok(AskedOrder {
        owner,
        wanted,
        notes,
        shipping_address,
    })
}

fn parse_filter(message: &pb::ListOrdersRequest) -> Result<(Filter, OrderBy), Fault> {
    let mut fields = Fields::new();
    let state = fields.parse("state", order_state(message.state));
    let customer_id = fields.parse("customer_id", id_filter(message.customer_id));
    let product_id = fields.parse("product_id", id_filter(message.product_id));
    let after = fields.parse("placed_after", message.placed_after.map(micros).transpose());
    let before = fields.parse(
        "placed_before",
        message.placed_before.map(micros).transpose(),
    );
    let by = fields.parse("order_by", OrderBy::parse(&message.order_by, &["id"]));
    let (state, customer_id, product_id, placed_after, placed_before, by) =
        fields.all((state, customer_id, product_id, after, before, by))?;
    Ok((
        Filter {
            state,
            customer_id,
            user_id: None,
            product_id,
            placed_after,
            placed_before,
        },
        by,
    ))
}

/// What the requests of all verbs have in common.
trait VerbRequest: Message {
    fn id(&self) -> i64;
    fn etag(&self) -> &str;
    /// Why; only a cancellation says it.
    fn reason(&self) -> &str {
        ""
    }
    fn take_request_id(&mut self) -> String;
}

macro_rules! verb_request {
    ($message:ty $(, $reason:ident)?) => {
        impl VerbRequest for $message {
            fn id(&self) -> i64 {
                self.id
            }
            fn etag(&self) -> &str {
                &self.etag
            }
            $(fn reason(&self) -> &str {
                &self.$reason
            })?
            fn take_request_id(&mut self) -> String {
                std::mem::take(&mut self.request_id)
            }
        }
    };
}
verb_request!(pb::ConfirmOrderRequest);
verb_request!(pb::StartProductionRequest);
verb_request!(pb::ShipOrderRequest);
verb_request!(pb::CompleteOrderRequest);
verb_request!(pb::CancelOrderRequest, reason);
