//! Production runs.

use futures::future::join_all;
use millgate_contract::factory::v1 as pb;
use prost_types::Timestamp;

use crate::world::{World, is_refused, ok, on_both, refused, uuid};

fn plan(product_id: i64, employee_id: i64, planned_quantity: i64) -> pb::CreateRunRequest {
    pb::CreateRunRequest {
        run: Some(pb::ProductionRun {
            product_id,
            employee_id,
            planned_quantity,
            ..pb::ProductionRun::default()
        }),
        request_id: String::new(),
    }
}

fn complete(id: i64, produced_quantity: i64, scrap_quantity: i64) -> pb::CompleteRunRequest {
    pb::CompleteRunRequest {
        id,
        produced_quantity,
        scrap_quantity,
        ..Default::default()
    }
}

async fn started(world: &World, product_id: i64) -> pb::ProductionRun {
    ok(world
        .production()
        .create_run(world.staff(plan(product_id, 0, 10)))
        .await)
}

#[tokio::test]
async fn what_a_run_produces_becomes_stock_once_and_is_in_the_ledger() {
    on_both(|world| async move {
        let product = world.product("M8", 5).await;
        let ada = world.employee("Ada").await;
        let run = ok(world
            .production()
            .create_run(world.staff(plan(product.id, ada.id, 10)))
            .await);
        assert_eq!(
            (run.state(), run.next_actions.clone(), run.employee_id),
            (
                pb::RunState::Running,
                vec!["complete".to_owned(), "cancel".to_owned()],
                ada.id
            )
        );
        assert_eq!(world.get_product(product.id).await.on_hand, 5);
        let done = ok(world
            .production()
            .complete_run(world.staff(complete(run.id, 8, 2)))
            .await);
        assert_eq!(
            (done.state(), done.produced_quantity, done.scrap_quantity),
            (pb::RunState::Completed, 8, 2)
        );
        assert!(done.finish_time.is_some() && done.next_actions.is_empty());
        assert_eq!(world.get_product(product.id).await.on_hand, 13);
        let again = world
            .production()
            .complete_run(world.staff(complete(run.id, 8, 2)))
            .await;
        assert_eq!(refused(again).reason, "STATE_CONFLICT");
        assert_eq!(world.get_product(product.id).await.on_hand, 13);
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn a_run_completed_by_many_at_once_becomes_stock_once() {
    on_both(|world| async move {
        let product = world.product("M8", 0).await;
        let run = started(&world, product.id).await;
        let world = &world;
        let calls = (0..16).map(|_| async move {
            world
                .production()
                .complete_run(world.staff(complete(run.id, 10, 0)))
                .await
                .is_ok()
        });
        let won = join_all(calls).await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1);

        let second = started(world, product.id).await;
        let request = pb::CompleteRunRequest {
            request_id: uuid(),
            ..complete(second.id, 10, 0)
        };
        let request = &request;
        let calls = (0..16).map(|_| async move {
            ok(world
                .production()
                .complete_run(world.staff(request.clone()))
                .await)
        });
        let answers = join_all(calls).await;
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(world.get_product(product.id).await.on_hand, 20);
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_run_leaves_no_stock() {
    on_both(|world| async move {
        let product = world.product("M8", 1).await;
        let run = started(&world, product.id).await;
        let cancel = |etag: &str| pb::CancelRunRequest {
            id: run.id,
            etag: etag.to_owned(),
            ..Default::default()
        };
        let stale = world
            .production()
            .cancel_run(world.staff(cancel("7")))
            .await;
        assert_eq!(refused(stale).reason, "ETAG_MISMATCH");
        let cancelled = ok(world
            .production()
            .cancel_run(world.staff(cancel("1")))
            .await);
        assert_eq!(cancelled.state(), pb::RunState::Cancelled);
        let late = world
            .production()
            .complete_run(world.staff(complete(run.id, 5, 0)))
            .await;
        assert_eq!(refused(late).reason, "STATE_CONFLICT");
        assert_eq!(world.get_product(product.id).await.on_hand, 1);
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn a_run_needs_a_product_and_an_employee_that_are_there() {
    on_both(|world| async move {
        let product = world.product("M8", 0).await;
        let ada = world.employee("Ada").await;
        let create = async |request| world.production().create_run(world.staff(request)).await;
        assert_eq!(
            refused(create(plan(99, 0, 1)).await).reason,
            "PRODUCT_NOT_FOUND"
        );
        assert_eq!(
            refused(create(plan(product.id, 99, 1)).await).reason,
            "EMPLOYEE_NOT_FOUND"
        );
        let mut future = plan(product.id, 0, 1);
        if let Some(run) = future.run.as_mut() {
            run.start_time = Some(Timestamp {
                seconds: 4_000_000_000,
                nanos: 0,
            });
        }
        is_refused(create(future).await, "FIELD_INVALID", &["run.start_time"]);
        is_refused(
            create(pb::CreateRunRequest::default()).await,
            "FIELD_INVALID",
            &["run.product_id", "run.planned_quantity"],
        );
        is_refused(
            create(plan(product.id, -1, i64::MAX)).await,
            "FIELD_INVALID",
            &["run.employee_id", "run.planned_quantity"],
        );
        assert_eq!(world.count("SELECT count(*) FROM production_runs").await, 0);

        let run = ok(create(plan(product.id, ada.id, 1)).await);
        let delete = pb::DeleteEmployeeRequest {
            id: ada.id,
            ..Default::default()
        };
        let refusal = world
            .employees()
            .delete_employee(world.staff(delete.clone()))
            .await;
        assert_eq!(refused(refusal).reason, "REFERENCED");
        ok(world
            .production()
            .complete_run(world.staff(complete(run.id, 0, 1)))
            .await);
        ok(world.employees().delete_employee(world.staff(delete)).await);
        assert_eq!(
            refused(create(plan(product.id, ada.id, 1)).await).reason,
            "EMPLOYEE_NOT_FOUND"
        );
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn a_run_that_would_overfill_the_store_stays_running() {
    on_both(|world| async move {
        let product = world.product("M8", 1_000_000_000_000 - 5).await;
        let run = started(&world, product.id).await;
        let answer = world
            .production()
            .complete_run(world.staff(complete(run.id, 6, 0)))
            .await;
        assert_eq!(refused(answer).reason, "AMOUNT_OUT_OF_RANGE");
        let get = pb::GetRunRequest { id: run.id };
        assert_eq!(ok(world.production().get_run(world.staff(get)).await), run);
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn runs_are_listed_newest_first_by_product_employee_and_state() {
    on_both(|world| async move {
        let (bolt, nut) = (world.product("M8", 0).await, world.product("N8", 0).await);
        let first = started(&world, bolt.id).await;
        let second = started(&world, nut.id).await;
        let third = started(&world, bolt.id).await;
        ok(world
            .production()
            .complete_run(world.staff(complete(third.id, 1, 0)))
            .await);
        let ids = async |list: pb::ListRunsRequest| -> Vec<i64> {
            let page = ok(world.production().list_runs(world.staff(list)).await);
            page.runs.into_iter().map(|run| run.id).collect()
        };
        assert_eq!(
            ids(pb::ListRunsRequest::default()).await,
            [third.id, second.id, first.id]
        );
        let of_bolt = pb::ListRunsRequest {
            product_id: bolt.id,
            state: pb::RunState::Running.into(),
            ..Default::default()
        };
        assert_eq!(ids(of_bolt).await, [first.id]);
        let before = pb::ListRunsRequest {
            started_before: first.start_time,
            ..Default::default()
        };
        assert!(ids(before).await.is_empty());
        let answer = world
            .production()
            .list_runs(world.customer(7, pb::ListRunsRequest::default()))
            .await;
        assert_eq!(refused(answer).reason, "ROLE_DENIED");
    })
    .await;
}
