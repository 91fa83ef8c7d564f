//! The end of a customer: deleted, undeleted, erased, and the login with it.

use std::time::Duration;

use millgate_contract::factory::v1 as pb;

use crate::auth_double::Trouble;
use crate::leaks::whole_database;
use crate::world::{World, metadata, ok, on_both, order_of, refused, uuid};

#[tokio::test]
async fn a_customer_with_an_open_order_stays_and_without_leaves_with_the_login() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let ada = world.registered("Ada Lovelace").await;
        let order = world.placed(ada.id, bolt.id, 1).await;
        let delete = pb::DeleteCustomerRequest {
            id: ada.id,
            ..Default::default()
        };
        let erase = pb::EraseCustomerRequest {
            id: ada.id,
            ..Default::default()
        };
        let answer = world
            .customers()
            .delete_customer(world.customer(ada.user_id, delete.clone()))
            .await;
        assert_eq!(metadata(&answer, "open_orders").as_deref(), Some("1"));
        assert_eq!(refused(answer).reason, "REFERENCED");
        assert_eq!(
            refused(world.customers().erase_customer(world.admin(erase)).await).reason,
            "REFERENCED"
        );
        assert!(world.auth.has_user(ada.user_id));

        let cancel = pb::CancelOrderRequest {
            id: order.id,
            ..Default::default()
        };
        ok(world.orders().cancel_order(world.staff(cancel)).await);
        let deleted = ok(world
            .customers()
            .delete_customer(world.customer(ada.user_id, delete))
            .await);
        assert!(deleted.customer.expect("a profile").delete_time.is_some());
        assert!(!world.auth.has_user(ada.user_id));
        assert_eq!(world.count("SELECT count(*) FROM login_removals").await, 0);
        let mine = world.customer(ada.user_id, pb::GetMyProfileRequest {});
        assert_eq!(
            refused(world.customers().get_my_profile(mine).await).reason,
            "CUSTOMER_NOT_FOUND"
        );
        let back = pb::UndeleteCustomerRequest {
            id: ada.id,
            request_id: uuid(),
            ..Default::default()
        };
        let back = ok(world.customers().undelete_customer(world.staff(back)).await);
        assert_eq!(
            (back.user_id, back.delete_time, back.name.as_str()),
            (0, None, "Ada Lovelace")
        );
    })
    .await;
}

#[tokio::test]
async fn a_login_that_cannot_be_ended_now_is_ended_when_auth_is_back() {
    on_both(|world| async move {
        let ada = world.registered("Ada Lovelace").await;
        world.auth.has(Trouble::Down);
        let delete = pb::DeleteCustomerRequest {
            id: ada.id,
            ..Default::default()
        };
        ok(world.customers().delete_customer(world.staff(delete)).await);
        assert!(world.auth.has_user(ada.user_id));
        assert_eq!(world.count("SELECT count(*) FROM login_removals").await, 1);
        world.auth.has(Trouble::None);
        // The process may even die in between.
        let world = world.crash_and_restart(Duration::from_secs(120)).await;
        world
            .comes_to("SELECT count(*) FROM login_removals", 0)
            .await;
        assert!(!world.auth.has_user(ada.user_id));
    })
    .await;
}

#[tokio::test]
async fn the_login_of_a_customer_who_became_staff_stays_and_is_not_tried_for_ever() {
    on_both(|world| async move {
        let ada = world.registered("Ada Lovelace").await;
        world.auth.set_role(ada.user_id, "user");
        let delete = |id| {
            world.staff(pb::DeleteCustomerRequest {
                id,
                ..Default::default()
            })
        };
        ok(world.customers().delete_customer(delete(ada.id)).await);
        assert_eq!(world.count("SELECT count(*) FROM login_removals").await, 0);
        assert!(world.auth.has_user(ada.user_id));
        // What is wrong with our own account says nothing of the user.
        let bob = world.registered("Bob Smith").await;
        world.auth.has(Trouble::ScopeDenied);
        ok(world.customers().delete_customer(delete(bob.id)).await);
        assert_eq!(world.count("SELECT count(*) FROM login_removals").await, 1);
        world.auth.has(Trouble::None);
        world.clock.advance(Duration::from_secs(120));
        world
            .comes_to("SELECT count(*) FROM login_removals", 0)
            .await;
        assert!(!world.auth.has_user(bob.user_id));
    })
    .await;
}

