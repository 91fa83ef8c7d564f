//! ReportService.

use jiff::{Span, ToSpan};
use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::report_service_server::ReportService;
use millgate_guard::Admitted;
use millgate_platform::{Cursor, FieldFault, Fields};
use tonic::{Request, Response};

use super::convert::{id_filter, money, parse_money};
use super::{Answer, Shared};
use crate::domain::money::Currency;
use crate::domain::name::Name;
use crate::domain::period::{self, Day, Period};
use crate::store::report::{self as store, Made, Performance, Sold, Worth};

/// The most rows of a report that has no pages.
const MAX_ROWS: i32 = 1000;

/// What happened in a period.
pub(crate) struct Reports(pub(crate) Shared);

#[tonic::async_trait]
impl ReportService for Reports {
    async fn top_products(
        &self,
        request: Request<pb::TopProductsRequest>,
    ) -> Answer<pb::TopProductsResponse> {
        let Admitted { message, .. } = Admitted::of(request)?;
        let mut fields = Fields::new();
        let period = parse_period(
            &mut fields,
            (&message.start_date, &message.end_date, &message.time_zone),
            10.years(),
        );
        let currency = fields.parse("currency_code", optional_currency(&message.currency_code));
        let limit = fields.parse("limit", limit(message.limit, 10));
        let (period, currency, limit) = fields.all((period, currency, limit))?;
        let rows = store::top_products(&self.0.db, &period, currency, limit).await?;
        Ok(Response::new(pb::TopProductsResponse {
            products: rows.iter().map(sold).collect(),
        }))
    }

    async fn customer_lifetime_value(
        &self,
        request: Request<pb::CustomerLifetimeValueRequest>,
    ) -> Answer<pb::CustomerLifetimeValueResponse> {
        let Admitted { message, .. } = Admitted::of(request)?;
        let mut fields = Fields::new();
        let period = parse_period(
            &mut fields,
            (&message.start_date, &message.end_date, &message.time_zone),
            100.years(),
        );
        let threshold = fields.parse("threshold", parse_money(message.threshold.as_ref()));
        let limit = fields.parse("limit", limit(message.limit, 100));
        let (period, threshold, limit) = fields.all((period, threshold, limit))?;
        let rows = store::lifetime_value(&self.0.db, &period, threshold, limit).await?;
        Ok(Response::new(pb::CustomerLifetimeValueResponse {
            customers: rows.into_iter().map(worth).collect(),
        }))
    }

    async fn employee_performance(
        &self,
        request: Request<pb::EmployeePerformanceRequest>,
    ) -> Answer<pb::EmployeePerformanceResponse> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let (size, token) = (
            std::mem::take(&mut message.page_size),
            std::mem::take(&mut message.page_token),
        );
        let page = self
            .0
            .page(&caller, (size, &token), "EmployeePerformance", &message)?;
        let mut fields = Fields::new();
        let period = parse_period(
            &mut fields,
            (&message.start_date, &message.end_date, &message.time_zone),
            10.years(),
        );
        let (period,) = fields.all((period,))?;
        let after = page.after.as_ref().map_or(0, |cursor| cursor.id);
        let rows = store::performance(&self.0.db, &period, after, page.limit()).await?;
        let (rows, next_page_token) = page.finish(rows, |row| Cursor::id(row.employee_id));
        Ok(Response::new(pb::EmployeePerformanceResponse {
            employees: rows.into_iter().map(performance).collect(),
            next_page_token,
        }))
    }

    async fn production_efficiency(
        &self,
        request: Request<pb::ProductionEfficiencyRequest>,
    ) -> Answer<pb::ProductionEfficiencyResponse> {
        let Admitted { message, .. } = Admitted::of(request)?;
        let mut fields = Fields::new();
        let period = parse_period(
            &mut fields,
            (&message.start_date, &message.end_date, &message.time_zone),
            366.days(),
        );
        let product_id = fields.parse("product_id", id_filter(message.product_id));
        let (period, product_id) = fields.all((period, product_id))?;
        let days = period.days();
        let made = store::efficiency(&self.0.db, &days, product_id).await?;
        Ok(Response::new(pb::ProductionEfficiencyResponse {
            days: days.into_iter().zip(made).map(day).collect(),
        }))
    }
}

fn parse_period(
    fields: &mut Fields,
    (start, end, zone): (&str, &str, &str),
    longest: Span,
) -> Option<Period> {
    let first = fields.parse("start_date", period::date(start));
    let last = fields.parse("end_date", period::date(end));
    let zone = fields.parse("time_zone", period::zone(zone));
    let period = Period::new(first?, last?, zone?, longest);
    fields.parse("end_date", period)
}

fn optional_currency(code: &str) -> Result<Option<Currency>, FieldFault> {
    if code.is_empty() {
        Ok(None)
    } else {
        Currency::parse(code).map(Some)
    }
}

/// How many rows: `usual` where it is not said.
fn limit(asked: i32, usual: i64) -> Result<i64, FieldFault> {
    match asked {
        0 => Ok(usual),
        1..=MAX_ROWS => Ok(asked.into()),
        _ => Err(format!("must be 1 to {MAX_ROWS}").into()),
    }
}

fn sold(row: &Sold) -> pb::top_products_response::Row {
    pb::top_products_response::Row {
        product_id: row.product_id,
        sku: row.sku.clone(),
        name: row.name.clone(),
        quantity: row.quantity,
        order_count: row.order_count,
        revenue: row.revenue.and_then(money),
    }
}

fn worth(row: Worth) -> pb::customer_lifetime_value_response::Row {
    let (first, last) = row.name;
    pb::customer_lifetime_value_response::Row {
        customer_id: row.customer_id,
        name: Name::stored(first, last).whole(),
        order_count: row.order_count,
        value: money(row.value),
    }
}

fn performance(row: Performance) -> pb::employee_performance_response::Row {
    pb::employee_performance_response::Row {
        employee_id: row.employee_id,
        name: row.name,
        run_count: row.run_count,
        produced_quantity: row.produced,
        scrap_quantity: row.scrap,
        ticket_count: row.ticket_count,
        labour_minutes: row.labour_minutes,
    }
}

fn day((day, made): (Day, Made)) -> pb::production_efficiency_response::Row {
    pb::production_efficiency_response::Row {
        date: day.date,
        run_count: made.run_count,
        planned_quantity: made.planned,
        produced_quantity: made.produced,
        scrap_quantity: made.scrap,
        efficiency_bp: efficiency_bp(made.produced, made.planned),
    }
}

/// Good pieces per planned piece in basis points, rounded half up.
fn efficiency_bp(produced: i64, planned: i64) -> i64 {
    let (produced, planned) = (i128::from(produced), i128::from(planned));
    match planned {
        0 => 0,
        _ => i64::try_from((produced * 20_000 + planned) / (planned * 2)).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn efficiency_is_rounded_half_up_in_basis_points() {
        for (produced, planned, expected) in [
            (0, 0, 0),
            (0, 7, 0),
            (7, 7, 10_000),
            (14, 7, 20_000),
            (1, 3, 3_333),
            (2, 3, 6_667),
            (1, 20_000, 1),
            (i64::MAX, 1, i64::MAX),
        ] {
            assert_eq!(
                efficiency_bp(produced, planned),
                expected,
                "{produced}/{planned}"
            );
        }
    }

    #[test]
    fn a_limit_is_from_one_to_a_thousand() {
        assert_eq!(limit(0, 10), Ok(10));
        assert_eq!(limit(1000, 10), Ok(1000));
        assert!(limit(1001, 10).is_err() && limit(-1, 10).is_err());
    }
}
