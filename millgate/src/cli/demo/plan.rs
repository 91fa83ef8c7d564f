//! What is made: every thing follows from the seed, the size and its number alone.

use std::ops::Range;

use millgate_contract::factory::v1::OrderState;

use super::dice::{Dice, Kind};
use super::edition::Edition;
use super::road::{Next, OrderGoal, OrderVerb, TicketGoal};
use super::words;

/// The year is made in so many parts: first what is produced in each, then what is ordered.
pub(super) const PERIODS: u32 = 12;
/// How long the year is, in seconds.
pub(super) const YEAR: i64 = 365 * 24 * 60 * 60;
const PERIOD: i64 = YEAR / PERIODS as i64;
const DAY: i64 = 24 * 60 * 60;
/// Every so many orders one comes back to the workshop.
const ORDERS_A_TICKET: u32 = 12;
/// So many of the newest orders, and tickets, show one state each, where there are more of them than that.
const SHOWN_ORDERS: [OrderGoal; 6] = [
    OrderGoal::Placed,
    OrderGoal::Confirmed,
    OrderGoal::InProduction,
    OrderGoal::Shipped,
    OrderGoal::Cancelled { after: 0 },
    OrderGoal::Completed,
];
const SHOWN_TICKETS: [TicketGoal; 4] = [
    TicketGoal::Open,
    TicketGoal::Assigned,
    TicketGoal::InProgress,
    TicketGoal::Cancelled,
];

/// The factory that is made.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) edition: Edition,
    pub(super) products: u32,
    pub(super) customers: u32,
    /// The mechanics are the first of them.
    pub(super) employees: u32,
    pub(super) mechanics: u32,
    /// The orders whose tickets show a state each, the newest first.
    shown_tickets: Vec<u32>,
}

pub(super) struct Product {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) price_cents: i64,
    pub(super) tax_basis_points: i32,
    pub(super) opening_stock: i64,
    pub(super) reorder_threshold: i64,
}

pub(super) struct Customer {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) phone: String,
    pub(super) address: String,
    pub(super) notes: String,
}

pub(super) struct Employee {
    pub(super) name: String,
    pub(super) position: String,
}

/// A production run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// Another one for each run.
    pub(super) number: u32,
    pub(super) product: u32,
    pub(super) employee: u32,
    pub(super) planned: i64,
    pub(super) scrap: i64,
    pub(super) end: RunEnd,
    /// Seconds from the year's begin. No two runs of a product begin together.
    pub(super) start: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunEnd {
    Completed,
    Cancelled,
    /// It is still running.
    None,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) customer: u32,
    pub(super) lines: Vec<Line>,
    pub(super) goal: OrderGoal,
    pub(super) notes: String,
    pub(super) cancel_reason: &'static str,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) product: u32,
    pub(super) quantity: i64,
    pub(super) discount_basis_points: i32,
}

/// A ticket about the first line of an order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) description: String,
    /// 1 to 4, as in the contract.
    pub(super) priority: i32,
    pub(super) goal: TicketGoal,
    pub(super) mechanic: u32,
    /// What it takes from the stock: the product and the pieces.
    pub(super) part: Option<(u32, i64)>,
    pub(super) labour_minutes: i32,
    pub(super) resolution: &'static str,
}

impl Plan {
    /// The factory of this seed and size.
    pub(super) fn new(edition: Edition) -> Self {
        let orders = edition.orders;
        let employees = (orders / 200).clamp(6, 60);
        let mut plan = Self {
            edition,
            products: (orders / 25).clamp(12, 400),
            customers: (orders / 8).clamp(8, 20_000),
            employees,
            mechanics: (employees / 4).clamp(2, 12),
            shown_tickets: Vec::new(),
        };
        let newest = (0..orders).rev().filter(|order| plan.has_ticket(*order));
        plan.shown_tickets = newest.take(SHOWN_TICKETS.len()).collect();
        plan
    }

    fn dice(&self, kind: Kind, number: u32) -> Dice {
        Dice::of(self.edition.seed, kind, number)
    }

    pub(super) fn product(&self, number: u32) -> Product {
        let mut dice = self.dice(Kind::Product, number);
        let quality = dice.pick(words::QUALITIES);
        let goods = dice.pick(words::GOODS);
        let size = 5 * dice.between(2, 60);
        Product {
            name: format!("{quality} {goods} {size}"),
            description: format!(
                "{quality} {goods}, size {size} mm. Made to order in batches of ten."
            ),
            price_cents: i64::from(dice.between(5, 998)) * 50,
            tax_basis_points: if dice.percent(90) { 1900 } else { 700 },
            opening_stock: i64::from(dice.between(20, 200)),
            reorder_threshold: i64::from(10 * dice.between(1, 15)),
        }
    }

