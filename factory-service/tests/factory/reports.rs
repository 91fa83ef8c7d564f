//! Reports.

use std::time::Duration;

use millgate_contract::factory::v1 as pb;
use millgate_guard::Clock as _;

use crate::world::{World, is_refused, money, ok, on_both, order_of, refused};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// The date of a number of days since the epoch (the algorithm of Howard Hinnant's `civil_from_days`).
fn date(days: i64) -> String {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (
        doy - (153 * mp + 2) / 5 + 1,
        if mp < 10 { mp + 3 } else { mp - 9 },
    );
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

fn today(world: &World) -> i64 {
    world.clock.now_micros().div_euclid(DAY)
}

/// Sets the clock to one second before the next midnight of UTC.
fn wait_for_the_end_of_the_day(world: &World) {
    let now = world.clock.now_micros();
    let left = DAY - now.rem_euclid(DAY) - 1_000_000;
    world.clock.advance(Duration::from_micros(
        u64::try_from(left.max(0)).expect("positive"),
    ));
}

fn top(first: &str, last: &str, zone: &str, currency: &str) -> pb::TopProductsRequest {
    pb::TopProductsRequest {
        start_date: first.to_owned(),
        end_date: last.to_owned(),
        time_zone: zone.to_owned(),
        currency_code: currency.to_owned(),
        limit: 0,
    }
}

async fn sold(world: &World, request: pb::TopProductsRequest) -> Vec<(String, i64, i64)> {
    let report = ok(world.reports().top_products(world.staff(request)).await);
    report
        .products
        .into_iter()
        .map(|row| (row.sku, row.quantity, row.order_count))
        .collect()
}

async fn cancel(world: &World, id: i64) {
    let cancel = pb::CancelOrderRequest {
        id,
        ..Default::default()
    };
    ok(world.orders().cancel_order(world.staff(cancel)).await);
}

#[tokio::test]
async fn only_staff_and_services_with_the_scope_read_reports() {
    on_both(|world| async move {
        let day = date(today(&world));
        let request = || top(&day, &day, "UTC", "");
        let answer = world
            .reports()
            .top_products(world.customer(7, request()))
            .await;
        assert_eq!(refused(answer).reason, "ROLE_DENIED");
        let answer = world
            .reports()
            .top_products(world.service("products.read", request()))
            .await;
        assert_eq!(refused(answer).reason, "SCOPE_DENIED");
        let answer = world.reports().top_products(request()).await;
        assert_eq!(refused(answer).reason, "TOKEN_MISSING");
        ok(world
            .reports()
            .top_products(world.service("reports.read", request()))
            .await);
    })
    .await;
}

#[tokio::test]
async fn every_bad_field_of_a_report_is_named_at_once() {
    on_both(|world| async move {
        let mut bad = top("2026-02-30", "yesterday", "Berlin", "XXXX");
        bad.limit = 1001;
        is_refused(
            world.reports().top_products(world.staff(bad)).await,
            "FIELD_INVALID",
            &[
                "start_date",
                "end_date",
                "time_zone",
                "currency_code",
                "limit",
            ],
        );
        for (first, last) in [("2026-02-01", "2026-01-31"), ("2010-01-01", "2020-01-01")] {
            is_refused(
                world
                    .reports()
                    .top_products(world.staff(top(first, last, "UTC", "")))
                    .await,
                "FIELD_INVALID",
                &["end_date"],
            );
        }
        let long = pb::ProductionEfficiencyRequest {
            start_date: "2025-01-01".to_owned(),
            end_date: "2026-01-02".to_owned(),
            time_zone: "UTC".to_owned(),
            product_id: -1,
        };
        is_refused(
            world
                .reports()
                .production_efficiency(world.staff(long))
                .await,
            "FIELD_INVALID",
            &["end_date", "product_id"],
        );
        is_refused(
            world
                .reports()
                .customer_lifetime_value(world.staff(Default::default()))
                .await,
            "FIELD_INVALID",
            &["start_date", "end_date", "time_zone", "threshold"],
        );
    })
    .await;
}

#[tokio::test]
async fn an_order_counts_on_the_day_that_its_clock_shows() {
    on_both(|world| async move {
        let bolt = world.product("M8", 100).await;
        let ada = world.profile("Ada Lovelace").await;
        wait_for_the_end_of_the_day(&world);
        let (monday, tuesday) = (date(today(&world)), date(today(&world) + 1));
        world.placed(ada.id, bolt.id, 3).await;
        world.clock.advance(Duration::from_secs(1));
        world.placed(ada.id, bolt.id, 5).await;
        let row = |quantity, orders| vec![("M8".to_owned(), quantity, orders)];
        assert_eq!(
            sold(&world, top(&monday, &monday, "UTC", "")).await,
            row(3, 1)
        );
        assert_eq!(
            sold(&world, top(&tuesday, &tuesday, "UTC", "")).await,
            row(5, 1)
        );
        assert_eq!(
            sold(&world, top(&monday, &tuesday, "UTC", "")).await,
            row(8, 2)
        );
        // A quarter to six in the morning of Tuesday there, for both.
        let nepal = |day: &str| top(day, day, "Asia/Kathmandu", "");
        assert_eq!(sold(&world, nepal(&tuesday)).await, row(8, 2));
        assert!(sold(&world, nepal(&monday)).await.is_empty());
        // And both on Monday evening in New York.
        let new_york = |day: &str| top(day, day, "America/New_York", "");
        assert_eq!(sold(&world, new_york(&monday)).await, row(8, 2));
    })
    .await;
}

#[tokio::test]
async fn products_rank_by_pieces_or_by_one_currency_and_cancelled_orders_do_not_count() {
    on_both(|world| async move {
        let ada = world.profile("Ada Lovelace").await;
        let cheap = world.priced("CHEAP", 100, money("EUR", 1, 0)).await;
        let dear = world.priced("DEAR", 100, money("EUR", 50, 0)).await;
        let yen = world.priced("YEN", 100, money("JPY", 900, 0)).await;
        world.placed(ada.id, cheap.id, 10).await;
        world.placed(ada.id, dear.id, 2).await;
        world.placed(ada.id, yen.id, 5).await;
        let gone = world.placed(ada.id, cheap.id, 90).await;
        cancel(&world, gone.id).await;
        let day = date(today(&world));
        let row = |sku: &str, quantity, orders| (sku.to_owned(), quantity, orders);
        assert_eq!(
            sold(&world, top(&day, &day, "UTC", "")).await,
            [row("CHEAP", 10, 1), row("YEN", 5, 1), row("DEAR", 2, 1)]
        );
        let report = world
            .reports()
            .top_products(world.staff(top(&day, &day, "UTC", "EUR")))
            .await;
        let revenue: Vec<_> = ok(report)
            .products
            .into_iter()
            .map(|row| (row.sku, row.revenue))
            .collect();
        assert_eq!(
            revenue,
            [
                ("DEAR".to_owned(), Some(money("EUR", 100, 0))),
                ("CHEAP".to_owned(), Some(money("EUR", 10, 0)))
            ]
        );
        let mut one = top(&day, &day, "UTC", "");
        one.limit = 1;
        assert_eq!(sold(&world, one).await, [row("CHEAP", 10, 1)]);
    })
    .await;
}

#[tokio::test]
async fn a_customer_counts_from_the_threshold_on_in_its_currency_only() {
    on_both(|world| async move {
        let (ada, bob) = (
            world.profile("Ada Lovelace").await,
            world.profile("Bob Smith").await,
        );
        let euro = world.priced("EURO", 100, money("EUR", 10, 0)).await;
        let yen = world.priced("YEN", 100, money("JPY", 9000, 0)).await;
        world.placed(ada.id, euro.id, 3).await;
        world.placed(ada.id, euro.id, 2).await;
        world.placed(bob.id, euro.id, 4).await;
        world.placed(bob.id, yen.id, 50).await;
        let day = date(today(&world));
        let worth = async |threshold| -> Vec<(String, i64, i64)> {
            let request = pb::CustomerLifetimeValueRequest {
                start_date: day.clone(),
                end_date: day.clone(),
                time_zone: "UTC".to_owned(),
                threshold: Some(threshold),
                limit: 0,
            };
            let report = world
                .reports()
                .customer_lifetime_value(world.staff(request))
                .await;
            ok(report)
                .customers
                .into_iter()
                .map(|row| {
                    (
                        row.name,
                        row.order_count,
                        row.value.map_or(0, |value| value.units),
                    )
                })
                .collect()
        };
        let row = |name: &str, orders, units| (name.to_owned(), orders, units);
        assert_eq!(
            worth(money("EUR", 0, 0)).await,
            [row("Ada Lovelace", 2, 50), row("Bob Smith", 1, 40)]
        );
        assert_eq!(
            worth(money("EUR", 50, 0)).await,
            [row("Ada Lovelace", 2, 50)]
        );
        assert!(worth(money("EUR", 50, 10_000_000)).await.is_empty());
        assert_eq!(
            worth(money("JPY", 1, 0)).await,
            [row("Bob Smith", 1, 450_000)]
        );
    })
    .await;
}

#[tokio::test]
async fn a_sum_that_no_amount_can_be_is_refused_by_name() {
    on_both(|world| async move {
        let ada = world.profile("Ada Lovelace").await;
        let vast = world
            .priced("VAST", 10, money("JPY", i64::MAX / 2 - 1, 0))
            .await;
        for _ in 0..3 {
            let order = order_of(ada.id, &[(vast.id, 1)]);
            ok(world.orders().place_order(world.staff(order)).await);
        }
        let day = date(today(&world));
        let answer = world
            .reports()
            .top_products(world.staff(top(&day, &day, "UTC", "JPY")))
            .await;
        assert_eq!(refused(answer).reason, "AMOUNT_OUT_OF_RANGE");
        assert_eq!(
            sold(&world, top(&day, &day, "UTC", "")).await,
            [("VAST".to_owned(), 3, 3)]
        );
    })
    .await;
}

#[tokio::test]
async fn employees_are_credited_with_what_they_finished_in_the_period_page_by_page() {
    on_both(|world| async move {
        let bolt = world.product("M8", 0).await;
        let mut ids = Vec::new();
        for name in ["Ada", "Bob", "Cleo"] {
            ids.push(world.employee(name).await.id);
        }
        wait_for_the_end_of_the_day(&world);
        let monday = date(today(&world));
        let finish = async |employee_id, produced, scrap| {
            let plan = pb::CreateRunRequest {
                run: Some(pb::ProductionRun {
                    product_id: bolt.id,
                    employee_id,
                    planned_quantity: 10,
                    ..Default::default()
                }),
                request_id: String::new(),
            };
            let run = ok(world.production().create_run(world.staff(plan)).await);
            let complete = pb::CompleteRunRequest {
                id: run.id,
                produced_quantity: produced,
                scrap_quantity: scrap,
                ..Default::default()
            };
            ok(world.production().complete_run(world.staff(complete)).await);
        };
        finish(ids[0], 9, 1).await;
        finish(ids[0], 10, 0).await;
        finish(ids[1], 5, 5).await;
        world.clock.advance(Duration::from_secs(1));
        let tuesday = date(today(&world));
        finish(ids[1], 7, 3).await;

        let mut request = pb::EmployeePerformanceRequest {
            start_date: monday.clone(),
            end_date: monday.clone(),
            time_zone: "UTC".to_owned(),
            page_size: 2,
            page_token: String::new(),
        };
        let mut rows = Vec::new();
        loop {
            let page = world
                .reports()
                .employee_performance(world.staff(request.clone()))
                .await;
            let page = ok(page);
            rows.extend(page.employees.into_iter().map(|row| {
                (
                    row.name,
                    row.run_count,
                    row.produced_quantity,
                    row.scrap_quantity,
                )
            }));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        let row = |name: &str, runs, produced, scrap| (name.to_owned(), runs, produced, scrap);
        assert_eq!(
            rows,
            [
                row("Ada", 2, 19, 1),
                row("Bob", 1, 5, 5),
                row("Cleo", 0, 0, 0)
            ]
        );

        let by_day = pb::ProductionEfficiencyRequest {
            start_date: date(today(&world) - 2),
            end_date: tuesday.clone(),
            time_zone: "UTC".to_owned(),
            product_id: 0,
        };
        let report = world
            .reports()
            .production_efficiency(world.staff(by_day.clone()))
            .await;
        let days: Vec<_> = ok(report)
            .days
            .into_iter()
            .map(|day| {
                (
                    day.date,
                    day.run_count,
                    day.planned_quantity,
                    day.efficiency_bp,
                )
            })
            .collect();
        assert_eq!(
            days,
            [
                (date(today(&world) - 2), 0, 0, 0),
                (monday, 3, 30, 8000),
                (tuesday, 1, 10, 7000)
            ]
        );
        let other = pb::ProductionEfficiencyRequest {
            product_id: 4711,
            ..by_day
        };
        let report = world
            .reports()
            .production_efficiency(world.staff(other))
            .await;
        assert!(ok(report).days.iter().all(|day| day.run_count == 0));
    })
    .await;
}
