//! Service tickets that somebody works on: who may, and what parts do to the stock.

use futures::future::join_all;
use millgate_contract::factory::v1 as pb;
use tonic::{Response, Status};

use crate::world::{World, is_refused, ok, on_both, refused, uuid};

type Answered = Result<Response<pb::ServiceTicket>, Status>;

/// The logins of the mechanics.
const MIA: i64 = 71;
const MAX: i64 = 72;

async fn opened(world: &World, customer_id: i64) -> pb::ServiceTicket {
    let open = pb::OpenTicketRequest {
        customer_id,
        description: "it squeaks".to_owned(),
        ..Default::default()
    };
    ok(world.tickets().open_ticket(world.staff(open)).await)
}

async fn assign(world: &World, id: i64, employee_id: i64) -> Answered {
    let assign = pb::AssignMechanicRequest {
        id,
        employee_id,
        ..Default::default()
    };
    world.tickets().assign_mechanic(world.staff(assign)).await
}

async fn start(world: &World, id: i64, login: i64) -> Answered {
    let start = pb::StartTicketRequest {
        id,
        ..Default::default()
    };
    world
        .tickets()
        .start_ticket(world.mechanic(login, start))
        .await
}

fn part(id: i64, product_id: i64, quantity: i64) -> pb::AddPartRequest {
    pb::AddPartRequest {
        id,
        product_id,
        quantity,
        ..Default::default()
    }
}

fn close(id: i64, labour_minutes: i32) -> pb::CloseTicketRequest {
    pb::CloseTicketRequest {
        id,
        labour_minutes,
        resolution: "oiled".to_owned(),
        ..Default::default()
    }
}

async fn seen(world: &World, id: i64) -> pb::ServiceTicket {
    let get = world.staff(pb::GetTicketRequest { id });
    ok(world.tickets().get_ticket(get).await)
}

/// A ticket that Mia works on.
async fn at_work(world: &World) -> pb::ServiceTicket {
    let ada = world.registered("Ada Lovelace").await;
    let mia = world.employed("Mia", MIA).await;
    let ticket = opened(world, ada.id).await;
    ok(assign(world, ticket.id, mia.id).await);
    ok(start(world, ticket.id, MIA).await)
}

#[tokio::test]
async fn a_mechanic_works_on_what_is_assigned_to_them_and_sees_nothing_else() {
    on_both(|world| async move {
        let ada = world.registered("Ada Lovelace").await;
        let mia = world.employed("Mia", MIA).await;
        world.employed("Max", MAX).await;
        let ticket = opened(&world, ada.id).await;
        let other = opened(&world, ada.id).await;
        let get = |login, id| world.mechanic(login, pb::GetTicketRequest { id });
        let hidden = world.tickets().get_ticket(get(MIA, ticket.id)).await;
        assert_eq!(refused(hidden).reason, "TICKET_NOT_FOUND");
        let early = start(&world, ticket.id, MIA).await;
        assert_eq!(refused(early).reason, "TICKET_NOT_FOUND");

        let assigned = ok(assign(&world, ticket.id, mia.id).await);
        assert_eq!(
            (assigned.state(), assigned.employee_id),
            (pb::TicketState::Assigned, mia.id)
        );
        let mine = ok(world.tickets().get_ticket(get(MIA, ticket.id)).await);
        assert_eq!(mine.next_actions, ["start"]);
        for stranger in [MAX, 4711] {
            let hidden = world.tickets().get_ticket(get(stranger, ticket.id)).await;
            assert_eq!(refused(hidden).reason, "TICKET_NOT_FOUND");
            let refusal = refused(start(&world, ticket.id, stranger).await);
            assert_eq!(refusal.reason, "TICKET_NOT_FOUND");
        }
        assert_eq!(
            seen(&world, ticket.id).await.state(),
            pb::TicketState::Assigned
        );
        let listed = async |login| -> Vec<i64> {
            let list = world.mechanic(login, pb::ListMyTicketsRequest::default());
            let page = ok(world.tickets().list_my_tickets(list).await);
            page.tickets.into_iter().map(|ticket| ticket.id).collect()
        };
        assert_eq!(listed(MIA).await, [ticket.id]);
        assert!(listed(MAX).await.is_empty());

        let started = ok(start(&world, ticket.id, MIA).await);
        assert_eq!(
            (started.state(), started.next_actions.clone()),
            (
                pb::TicketState::InProgress,
                vec!["addPart".to_owned(), "close".to_owned()]
            )
        );
        assert!(started.start_time.is_some());
        let closed = ok(world
            .tickets()
            .close_ticket(world.mechanic(MIA, close(ticket.id, 90)))
            .await);
        assert_eq!(
            (
                closed.state(),
                closed.labour_minutes,
                closed.resolution.as_str()
            ),
            (pb::TicketState::Closed, 90, "oiled")
        );
        assert!(closed.finish_time.is_some() && closed.next_actions.is_empty());
        assert_eq!(seen(&world, other.id).await, other);
    })
    .await;
}