    fn person(dice: &mut Dice) -> String {
        let first = dice.pick(words::FIRST_NAMES);
        format!("{first} {}", dice.pick(words::LAST_NAMES))
    }

    pub(super) fn customer(&self, number: u32) -> Customer {
        let mut dice = self.dice(Kind::Customer, number);
        let name = Self::person(&mut dice);
        let Edition { seed, orders } = self.edition;
        Customer {
            email: self.edition.email(&name, number),
            phone: format!("555-01{:02}-{number:05}", dice.below(100)),
            address: format!(
                "{} {}, {:05} {}",
                dice.between(1, 150),
                dice.pick(words::STREETS),
                dice.between(1_000, 99_999),
                dice.pick(words::TOWNS)
            ),
            notes: format!("Made by `millgate demo --seed {seed} --orders {orders}`."),
            name,
        }
    }

    pub(super) fn employee(&self, number: u32) -> Employee {
        let mut dice = self.dice(Kind::Employee, number);
        let name = Self::person(&mut dice);
        let position = if number < self.mechanics {
            "Mechanic"
        } else {
            dice.pick(words::POSITIONS)
        };
        Employee {
            name,
            position: format!("{position}, demo {}", self.edition.mark(number)),
        }
    }

    /// The orders of a part of the year.
    pub(super) fn orders_of(&self, period: u32) -> Range<u32> {
        let end = |period: u32| {
            let share = u64::from(self.edition.orders) * u64::from(period) / u64::from(PERIODS);
            u32::try_from(share).unwrap_or(u32::MAX)
        };
        end(period)..end(period + 1)
    }

    pub(super) fn order(&self, number: u32) -> Order {
        let mut dice = self.dice(Kind::Order, number);
        let goal = self.goal(number, &mut dice);
        let mut lines: Vec<Line> = Vec::new();
        for _ in 0..dice.between(1, 5) {
            let product = dice.low(self.products);
            let line = Line {
                product,
                quantity: i64::from(dice.between(1, 12)),
                discount_basis_points: if dice.percent(10) { 500 } else { 0 },
            };
            if lines.iter().all(|other| other.product != product) {
                lines.push(line);
            }
        }
        Order {
            customer: dice.low(self.customers),
            lines,
            goal,
            notes: format!(
                "{} Demo {}",
                dice.pick(words::ORDER_NOTES),
                self.edition.mark(number)
            ),
            cancel_reason: dice.pick(words::CANCEL_REASONS),
        }
    }

    /// Old orders are done with, new ones are on their way.
    fn goal(&self, number: u32, dice: &mut Dice) -> OrderGoal {
        let orders = self.edition.orders;
        let age = orders - 1 - number;
        let shown = SHOWN_ORDERS.get(age as usize);
        if let Some(goal) = shown.filter(|_| orders > 2 * SHOWN_ORDERS.len() as u32) {
            return *goal;
        }
        if dice.percent(7) {
            let after = dice.below(3);
            return OrderGoal::Cancelled { after };
        }
        // In thousandths of the year: 10 are three and a half days.
        match u64::from(age) * 1000 / u64::from(orders) {
            0..10 if dice.percent(60) => OrderGoal::Placed,
            0..25 => OrderGoal::Confirmed,
            25..45 => OrderGoal::InProduction,
            45..70 => OrderGoal::Shipped,
            _ => OrderGoal::Completed,
        }
    }

    fn has_ticket(&self, order: u32) -> bool {
        let may_have = order % ORDERS_A_TICKET == 5;
        let goal = || self.goal(order, &mut self.dice(Kind::Order, order));
        may_have && matches!(goal(), OrderGoal::Shipped | OrderGoal::Completed)
    }

    /// The ticket of an order, where it has one.
    pub(super) fn ticket(&self, order: u32) -> Option<Ticket> {
        if !self.has_ticket(order) {
            return None;
        }
        let mut dice = self.dice(Kind::Ticket, order);
        let shown = self.shown_tickets.iter().position(|shown| *shown == order);
        let goal = match shown.and_then(|newest| SHOWN_TICKETS.get(newest)) {
            Some(goal) => *goal,
            None if dice.percent(6) => TicketGoal::Cancelled,
            None => TicketGoal::Closed,
        };
        let trouble = dice.pick(words::TROUBLES);
        let part = (dice.low(self.products), i64::from(dice.between(1, 2)));
        let has_part = matches!(goal, TicketGoal::InProgress | TicketGoal::Closed);
        Some(Ticket {
            description: format!("{trouble}. Demo {}", self.edition.mark(order)),
            priority: 1 + i32::try_from(dice.low(4)).unwrap_or_default(),
            goal,
            mechanic: dice.below(self.mechanics),
            part: (has_part && dice.percent(70)).then_some(part),
            labour_minutes: i32::try_from(15 * dice.between(1, 24)).unwrap_or_default(),
            resolution: dice.pick(words::REMEDIES),
        })
    }

