//! What a write leaves in the log of changes.

use std::sync::LazyLock;

use millgate_contract::DESCRIPTORS;
use millgate_platform::{Fault, Tx};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use super::convert;
use super::{Work, employee_fields, production_fields, ticket_fields};
use crate::domain::access::Sight;
use crate::domain::change::{Author, Kind, Subject};
use crate::domain::customer::Customer;
use crate::domain::employee::Employee;
use crate::domain::order::{Order, OrderHead};
use crate::domain::product::Product;
use crate::domain::production::Run;
use crate::domain::ticket::{Part, Ticket};
use crate::store::change::{self, Shown};

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap_or_default());

/// A resource as it was or is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen<'a> {
    Customer(&'a Customer),
    Product(&'a Product),
    /// With its lines: at its creation.
    Order(&'a Order),
    /// Without them: they never change.
    OrderHead(&'a OrderHead),
    Ticket(&'a Ticket),
    /// With the part that it took.
    TicketAndPart(&'a Ticket, &'a Part),
    Employee(&'a Employee),
    Run(&'a Run),
}

impl Seen<'_> {
    /// What it is.
    pub(crate) fn subject(self) -> Subject {
        let (kind, id, customer_id) = match self {
            Self::Customer(customer) => (Kind::Customer, customer.id, Some(customer.id)),
            Self::Product(product) => (Kind::Product, product.id, None),
            Self::Order(Order { head, .. }) | Self::OrderHead(head) => {
                (Kind::Order, head.id, Some(head.customer_id))
            }
            Self::Ticket(ticket) | Self::TicketAndPart(ticket, _) => {
                (Kind::Ticket, ticket.id, Some(ticket.customer_id))
            }
            Self::Employee(employee) => (Kind::Employee, employee.id, None),
            Self::Run(run) => (Kind::Run, run.id, None),
        };
        Subject {
            kind,
            id,
            customer_id,
        }
    }

    /// As staff see it, without the verbs, which depend on who looks.
    fn json(self) -> Result<String, Fault> {
        match self {
            Self::Customer(customer) => self.written(&convert::customer(customer, Sight::All)),
            Self::Product(product) => self.written(&convert::product(product)),
            Self::Order(order) => self.written(&convert::order(order, &[])),
            Self::OrderHead(head) => self.written(&convert::order_head(head, &[])),
            Self::Ticket(ticket) => self.written(&ticket_fields::message_of(ticket, &[], &[])),
            Self::TicketAndPart(ticket, part) => {
                let parts = std::slice::from_ref(part);
                self.written(&ticket_fields::message_of(ticket, parts, &[]))
            }
            Self::Employee(employee) => self.written(&employee_fields::message_of(employee)),
            Self::Run(run) => self.written(&production_fields::message_of(run, &[])),
        }
    }

    fn written(self, message: &impl Message) -> Result<String, Fault> {
        written(self.subject().kind, message)
    }
}

/// A message of the contract as JSON: proto names, numbers of 64 bits as texts, what is not set left out.
fn written(kind: Kind, message: &impl Message) -> Result<String, Fault> {
    let lost = || Fault::internal("a change could not be written down");
    let descriptor = POOL.get_message_by_name(kind.message()).ok_or_else(lost)?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .map_err(|error| lost().with_source(error))?;
    let mut json = Vec::new();
    let options = SerializeOptions::new().use_proto_field_name(true);
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options)
        .map_err(|error| lost().with_source(error))?;
    String::from_utf8(json).map_err(|error| lost().with_source(error))
}

/// The contract's message that a change shows.
pub(super) fn read<M: Message + Default>(kind: Kind, json: &str) -> Result<M, Fault> {
    let lost = || Fault::internal("a change could not be read");
    let descriptor = POOL.get_message_by_name(kind.message()).ok_or_else(lost)?;
    let mut json = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(descriptor, &mut json)
        .map_err(|error| lost().with_source(error))?;
    M::decode(message.encode_to_vec().as_slice()).map_err(|error| lost().with_source(error))
}

/// Writes into the log what was done, in the transaction that does it.
pub(crate) async fn note(
    tx: &mut Tx,
    author: &Author,
    verb: &str,
    (before, after): (Option<Seen<'_>>, Seen<'_>),
    now: i64,
) -> Result<(), Fault> {
    let shown = Shown {
        before: before.map(Seen::json).transpose()?,
        after: Some(after.json()?),
    };
    change::insert(tx, author, after.subject(), verb, &shown, now).await
}

impl<M> Work<M> {
    /// Notes that something was made.
    pub(super) async fn created(&mut self, made: Seen<'_>) -> Result<(), Fault> {
        self.noted("create", (None, made)).await
    }

    /// Notes that something was changed.
    pub(super) async fn changed(
        &mut self,
        verb: &str,
        before: Seen<'_>,
        after: Seen<'_>,
    ) -> Result<(), Fault> {
        self.noted(verb, (Some(before), after)).await
    }

    /// Notes that a customer's personal data was removed, and removes it from the log.
    pub(super) async fn erased(&mut self, left: &Customer) -> Result<(), Fault> {
        change::erase(&mut self.tx, left.id).await?;
        self.noted("erase", (None, Seen::Customer(left))).await
    }

    async fn noted(&mut self, verb: &str, seen: (Option<Seen<'_>>, Seen<'_>)) -> Result<(), Fault> {
        note(&mut self.tx, &self.author, verb, seen, self.now).await?;
        self.is_noted = true;
        self.customer_id = self.customer_id.or(seen.1.subject().customer_id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millgate_contract::factory::v1 as pb;

    #[test]
    fn what_is_written_down_reads_as_it_was() {
        let product = pb::Product {
            id: i64::MAX,
            sku: "M8".into(),
            name: "Bolt \"x\" \u{1F529}".into(),
            on_hand: 3,
            ..pb::Product::default()
        };
        let json = written(Kind::Product, &product).expect("written");
        assert!(json.contains("\"on_hand\":\"3\""), "{json}");
        assert_eq!(
            read::<pb::Product>(Kind::Product, &json).expect("read"),
            product
        );
    }

    #[test]
    fn every_kind_has_its_message() {
        for kind in Kind::ALL {
            assert!(
                POOL.get_message_by_name(kind.message()).is_some(),
                "{kind:?}"
            );
        }
    }
}
