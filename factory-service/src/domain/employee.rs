//! Employees: who works in the factory.

use millgate_platform::{Etag, Fault, Reason};

use super::text;

/// The longest name, in characters.
pub(crate) const MAX_NAME: usize = 200;
/// The longest position, in characters.
pub(crate) const MAX_POSITION: usize = 100;

/// What staff write of an employee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EmployeeFields {
    /// The name.
    pub name: String,
    /// What they do.
    pub position: String,
    /// Their login at the auth service.
    pub user_id: Option<i64>,
}

impl EmployeeFields {
    /// The name that people search for, without regard to case.
    pub(crate) fn name_canonical(&self) -> String {
        text::canonical(&self.name)
    }
}

/// An employee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Employee {
    /// The id.
    pub id: i64,
    /// What staff wrote.
    pub fields: EmployeeFields,
    /// Counts the changes.
    pub revision: i64,
    /// When they were added, microseconds since the epoch.
    pub create_time: i64,
    /// When they were last changed.
    pub update_time: i64,
    /// When they were deleted.
    pub delete_time: Option<i64>,
}

impl Employee {
    /// Takes note of a change: checks the revision that the caller read and counts on.
    ///
    /// # Errors
    /// EMPLOYEE_NOT_FOUND when they are deleted: what is deleted can only be read and be undeleted. ETAG_MISMATCH.
    pub(crate) fn touch(&mut self, etag: &str, now: i64) -> Result<(), Fault> {
        if self.delete_time.is_some() {
            return Err(not_found(self.id));
        }
        self.revise(etag, now)
    }

    /// Deletes them. Whether a run of theirs is running, the store says.
    ///
    /// # Errors
    /// As [`Employee::touch`].
    pub(crate) fn delete(&mut self, etag: &str, now: i64) -> Result<(), Fault> {
        self.touch(etag, now)?;
        self.delete_time = Some(now);
        Ok(())
    }

    /// Brings them back.
    ///
    /// # Errors
    /// STATE_CONFLICT when they are not deleted, ETAG_MISMATCH.
    pub(crate) fn undelete(&mut self, etag: &str, now: i64) -> Result<(), Fault> {
        if self.delete_time.is_none() {
            let message = format!("employee {} is not deleted", self.id);
            return Err(Fault::new(Reason::StateConflict, message));
        }
        self.revise(etag, now)?;
        self.delete_time = None;
        Ok(())
    }

    fn revise(&mut self, etag: &str, now: i64) -> Result<(), Fault> {
        Etag::check(etag, self.revision)?;
        self.revision += 1;
        self.update_time = now;
        Ok(())
    }
}

/// What whoever names no employee is told.
pub(crate) fn not_found(id: i64) -> Fault {
    Fault::not_found(Reason::EmployeeNotFound, format_args!("employee {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_employee_can_only_come_back() {
        let mut employee = Employee {
            id: 1,
            fields: EmployeeFields {
                name: "Ada".into(),
                position: String::new(),
                user_id: None,
            },
            revision: 1,
            create_time: 1,
            update_time: 1,
            delete_time: None,
        };
        let reason = |result: Result<(), Fault>| result.expect_err("refused").reason();
        assert_eq!(reason(employee.undelete("", 2)), Reason::StateConflict);
        assert_eq!(reason(employee.delete("7", 2)), Reason::EtagMismatch);
        assert_eq!((employee.revision, employee.delete_time), (1, None));
        employee.delete("1", 2).expect("deleted");
        assert_eq!(reason(employee.touch("", 3)), Reason::EmployeeNotFound);
        assert_eq!(reason(employee.delete("", 3)), Reason::EmployeeNotFound);
        employee.undelete("2", 4).expect("back");
        assert_eq!(
            (
                employee.revision,
                employee.delete_time,
                employee.update_time
            ),
            (3, None, 4)
        );
    }
}
