//! Between the contract's messages and the domain's values.

use millgate_contract::factory::v1 as pb;
use millgate_contract::google::r#type::Money as MoneyMessage;
use millgate_platform::{Etag, FieldFault, Reason};
use prost_types::Timestamp;

use crate::domain::access::Sight;
use crate::domain::customer::Customer;
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderHead, OrderState, OrderVerb, PastState};
use crate::domain::placement::Line;
use crate::domain::product::{Product, ProductState};

const MICROS: i64 = 1_000_000;

/// A time of ours as the contract has it.
pub(super) fn time(micros: i64) -> Option<Timestamp> {
    let nanos = i32::try_from(micros.rem_euclid(MICROS) * 1000).unwrap_or(0);
    Some(Timestamp {
        seconds: micros.div_euclid(MICROS),
        nanos,
    })
}

/// A time that a caller sent, as microseconds since the epoch, rounded up: what lies between two microseconds is not
/// before the later one.
pub(super) fn micros(time: Timestamp) -> Result<i64, FieldFault> {
    // The years 1 to 9999, as google/protobuf/timestamp.proto has them.
    const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    if !RANGE.contains(&time.seconds) || !(0..1_000_000_000).contains(&time.nanos) {
        return Err("must be a time between the years 1 and 9999".into());
    }
    Ok(time.seconds * MICROS
        + i64::from(time.nanos).div_euclid(1000)
        + i64::from(time.nanos % 1000 > 0))
}

pub(super) fn money(money: Money) -> Option<MoneyMessage> {
    let (units, nanos) = money.parts();
    Some(MoneyMessage {
        currency_code: money.currency().code().to_owned(),
        units,
        nanos,
    })
}

pub(super) fn parse_money(money: Option<&MoneyMessage>) -> Result<Money, FieldFault> {
    let money = money.ok_or("is needed")?;
    Money::parse(&money.currency_code, money.units, money.nanos)
}

/// The id that a request names.
pub(super) fn id(id: i64) -> Result<i64, FieldFault> {
    if id > 0 {
        Ok(id)
    } else {
        Err("must be an id, above 0".into())
    }
}

/// A filter by id: 0 is none.
pub(super) fn id_filter(filter: i64) -> Result<Option<i64>, FieldFault> {
    if filter == 0 {
        Ok(None)
    } else {
        id(filter).map(Some)
    }
}

/// What a field that only the service writes is refused with in a create.
pub(super) fn not_writable() -> FieldFault {
    FieldFault::new(Reason::FieldNotWritable, "is written by the service")
}

pub(super) fn product(product: &Product) -> pb::Product {
    let fields = &product.fields;
    let state = match fields.state {
        ProductState::Active => pb::ProductState::Active,
        ProductState::Inactive => pb::ProductState::Inactive,
    };
    pb::Product {
        id: product.id,
        sku: fields.sku.as_str().to_owned(),
        name: fields.name.clone(),
        description: fields.description.clone(),
        unit_price: money(fields.unit_price),
        on_hand: product.on_hand,
        reserved: product.reserved,
        available: product.available(),
        state: state.into(),
        tax_rate_basis_points: fields.tax_rate.message(),
        reorder_threshold: fields.reorder_threshold,
        etag: product.etag(),
        create_time: time(product.create_time),
        update_time: time(product.update_time),
        delete_time: product.delete_time.and_then(time),
    }
}

/// A product's state; `None` where it is not said.
pub(super) fn product_state(state: i32) -> Result<Option<ProductState>, FieldFault> {
    match pb::ProductState::try_from(state) {
        Ok(pb::ProductState::Unspecified) => Ok(None),
        Ok(pb::ProductState::Active) => Ok(Some(ProductState::Active)),
        Ok(pb::ProductState::Inactive) => Ok(Some(ProductState::Inactive)),
        Err(_) => Err("is not a state of a product".into()),
    }
}

/// An order's state; `None` where it is not said.
pub(super) fn order_state(state: i32) -> Result<Option<OrderState>, FieldFault> {
    match pb::OrderState::try_from(state) {
        Ok(pb::OrderState::Unspecified) => Ok(None),
        Ok(state) => Ok(OrderState::ALL
            .into_iter()
            .find(|known| order_state_message(*known) == state)),
        Err(_) => Err("is not a state of an order".into()),
    }
}