/// A word of its own for every text that tells of a person.
const PERSONAL: [&str; 12] = [
    "ADAFIRST",
    "ADALAST",
    "adamail@",
    "555-0177",
    "PROFILEADDRESS",
    "PROFILENOTES",
    "ORDERADDRESS",
    "ORDERNOTES",
    "CANCELREASON",
    "TICKETTEXT",
    "TICKETCANCELLED",
    "RESOLUTION",
];

/// The words that are anywhere in the database.
async fn personal(world: &World) -> Vec<&'static str> {
    let all = whole_database(world).await.to_lowercase();
    let is_there = |word: &&str| all.contains(&word.to_lowercase());
    PERSONAL.into_iter().filter(is_there).collect()
}

/// A customer with all of it, whose one order is cancelled, and whose one ticket is being worked on.
async fn told_of(world: &World) -> (pb::Customer, pb::PlaceOrderRequest, pb::ServiceTicket) {
    let bolt = world.product("bolt", 10).await;
    let registration = pb::RegisterCustomerRequest {
        name: "Adafirst Adalast".into(),
        email: "adamail@example.com".into(),
        phone: "555-0177".into(),
        password: "correct horse battery".into(),
        shipping_address: "PROFILEADDRESS 1".into(),
        request_id: uuid(),
        ..Default::default()
    };
    let ada = ok(world.customers().register_customer(registration).await);
    let ada = ada.customer.expect("a profile");
    let update = pb::UpdateCustomerRequest {
        customer: Some(pb::Customer {
            id: ada.id,
            notes: "PROFILENOTES".into(),
            ..Default::default()
        }),
        update_mask: None,
    };
    let ada = ok(world.customers().update_customer(world.staff(update)).await);
    let place = pb::PlaceOrderRequest {
        notes: "ORDERNOTES".into(),
        shipping_address: "ORDERADDRESS 2".into(),
        request_id: uuid(),
        ..order_of(ada.id, &[(bolt.id, 1)])
    };
    let order = ok(world.orders().place_order(world.staff(place.clone())).await);
    let cancel = pb::CancelOrderRequest {
        id: order.id,
        reason: "CANCELREASON".into(),
        request_id: uuid(),
        ..Default::default()
    };
    ok(world.orders().cancel_order(world.staff(cancel)).await);
    let open = |description: &str| {
        world.staff(pb::OpenTicketRequest {
            customer_id: ada.id,
            description: description.into(),
            request_id: uuid(),
            ..Default::default()
        })
    };
    let gone = ok(world.tickets().open_ticket(open("TICKETCANCELLED")).await);
    let cancel = pb::CancelTicketRequest {
        id: gone.id,
        request_id: uuid(),
        ..Default::default()
    };
    ok(world.tickets().cancel_ticket(world.staff(cancel)).await);
    let ticket = ok(world.tickets().open_ticket(open("TICKETTEXT")).await);
    let mia = world.employed("Mia", 71).await;
    let assign = pb::AssignMechanicRequest {
        id: ticket.id,
        employee_id: mia.id,
        request_id: uuid(),
        ..Default::default()
    };
    ok(world.tickets().assign_mechanic(world.staff(assign)).await);
    let start = pb::StartTicketRequest {
        id: ticket.id,
        request_id: uuid(),
        ..Default::default()
    };
    let ticket = ok(world.tickets().start_ticket(world.staff(start)).await);
    (ada, place, ticket)
}