#[tokio::test]
async fn neither_mechanic_nor_customer_assigns_and_a_customer_does_no_work() {
    on_both(|world| async move {
        let ada = world.registered("Ada Lovelace").await;
        let mia = world.employed("Mia", MIA).await;
        let ticket = opened(&world, ada.id).await;
        let assign_it = pb::AssignMechanicRequest {
            id: ticket.id,
            employee_id: mia.id,
            ..Default::default()
        };
        for request in [
            world.mechanic(MIA, assign_it.clone()),
            world.customer(ada.user_id, assign_it.clone()),
        ] {
            let answer = world.tickets().assign_mechanic(request).await;
            assert_eq!(refused(answer).reason, "ROLE_DENIED");
        }
        let start_it = pb::StartTicketRequest {
            id: ticket.id,
            ..Default::default()
        };
        let answer = world
            .tickets()
            .start_ticket(world.customer(ada.user_id, start_it))
            .await;
        assert_eq!(refused(answer).reason, "ROLE_DENIED");
        assert_eq!(seen(&world, ticket.id).await, ticket);

        ok(assign(&world, ticket.id, mia.id).await);
        ok(start(&world, ticket.id, MIA).await);
        let cancel = pb::CancelTicketRequest {
            id: ticket.id,
            ..Default::default()
        };
        let late = world
            .tickets()
            .cancel_ticket(world.customer(ada.user_id, cancel.clone()))
            .await;
        assert_eq!(refused(late).reason, "STATE_CONFLICT");
        let answer = world
            .tickets()
            .cancel_ticket(world.mechanic(MIA, cancel.clone()))
            .await;
        assert_eq!(refused(answer).reason, "ROLE_DENIED");
        let cancelled = ok(world.tickets().cancel_ticket(world.staff(cancel)).await);
        assert_eq!(cancelled.state(), pb::TicketState::Cancelled);
    })
    .await;
}

#[tokio::test]
async fn only_an_employee_with_a_login_can_be_assigned_and_stays_while_they_have_work() {
    on_both(|world| async move {
        let ada = world.registered("Ada Lovelace").await;
        let without = world.employee("Otto").await;
        let mia = world.employed("Mia", MIA).await;
        let ticket = opened(&world, ada.id).await;
        is_refused(
            assign(&world, ticket.id, without.id).await,
            "FIELD_INVALID",
            &["employee_id"],
        );
        let nobody = assign(&world, ticket.id, 99).await;
        assert_eq!(refused(nobody).reason, "EMPLOYEE_NOT_FOUND");
        assert_eq!(seen(&world, ticket.id).await, ticket);
        ok(assign(&world, ticket.id, mia.id).await);
        let delete = pb::DeleteEmployeeRequest {
            id: mia.id,
            ..Default::default()
        };
        let answer = world
            .employees()
            .delete_employee(world.staff(delete.clone()))
            .await;
        assert_eq!(refused(answer).reason, "REFERENCED");
        ok(start(&world, ticket.id, MIA).await);
        ok(world
            .tickets()
            .close_ticket(world.mechanic(MIA, close(ticket.id, 1)))
            .await);
        ok(world.employees().delete_employee(world.staff(delete)).await);
        let second = opened(&world, ada.id).await;
        let gone = assign(&world, second.id, mia.id).await;
        assert_eq!(refused(gone).reason, "EMPLOYEE_NOT_FOUND");
        let hidden = world
            .tickets()
            .get_ticket(world.mechanic(MIA, pb::GetTicketRequest { id: ticket.id }))
            .await;
        assert_eq!(
            refused(hidden).reason,
            "TICKET_NOT_FOUND",
            "who left sees no tickets"
        );
    })
    .await;
}