fn order_state_message(state: OrderState) -> pb::OrderState {
    match state {
        OrderState::Placed => pb::OrderState::Placed,
        OrderState::Confirmed => pb::OrderState::Confirmed,
        OrderState::InProduction => pb::OrderState::InProduction,
        OrderState::Shipped => pb::OrderState::Shipped,
        OrderState::Completed => pb::OrderState::Completed,
        OrderState::Cancelled => pb::OrderState::Cancelled,
    }
}

/// An order, and the verbs that the caller may use on it now.
pub(super) fn order(order: &Order, verbs: &[OrderVerb]) -> pb::Order {
    pb::Order {
        lines: order.lines.iter().map(line).collect(),
        ..order_head(&order.head, verbs)
    }
}

/// As [`order`], without its lines.
pub(super) fn order_head(head: &OrderHead, verbs: &[OrderVerb]) -> pb::Order {
    pb::Order {
        id: head.id,
        customer_id: head.customer_id,
        state: order_state_message(head.state).into(),
        lines: Vec::new(),
        total: money(head.totals.total),
        subtotal: money(head.totals.subtotal),
        tax_total: money(head.totals.tax),
        shipping_address: head.shipping_address.clone(),
        notes: head.notes.clone(),
        next_actions: verbs.iter().map(|verb| verb.as_str().to_owned()).collect(),
        cancel_reason: head.cancel_reason.clone(),
        etag: Etag::of(head.revision),
        create_time: time(head.create_time),
        update_time: time(head.update_time),
    }
}

/// A state that an order was in. Who moved it there is for staff to know.
pub(super) fn past_state(past: &PastState, sight: Sight) -> pb::OrderStateChange {
    let actor = Some(past.actor.clone()).filter(|_| sight.is_all());
    pb::OrderStateChange {
        state: order_state_message(past.state).into(),
        actor: actor.unwrap_or_default(),
        time: time(past.time),
    }
}

fn line(line: &Line) -> pb::OrderLine {
    pb::OrderLine {
        product_id: line.product_id,
        sku: line.sku.clone(),
        name: line.name.clone(),
        unit_price: money(line.unit_price),
        quantity: line.quantity,
        line_total: money(line.line_total),
        discount_basis_points: line.discount_rate.message(),
        discount: money(line.discount),
        tax_rate_basis_points: line.tax_rate.message(),
        tax: money(line.tax),
    }
}

/// A customer as this caller sees it: the notes are for the eyes of staff.
pub(crate) fn customer(customer: &Customer, sight: Sight) -> pb::Customer {
    let fields = &customer.fields;
    pb::Customer {
        id: customer.id,
        name: fields.name.whole(),
        first_name: fields.name.first().to_owned(),
        last_name: fields.name.last().to_owned(),
        email: fields.email.as_str().to_owned(),
        phone: fields.phone.as_str().to_owned(),
        phone_number: fields.phone.as_str().to_owned(),
        shipping_address: fields.shipping_address.clone(),
        notes: if sight.is_all() {
            fields.notes.clone()
        } else {
            String::new()
        },
        user_id: customer.user_id.unwrap_or_default(),
        etag: Etag::of(customer.revision),
        create_time: time(customer.create_time),
        update_time: time(customer.update_time),
        delete_time: customer.delete_time.and_then(time),
        erase_time: customer.erase_time.and_then(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_out_and_come_back() {
        for micros_in in [0, 1, 999_999, 1_700_000_000_123_456, -1] {
            let message = time(micros_in).expect("a time");
            assert!((0..1_000_000_000).contains(&message.nanos));
            assert_eq!(micros(message), Ok(micros_in));
        }
    }

    #[test]
    fn a_time_outside_of_its_range_is_refused() {
        for (seconds, nanos) in [
            (i64::MAX, 0),
            (i64::MIN, 0),
            (0, -1),
            (0, 1_000_000_000),
            (0, i32::MAX),
        ] {
            assert!(
                micros(Timestamp { seconds, nanos }).is_err(),
                "{seconds} {nanos}"
            );
        }
    }

    #[test]
    fn an_unknown_state_is_refused_and_none_is_no_filter() {
        assert_eq!(order_state(0), Ok(None));
        assert_eq!(order_state(4), Ok(Some(OrderState::Shipped)));
        assert!(order_state(99).is_err() && product_state(-1).is_err());
    }
}
