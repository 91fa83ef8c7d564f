//! Service tickets.

use millgate_contract::factory::v1 as pb;
use tonic::Code;

use crate::world::{is_refused, ok, on_both, refused, uuid};

fn open(customer_id: i64, description: &str) -> pb::OpenTicketRequest {
    pb::OpenTicketRequest {
        customer_id,
        description: description.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_customer_opens_sees_and_cancels_only_their_own_tickets() {
    on_both(|world| async move {
        let ada = world.registered("Ada Lovelace").await;
        let bob = world.registered("Bob Smith").await;
        let ticket = ok(world
            .tickets()
            .open_ticket(world.customer(ada.user_id, open(0, "it squeaks")))
            .await);
        assert_eq!(
            (ticket.customer_id, ticket.next_actions.clone()),
            (ada.id, vec!["cancel".to_owned()])
        );
        let get = pb::GetTicketRequest { id: ticket.id };
        assert_eq!(
            ok(world
                .tickets()
                .get_ticket(world.customer(ada.user_id, get))
                .await),
            ticket
        );
        let refusal = refused(
            world
                .tickets()
                .get_ticket(world.customer(bob.user_id, get))
                .await,
        );
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::NotFound, "TICKET_NOT_FOUND")
        );
        let cancel = pb::CancelTicketRequest {
            id: ticket.id,
            request_id: uuid(),
            ..Default::default()
        };
        let answer = world
            .tickets()
            .cancel_ticket(world.customer(bob.user_id, cancel.clone()))
            .await;
        assert_eq!(refused(answer).reason, "TICKET_NOT_FOUND");
        assert_eq!(
            ok(world
                .tickets()
                .get_ticket(world.customer(ada.user_id, get))
                .await),
            ticket
        );

        let mine = pb::ListMyTicketsRequest::default();
        let listed = ok(world
            .tickets()
            .list_my_tickets(world.customer(ada.user_id, mine.clone()))
            .await);
        assert_eq!(listed.tickets, std::slice::from_ref(&ticket));
        let listed = ok(world
            .tickets()
            .list_my_tickets(world.customer(bob.user_id, mine.clone()))
            .await);
        assert!(listed.tickets.is_empty());
        let nobodys = world.customer(4711, mine);
        let answer = world.tickets().list_my_tickets(nobodys).await;
        assert_eq!(refused(answer).reason, "CUSTOMER_NOT_FOUND");

        let stale = pb::CancelTicketRequest {
            id: ticket.id,
            etag: "9".into(),
            ..Default::default()
        };
        let answer = world
            .tickets()
            .cancel_ticket(world.customer(ada.user_id, stale))
            .await;
        assert_eq!(refused(answer).reason, "ETAG_MISMATCH");
        let cancelled = ok(world
            .tickets()
            .cancel_ticket(world.customer(ada.user_id, cancel.clone()))
            .await);
        assert_eq!(
            (cancelled.state(), cancelled.next_actions.len()),
            (pb::TicketState::Cancelled, 0)
        );
        let again = ok(world
            .tickets()
            .cancel_ticket(world.customer(ada.user_id, cancel))
            .await);
        assert_eq!(again, cancelled);
        let other = pb::CancelTicketRequest {
            id: ticket.id,
            ..Default::default()
        };
        assert_eq!(
            refused(world.tickets().cancel_ticket(world.staff(other)).await).reason,
            "STATE_CONFLICT"
        );
    })
    .await;
}

#[tokio::test]
async fn staff_name_the_customer_of_a_ticket_and_customers_do_not() {
    on_both(|world| async move {
        let ada = world.registered("Ada Lovelace").await;
        let answer = world
            .tickets()
            .open_ticket(world.customer(ada.user_id, open(ada.id, "x")))
            .await;
        is_refused(answer, "FIELD_NOT_WRITABLE", &["customer_id"]);
        let answer = world.tickets().open_ticket(world.staff(open(0, ""))).await;
        is_refused(answer, "FIELD_INVALID", &["customer_id", "description"]);
        assert_eq!(
            refused(
                world
                    .tickets()
                    .open_ticket(world.staff(open(99, "x")))
                    .await
            )
            .reason,
            "CUSTOMER_NOT_FOUND"
        );
        let answer = world
            .tickets()
            .open_ticket(world.customer(4711, open(0, "x")))
            .await;
        assert_eq!(refused(answer).reason, "CUSTOMER_NOT_FOUND");
        assert_eq!(world.count("SELECT count(*) FROM service_tickets").await, 0);
        ok(world
            .tickets()
            .open_ticket(world.staff(open(ada.id, "by telephone")))
            .await);

        for (state, customer_id, expected) in
            [(0, 0, 1), (1, 0, 1), (5, 0, 0), (0, ada.id, 1), (0, 99, 0)]
        {
            let list = pb::ListTicketsRequest {
                state,
                customer_id,
                ..Default::default()
            };
            let found = ok(world.tickets().list_tickets(world.staff(list)).await)
                .tickets
                .len();
            assert_eq!(found, expected, "{state} {customer_id}");
        }
        let bad = pb::ListTicketsRequest {
            state: 9,
            customer_id: -1,
            ..Default::default()
        };
        is_refused(
            world.tickets().list_tickets(world.staff(bad)).await,
            "FIELD_INVALID",
            &["state", "customer_id"],
        );
        let answer = world
            .tickets()
            .list_tickets(world.customer(ada.user_id, Default::default()))
            .await;
        assert_eq!(refused(answer).reason, "ROLE_DENIED");
    })
    .await;
}