#[tokio::test]
async fn of_every_text_that_tells_of_an_erased_customer_nothing_is_left_anywhere() {
    on_both(|world| async move {
        let (ada, place, ticket) = told_of(&world).await;
        let erase = || {
            world.admin(pb::EraseCustomerRequest {
                id: ada.id,
                ..Default::default()
            })
        };
        // What is written on it to its end would come after the erasure, and could never be erased.
        let early = world.customers().erase_customer(erase()).await;
        assert_eq!(metadata(&early, "open_tickets").as_deref(), Some("1"));
        assert_eq!(refused(early).reason, "REFERENCED");
        let get = world.staff(pb::GetCustomerRequest { id: ada.id });
        assert_eq!(ok(world.customers().get_customer(get).await), ada);
        let close = pb::CloseTicketRequest {
            id: ticket.id,
            labour_minutes: 5,
            resolution: "RESOLUTION".into(),
            request_id: uuid(),
            ..Default::default()
        };
        ok(world
            .tickets()
            .close_ticket(world.staff(close.clone()))
            .await);
        assert_eq!(personal(&world).await, PERSONAL);

        ok(world.customers().erase_customer(erase()).await);
        assert_eq!(personal(&world).await, [""; 0]);
        let get = world.staff(pb::GetTicketRequest { id: ticket.id });
        let left = ok(world.tickets().get_ticket(get).await);
        assert_ne!(
            left.etag, ticket.etag,
            "another content is another revision"
        );
        // Retries are answered as the first call was, without what it told.
        let again = ok(world.orders().place_order(world.staff(place)).await);
        assert_eq!(
            (again.notes.as_str(), again.shipping_address.as_str()),
            ("", "")
        );
        let again = ok(world.tickets().close_ticket(world.staff(close)).await);
        assert_eq!(
            (again.description.as_str(), again.resolution.as_str()),
            ("", "")
        );
        assert_eq!(personal(&world).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn nothing_personal_is_left_of_an_erased_customer() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let ada = world.registered("Ada Lovelace").await;
        let order = world.placed(ada.id, bolt.id, 1).await;
        let cancel = pb::CancelOrderRequest { id: order.id, ..Default::default() };
        ok(world.orders().cancel_order(world.staff(cancel)).await);
        let erase = pb::EraseCustomerRequest { id: ada.id, ..Default::default() };
        let erased = ok(world.customers().erase_customer(world.admin(erase.clone())).await);
        assert!(erased.erase_time.is_some() && erased.delete_time.is_some());
        assert_eq!((erased.name.as_str(), erased.email.as_str(), erased.user_id), ("", "", 0));
        assert!(!world.auth.has_user(ada.user_id));
        let left = "SELECT count(*) FROM customers WHERE name_canonical <> '' OR email_canonical <> '' \
             OR phone_canonical <> '' OR last_name_canonical <> '' OR first_name <> '' OR email <> '' OR user_id IS NOT NULL";
        assert_eq!(world.count(left).await, 0);
        assert_eq!(world.count("SELECT count(*) FROM customer_registrations").await, 0);
        assert_eq!(world.count("SELECT count(*) FROM customer_emails").await, 0);
        let back = pb::UndeleteCustomerRequest { id: ada.id, ..Default::default() };
        assert_eq!(refused(world.customers().undelete_customer(world.staff(back)).await).reason, "STATE_CONFLICT");
        assert_eq!(refused(world.customers().erase_customer(world.admin(erase)).await).reason, "STATE_CONFLICT");
        let kept = ok(world.orders().get_order(world.staff(pb::GetOrderRequest { id: order.id })).await);
        assert_eq!(kept.customer_id, ada.id);
    })
    .await;
}

#[tokio::test]
async fn the_answer_remembered_for_a_retry_is_erased_too() {
    on_both(|world| async move {
        let eve = pb::Customer {
            name: "Eve Adams".into(),
            email: "eve@example.com".into(),
            ..Default::default()
        };
        let create = pb::CreateCustomerRequest {
            customer: Some(eve),
            request_id: uuid(),
        };
        let eve = ok(world
            .customers()
            .create_customer(world.admin(create.clone()))
            .await);
        let erase = pb::EraseCustomerRequest {
            id: eve.id,
            ..Default::default()
        };
        let erased = ok(world.customers().erase_customer(world.admin(erase)).await);
        let again = ok(world.customers().create_customer(world.admin(create)).await);
        assert_eq!(again, erased);
        assert_eq!(world.count("SELECT count(*) FROM customers").await, 1);
    })
    .await;
}
