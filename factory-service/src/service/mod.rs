//! The RPCs: who calls, what they ask, one way through the rules and the store, the reply.

use std::sync::Arc;

use millgate_contract::factory::v1 as pb;
use millgate_guard::{Caller, Verifier};
use millgate_platform::page::{Binding, Page, PageRequest};
use millgate_platform::{Claim, Database, Fault, Idempotency, PageKey, SharedClock, Tx};
use prost::Message;

use crate::changes::Feed;
use crate::domain::access::{Actor, Sight, TicketSight};
use crate::domain::change::Author;
use crate::domain::order::Order;
use crate::domain::production::Run;
use crate::domain::ticket::{Part, Ticket};
use crate::registration::SharedRegistrar;
use crate::store::remembered;

mod change;
pub(crate) mod convert;
mod customer;
mod customer_fields;
mod employee;
mod employee_fields;
pub(crate) mod log;
mod order;
mod paging;
mod product;
mod product_export;
mod product_fields;
mod product_import;
mod product_past;
mod production;
mod production_fields;
mod report;
mod ticket;
mod ticket_fields;
mod watching;

pub(crate) use change::Changes;
pub(crate) use customer::Customers;
pub(crate) use employee::Employees;
pub(crate) use order::Orders;
pub(crate) use product::Products;
pub(crate) use production::Production;
pub(crate) use report::Reports;
pub(crate) use ticket::Tickets;

/// What every handler works with.
pub(crate) struct Factory {
    /// The factory's own database.
    pub(crate) db: Database,
    /// What time it is.
    pub(crate) clock: SharedClock,
    /// Which requests were answered before.
    pub(crate) idempotency: Idempotency,
    /// Seals the page tokens.
    pub(crate) page_key: PageKey,
    /// Reads the tokens that auth gives to a customer who logs in.
    pub(crate) verifier: Arc<Verifier>,
    /// What is done together with the auth service.
    pub(crate) registrar: SharedRegistrar,
    /// Wakes who watches the changes.
    pub(crate) feed: Arc<Feed>,
    /// Compares the rows of imports.
    pub(crate) import_key: ring::hmac::Key,
}

/// A request that is to be done, in its transaction.
struct Work<M> {
    tx: Tx,
    claim: Claim<M>,
    /// Who does it.
    author: Box<Author>,
    /// Whether the log of changes has a row for it.
    is_noted: bool,
    /// Whose personal data the answer may hold.
    customer_id: Option<i64>,
    feed: Arc<Feed>,
    /// The time that everything it writes carries, microseconds since the epoch.
    now: i64,
}

/// Either the answer that the same request got before, or the work to do.
enum Begun<M> {
    Answered(M),
    Work(Work<M>),
}

impl Factory {
    /// Begins the transaction of a request that writes. `body` is the request without its `request_id`.
    async fn begin<M: Message + Default>(
        &self,
        caller: &Caller,
        method: &str,
        request_id: &str,
        body: &impl Message,
    ) -> Result<Begun<M>, Fault> {
        let mut tx = self.db.begin().await?;
        let claim = self
            .idempotency
            .claim(&mut tx, &caller.key(), method, request_id, body)
            .await?;
        Ok(match claim {
            Claim::Replay(answer) => Begun::Answered(answer),
            claim => Begun::Work(self.work(caller, tx, claim)),
        })
    }

    /// Begins the transaction of a request that writes and has no `request_id`: an update or a deletion.
    async fn open<M>(&self, caller: &Caller) -> Result<Work<M>, Fault> {
        let tx = self.db.begin().await?;
        Ok(self.work(caller, tx, Claim::Off))
    }

    fn work<M>(&self, caller: &Caller, tx: Tx, claim: Claim<M>) -> Work<M> {
        Work {
            tx,
            claim,
            author: Box::new(Author::of(caller)),
            is_noted: false,
            customer_id: None,
            feed: self.feed.clone(),
            now: self.clock.now_micros(),
        }
    }

    /// The page that a list request asks for. The token belongs to this caller and to `filter`, which is the request
    /// without its page.
    fn page(
        &self,
        caller: &Caller,
        (size, token): (i32, &str),
        method: &str,
        filter: &impl Message,
    ) -> Result<Page, Fault> {
        let mut binding = Binding::new(&caller.key())
            .with("method", method)
            .as_bytes()
            .to_vec();
        binding.extend(filter.encode_to_vec());
        PageRequest::parse(size, token, &binding, &self.page_key)
    }
}

impl<M: Message + Default> Work<M> {
    /// Remembers the answer and commits: from here on the work is done, and done once. Work that is not in the log of
    /// changes ([`Work::created`], [`Work::changed`]) is not committed.
    async fn done(mut self, answer: M) -> Result<M, Fault> {
        if !self.is_noted {
            return Err(Fault::internal("a change without its row in the log"));
        }
        if let Claim::Fresh(once) = &self.claim {
            let answer = answer.encode_to_vec();
            remembered::record(&mut self.tx, once, &answer, self.customer_id).await?;
        }
        self.tx.commit().await?;
        self.feed.committed();
        Ok(answer)
    }
}

/// The caller as the handlers need them.
struct Who {
    caller: Caller,
    sight: Sight,
    actor: Actor,
}

impl Who {
    fn of(caller: Caller) -> Self {
        Self {
            sight: Sight::of(&caller),
            actor: Actor::of(&caller),
            caller,
        }
    }

    /// Whether a method with this scope in its access rule is within the token's reach.
    fn reaches(&self, scope: &str) -> bool {
        let scopes = self.caller.scope();
        scopes.is_none_or(|scopes| scopes.contains(scope))
    }

    /// An order as this caller sees it.
    fn order(&self, order: &Order) -> pb::Order {
        let verbs = order.head.state.verbs(self.sight);
        let verbs = if self.reaches("orders.write") {
            verbs.as_slice()
        } else {
            &[]
        };
        convert::order(order, verbs)
    }

    /// A production run as this caller sees it.
    fn run(&self, run: &Run) -> pb::ProductionRun {
        let verbs = run.state.verbs();
        let verbs = if self.reaches("production.write") {
            verbs.as_slice()
        } else {
            &[]
        };
        production_fields::message_of(run, verbs)
    }

    /// A ticket as this caller sees it.
    fn ticket(&self, ticket: &Ticket, parts: &[Part]) -> pb::ServiceTicket {
        let verbs = ticket.state.verbs(TicketSight::of(&self.caller));
        let verbs = if self.reaches("tickets.write") {
            verbs.as_slice()
        } else {
            &[]
        };
        ticket_fields::message_of(ticket, parts, verbs)
    }
}

type Shared = Arc<Factory>;
type Answer<T> = Result<tonic::Response<T>, tonic::Status>;