    /// The pieces of each product that a part of the year needs: what is ordered, also what is cancelled later, and the
    /// parts of tickets.
    fn needed(&self, period: u32) -> Vec<i64> {
        let mut needed = vec![0; self.products as usize];
        let mut add = |product: u32, quantity: i64| {
            if let Some(sum) = needed.get_mut(product as usize) {
                *sum += quantity;
            }
        };
        for number in self.orders_of(period) {
            for line in self.order(number).lines {
                add(line.product, line.quantity);
            }
            if let Some((product, quantity)) = self.ticket(number).and_then(|ticket| ticket.part) {
                add(product, quantity);
            }
        }
        needed
    }

    /// What is produced in a part of the year: enough for everything that is wanted in it, and some runs that came to
    /// nothing or still go on.
    pub(super) fn runs(&self, period: u32) -> Vec<Run> {
        let mut runs = Vec::new();
        for (product, needed) in (0_u32..).zip(self.needed(period)) {
            let number = 2 * (period * self.products + product);
            let mut dice = self.dice(Kind::Run, number);
            // It is in the store when the first order of its part of the year comes.
            let start = i64::from(period) * PERIOD - 2 * DAY + 60 * i64::from(dice.below(8 * 60));
            let employee = dice.below(self.employees);
            if needed > 0 {
                // Batches of ten, with a little to spare.
                let planned = (needed + needed / 20 + 10) / 10 * 10;
                let spoilt = i64::from(dice.below(3)) * planned / 100;
                runs.push(Run {
                    number,
                    product,
                    employee,
                    planned,
                    scrap: spoilt.min(planned - needed),
                    end: RunEnd::Completed,
                    start,
                });
            }
            let is_last = period + 1 == PERIODS;
            let end = match dice.below(20) {
                0 => Some(RunEnd::Cancelled),
                1..4 if is_last => Some(RunEnd::None),
                // So that there is one of each, however small the factory.
                _ if is_last && product == 0 => Some(RunEnd::Cancelled),
                _ if is_last && product == 1 => Some(RunEnd::None),
                _ => None,
            };
            if let Some(end) = end {
                runs.push(Run {
                    number: number + 1,
                    product,
                    employee,
                    planned: i64::from(10 * dice.between(1, 20)),
                    scrap: 0,
                    end,
                    start: start + 20 * DAY,
                });
            }
        }
        runs
    }

    /// When an order was placed and moved, in seconds from the year's begin: its moments for PLACED and each state behind
    /// it, in the order in which it met them. None is later than the year's end.
    pub(super) fn moments(&self, number: u32) -> Vec<(OrderState, i64)> {
        const HOUR: u32 = 60 * 60;
        let mut dice = self.dice(Kind::Moment, number);
        let slot = YEAR / i64::from(self.edition.orders);
        let jitter = slot * i64::from(dice.below(1000)) / 1000;
        let mut moment = YEAR * i64::from(number) / i64::from(self.edition.orders) + jitter;
        let mut state = OrderState::Placed;
        let mut moments = vec![(state, moment)];
        let goal = self.order(number).goal;
        while let Next::Do(verb) = goal.next(state) {
            state = verb.leads_to();
            let hours = match verb {
                OrderVerb::Confirm => (2, 20),
                OrderVerb::StartProduction => (24, 72),
                OrderVerb::Ship => (48, 144),
                OrderVerb::Complete => (48, 120),
                OrderVerb::Cancel => (1, 48),
            };
            moment += i64::from(dice.between(hours.0 * HOUR, hours.1 * HOUR));
            moments.push((state, moment.min(YEAR)));
        }
        moments
    }

    /// When the ticket about an order was opened, in seconds from the year's begin: some days after it was sent.
    pub(super) fn ticket_moment(&self, order: u32, moments: &[(OrderState, i64)]) -> Option<i64> {
        self.ticket(order)?;
        let sent = moments
            .iter()
            .find(|(state, _)| *state == OrderState::Shipped)?
            .1;
        let days = self.dice(Kind::Moment, order).between(3, 20);
        Some((sent + i64::from(days) * DAY).min(YEAR))
    }

