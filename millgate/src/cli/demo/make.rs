//! Makes what the plan says and what is not there yet: through the public API alone, as anybody in the office could.

use std::cell::Cell;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use millgate_contract::auth::v1 as auth;
use millgate_contract::factory::v1 as pb;
use millgate_contract::google::r#type::Money;
use millgate_platform::{Entropy as _, SystemEntropy};
use prost_types::Timestamp;
use secrecy::ExposeSecret as _;

use super::super::Failure;
use super::super::prompt::NewPassword;
use super::Clients;
use super::dice::{Step, request_id};
use super::plan::{PERIODS, Plan, Run, RunEnd, YEAR};
use super::progress::Progress;
use super::survey::Survey;

const CURRENCY: &str = "EUR";
const NANOS_A_CENT: i64 = 10_000_000;

/// One call, with its request id, as often as it takes.
macro_rules! call {
    ($clients:expr, $client:ident.$rpc:ident($request:expr)) => {{
        let clients: &Clients = $clients;
        let send = |request| {
            let mut client = clients.$client.clone();
            async move { client.$rpc(request).await }
        };
        clients.patience.call(&$request, send)
    }};
}
pub(super) use call;

/// A factory that has its products, customers and employees.
pub(super) struct Factory<'a> {
    pub(super) clients: &'a Clients,
    pub(super) plan: &'a Plan,
    pub(super) survey: &'a Survey,
    at_once: usize,
    /// The ids, by number.
    products: Vec<i64>,
    customers: Vec<i64>,
    employees: Vec<i64>,
    /// Seconds since the epoch.
    year_begin: i64,
    /// What this run made.
    pub(super) made: Made,
}

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) runs: Cell<u64>,
    pub(super) orders: Cell<u64>,
    pub(super) tickets: Cell<u64>,
    /// What somebody has moved elsewhere.
    pub(super) elsewhere: Cell<u64>,
}

pub(super) fn count(of: &Cell<u64>) {
    of.set(of.get() + 1);
}

impl<'a> Factory<'a> {
    /// Makes what everything else refers to.
    pub(super) async fn found(
        clients: &'a Clients,
        plan: &'a Plan,
        survey: &'a Survey,
        at_once: usize,
    ) -> Result<Self, Failure> {
        let mut factory = Self {
            clients,
            plan,
            survey,
            at_once,
            products: Vec::new(),
            customers: Vec::new(),
            employees: Vec::new(),
            year_begin: 0,
            made: Made::default(),
        };
        // The first product says when the year ends, so it is there before the others.
        let (first, year_end) = factory.product(0).await?;
        let others = factory.all(1..plan.products, async |number| {
            factory.product(number).await.map(|(id, _)| id)
        });
        let products = [vec![first], others.await?].concat();
        let customers = factory.all(0..plan.customers, async |number| {
            factory.customer(number).await
        });
        let customers = customers.await?;
        let employees = factory.all(0..plan.employees, async |number| {
            factory.employee(number).await
        });
        let employees = employees.await?;
        factory.products = products;
        factory.customers = customers;
        factory.employees = employees;
        factory.year_begin = year_end - YEAR;
        Ok(factory)
    }

    /// The whole year.
    pub(super) async fn year(&self, progress: &Progress) -> Result<(), Failure> {
        for period in 0..PERIODS {
            let runs = self.plan.runs(period);
            let work = runs.iter().map(|run| self.run(run));
            self.done(stream::iter(work)).await?;
            let orders = self.plan.orders_of(period).map(async |number| {
                self.order(number).await?;
                progress.step();
                Ok(())
            });
            self.done(stream::iter(orders)).await?;
        }
        Ok(())
    }

    /// The ids of several things that are made some at a time, in their order.
    async fn all(
        &self,
        numbers: std::ops::Range<u32>,
        make: impl AsyncFn(u32) -> Result<i64, Failure>,
    ) -> Result<Vec<i64>, Failure> {
        let made = stream::iter(numbers)
            .map(|number| make(number))
            .buffered(self.at_once);
        made.try_collect().await
    }

    /// Work that is done some at a time.
    async fn done(
        &self,
        work: impl stream::Stream<Item = impl Future<Output = Result<(), Failure>>>,
    ) -> Result<(), Failure> {
        let work = work.buffer_unordered(self.at_once);
        work.try_for_each(|()| std::future::ready(Ok(()))).await
    }

    /// The request id of a step.
    pub(super) fn id(&self, step: Step, number: u32) -> String {
        request_id(self.plan.edition.key(), step, number)
    }

