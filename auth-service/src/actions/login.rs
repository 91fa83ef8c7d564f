//! A name and a password become a session.

use super::attempt::Attempt;
use super::{Issued, begin_family, credentials_invalid};
use crate::app::App;
use crate::audit::Event;
use crate::domain::throttle::Counter;
use crate::domain::{DeviceLabel, Email, EndReason, Password, Session, Username};
use crate::origin::Origin;
use crate::store::{self, users::Credentials};
use millgate_platform::Fault;

/// How a person proves who they are here (RFC 8176).
const PASSWORD_METHOD: &str = "pwd";

/// The name that somebody logs in with.
pub(crate) enum LoginName {
    /// A user name.
    Username(Username),
    /// An email address.
    Email(Email),
    /// What no account can be called, as it was typed. It is treated like a name that none is called.
    Impossible(String),
}

/// Begins a session for whoever knows the password.
///
/// Unknown name, wrong password, disabled account: the same answer, after the same work. The hash is computed with
/// today's parameters where there is no account; an account whose hash is older costs what its hash says until its
/// next login.
///
/// # Errors
/// CREDENTIALS_INVALID; ACCOUNT_THROTTLED and RATE_LIMITED after too many failures, before anything is checked;
/// OVERLOADED when too many passwords are being checked.
pub(crate) async fn log_in(
    app: &App,
    name: &LoginName,
    password: &Password,
    device: &DeviceLabel,
    origin: &Origin,
) -> Result<Issued, Fault> {
    let event = |cause, subject| Event {
        what: "login",
        cause,
        subject,
        ..Event::default()
    };
    let place = app.hashing.place()?;
    let found = find(app, name).await?;
    let id = found.as_ref().map(|found| found.id);
    let attempt = Attempt::begin(app, name.counter(id), origin.network)
        .await
        .inspect_err(|_| event("throttled", id).refused(app, origin))?;
    let stored = found.as_ref().map(|found| found.password_hash.as_str());
    let check = app.hashing.verify(place, password, stored).await?;
    let Some(account) = found else {
        event("unknown_name", None).refused(app, origin);
        return Err(credentials_invalid());
    };
    if !check.matches || !account.is_active() {
        let cause = if check.matches {
            "disabled"
        } else {
            "wrong_password"
        };
        event(cause, Some(account.id)).refused(app, origin);
        return Err(credentials_invalid());
    }
    // A busy pool is no reason to refuse a login whose password was good.
    let renewed = if check.outdated {
        app.hashing.hash(password).await.ok()
    } else {
        None
    };
    let renewed = renewed.as_deref();
    let Some(issued) = begin(app, &account, &attempt, renewed, device, origin).await? else {
        event("changed_meanwhile", Some(account.id)).refused(app, origin);
        return Err(credentials_invalid());
    };
    Ok(issued)
}

impl LoginName {
    /// Where the attempts at this name are counted; `account` is whose it is.
    fn counter(&self, account: Option<i64>) -> Counter<'_> {
        match (account, self) {
            (Some(id), _) => Counter::Account(id),
            (None, Self::Username(name)) => Counter::Unknown(name.canonical()),
            (None, Self::Email(email)) => Counter::Unknown(email.canonical()),
            (None, Self::Impossible(typed)) => Counter::Unknown(typed),
        }
    }
}

/// The account of this name.
pub(super) async fn find(app: &App, name: &LoginName) -> Result<Option<Credentials>, Fault> {
    match name {
        LoginName::Username(name) => store::users::credentials_by_username(&app.db, name).await,
        LoginName::Email(email) => store::users::credentials_by_email(&app.db, email).await,
        LoginName::Impossible(_) => Ok(None),
    }
}

/// The session and its first tokens, unless the account has changed since its credentials were read.
async fn begin(
    app: &App,
    account: &Credentials,
    attempt: &Attempt,
    renewed_hash: Option<&str>,
    device: &DeviceLabel,
    origin: &Origin,
) -> Result<Option<Issued>, Fault> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let Some(user) = store::users::log_in(&mut tx, account.id, account.generation, now).await?
    else {
        return Ok(None);
    };
    if let Some(hash) = renewed_hash {
        store::users::rehash(&mut tx, user.id, &account.password_hash, hash).await?;
    }
    let session = Session {
        id: app.entropy.uuid_v4().to_string(),
        user_id: user.id,
        auth_time: now,
        amr: PASSWORD_METHOD.to_owned(),
        create_time: now,
        last_used_time: now,
        ended_time: None,
    };
    let from = store::sessions::Origin {
        device_label: device.as_str(),
        address: &origin.address,
        user_agent: &origin.user_agent,
    };
    store::sessions::insert(&mut tx, &session, &from).await?;
    let surplus =
        store::sessions::end_surplus(&mut tx, user.id, &session.id, app.sessions, now).await?;
    let refresh = begin_family(app, &mut tx, &session).await?;
    attempt.succeeded(&mut tx).await?;
    let event = Event {
        what: "login",
        subject: Some(user.id),
        session: &session.id,
        ..Event::default()
    };
    event.done(&mut tx, app, origin).await?;
    for session in &surplus {
        let event = Event {
            what: "session_end",
            cause: EndReason::TooMany.as_str(),
            session,
            ..event
        };
        event.done(&mut tx, app, origin).await?;
    }
    tx.commit().await?;
    Ok(Some(Issued::new(app, &user, &session, &refresh)))
}