    /// About how many calls it takes.
    pub(super) fn calls(&self) -> u64 {
        let things = u64::from(self.products + self.customers + self.employees);
        let runs = 2 * u64::from(PERIODS) * u64::from(self.products);
        let orders = u64::from(self.edition.orders);
        things + runs + orders * 48 / 10 + orders / u64::from(ORDERS_A_TICKET) * 5
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn plan(seed: u32, orders: u32) -> Plan {
        Plan::new(Edition { seed, orders })
    }

    #[test]
    fn the_same_seed_makes_the_same_and_another_makes_others() {
        let (one, again, other) = (plan(7, 300), plan(7, 300), plan(8, 300));
        let mut differs = 0;
        for number in 0..300 {
            assert_eq!(one.order(number), again.order(number));
            assert_eq!(one.ticket(number), again.ticket(number));
            differs += u32::from(one.order(number).lines != other.order(number).lines);
        }
        assert!(differs > 250, "{differs}");
        assert_eq!(one.runs(3), again.runs(3));
    }

    #[test]
    fn enough_is_produced_before_it_is_ordered() {
        for orders in [1, 12, 60, 5_000] {
            let plan = plan(1, orders);
            for period in 0..PERIODS {
                let mut short = plan.needed(period);
                for run in plan.runs(period) {
                    if run.end == RunEnd::Completed {
                        short[run.product as usize] -= run.planned - run.scrap;
                    }
                }
                assert!(short.iter().all(|short| *short <= 0), "{orders}, {period}");
            }
        }
    }

    #[test]
    fn a_run_is_known_by_its_product_and_its_begin() {
        let plan = plan(1, 2_000);
        let runs: Vec<Run> = (0..PERIODS).flat_map(|period| plan.runs(period)).collect();
        let by_begin: HashSet<(u32, i64)> =
            runs.iter().map(|run| (run.product, run.start)).collect();
        let by_number: HashSet<u32> = runs.iter().map(|run| run.number).collect();
        assert_eq!((by_begin.len(), by_number.len()), (runs.len(), runs.len()));
        assert!(
            runs.iter()
                .all(|run| (-2 * DAY..YEAR - DAY).contains(&run.start))
        );
        for end in [RunEnd::Completed, RunEnd::Cancelled, RunEnd::None] {
            assert!(runs.iter().any(|run| run.end == end), "{end:?}");
        }
    }

    #[test]
    fn every_order_has_its_part_of_the_year() {
        for orders in [1, 11, 12, 60, MOST] {
            let plan = plan(1, orders);
            let parts: Vec<Range<u32>> =
                (0..PERIODS).map(|period| plan.orders_of(period)).collect();
            assert_eq!((parts[0].start, parts[11].end), (0, orders));
            assert!(parts.windows(2).all(|two| two[0].end == two[1].start));
        }
    }
    const MOST: u32 = super::super::edition::MOST_ORDERS;

    #[test]
    fn the_orders_lie_in_the_year_in_their_order_and_so_do_their_moves() {
        for orders in [1, 60, 5_000] {
            let plan = plan(1, orders);
            let mut before = 0;
            for number in 0..orders {
                let moments = plan.moments(number);
                assert!(
                    moments.is_sorted_by_key(|(_, moment)| *moment),
                    "{moments:?}"
                );
                assert!(
                    moments
                        .iter()
                        .all(|(_, moment)| (before..=YEAR).contains(moment))
                );
                before = moments[0].1;
            }
        }
    }

    #[test]
    fn a_small_factory_shows_every_state() {
        let plan = plan(1, 60);
        let goals: Vec<OrderGoal> = (0..60).map(|number| plan.order(number).goal).collect();
        assert!(SHOWN_ORDERS.iter().all(|goal| goals.contains(goal)));
        let tickets: Vec<Ticket> = (0..60).filter_map(|number| plan.ticket(number)).collect();
        for goal in SHOWN_TICKETS {
            assert!(tickets.iter().any(|ticket| ticket.goal == goal), "{goal:?}");
        }
    }

    #[test]
    fn what_is_made_is_what_the_service_takes() {
        let plan = plan(u32::MAX, MOST);
        for number in (0..MOST).step_by(997) {
            let order = plan.order(number);
            assert!((1..=5).contains(&order.lines.len()));
            assert!(order.lines.iter().all(|line| line.product < plan.products));
            assert!(order.customer < plan.customers && order.notes.len() < 2000);
        }
        for number in 0..plan.customers {
            assert!(plan.customer(number).phone.len() <= 32);
        }
        let mark = plan.edition.mark(plan.products);
        assert!(format!("demo-{mark}").len() <= 64, "a user name and a SKU");
    }
}
