//! A name and a password become a session.

use super::attempt::Attempt;
use super::{Issued, add_token, credentials_invalid, second_step};
use crate::app::App;
use crate::audit::Event;
use crate::domain::throttle::Counter;
use crate::domain::{
    Code, DeviceLabel, Email, EndReason, Password, Place, RefreshToken, Session, Username,
};
use crate::origin::Origin;
use crate::store::{self, users::Credentials};
use millgate_platform::{Fault, Tx};
use secrecy::SecretString;

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

/// What a login came to.
pub(crate) enum LoggedIn {
    /// A session.
    Complete(Issued),
    /// The password was good and a code is missing: what proves that, for [`second_step::complete`].
    CodeWanted(SecretString),
}

/// Begins a session for whoever knows the password, and has the second factor where the account has one.
///
/// Unknown name, wrong password, disabled account: the same answer, after the same work. The hash is computed with
/// today's parameters where there is no account; an account whose hash is older costs what its hash says until its
/// next login. Whether there is a second factor is not told before the password was good.
///
/// # Errors
/// CREDENTIALS_INVALID; ACCOUNT_THROTTLED, MFA_THROTTLED and RATE_LIMITED after too many failures, before anything is
/// checked; OVERLOADED when too many passwords are being checked.
pub(crate) async fn log_in(
    app: &App,
    name: &LoginName,
    password: &Password,
    code: Option<&Code>,
    device: &DeviceLabel,
    origin: &Origin,
) -> Result<LoggedIn, Fault> {
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
    let renewed_hash = if check.outdated {
        app.hashing.hash(password).await.ok()
    } else {
        None
    };
    let proved = Proved {
        account,
        attempt,
        renewed_hash,
    };
    let id = proved.account.id;
    // Whoever turns a factor on raises the generation, which is checked when the session begins: none can come between.
    let done = match (proved.account.has_second_factor, code) {
        (false, _) => begin(app, &proved, device, origin)
            .await?
            .map(LoggedIn::Complete),
        (true, None) => second_step::begin(app, &proved, device, origin)
            .await?
            .map(LoggedIn::CodeWanted),
        (true, Some(code)) => second_step::at_once(app, &proved, code, device, origin)
            .await?
            .map(LoggedIn::Complete),
    };
    done.ok_or_else(|| {
        event("changed_meanwhile", Some(id)).refused(app, origin);
        credentials_invalid()
    })
}

/// A good password.
pub(super) struct Proved {
    /// Whose.
    pub(super) account: Credentials,
    /// The attempt that it was.
    pub(super) attempt: Attempt,
    /// Its hash in today's format, where the stored one is older.
    pub(super) renewed_hash: Option<String>,
}

impl Proved {
    /// Stores the hash in today's format.
    pub(super) async fn rehash(&self, tx: &mut Tx) -> Result<(), Fault> {
        match &self.renewed_hash {
            None => Ok(()),
            Some(hash) => {
                let (id, old) = (self.account.id, &self.account.password_hash);
                store::users::rehash(tx, id, old, hash).await
            }
        }
    }
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
    proved: &Proved,
    device: &DeviceLabel,
    origin: &Origin,
) -> Result<Option<Issued>, Fault> {
    let Credentials { id, generation, .. } = proved.account;
    let mut tx = app.db.begin().await?;
    let Some(user) = store::users::log_in(&mut tx, id, generation, app.now()).await? else {
        return Ok(None);
    };
    proved.rehash(&mut tx).await?;
    let (session, refresh) =
        open(app, &mut tx, id, PASSWORD_METHOD, device.as_str(), origin).await?;
    proved.attempt.succeeded(&mut tx).await?;
    tx.commit().await?;
    Ok(Some(Issued::new(app, &user, &session, &refresh)))
}

/// Begins a session of a person whose account the transaction holds and who has proved by `methods` who they are. Those
/// that they then have too many are ended.
pub(super) async fn open(
    app: &App,
    tx: &mut Tx,
    user_id: i64,
    methods: &str,
    device: &str,
    origin: &Origin,
) -> Result<(Session, RefreshToken), Fault> {
    let now = app.now();
    let session = Session {
        id: app.entropy.uuid_v4().to_string(),
        user_id,
        auth_time: now,
        amr: methods.to_owned(),
        create_time: now,
        last_used_time: now,
        ended_time: None,
    };
    let from = store::sessions::Origin {
        device_label: device,
        address: &origin.address,
        user_agent: &origin.user_agent,
    };
    store::sessions::insert(tx, &session, &from).await?;
    let surplus = store::sessions::end_surplus(tx, user_id, &session.id, app.sessions, now).await?;
    let refresh = add_token(app, tx, Place::first(&session.id)).await?;
    let event = Event {
        what: "login",
        subject: Some(user_id),
        session: &session.id,
        ..Event::default()
    };
    event.done(tx, app, origin).await?;
    for session in &surplus {
        let event = Event {
            what: "session_end",
            cause: EndReason::TooMany.as_str(),
            session,
            ..event
        };
        event.done(tx, app, origin).await?;
    }
    Ok((session, refresh))
}
