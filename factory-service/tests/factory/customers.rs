//! Customers: profiles, who sees and writes what of them, and their end.

use millgate_contract::factory::v1 as pb;
use prost_types::FieldMask;
use tonic::Code;

use crate::world::{is_refused, ok, on_both, refused};

fn create(customer: pb::Customer) -> pb::CreateCustomerRequest {
    pb::CreateCustomerRequest {
        customer: Some(customer),
        request_id: String::new(),
    }
}

fn update(customer: pb::Customer, paths: &[&str]) -> pb::UpdateCustomerRequest {
    let mask = FieldMask {
        paths: paths.iter().map(ToString::to_string).collect(),
    };
    pb::UpdateCustomerRequest {
        customer: Some(customer),
        update_mask: (!paths.is_empty()).then_some(mask),
    }
}

#[tokio::test]
async fn every_bad_field_of_a_profile_is_named_at_once_and_nothing_is_written() {
    on_both(|world| async move {
        let bad = pb::Customer {
            name: "Ada Lovelace".into(),
            first_name: "Eve".into(),
            email: "nobody".into(),
            phone: "123".into(),
            phone_number: "456".into(),
            notes: "\0".into(),
            user_id: 7,
            ..Default::default()
        };
        let fields = [
            "customer.user_id",
            "name",
            "customer.email",
            "customer.phone",
            "customer.notes",
        ];
        let refusal = refused(
            world
                .customers()
                .create_customer(world.staff(create(bad)))
                .await,
        );
        assert_eq!(
            (refusal.reason.as_str(), refusal.fields.len()),
            ("FIELD_INVALID", fields.len())
        );
        let answer = world
            .customers()
            .create_customer(world.staff(create(Default::default())))
            .await;
        assert_eq!(refused(answer).fields.len(), 2);
        assert_eq!(world.count("SELECT count(*) FROM customers").await, 0);
        assert_eq!(world.count("SELECT count(*) FROM customer_emails").await, 0);
    })
    .await;
}

#[tokio::test]
async fn an_email_is_taken_whatever_its_case_until_its_owner_is_deleted() {
    on_both(|world| async move {
        let ada = world.profile("Ada Lovelace").await;
        let again = || {
            let customer = pb::Customer {
                name: "Eve".into(),
                email: "ADA.lovelace@EXAMPLE.com".into(),
                ..Default::default()
            };
            world.staff(create(customer))
        };
        let refusal = refused(world.customers().create_customer(again()).await);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::AlreadyExists, "EMAIL_TAKEN")
        );
        assert_eq!(world.count("SELECT count(*) FROM customers").await, 1);
        let bob = world.profile("Bob Smith").await;
        let taken = pb::Customer {
            id: bob.id,
            email: ada.email.clone(),
            ..Default::default()
        };
        let answer = world
            .customers()
            .update_customer(world.staff(update(taken, &[])))
            .await;
        is_refused(answer, "EMAIL_TAKEN", &["customer.email"]);

        let delete = pb::DeleteCustomerRequest {
            id: ada.id,
            etag: ada.etag,
        };
        ok(world.customers().delete_customer(world.staff(delete)).await);
        ok(world.customers().create_customer(again()).await);
        let back = pb::UndeleteCustomerRequest {
            id: ada.id,
            ..Default::default()
        };
        let refusal = refused(world.customers().undelete_customer(world.staff(back)).await);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::AlreadyExists, "EMAIL_TAKEN")
        );
        assert_eq!(
            world
                .count("SELECT count(*) FROM customers WHERE delete_time IS NULL")
                .await,
            2
        );
    })
    .await;
}

#[tokio::test]
async fn the_updates_of_the_older_clients_work() {
    on_both(|world| async move {
        let john = world.registered("John Doe").await;
        let own = |customer: pb::Customer| world.customer(john.user_id, update(customer, &[]));
        let change = pb::Customer {
            id: john.id,
            first_name: "Johnny".into(),
            ..Default::default()
        };
        let changed = ok(world.customers().update_customer(own(change)).await);
        assert_eq!(
            (changed.name.as_str(), changed.last_name.as_str()),
            ("Johnny Doe", "Doe")
        );
        assert_eq!(
            (changed.email.as_str(), changed.phone_number.as_str()),
            ("john.doe@example.com", "555-0123")
        );
        let change = pb::Customer {
            id: john.id,
            name: "Jane Roe".into(),
            email: "jane@example.com".into(),
            phone: "+1 555 0199".into(),
            ..Default::default()
        };
        let changed = ok(world.customers().update_customer(own(change)).await);
        assert_eq!(
            (changed.first_name.as_str(), changed.last_name.as_str()),
            ("Jane", "Roe")
        );
        assert_eq!(
            (changed.phone_number.as_str(), changed.etag.as_str()),
            ("+1 555 0199", "3")
        );
        let stale = pb::Customer {
            id: john.id,
            etag: "2".into(),
            first_name: "Jack".into(),
            ..Default::default()
        };
        assert_eq!(
            refused(world.customers().update_customer(own(stale)).await).reason,
            "ETAG_MISMATCH"
        );
        let both = pb::Customer {
            id: john.id,
            name: "A B".into(),
            first_name: "C".into(),
            ..Default::default()
        };
        assert_eq!(
            refused(world.customers().update_customer(own(both)).await).reason,
            "FIELD_INVALID"
        );
        let read = pb::GetMyProfileRequest {};
        assert_eq!(
            ok(world
                .customers()
                .get_my_profile(world.customer(john.user_id, read))
                .await),
            changed
        );
    })
    .await;
}

