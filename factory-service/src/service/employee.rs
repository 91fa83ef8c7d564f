//! EmployeeService.

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::employee_service_server::EmployeeService;
use millgate_guard::Admitted;
use millgate_platform::{Cursor, Fault, Fields, Tx};
use tonic::{Request, Response};

use super::convert::id;
use super::employee_fields::{Change, message_of, parse_filter, parse_new};
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
        let Admitted { message, .. } = Admitted::of(request)?;
        let change = Change::parse(message)?;
        let mut tx = self.0.db.begin().await?;
        let mut employee = locked(&mut tx, change.id).await?;
        change.apply(&mut employee, self.0.clock.now_micros())?;
        store::save(&mut tx, &employee).await?;
        tx.commit().await?;
        Ok(Response::new(message_of(&employee)))
    }

    async fn delete_employee(
        &self,
        request: Request<pb::DeleteEmployeeRequest>,
    ) -> Answer<pb::Employee> {
        let Admitted { message, .. } = Admitted::of(request)?;
        let mut fields = Fields::new();
        let id = fields.parse("id", id(message.id));
        let (id,) = fields.all((id,))?;
        let mut tx = self.0.db.begin().await?;
        let mut employee = store::lock_to_delete(&mut tx, id)
            .await?
            .ok_or_else(|| employee::not_found(id))?;
        employee.delete(&message.etag, self.0.clock.now_micros())?;
        store::save(&mut tx, &employee).await?;
        tx.commit().await?;
        Ok(Response::new(message_of(&employee)))
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
        let mut employee = locked(&mut work.tx, id).await?;
        employee.undelete(&message.etag, work.now)?;
        store::save(&mut work.tx, &employee).await?;
        Ok(Response::new(work.done(message_of(&employee)).await?))
    }
}

async fn locked(tx: &mut Tx, id: i64) -> Result<Employee, Fault> {
    store::lock(tx, id)
        .await?
        .ok_or_else(|| employee::not_found(id))
}
