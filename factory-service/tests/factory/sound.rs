//! `factory-service check`: a sound database passes, and every rule finds what is against it.

use std::collections::BTreeSet;

use factory_service::{Finding, check};
use millgate_contract::factory::v1 as pb;

use crate::world::{World, config, ok, on_both, order_of};

async fn findings(world: &World) -> Vec<Finding> {
    let settings = ["--database-url", &world.url, "--client-secret", "secret"];
    let settings = config(&settings).expect("good settings");
    let mut told = Vec::new();
    let tell = |finding: &Finding| told.push(finding.clone());
    let found = check(&settings.database_url, &settings.database, tell)
        .await
        .expect("looked at");
    assert_eq!(found, told);
    found
}

/// The rules that something is against.
async fn broken(world: &World) -> BTreeSet<&'static str> {
    let findings = findings(world).await;
    let wrong = findings.into_iter().filter(|finding| finding.wrong != 0);
    wrong.map(|finding| finding.rule).collect()
}

/// A little of everything that moves stock or is moved by verbs.
async fn a_busy_day(world: &World) {
    let bolt = world.product("bolt", 100).await;
    let ada = world.profile("Ada Lovelace").await;
    let mut place = order_of(ada.id, &[(bolt.id, 3)]);
    place.lines[0].discount_basis_points = 333;
    place.lines[0].tax_rate_basis_points = Some(1900);
    let order = ok(world.orders().place_order(world.staff(place)).await);
    let confirm = pb::ConfirmOrderRequest {
        id: order.id,
        ..Default::default()
    };
    ok(world.orders().confirm_order(world.staff(confirm)).await);
    let gone = world.placed(ada.id, bolt.id, 2).await;
    let cancel = pb::CancelOrderRequest {
        id: gone.id,
        ..Default::default()
    };
    ok(world.orders().cancel_order(world.staff(cancel)).await);
    let run = pb::CreateRunRequest {
        run: Some(pb::ProductionRun {
            product_id: bolt.id,
            planned_quantity: 5,
            ..Default::default()
        }),
        ..Default::default()
    };
    let run = ok(world.production().create_run(world.staff(run)).await);
    let complete = pb::CompleteRunRequest {
        id: run.id,
        produced_quantity: 4,
        ..Default::default()
    };
    ok(world.production().complete_run(world.staff(complete)).await);
    let mia = world.employed("Mia", 71).await;
    let open = pb::OpenTicketRequest {
        customer_id: ada.id,
        description: "it squeaks".into(),
        ..Default::default()
    };
    let id = ok(world.tickets().open_ticket(world.staff(open)).await).id;
    let assign = pb::AssignMechanicRequest {
        id,
        employee_id: mia.id,
        ..Default::default()
    };
    ok(world.tickets().assign_mechanic(world.staff(assign)).await);
    let start = pb::StartTicketRequest {
        id,
        ..Default::default()
    };
    ok(world.tickets().start_ticket(world.staff(start)).await);
    let part = pb::AddPartRequest {
        id,
        product_id: bolt.id,
        quantity: 1,
        ..Default::default()
    };
    ok(world.tickets().add_part(world.staff(part)).await);
    // What was committed last is numbered a moment later.
    let unnumbered = "SELECT count(*) FROM changes WHERE seq IS NULL";
    world.comes_to(unnumbered, 0).await;
}

/// What spoils a database, and what mends it.
const SPOILT: &[(&str, &str)] = &[
    (
        "UPDATE stock_movements SET delta = delta + 1 WHERE kind = 'CREATED'",
        "UPDATE stock_movements SET delta = delta - 1 WHERE kind = 'CREATED'",
    ),
    (
        "UPDATE stock_movements SET reserved_delta = 4 WHERE kind = 'RESERVED' AND reserved_delta = 3",
        "UPDATE stock_movements SET reserved_delta = 3 WHERE kind = 'RESERVED' AND reserved_delta = 4",
    ),
    (
        "UPDATE stock_movements SET delta = 5 WHERE kind = 'PRODUCED'",
        "UPDATE stock_movements SET delta = 4 WHERE kind = 'PRODUCED'",
    ),
    (
        "UPDATE ticket_parts SET quantity = 2",
        "UPDATE ticket_parts SET quantity = 1",
    ),
    (
        "UPDATE order_lines SET tax_minor = tax_minor + 1 WHERE tax_bp > 0",
        "UPDATE order_lines SET tax_minor = tax_minor - 1 WHERE tax_bp > 0",
    ),
    (
        "UPDATE orders SET state = 'CANCELLED' WHERE state = 'CONFIRMED'",
        "UPDATE orders SET state = 'CONFIRMED' WHERE state = 'CANCELLED' AND id = 1",
    ),
    (
        "UPDATE order_states SET state = 'SHIPPED' WHERE state = 'CONFIRMED'",
        "UPDATE order_states SET state = 'CONFIRMED' WHERE state = 'SHIPPED'",
    ),
    (
        "UPDATE changes SET verb = 'close' WHERE kind = 'tickets' AND verb = 'start'",
        "UPDATE changes SET verb = 'start' WHERE kind = 'tickets' AND verb = 'close'",
    ),
    (
        "UPDATE changes SET verb = 'create' WHERE kind = 'production-runs' AND verb = 'complete'",
        "UPDATE changes SET verb = 'complete' WHERE kind = 'production-runs' AND before_json IS NOT NULL",
    ),
    (
        "UPDATE employees SET revision = 2",
        "UPDATE employees SET revision = 1",
    ),
    (
        "UPDATE product_prices SET unit_price_minor = unit_price_minor + 1",
        "UPDATE product_prices SET unit_price_minor = unit_price_minor - 1",
    ),
    (
        "DELETE FROM changes WHERE verb = 'confirm'",
        "DELETE FROM changes",
    ),
];

#[tokio::test]
async fn a_sound_database_passes_and_every_rule_finds_what_is_against_it() {
    on_both(|world| async move {
        a_busy_day(&world).await;
        assert_eq!(broken(&world).await, BTreeSet::new());
        let mut found = BTreeSet::new();
        for (spoil, mend) in SPOILT {
            world.execute(spoil).await;
            let now = broken(&world).await;
            assert!(!now.is_empty(), "{spoil} was not found");
            found.extend(now);
            world.execute(mend).await;
            let left = broken(&world).await;
            assert_eq!(left, BTreeSet::new(), "after {mend}");
        }
        // What the database itself refuses cannot be spoilt.
        let refused = "no stock is negative, and no more is reserved than there is";
        assert!(!world.accepts("UPDATE products SET on_hand = -1").await);
        found.insert(refused);
        let rules = findings(&world).await.into_iter();
        let rules: BTreeSet<_> = rules.map(|finding| finding.rule).collect();
        assert_eq!(found, rules, "a rule that nothing was against");
    })
    .await;
}