    pub(super) fn product_id(&self, number: u32) -> i64 {
        self.products
            .get(number as usize)
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn customer_id(&self, number: u32) -> i64 {
        self.customers
            .get(number as usize)
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn employee_id(&self, number: u32) -> i64 {
        self.employees
            .get(number as usize)
            .copied()
            .unwrap_or_default()
    }

    /// A product: its id, and the second in which it was made.
    async fn product(&self, number: u32) -> Result<(i64, i64), Failure> {
        if let Some(id) = self.survey.products.get(number) {
            return Ok((id, self.survey.year_end.unwrap_or_default()));
        }
        let plan = self.plan.product(number);
        let request = pb::CreateProductRequest {
            product: Some(pb::Product {
                sku: self.plan.edition.mark(number),
                name: plan.name,
                description: plan.description,
                unit_price: Some(Money {
                    currency_code: CURRENCY.to_owned(),
                    units: plan.price_cents / 100,
                    nanos: i32::try_from(plan.price_cents % 100 * NANOS_A_CENT).unwrap_or_default(),
                }),
                on_hand: plan.opening_stock,
                tax_rate_basis_points: plan.tax_basis_points,
                reorder_threshold: plan.reorder_threshold,
                ..Default::default()
            }),
            request_id: self.id(Step::CreateProduct, number),
        };
        let made = call!(self.clients, products.create_product(request)).await?;
        Ok((made.id, made.create_time.map_or(0, |time| time.seconds)))
    }

    async fn customer(&self, number: u32) -> Result<i64, Failure> {
        if let Some(id) = self.survey.customers.get(number) {
            return Ok(id);
        }
        let plan = self.plan.customer(number);
        let request = pb::CreateCustomerRequest {
            customer: Some(pb::Customer {
                name: plan.name,
                email: plan.email,
                phone: plan.phone,
                shipping_address: plan.address,
                notes: plan.notes,
                ..Default::default()
            }),
            request_id: self.id(Step::CreateCustomer, number),
        };
        let made = call!(self.clients, customers.create_customer(request)).await?;
        Ok(made.id)
    }

    async fn employee(&self, number: u32) -> Result<i64, Failure> {
        if let Some(id) = self.survey.employees.get(number) {
            return Ok(id);
        }
        let plan = self.plan.employee(number);
        let user_id = if number < self.plan.mechanics {
            self.login(number).await?
        } else {
            0
        };
        let request = pb::CreateEmployeeRequest {
            employee: Some(pb::Employee {
                name: plan.name,
                position: plan.position,
                user_id,
                ..Default::default()
            }),
            request_id: self.id(Step::CreateEmployee, number),
        };
        let made = call!(self.clients, employees.create_employee(request)).await?;
        Ok(made.id)
    }

    /// A mechanic's login. Its password is random and told to nobody: an administrator gives it another one to use it.
    async fn login(&self, number: u32) -> Result<i64, Failure> {
        if let Some(id) = self.survey.logins.get(number) {
            return Ok(id);
        }
        let password = NewPassword::get(true)?.password;
        let request = auth::CreateUserRequest {
            user: Some(auth::User {
                username: format!("demo-{}", self.plan.edition.mark(number)),
                role: auth::Role::Mechanic.into(),
                ..Default::default()
            }),
            password: password.expose_secret().to_owned(),
            // The body is another one each time: only a repetition of this very call is the same request. The survey
            // finds the login by its name.
            request_id: SystemEntropy.uuid_v4().to_string(),
        };
        let made = call!(self.clients, users.create_user(request)).await?;
        Ok(made.id)
    }

    async fn run(&self, plan: &Run) -> Result<(), Failure> {
        let product_id = self.product_id(plan.product);
        let start = self.year_begin + plan.start;
        let (id, state) = match self.survey.runs.get(&(product_id, start)) {
            Some(found) => *found,
            None => {
                let request = pb::CreateRunRequest {
                    run: Some(pb::ProductionRun {
                        product_id,
                        employee_id: self.employee_id(plan.employee),
                        planned_quantity: plan.planned,
                        start_time: Some(Timestamp {
                            seconds: start,
                            nanos: 0,
                        }),
                        ..Default::default()
                    }),
                    request_id: self.id(Step::CreateRun, plan.number),
                };
                let made = call!(self.clients, runs.create_run(request)).await?;
                count(&self.made.runs);
                (made.id, pb::RunState::Running)
            }
        };
        if state != pb::RunState::Running {
            return Ok(());
        }
        let request_id = self.id(Step::EndRun, plan.number);
        match plan.end {
            RunEnd::None => {}
            RunEnd::Completed => {
                let request = pb::CompleteRunRequest {
                    id,
                    produced_quantity: plan.planned - plan.scrap,
                    scrap_quantity: plan.scrap,
                    request_id,
                    ..Default::default()
                };
                call!(self.clients, runs.complete_run(request)).await?;
            }
            RunEnd::Cancelled => {
                let request = pb::CancelRunRequest {
                    id,
                    request_id,
                    ..Default::default()
                };
                call!(self.clients, runs.cancel_run(request)).await?;
            }
        }
        Ok(())
    }
}
