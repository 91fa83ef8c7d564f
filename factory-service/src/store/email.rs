//! Who has an email address: one table, one constraint, for profiles and for registrations that are not settled.

use millgate_platform::database::{Tx, violated};
use millgate_platform::{Fault, FieldFault, Fields, Reason, on_tx};

use crate::domain::contact::Email;

const TAKE: &str = "INSERT INTO customer_emails (email_canonical, customer_id, registration_id) VALUES ($1, $2, $3)";
const CHANGE: &str = "UPDATE customer_emails SET email_canonical = $2 WHERE customer_id = $1";
const HAND_OVER: &str = "UPDATE customer_emails SET customer_id = $2, registration_id = NULL WHERE registration_id = $1";
const RELEASE: &str = "DELETE FROM customer_emails WHERE customer_id = $1 OR registration_id = $2";

/// Who holds an address.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holder<'a> {
    /// A profile that is not deleted.
    Customer(i64),
    /// A registration that is not settled.
    Registration(&'a str),
}

impl<'a> Holder<'a> {
    fn keys(self) -> (Option<i64>, Option<&'a str>) {
        match self {
            Self::Customer(id) => (Some(id), None),
            Self::Registration(id) => (None, Some(id)),
        }
    }
}

/// Takes an address.
///
/// # Errors
/// EMAIL_TAKEN, naming `field`, when somebody has it.
pub(crate) async fn take(
    tx: &mut Tx,
    email: &Email,
    holder: Holder<'_>,
    field: &str,
) -> Result<(), Fault> {
    let (customer_id, registration_id) = holder.keys();
    on_tx!(tx, |c| sqlx::query(TAKE)
        .bind(email.canonical())
        .bind(customer_id)
        .bind(registration_id)
        .execute(c)
        .await
        .map(drop))
    .map_err(|error| taken(error, field))
}

/// Gives a profile another address.
///
/// # Errors
/// EMAIL_TAKEN, naming `field`, when somebody has it.
pub(crate) async fn change(
    tx: &mut Tx,
    customer_id: i64,
    email: &Email,
    field: &str,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(CHANGE)
        .bind(customer_id)
        .bind(email.canonical())
        .execute(c)
        .await
        .map(drop))
    .map_err(|error| taken(error, field))
}

/// Gives the address of a registration to the profile that it made.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn hand_over(
    tx: &mut Tx,
    registration_id: &str,
    customer_id: i64,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(HAND_OVER)
        .bind(registration_id)
        .bind(customer_id)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// Gives up what the holder has.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn release(tx: &mut Tx, holder: Holder<'_>) -> Result<(), Fault> {
    let (customer_id, registration_id) = holder.keys();
    on_tx!(tx, |c| sqlx::query(RELEASE)
        .bind(customer_id)
        .bind(registration_id)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

fn taken(error: sqlx::Error, field: &str) -> Fault {
    match violated(&error) {
        Some(broken) if broken.is_unique("customer_emails.email_canonical") => {
            let mut fields = Fields::new();
            fields.refuse(
                field,
                FieldFault::new(Reason::EmailTaken, "another customer has this address"),
            );
            fields.finish().err().unwrap_or_else(|| error.into())
        }
        _ => error.into(),
    }
}