#[tokio::test]
async fn a_part_takes_stock_that_no_order_waits_for_and_is_in_the_ledger() {
    on_both(|world| async move {
        let bolt = world.product("M8", 10).await;
        let ticket = at_work(&world).await;
        world.placed(ticket.customer_id, bolt.id, 6).await;
        let too_many = world
            .tickets()
            .add_part(world.mechanic(MIA, part(ticket.id, bolt.id, 5)))
            .await;
        assert_eq!(refused(too_many).reason, "OUT_OF_STOCK");
        assert_eq!(seen(&world, ticket.id).await.parts.len(), 0);
        let answer = world
            .tickets()
            .add_part(world.mechanic(MIA, part(ticket.id, 99, 1)))
            .await;
        assert_eq!(refused(answer).reason, "PRODUCT_NOT_FOUND");
        let answer = world
            .tickets()
            .add_part(world.mechanic(MIA, part(ticket.id, bolt.id, 0)))
            .await;
        is_refused(answer, "FIELD_INVALID", &["quantity"]);
        let answer = world
            .tickets()
            .add_part(world.mechanic(MAX, part(ticket.id, bolt.id, 1)))
            .await;
        assert_eq!(refused(answer).reason, "TICKET_NOT_FOUND");

        let added = ok(world
            .tickets()
            .add_part(world.mechanic(MIA, part(ticket.id, bolt.id, 4)))
            .await);
        assert_eq!(added.parts.len(), 1);
        let taken = &added.parts[0];
        assert_eq!(
            (taken.sku.as_str(), taken.quantity, taken.unit_price.clone()),
            ("M8", 4, bolt.unit_price.clone())
        );
        let left = world.get_product(bolt.id).await;
        assert_eq!((left.on_hand, left.reserved, left.available), (6, 6, 0));
        assert_eq!(seen(&world, ticket.id).await.parts, added.parts);
        world.stock_adds_up().await;
        // The log tells which part it was.
        let told = "SELECT count(*) FROM changes WHERE verb = 'addPart' AND kind = 'tickets' \
             AND after_json LIKE '%\"parts\":[{%\"sku\":\"M8\"%' AND before_json NOT LIKE '%parts%'";
        assert_eq!(world.count(told).await, 1);
        // Two parts are read in the order in which they were taken.
        let nut = world.product("N8", 3).await;
        let added = ok(world
            .tickets()
            .add_part(world.mechanic(MIA, part(ticket.id, nut.id, 1)))
            .await);
        let skus: Vec<_> = added.parts.iter().map(|part| part.sku.as_str()).collect();
        assert_eq!(skus, ["M8", "N8"]);
        assert_eq!(seen(&world, ticket.id).await.parts, added.parts);
    })
    .await;
}

#[tokio::test]
async fn the_same_part_sent_many_times_at_once_is_taken_once() {
    on_both(|world| async move {
        let bolt = world.product("M8", 100).await;
        let ticket = at_work(&world).await;
        let request = pb::AddPartRequest {
            request_id: uuid(),
            ..part(ticket.id, bolt.id, 3)
        };
        let (world, request) = (&world, &request);
        let calls = (0..16).map(|_| async move {
            let call = world.mechanic(MIA, request.clone());
            ok(world.tickets().add_part(call).await)
        });
        let answers = join_all(calls).await;
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(world.get_product(bolt.id).await.on_hand, 97);
        let other = pb::AddPartRequest {
            quantity: 4,
            ..request.clone()
        };
        let answer = world.tickets().add_part(world.mechanic(MIA, other)).await;
        assert_eq!(refused(answer).reason, "REQUEST_ID_REUSED");
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn a_ticket_is_about_a_product_on_the_customers_own_order() {
    on_both(|world| async move {
        let ada = world.registered("Ada Lovelace").await;
        let bob = world.registered("Bob Smith").await;
        let (bolt, nut) = (world.product("M8", 9).await, world.product("N8", 9).await);
        let order = world.placed(bob.id, bolt.id, 1).await;
        let open = |order_id, product_id| pb::OpenTicketRequest {
            description: "broken".to_owned(),
            order_id,
            product_id,
            priority: pb::TicketPriority::Urgent.into(),
            ..Default::default()
        };
        let ada_opens = async |request| {
            let call = world.customer(ada.user_id, request);
            world.tickets().open_ticket(call).await
        };
        let bob_opens = async |request| {
            let call = world.customer(bob.user_id, request);
            world.tickets().open_ticket(call).await
        };
        for request in [open(order.id, 0), open(order.id, bolt.id), open(4711, 0)] {
            let refusal = refused(ada_opens(request).await);
            assert_eq!(refusal.reason, "ORDER_NOT_FOUND");
        }
        assert_eq!(
            refused(ada_opens(open(0, 99)).await).reason,
            "PRODUCT_NOT_FOUND"
        );
        is_refused(
            bob_opens(open(order.id, nut.id)).await,
            "FIELD_INVALID",
            &["product_id"],
        );
        assert_eq!(world.count("SELECT count(*) FROM service_tickets").await, 0);
        let ticket = ok(bob_opens(open(order.id, bolt.id)).await);
        assert_eq!(
            (ticket.order_id, ticket.product_id, ticket.priority()),
            (order.id, bolt.id, pb::TicketPriority::Urgent)
        );
        let list = pb::ListTicketsRequest {
            priority: pb::TicketPriority::Urgent.into(),
            ..Default::default()
        };
        let listed = ok(world.tickets().list_tickets(world.staff(list)).await);
        assert_eq!(listed.tickets[0].id, ticket.id);
        let calm = pb::ListTicketsRequest {
            priority: pb::TicketPriority::Low.into(),
            ..Default::default()
        };
        let listed = ok(world.tickets().list_tickets(world.staff(calm)).await);
        assert!(listed.tickets.is_empty());
    })
    .await;
}
