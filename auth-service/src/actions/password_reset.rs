//! A person who has forgotten their password sets it anew, by a link that is mailed to them.
//!
//! What is asked for only goes into a queue: the answer is given before anybody has looked whether there is such an
//! account, so neither its bytes nor its time can tell. The queue is in memory and bounded; what a crash takes with it is
//! asked for again.

use std::sync::Arc;

use millgate_platform::{Fault, Fields, Metrics, Reason};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::login::{self, LoginName};
use crate::app::App;
use crate::audit::Event;
use crate::domain::throttle::Counter;
use crate::domain::{EndReason, NewPassword, ResetToken};
use crate::mail::{Delivery, Mailer};
use crate::origin::Origin;
use crate::store;

/// Requests that may wait.
const QUEUE: usize = 256;
/// Requests that are worked on at once: a mail server that is slow holds up few.
const WORKERS: usize = 4;

/// A request, to be looked at after its answer was given.
struct Asked {
    name: LoginName,
    origin: Origin,
}

/// Where requests go. Without a [`Mailer`] there is nowhere.
#[derive(Default)]
pub(crate) struct Desk(Option<mpsc::Sender<Asked>>);

/// The other end of a [`Desk`].
pub(crate) struct Inbox {
    asked: mpsc::Receiver<Asked>,
    mailer: Arc<Mailer>,
}

impl Desk {
    /// A desk, and its inbox where mail can be sent.
    pub(crate) fn open(mailer: Option<Mailer>) -> (Self, Option<Inbox>) {
        let Some(mailer) = mailer else {
            return (Self(None), None);
        };
        let (sender, asked) = mpsc::channel(QUEUE);
        let mailer = Arc::new(mailer);
        (Self(Some(sender)), Some(Inbox { asked, mailer }))
    }

    /// Takes a request.
    ///
    /// # Errors
    /// MAIL_NOT_CONFIGURED; OVERLOADED when too many wait. Neither depends on the account.
    pub(crate) fn take(&self, name: LoginName, origin: Origin) -> Result<(), Fault> {
        let sender = self.0.as_ref().ok_or_else(|| {
            Fault::new(
                Reason::MailNotConfigured,
                "no mail can be sent here: an administrator sets passwords anew",
            )
        })?;
        sender.try_send(Asked { name, origin }).map_err(|_full| {
            Fault::new(
                Reason::Overloaded,
                "too many requests wait; try again in a minute",
            )
            .with_retry_after(std::time::Duration::from_secs(60))
        })
    }
}

impl Inbox {
    /// Shows its numbers.
    pub(crate) fn register(&self, metrics: &Metrics) {
        self.mailer.register(metrics);
    }

    /// Works on what comes, until `workers` is dropped.
    pub(crate) fn spawn(self, app: &Arc<App>, workers: &mut JoinSet<()>) {
        let asked = Arc::new(Mutex::new(self.asked));
        for _ in 0..WORKERS {
            let (app, asked, mailer) = (app.clone(), asked.clone(), self.mailer.clone());
            workers.spawn(async move {
                loop {
                    let next = asked.lock().await.recv().await;
                    let Some(request) = next else { return };
                    if let Err(fault) = work(&app, &mailer, &request).await {
                        mailer.lost();
                        tracing::error!(%fault, "a request for a password reset was lost");
                    }
                }
            });
        }
    }
}

async fn work(app: &App, mailer: &Mailer, asked: &Asked) -> Result<(), Fault> {
    let event = |cause, subject| Event {
        what: "request_password_reset",
        cause,
        subject,
        ..Event::default()
    };
    let refused = |cause, subject| event(cause, subject).refused(app, &asked.origin);
    let user = match login::find(app, &asked.name).await? {
        Some(found) => store::users::by_id(&app.db, found.id).await?,
        None => None,
    };
    let Some(user) = user else {
        refused("unknown_name", None);
        return Ok(());
    };
    if !mailer.reaches(user.email.as_deref()) {
        refused("no_address", Some(user.id));
        return Ok(());
    }
    let token = ResetToken::generate(app.entropy.as_ref());
    if !store::password_resets::issue(&app.db, user.id, &token, app.now()).await? {
        refused("disabled_or_too_often", Some(user.id));
        return Ok(());
    }
    match mailer.send_reset(&user, &token.text()).await {
        Delivery::Sent => event("", Some(user.id)).noted(app, &asked.origin),
        Delivery::Failed => {
            store::password_resets::give_back(&app.db, user.id).await?;
            refused("mail_failed", Some(user.id));
        }
    }
    Ok(())
}

/// Sets a password anew, and ends every session and token of the account. The failed attempts at the password are
/// forgotten, those at a second factor are not.
///
/// # Errors
/// RESET_TOKEN_INVALID; PASSWORD_BLOCKLISTED for a password made of the account's names, which does not use the token
/// up; OVERLOADED.
pub(crate) async fn reset(
    app: &App,
    token: Option<&ResetToken>,
    new: &NewPassword,
    origin: &Origin,
) -> Result<(), Fault> {
    let event = |cause, subject| Event {
        what: "reset_password",
        cause,
        subject,
        ..Event::default()
    };
    let refuse = |subject| {
        event("token", subject).refused(app, origin);
        Err(invalid())
    };
    let Some(token) = token else {
        return refuse(None);
    };
    let Some(holder) = store::password_resets::find(&app.db, token, app.now()).await? else {
        return refuse(None);
    };
    let mut fields = Fields::new();
    let names = [holder.username.as_deref(), holder.email.as_deref()];
    fields.parse("new_password", new.avoid(names.into_iter().flatten()));
    fields.finish()?;
    // Only now: a hash costs, and anybody can send a wrong token.
    let hash = app.hashing.hash(new.password()).await?;

    let (id, now) = (holder.user_id, app.now());
    let mut tx = app.db.begin().await?;
    let user = store::users::set_password(&mut tx, id, holder.generation, &hash).await?;
    if user.is_none() || !store::password_resets::use_up(&mut tx, id, token, now).await? {
        return refuse(Some(id));
    }
    store::sessions::end_all(&mut tx, id, "", EndReason::PasswordReset, now).await?;
    for counter in [Counter::Account(id), Counter::Holder(id)] {
        store::throttle::clear(&mut tx, &counter.stored(&app.throttle_key)).await?;
    }
    event("", Some(id)).done(&mut tx, app, origin).await?;
    tx.commit().await
}

fn invalid() -> Fault {
    Fault::new(
        Reason::ResetTokenInvalid,
        "the link is not valid any more; ask for a new one",
    )
}