#[tokio::test]
async fn a_customer_sees_and_changes_only_their_own_profile_and_never_the_notes() {
    on_both(|world| async move {
        let (ada, bob) = (
            world.registered("Ada Lovelace").await,
            world.registered("Bob Smith").await,
        );
        let note = pb::Customer {
            id: ada.id,
            notes: "pays late".into(),
            ..Default::default()
        };
        let noted = ok(world
            .customers()
            .update_customer(world.staff(update(note.clone(), &[])))
            .await);
        assert_eq!(noted.notes, "pays late");
        let get = pb::GetCustomerRequest { id: ada.id };
        assert_eq!(
            ok(world
                .customers()
                .get_customer(world.customer(ada.user_id, get))
                .await)
            .notes,
            ""
        );
        let mine = world.customer(ada.user_id, pb::GetMyProfileRequest {});
        assert_eq!(ok(world.customers().get_my_profile(mine).await).notes, "");
        let answer = world
            .customers()
            .update_customer(world.customer(ada.user_id, update(note, &["notes"])))
            .await;
        is_refused(answer, "FIELD_NOT_WRITABLE", &["update_mask.notes"]);
        for path in ["user_id", "etag", "delete_time"] {
            let change = pb::Customer {
                id: ada.id,
                user_id: bob.user_id,
                ..Default::default()
            };
            let answer = world
                .customers()
                .update_customer(world.staff(update(change, &[path])))
                .await;
            assert_eq!(refused(answer).reason, "FIELD_NOT_WRITABLE", "{path}");
        }

        let hidden = refused(
            world
                .customers()
                .get_customer(world.customer(bob.user_id, get))
                .await,
        );
        assert_eq!(
            (hidden.code, hidden.reason.as_str()),
            (Code::NotFound, "CUSTOMER_NOT_FOUND")
        );
        let steal = pb::Customer {
            id: ada.id,
            first_name: "Eve".into(),
            ..Default::default()
        };
        let answer = world
            .customers()
            .update_customer(world.customer(bob.user_id, update(steal, &[])))
            .await;
        assert_eq!(refused(answer).reason, "CUSTOMER_NOT_FOUND");
        let delete = pb::DeleteCustomerRequest {
            id: ada.id,
            ..Default::default()
        };
        let answer = world
            .customers()
            .delete_customer(world.customer(bob.user_id, delete))
            .await;
        assert_eq!(refused(answer).reason, "CUSTOMER_NOT_FOUND");
        let list = world.customer(bob.user_id, pb::ListCustomersRequest::default());
        assert_eq!(
            refused(world.customers().list_customers(list).await).reason,
            "ROLE_DENIED"
        );
        let erase = pb::EraseCustomerRequest {
            id: ada.id,
            ..Default::default()
        };
        assert_eq!(
            refused(world.customers().erase_customer(world.staff(erase)).await).reason,
            "ROLE_DENIED"
        );
        assert_eq!(
            ok(world.customers().get_customer(world.staff(get)).await),
            noted
        );
        let nobody = world.service("customers.read", pb::GetMyProfileRequest {});
        assert_eq!(
            refused(world.customers().get_my_profile(nobody).await).reason,
            "CUSTOMER_NOT_FOUND"
        );
    })
    .await;
}

#[tokio::test]
async fn customers_are_found_by_the_beginning_of_name_email_and_number() {
    on_both(|world| async move {
        for name in ["Ada Lovelace", "Bob Smith", "adam Ant"] {
            world.registered(name).await;
        }
        for (query, expected) in [
            ("ADA", 2),
            ("bob.s", 1),
            ("5550", 3),
            ("555-01", 3),
            ("0123", 0),
            ("love", 1),
            ("SMITH", 1),
            ("lace", 0),
            ("", 3),
            ("%", 0),
        ] {
            let list = pb::ListCustomersRequest {
                query: query.to_owned(),
                ..Default::default()
            };
            let found = ok(world.customers().list_customers(world.staff(list)).await)
                .customers
                .len();
            assert_eq!(found, expected, "{query:?}");
        }
        let mut names = Vec::new();
        let mut list = pb::ListCustomersRequest {
            page_size: 1,
            order_by: "name desc".into(),
            ..Default::default()
        };
        loop {
            let page = ok(world
                .customers()
                .list_customers(world.staff(list.clone()))
                .await);
            names.extend(page.customers.into_iter().map(|customer| customer.name));
            if page.next_page_token.is_empty() {
                break;
            }
            list.page_token = page.next_page_token;
        }
        assert_eq!(names, ["Bob Smith", "adam Ant", "Ada Lovelace"]);
    })
    .await;
}
