//! EmployeeService.

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::employee_service_server::EmployeeService;
use millgate_guard::Admitted;
use millgate_platform::{Cursor, Fault, Fields, Tx};
use tonic::{Request, Response};

use super::convert::id;
use super::employee_fields::{Change, message_of, parse_filter, parse_new};
use super::log::Seen;
use super::paging::fitting;
use super::{Answer, Begun, Shared};
use crate::domain::employee::{self, Employee};
use crate::store::employee as store;

/// Who works in the factory.
pub(crate) struct Employees(pub(crate) Shared);

#[tonic::async_trait]
impl EmployeeService for Employees {
    async fn create_employee(
        &self,
        request: Request<pb::CreateEmployeeRequest>,
    ) -> Answer<pb::Employee> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let fields = parse_new(&message)?;
        let request_id = std::mem::take(&mut message.request_id);
        let mut work = match self
            .0
            .begin(&caller, "CreateEmployee", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let employee = store::insert(&mut work.tx, &fields, work.now).await?;
        work.created(Seen::Employee(&employee)).await?;
        Ok(Response::new(work.done(message_of(&employee)).await?))
    }

    async fn get_employee(&self, request: Request<pb::GetEmployeeRequest>) -> Answer<pb::Employee> {
        let Admitted { message, .. } = Admitted::of(request)?;
        let mut fields = Fields::new();
        let id = fields.parse("id", id(message.id));
        let (id,) = fields.all((id,))?;
        let employee = store::get(&self.0.db, id).await?;
        let employee = employee.ok_or_else(|| employee::not_found(id))?;
        Ok(Response::new(message_of(&employee)))
    }

    async fn list_employees(
        &self,
        request: Request<pb::ListEmployeesRequest>,
    ) -> Answer<pb::ListEmployeesResponse> {
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
            .page(&caller, (size, &token), "ListEmployees", &message)?;
        let (filter, by) = parse_filter(&message)?;
        let rows = store::list(&self.0.db, &filter, by, &page).await?;
        let cursor = |employee: &Employee| match by.column {
            "name" => Cursor::text(employee.fields.name_canonical(), employee.id),
            _ => Cursor::id(employee.id),
        };
        let (employees, next_page_token) = fitting(&page, &rows, cursor, message_of);
        Ok(Response::new(pb::ListEmployeesResponse {
            employees,
            next_page_token,
        }))
    }

    async fn update_employee(
        &self,
        request: Request<pb::UpdateEmployeeRequest>,
    ) -> Answer<pb::Employee> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let change = Change::parse(message)?;
        let mut work = self.0.open(&caller).await?;
        let before = locked(&mut work.tx, change.id).await?;
        let mut employee = before.clone();
        change.apply(&mut employee, work.now)?;
        store::save(&mut work.tx, &employee).await?;
        let (before, after) = (Seen::Employee(&before), Seen::Employee(&employee));
        work.changed("update", before, after).await?;
        Ok(Response::new(work.done(message_of(&employee)).await?))
    }

    async fn delete_employee(
        &self,
        request: Request<pb::DeleteEmployeeRequest>,
    ) -> Answer<pb::Employee> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let mut fields = Fields::new();
        let id = fields.parse("id", id(message.id));
        let (id,) = fields.all((id,))?;
        let mut work = self.0.open(&caller).await?;
        let before = store::lock_to_delete(&mut work.tx, id)
            .await?
            .ok_or_else(|| employee::not_found(id))?;
        let mut employee = before.clone();
        employee.delete(&message.etag, work.now)?;
        store::save(&mut work.tx, &employee).await?;
        let (before, after) = (Seen::Employee(&before), Seen::Employee(&employee));
        work.changed("delete", before, after).await?;
        Ok(Response::new(work.done(message_of(&employee)).await?))
    }

    async fn undelete_employee(
        &self,
        request: Request<pb::UndeleteEmployeeRequest>,
    ) -> Answer<pb::Employee> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let mut fields = Fields::of_request(&message.request_id);
        let id = fields.parse("id", id(message.id));
        let (id,) = fields.all((id,))?;
        let request_id = std::mem::take(&mut message.request_id);
        let mut work = match self
            .0
            .begin(&caller, "UndeleteEmployee", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let before = locked(&mut work.tx, id).await?;
        let mut employee = before.clone();
        employee.undelete(&message.etag, work.now)?;
        store::save(&mut work.tx, &employee).await?;
        let (before, after) = (Seen::Employee(&before), Seen::Employee(&employee));
        work.changed("undelete", before, after).await?;
        Ok(Response::new(work.done(message_of(&employee)).await?))
    }
}

async fn locked(tx: &mut Tx, id: i64) -> Result<Employee, Fault> {
    store::lock(tx, id)
        .await?
        .ok_or_else(|| employee::not_found(id))
}
