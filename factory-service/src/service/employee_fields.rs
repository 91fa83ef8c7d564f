//! What requests say of an employee: parsed, with every bad field at once.

use millgate_contract::factory::v1 as pb;
use millgate_platform::{Etag, Fault, Fields, Mask};

use super::convert::{id, id_filter, not_writable, time};
use crate::domain::employee::{Employee, EmployeeFields, MAX_NAME, MAX_POSITION};
use crate::domain::paging::OrderBy;
use crate::domain::text;
use crate::store::employee::Filter;

/// Every field of an employee.
const KNOWN: &[&str] = &[
    "id",
    "name",
    "position",
    "user_id",
    "etag",
    "create_time",
    "update_time",
    "delete_time",
];
/// Those that UpdateEmployee writes.
const WRITABLE: &[&str] = &["name", "position", "user_id"];

pub(super) fn message_of(employee: &Employee) -> pb::Employee {
    pb::Employee {
        id: employee.id,
        name: employee.fields.name.clone(),
        position: employee.fields.position.clone(),
        user_id: employee.fields.user_id.unwrap_or_default(),
        etag: Etag::of(employee.revision),
        create_time: time(employee.create_time),
        update_time: time(employee.update_time),
        delete_time: employee.delete_time.and_then(time),
    }
}

pub(super) fn parse_new(request: &pb::CreateEmployeeRequest) -> Result<EmployeeFields, Fault> {
    let mut fields = Fields::of_request(&request.request_id);
    let unset = pb::Employee::default();
    let message = request.employee.as_ref().unwrap_or(&unset);
    let served = [
        ("employee.id", message.id != 0),
        ("employee.create_time", message.create_time.is_some()),
        ("employee.update_time", message.update_time.is_some()),
        ("employee.delete_time", message.delete_time.is_some()),
    ];
    for (field, set) in served {
        fields.check(field, !set, not_writable());
    }
    let name = fields.parse("employee.name", text::line(&message.name, 1, MAX_NAME));
    let position = fields.parse(
        "employee.position",
        text::line(&message.position, 0, MAX_POSITION),
    );
    let user_id = fields.parse("employee.user_id", id_filter(message.user_id));
    let (name, position, user_id) = fields.all((name, position, user_id))?;
    Ok(EmployeeFields {
        name,
        position,
        user_id,
    })
}

pub(super) fn parse_filter(message: &pb::ListEmployeesRequest) -> Result<(Filter, OrderBy), Fault> {
    let mut fields = Fields::new();
    let query = fields.parse("query", text::Prefix::parse(&message.query));
    let user_id = fields.parse("user_id", id_filter(message.user_id));
    let by = fields.parse(
        "order_by",
        OrderBy::parse(&message.order_by, &["id", "name"]),
    );
    let (query, user_id, by) = fields.all((query, user_id, by))?;
    Ok((
        Filter {
            query,
            user_id,
            show_deleted: message.show_deleted,
        },
        by,
    ))
}

/// What UpdateEmployee changes: a field that the mask does not name stays as it is.
pub(super) struct Change {
    /// Which employee.
    pub(super) id: i64,
    etag: String,
    name: Option<String>,
    position: Option<String>,
    user_id: Option<Option<i64>>,
}

impl Change {
    pub(super) fn parse(message: pb::UpdateEmployeeRequest) -> Result<Self, Fault> {
        let employee = message
            .employee
            .ok_or_else(|| Fault::field("employee", "is needed"))?;
        let set: Vec<&'static str> = [
            ("name", !employee.name.is_empty()),
            ("position", !employee.position.is_empty()),
            ("user_id", employee.user_id != 0),
        ]
        .into_iter()
        .filter_map(|(field, set)| set.then_some(field))
        .collect();
        let mask = Mask::resolve(message.update_mask.as_ref(), KNOWN, WRITABLE, &set)?;
        let mut fields = Fields::new();
        let id = fields.parse("employee.id", id(employee.id));
        let name = mask
            .has("name")
            .then(|| fields.parse("employee.name", text::line(&employee.name, 1, MAX_NAME)));
        let position = mask.has("position").then(|| {
            let parsed = text::line(&employee.position, 0, MAX_POSITION);
            fields.parse("employee.position", parsed)
        });
        let user_id = mask
            .has("user_id")
            .then(|| fields.parse("employee.user_id", id_filter(employee.user_id)));
        let (id,) = fields.all((id,))?;
        Ok(Self {
            id,
            etag: employee.etag,
            name: name.flatten(),
            position: position.flatten(),
            user_id: user_id.flatten(),
        })
    }

    pub(super) fn apply(self, employee: &mut Employee, now: i64) -> Result<(), Fault> {
        employee.touch(&self.etag, now)?;
        let fields = &mut employee.fields;
        fields.name = self
            .name
            .unwrap_or_else(|| std::mem::take(&mut fields.name));
        fields.position = self
            .position
            .unwrap_or_else(|| std::mem::take(&mut fields.position));
        fields.user_id = self.user_id.unwrap_or(fields.user_id);
        Ok(())
    }
}
