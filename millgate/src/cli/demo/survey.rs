//! What is there already: of this demo, which then goes on from there, and of others.

use std::collections::HashMap;

use millgate_contract::auth::v1 as auth;
use millgate_contract::factory::v1 as pb;

use super::super::Failure;
use super::Clients;
use super::edition::Edition;
use super::plan::Plan;

/// Rows of a page.
const PAGE: i32 = 1000;

/// Things by their number in the plan.
#[derive(Debug)]
pub(super) struct Numbered<T>(Vec<Option<T>>);

impl<T: Copy> Numbered<T> {
    fn new(count: u32) -> Self {
        Self(vec![None; count as usize])
    }

    pub(super) fn get(&self, number: u32) -> Option<T> {
        self.0.get(number as usize).copied().flatten()
    }

    fn note(&mut self, number: u32, thing: T) {
        if let Some(place) = self.0.get_mut(number as usize) {
            *place = Some(thing);
        }
    }

    /// How many are there.
    pub(super) fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }
}

/// What is there of the demo.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) customers: Numbered<i64>,
    pub(super) products: Numbered<i64>,
    pub(super) employees: Numbered<i64>,
    /// The logins of the mechanics.
    pub(super) logins: Numbered<i64>,
    pub(super) orders: Numbered<(i64, pb::OrderState)>,
    /// By the number of their order.
    pub(super) tickets: Numbered<(i64, pb::TicketState)>,
    /// By the product's id and the second in which they began.
    pub(super) runs: HashMap<(i64, i64), (i64, pb::RunState)>,
    /// When the first product was made, in seconds since the epoch: the end of the demo's year.
    pub(super) year_end: Option<i64>,
}

/// What is there of others.
#[derive(Debug, Default)]
struct Others {
    customers: u64,
    products: u64,
    /// Another demo.
    demo: Option<Edition>,
}

/// Every item of a list, page by page.
macro_rules! each {
    ($clients:expr, $client:ident.$rpc:ident($request:expr).$items:ident, |$item:ident| $body:expr) => {{
        let clients: &Clients = $clients;
        let mut request = $request;
        request.page_size = PAGE;
        loop {
            let send = |request| {
                let mut client = clients.$client.clone();
                async move { client.$rpc(request).await }
            };
            let page = clients.patience.call(&request, send).await?;
            for $item in page.$items {
                $body;
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
    }};
}

/// Looks through the factory.
///
/// # Errors
/// When there is something of others, unless the demo may be mixed with it.
pub(super) async fn survey(
    clients: &Clients,
    plan: &Plan,
    into_existing: bool,
) -> Result<Survey, Failure> {
    let orders = plan.edition.orders;
    let mut survey = Survey {
        customers: Numbered::new(plan.customers),
        products: Numbered::new(plan.products),
        employees: Numbered::new(plan.employees),
        logins: Numbered::new(plan.mechanics),
        orders: Numbered::new(orders),
        tickets: Numbered::new(orders),
        runs: HashMap::new(),
        year_end: None,
    };
    let mut others = Others::default();
    survey.goods(clients, plan, &mut others).await?;
    if !into_existing {
        others.refuse(plan.edition)?;
    }
    survey.people(clients, plan).await?;
    // Without a product nothing else was begun.
    if survey.year_end.is_some() {
        survey.work(clients, plan).await?;
    }
    Ok(survey)
}

impl Survey {
    /// Customers and products, those of others too.
    async fn goods(
        &mut self,
        clients: &Clients,
        plan: &Plan,
        others: &mut Others,
    ) -> Result<(), Failure> {
        let request = pb::ListCustomersRequest {
            show_deleted: true,
            ..Default::default()
        };
        each!(
            clients,
            customers.list_customers(request).customers,
            |customer| {
                match plan.edition.customer_of(&customer.email) {
                    Some(number) => self.customers.note(number, customer.id),
                    None => {
                        others.customers += 1;
                        others.demo = others.demo.or(Edition::of_email(&customer.email));
                    }
                }
            }
        );
        let request = pb::ListProductsRequest {
            show_deleted: true,
            ..Default::default()
        };
        each!(
            clients,
            products.list_products(request).products,
            |product| {
                match plan.edition.number_of(&product.sku) {
                    Some(number) => {
                        self.products.note(number, product.id);
                        if number == 0 {
                            self.year_end = product.create_time.map(|time| time.seconds);
                        }
                    }
                    None => others.products += 1,
                }
            }
        );
        Ok(())
    }

    /// Employees, and the mechanics' logins.
    async fn people(&mut self, clients: &Clients, plan: &Plan) -> Result<(), Failure> {
        let request = pb::ListEmployeesRequest {
            show_deleted: true,
            ..Default::default()
        };
        each!(
            clients,
            employees.list_employees(request).employees,
            |employee| {
                if let Some(number) = plan.edition.number_of(&employee.position) {
                    self.employees.note(number, employee.id);
                }
            }
        );
        let request = auth::ListUsersRequest {
            role: auth::Role::Mechanic.into(),
            ..Default::default()
        };
        each!(clients, users.list_users(request).users, |user| {
            if let Some(number) = plan.edition.number_of(&user.username) {
                self.logins.note(number, user.id);
            }
        });
        Ok(())
    }

    /// Runs, orders and tickets.
    async fn work(&mut self, clients: &Clients, plan: &Plan) -> Result<(), Failure> {
        let request = pb::ListRunsRequest::default();
        each!(clients, runs.list_runs(request).runs, |run| {
            let start = run.start_time.map_or(0, |time| time.seconds);
            self.runs
                .insert((run.product_id, start), (run.id, run.state()));
        });
        // Whoever writes the mark into an order of their own does not make it the demo's: the customer must be it too.
        let is_of = |survey: &Self, number: u32, customer_id: i64| {
            number < plan.edition.orders
                && survey.customers.get(plan.order(number).customer) == Some(customer_id)
        };
        let request = pb::ListOrdersRequest::default();
        each!(clients, orders.list_orders(request).orders, |order| {
            if let Some(number) = plan.edition.number_of(&order.notes)
                && is_of(self, number, order.customer_id)
            {
                self.orders.note(number, (order.id, order.state()));
            }
        });
        let request = pb::ListTicketsRequest::default();
        each!(clients, tickets.list_tickets(request).tickets, |ticket| {
            if let Some(number) = plan.edition.number_of(&ticket.description)
                && is_of(self, number, ticket.customer_id)
            {
                self.tickets.note(number, (ticket.id, ticket.state()));
            }
        });
        Ok(())
    }
}

impl Others {
    fn refuse(&self, edition: Edition) -> Result<(), Failure> {
        if self.customers == 0 && self.products == 0 {
            return Ok(());
        }
        let what = match self.demo {
            Some(Edition { seed, orders }) => {
                format!("there is another demo: `--seed {seed} --orders {orders}` goes on with it")
            }
            None => format!(
                "customers that are not of this demo ({edition}): {}, products: {}; nothing was written",
                self.customers, self.products
            ),
        };
        Err(Failure::Refused(format!(
            "{what}\n  take an empty database, or mix the demo in with --into-existing"
        )))
    }
}
