//! Employees.

use millgate_contract::factory::v1 as pb;
use prost_types::FieldMask;

use crate::world::{is_refused, ok, on_both, refused, uuid};

fn create(name: &str, user_id: i64) -> pb::CreateEmployeeRequest {
    pb::CreateEmployeeRequest {
        employee: Some(pb::Employee {
            name: name.to_owned(),
            position: "welder".to_owned(),
            user_id,
            ..pb::Employee::default()
        }),
        request_id: String::new(),
    }
}

#[tokio::test]
async fn only_staff_see_or_save_employees() {
    on_both(|world| async move {
        let ada = world.employee("Ada").await;
        let get = pb::GetEmployeeRequest { id: ada.id };
        let list = pb::ListEmployeesRequest::default;
        let answer = world
            .employees()
            .create_employee(world.customer(7, create("Bob", 0)))
            .await;
        assert_eq!(refused(answer).reason, "ROLE_DENIED");
        let answer = world.employees().get_employee(world.customer(7, get)).await;
        assert_eq!(refused(answer).reason, "ROLE_DENIED");
        let answer = world
            .employees()
            .list_employees(world.customer(7, list()))
            .await;
        assert_eq!(refused(answer).reason, "ROLE_DENIED");
        let answer = world
            .employees()
            .create_employee(world.service("employees.read", create("Bob", 0)))
            .await;
        assert_eq!(refused(answer).reason, "SCOPE_DENIED");
        let answer = world.employees().list_employees(list()).await;
        assert_eq!(refused(answer).reason, "TOKEN_MISSING");
        assert_eq!(world.count("SELECT count(*) FROM employees").await, 1);
        let read = world.service("employees.read", get);
        assert_eq!(ok(world.employees().get_employee(read).await), ada);
    })
    .await;
}

#[tokio::test]
async fn every_bad_field_of_an_employee_is_named_at_once_and_nothing_is_written() {
    on_both(|world| async move {
        let bad = pb::CreateEmployeeRequest {
            employee: Some(pb::Employee {
                name: " ".to_owned(),
                position: "x".repeat(101),
                user_id: -1,
                ..pb::Employee::default()
            }),
            request_id: "no uuid".to_owned(),
        };
        let answer = world.employees().create_employee(world.staff(bad)).await;
        is_refused(
            answer,
            "FIELD_INVALID",
            &[
                "request_id",
                "employee.name",
                "employee.position",
                "employee.user_id",
            ],
        );
        let mut served = create("Ada", 0);
        if let Some(employee) = served.employee.as_mut() {
            employee.id = 3;
        }
        let answer = world.employees().create_employee(world.staff(served)).await;
        is_refused(answer, "FIELD_NOT_WRITABLE", &["employee.id"]);
        assert_eq!(world.count("SELECT count(*) FROM employees").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_login_belongs_to_one_employee() {
    on_both(|world| async move {
        let ada = ok(world
            .employees()
            .create_employee(world.staff(create("Ada", 9)))
            .await);
        let again = || world.staff(create("Bob", 9));
        assert_eq!(
            refused(world.employees().create_employee(again()).await).reason,
            "USER_ID_TAKEN"
        );
        let bob = world.employee("Bob").await;
        let update = pb::UpdateEmployeeRequest {
            employee: Some(pb::Employee {
                id: bob.id,
                user_id: 9,
                ..pb::Employee::default()
            }),
            update_mask: None,
        };
        let answer = world.employees().update_employee(world.staff(update)).await;
        assert_eq!(refused(answer).reason, "USER_ID_TAKEN");
        let get = pb::GetEmployeeRequest { id: bob.id };
        assert_eq!(
            ok(world.employees().get_employee(world.staff(get)).await),
            bob
        );

        let clear = pb::UpdateEmployeeRequest {
            employee: Some(pb::Employee {
                id: ada.id,
                etag: ada.etag,
                ..pb::Employee::default()
            }),
            update_mask: Some(FieldMask {
                paths: vec!["user_id".to_owned()],
            }),
        };
        let cleared = ok(world.employees().update_employee(world.staff(clear)).await);
        assert_eq!(
            (
                cleared.user_id,
                cleared.name.as_str(),
                cleared.etag.as_str()
            ),
            (0, "Ada", "2")
        );
        ok(world.employees().create_employee(again()).await);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_employee_is_out_of_lists_and_comes_back_once() {
    on_both(|world| async move {
        let ada = world.employee("Ada").await;
        world.employee("Bob").await;
        let delete = |etag: &str| pb::DeleteEmployeeRequest {
            id: ada.id,
            etag: etag.to_owned(),
        };
        let stale = world
            .employees()
            .delete_employee(world.staff(delete("9")))
            .await;
        assert_eq!(refused(stale).reason, "ETAG_MISMATCH");
        ok(world
            .employees()
            .delete_employee(world.staff(delete("1")))
            .await);
        let names = async |show_deleted| -> Vec<String> {
            let list = pb::ListEmployeesRequest {
                show_deleted,
                order_by: "name desc".to_owned(),
                ..Default::default()
            };
            let page = ok(world.employees().list_employees(world.staff(list)).await);
            page.employees.into_iter().map(|one| one.name).collect()
        };
        assert_eq!(names(false).await, ["Bob"]);
        assert_eq!(names(true).await, ["Bob", "Ada"]);
        let back = pb::UndeleteEmployeeRequest {
            id: ada.id,
            request_id: uuid(),
            ..Default::default()
        };
        let first = ok(world
            .employees()
            .undelete_employee(world.staff(back.clone()))
            .await);
        let again = ok(world.employees().undelete_employee(world.staff(back)).await);
        assert_eq!(first, again, "a retry gets the first answer");
        assert_eq!(names(false).await, ["Bob", "Ada"]);
    })
    .await;
}

#[tokio::test]
async fn employees_are_found_by_the_beginning_of_the_name_page_by_page() {
    on_both(|world| async move {
        for name in ["Ada", "adam", "Bob", "ADELE"] {
            world.employee(name).await;
        }
        let mut list = pb::ListEmployeesRequest {
            page_size: 2,
            query: "AD".to_owned(),
            order_by: "name".to_owned(),
            ..Default::default()
        };
        let mut names = Vec::new();
        loop {
            let page = ok(world
                .employees()
                .list_employees(world.staff(list.clone()))
                .await);
            names.extend(page.employees.into_iter().map(|one| one.name));
            if page.next_page_token.is_empty() {
                break;
            }
            list.page_token = page.next_page_token;
        }
        assert_eq!(names, ["Ada", "adam", "ADELE"]);
    })
    .await;
}
