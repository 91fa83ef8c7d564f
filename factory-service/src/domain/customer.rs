//! Customers: the profiles that orders and tickets belong to.

use millgate_platform::{Etag, Fault, Reason};

use super::contact::{Email, Phone};
use super::name::Name;

/// The longest shipping address, in characters.
pub(crate) const MAX_ADDRESS: usize = 500;
/// The longest notes, in characters.
pub(crate) const MAX_NOTES: usize = 2000;

/// What is written of a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CustomerFields {
    /// The name.
    pub name: Name,
    /// Unique without case among the customers that are not deleted.
    pub email: Email,
    /// The telephone number.
    pub phone: Phone,
    /// Where to send things.
    pub shipping_address: String,
    /// For the eyes of staff.
    pub notes: String,
}

impl CustomerFields {
    /// What remains of an erased customer.
    fn erased() -> Self {
        Self {
            name: Name::stored(String::new(), String::new()),
            email: Email::stored(String::new()),
            phone: Phone::default(),
            shipping_address: String::new(),
            notes: String::new(),
        }
    }
}

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Customer {
    /// Its id.
    pub id: i64,
    /// What is written of it.
    pub fields: CustomerFields,
    /// The login at the auth service.
    pub user_id: Option<i64>,
    /// Counts the changes.
    pub revision: i64,
    /// When it was made, microseconds since the epoch.
    pub create_time: i64,
    /// When it was last changed.
    pub update_time: i64,
    /// When it was deleted.
    pub delete_time: Option<i64>,
    /// When its personal data was removed.
    pub erase_time: Option<i64>,
}

/// What of a customer's is still being worked on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    /// Their orders.
    pub(crate) orders: i64,
    /// Their service tickets.
    pub(crate) tickets: i64,
}

impl Customer {
    /// Takes note of a change: checks the revision that the caller read and counts on.
    ///
    /// # Errors
    /// CUSTOMER_NOT_FOUND when it is deleted, ETAG_MISMATCH.
    pub(crate) fn touch(&mut self, etag: &str, now: i64) -> Result<(), Fault> {
        if self.delete_time.is_some() {
            return Err(not_found(self.id));
        }
        self.revise(etag, now)
    }

    /// Deletes it and ends its login: gives the user that is to be deleted at the auth service.
    ///
    /// # Errors
    /// As [`Customer::touch`], and REFERENCED while orders are open.
    pub(crate) fn delete(
        &mut self,
        open_orders: i64,
        etag: &str,
        now: i64,
    ) -> Result<Option<i64>, Fault> {
        self.touch(etag, now)?;
        self.refuse_while_open(Open {
            orders: open_orders,
            tickets: 0,
        })?;
        self.delete_time = Some(now);
        Ok(self.user_id.take())
    }

    /// Brings it back, without its login.
    ///
    /// # Errors
    /// STATE_CONFLICT when it is not deleted, or erased: there is nothing left to bring back. ETAG_MISMATCH.
    pub(crate) fn undelete(&mut self, etag: &str, now: i64) -> Result<(), Fault> {
        let state = match (self.delete_time, self.erase_time) {
            (_, Some(_)) => "is erased",
            (None, None) => "is not deleted",
            (Some(_), None) => {
                self.revise(etag, now)?;
                self.delete_time = None;
                return Ok(());
            }
        };
        Err(Fault::new(
            Reason::StateConflict,
            format!("customer {} {state}", self.id),
        ))
    }

    /// Removes the personal data for good: gives the user that is to be deleted at the auth service.
    ///
    /// # Errors
    /// STATE_CONFLICT when it is erased already, ETAG_MISMATCH, REFERENCED while orders or tickets are open: what is
    /// written while they are worked on would tell of the person again.
    pub(crate) fn erase(&mut self, open: Open, etag: &str, now: i64) -> Result<Option<i64>, Fault> {
        if self.erase_time.is_some() {
            let message = format!("customer {} is erased", self.id);
            return Err(Fault::new(Reason::StateConflict, message));
        }
        self.revise(etag, now)?;
        self.refuse_while_open(open)?;
        self.fields = CustomerFields::erased();
        self.delete_time = self.delete_time.or(Some(now));
        self.erase_time = Some(now);
        Ok(self.user_id.take())
    }

    fn revise(&mut self, etag: &str, now: i64) -> Result<(), Fault> {
        Etag::check(etag, self.revision)?;
        self.revision += 1;
        self.update_time = now;
        Ok(())
    }

    fn refuse_while_open(&self, open: Open) -> Result<(), Fault> {
        let (what, name, count) = match open {
            Open {
                orders: 0,
                tickets: 0,
            } => return Ok(()),
            Open { orders: 0, tickets } => ("service tickets", "open_tickets", tickets),
            Open { orders, .. } => ("orders", "open_orders", orders),
        };
        let message = format!("customer {} has {count} open {what}", self.id);
        Err(Fault::new(Reason::Referenced, message).with_metadata(name, count))
    }
}

/// What the caller is told when there is no such customer, or none that they may see.
pub(crate) fn not_found(id: i64) -> Fault {
    Fault::not_found(Reason::CustomerNotFound, format_args!("customer {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer() -> Customer {
        Customer {
            id: 7,
            fields: CustomerFields {
                name: Name::stored("Ada".into(), "Lovelace".into()),
                email: Email::stored("ada@example.com".into()),
                phone: Phone::stored("555-0123".into()),
                shipping_address: "1 Street".into(),
                notes: "pays late".into(),
            },
            user_id: Some(70),
            revision: 4,
            create_time: 1,
            update_time: 1,
            delete_time: None,
            erase_time: None,
        }
    }

    fn open(orders: i64, tickets: i64) -> Open {
        Open { orders, tickets }
    }

    #[test]
    fn a_customer_with_open_orders_is_neither_deleted_nor_erased() {
        let mut customer = customer();
        let before = customer.clone();
        assert_eq!(
            customer
                .clone()
                .delete(1, "", 9)
                .expect_err("open")
                .reason(),
            Reason::Referenced
        );
        assert_eq!(
            customer
                .clone()
                .erase(open(1, 0), "4", 9)
                .expect_err("open")
                .reason(),
            Reason::Referenced
        );
        assert_eq!(
            customer
                .clone()
                .erase(open(0, 1), "4", 9)
                .expect_err("worked on")
                .reason(),
            Reason::Referenced
        );
        assert_eq!(customer, before);
        assert_eq!(customer.delete(0, "4", 9).expect("deleted"), Some(70));
        assert_eq!((customer.user_id, customer.delete_time), (None, Some(9)));
        assert_eq!(
            customer.delete(0, "", 9).expect_err("gone").reason(),
            Reason::CustomerNotFound
        );
        customer.undelete("", 10).expect("back");
        assert_eq!(customer.user_id, None);
    }

    #[test]
    fn nothing_personal_is_left_of_an_erased_customer_and_it_stays_gone() {
        let mut customer = customer();
        assert_eq!(customer.erase(open(0, 0), "", 9).expect("erased"), Some(70));
        let text = format!("{customer:?}");
        for personal in ["Ada", "Lovelace", "ada@", "555", "Street", "pays"] {
            assert!(!text.contains(personal), "{personal}");
        }
        assert_eq!(
            customer.undelete("", 10).expect_err("stays").reason(),
            Reason::StateConflict
        );
        assert_eq!(
            customer.erase(open(0, 0), "", 10).expect_err("is").reason(),
            Reason::StateConflict
        );
        assert_eq!(
            customer.touch("", 10).expect_err("gone").reason(),
            Reason::CustomerNotFound
        );
    }
}
