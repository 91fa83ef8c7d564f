//! What needs two services: the registration of a customer, and the end of a customer's login.
//!
//! The order of the writes is what survives a crash. A registration is committed here first; then auth makes the user,
//! under the registration's id; then the profile is committed together with the registration's end. Whatever stops
//! half-way is found by the [`reconciler`], which asks auth under the same id and finishes or undoes it. A login that is
//! to end is committed with the end of its profile, and deleted at auth until auth says that it is gone.

use std::sync::Arc;
use std::time::Duration;

use millgate_contract::factory::v1 as pb;
use millgate_platform::database::{Database, Tx};
use millgate_platform::{Fault, Reason, SharedClock, SharedEntropy};
use prost::Message as _;
use ring::hmac;
use tokio::time::timeout;
use tonic::Status;

use crate::auth::{Auth, Refused, unavailable};
use crate::changes::Feed;
use crate::domain::change::Author;
use crate::domain::customer::CustomerFields;
use crate::domain::registration::{GRACE, HOLD, RegistrationState, backoff, late_look};
use crate::service::{convert, log};
use crate::store::registration::{self as store, NewRegistration, Times};
use crate::store::{customer, email, login};

pub(crate) mod reconciler;

/// How long the end of a login may take while somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes customers with logins, and ends logins.
pub(crate) struct Registrar {
    pub(crate) db: Database,
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    pub(crate) auth: Auth,
    /// Wakes who watches the changes.
    pub(crate) feed: Arc<Feed>,
    /// Compares bodies, the password included, without keeping them.
    pub(crate) body_key: hmac::Key,
}

/// A registration that was asked for: what is in it, and how it is known again.
pub(crate) struct Asked {
    /// The profile to make.
    pub(crate) fields: CustomerFields,
    /// The caller's id of the request, in its one spelling.
    pub(crate) request_id: Option<String>,
    /// The keyed hash of the whole request.
    pub(crate) body_hash: Vec<u8>,
}

/// What became of the claim to a registration.
enum Claimed {
    /// Nobody has tried it before.
    New(String),
    /// An earlier call has, and does not know how it ended.
    Resumed(String),
    /// It is done; this was the answer.
    Answered(Box<pb::RegisterCustomerResponse>),
}

impl Registrar {
    /// The keyed hash of a request without its request id.
    pub(crate) fn body_hash(&self, body: &pb::RegisterCustomerRequest) -> Vec<u8> {
        hmac::sign(&self.body_key, &body.encode_to_vec())
            .as_ref()
            .to_vec()
    }

    /// Makes the login and the profile, both or neither.
    pub(crate) async fn register(
        &self,
        asked: &Asked,
        password: &str,
    ) -> Result<pb::RegisterCustomerResponse, Status> {
        let (id, is_new) = match self.claim(asked).await? {
            Claimed::Answered(answer) => return Ok(*answer),
            Claimed::New(id) => (id, true),
            Claimed::Resumed(id) => (id, false),
        };
        let made = self
            .auth
            .create_customer(&id, asked.fields.email.as_str(), password)
            .await;
        let user_id = match made {
            Ok(user_id) => user_id,
            Err(refused) => self.after_refusal(&id, is_new, refused).await?,
        };
        match self.finish(&id, user_id).await {
            Ok(answer) => answer.ok_or_else(unavailable),
            Err(fault) => {
                // The user is there and the profile is not: whoever tries again goes on at once.
                self.let_go(&id).await;
                Err(fault.into())
            }
        }
    }

    /// Commits the intent, or finds the one of an earlier try.
    async fn claim(&self, asked: &Asked) -> Result<Claimed, Fault> {
        // A second round when another call with the same request id commits between our look and our insert.
        for _ in 0..3 {
            if let Some(request_id) = &asked.request_id
                && let Some(id) = store::find(&self.db, request_id, &asked.body_hash).await?
                && let Some(claimed) = self.resume(id).await?
            {
                return Ok(claimed);
            }
            match self.begin(asked).await {
                Ok(Some(id)) => return Ok(Claimed::New(id)),
                Ok(None) => {}
                Err(fault) if fault.reason() == Reason::EmailTaken => {
                    return self.take_over(asked).await?.ok_or(fault);
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(under_way())
    }

    /// Inserts the registration; `None` when one with the same request id and body was quicker.
    async fn begin(&self, asked: &Asked) -> Result<Option<String>, Fault> {
        let id = self.entropy.uuid_v4().to_string();
        let new = NewRegistration {
            id: &id,
            request_id: asked.request_id.as_deref(),
            body_hash: &asked.body_hash,
            fields: &asked.fields,
        };
        let mut tx = self.db.begin().await?;
        if !store::insert(&mut tx, &new, self.times()).await? {
            return Ok(None);
        }
        email::take(
            &mut tx,
            &asked.fields.email,
            email::Holder::Registration(&id),
            "email",
        )
        .await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// Goes on with a registration of the same request id; `None` when it was undone meanwhile.
    async fn resume(&self, id: String) -> Result<Option<Claimed>, Fault> {
        let mut tx = self.db.begin().await?;
        let Some(found) = store::lock(&mut tx, &id).await? else {
            return Ok(None);
        };
        drop(tx);
        match found.state {
            RegistrationState::Done => Ok(Some(Claimed::Answered(Box::new(answer_of(
                found.response.as_deref(),
            )?)))),
            RegistrationState::Undone => Ok(None),
            RegistrationState::Pending => {
                // Two calls with one request id may drive it at once: auth makes one user of it, and we one profile.
                let held = store::hold(&self.db, &id, self.times(), i64::MAX).await?;
                Ok(held.then_some(Claimed::Resumed(id)))
            }
        }
    }

    /// Goes on with a registration that holds the address, if it is the very same request, password included: a person
    /// who tries again after an error, from a client that sends no request ids. While another call may still drive it
    /// they are told to wait, not that somebody else has their address.
    async fn take_over(&self, asked: &Asked) -> Result<Option<Claimed>, Fault> {
        let left = store::find_left(&self.db, &asked.fields.email, &asked.body_hash).await?;
        let Some(id) = left else { return Ok(None) };
        let times = self.times();
        if store::hold(&self.db, &id, times, times.now).await? {
            return Ok(Some(Claimed::Resumed(id)));
        }
        Err(under_way())
    }

    /// Auth gave no user. What is known not to have happened is undone at once; the rest is left to a retry and to the
    /// reconciler.
    async fn after_refusal(&self, id: &str, is_new: bool, refused: Refused) -> Result<i64, Status> {
        match &refused {
            Refused::Unclear => self.let_go(id).await,
            Refused::NotSent | Refused::Plainly(_) if is_new => self.undo(id).await?,
            Refused::NotSent => self.let_go(id).await,
            // An earlier try may have made the user, and auth may have forgotten that try: then this refusal is about
            // our own user.
            Refused::Plainly(_) => match self.auth.find_customer(id).await {
                Ok(Some(user_id)) => return Ok(user_id),
                Ok(None) => self.undo(id).await?,
                Err(_) => self.let_go(id).await,
            },
        }
        Err(refused.status())
    }

    async fn let_go(&self, id: &str) {
        if let Err(fault) = store::let_go(&self.db, id, self.clock.now_micros()).await {
            // The hold ends by itself.
            tracing::warn!(registration = id, %fault, "a registration could not be let go");
        }
    }

    /// Settles a registration that has no user, unless it was settled meanwhile. Where nobody else has joined in, nothing
    /// of it is kept; else another's request may still be under way at auth: then the reconciler makes sure.
    async fn undo(&self, id: &str) -> Result<(), Fault> {
        let now = self.clock.now_micros();
        let mut tx = self.db.begin().await?;
        let Some(found) = store::lock(&mut tx, id).await? else {
            return Ok(());
        };
        if found.state == RegistrationState::Pending {
            if found.attempts > 0 {
                undone(&mut tx, id, late_look(0).map(|after| now + after), now).await?;
            } else {
                email::release(&mut tx, email::Holder::Registration(id)).await?;
                store::remove(&mut tx, id).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// The user is there: makes the profile, if nobody has, and gives the answer. `None` when the registration was
    /// undone before: then the user goes too.
    pub(crate) async fn finish(
        &self,
        id: &str,
        user_id: i64,
    ) -> Result<Option<pb::RegisterCustomerResponse>, Fault> {
        let now = self.clock.now_micros();
        let mut tx = self.db.begin().await?;
        let found = store::lock(&mut tx, id).await?;
        match found.as_ref().map(|found| found.state) {
            Some(RegistrationState::Done) => {
                let response = found.and_then(|found| found.response);
                return Ok(Some(answer_of(response.as_deref())?));
            }
            Some(RegistrationState::Pending) => {}
            Some(RegistrationState::Undone) | None => {
                login::add(&mut tx, user_id, now + backoff(0), now).await?;
                tx.commit().await?;
                self.end_login(user_id).await;
                return Ok(None);
            }
        }
        let fields = found
            .map(|found| found.fields)
            .ok_or_else(|| Fault::internal("a registration was lost"))?;
        let profile = customer::insert(&mut tx, &fields, Some(user_id), now).await?;
        email::hand_over(&mut tx, id, profile.id).await?;
        let answer = pb::RegisterCustomerResponse {
            message: "Customer registered successfully.".to_owned(),
            customer: Some(convert::customer(
                &profile,
                crate::domain::access::Sight::Own { user_id },
            )),
        };
        store::done(&mut tx, id, profile.id, &answer.encode_to_vec(), now).await?;
        let seen = (None, log::Seen::Customer(&profile));
        log::note(
            &mut tx,
            &Author::registering(user_id),
            "register",
            seen,
            now,
        )
        .await?;
        tx.commit().await?;
        self.feed.committed();
        Ok(Some(answer))
    }

    /// Notes that a login is to end, in the transaction that ends its profile.
    pub(crate) async fn plan_end(&self, tx: &mut Tx, user_id: i64, now: i64) -> Result<(), Fault> {
        login::add(tx, user_id, now + backoff(0), now).await
    }

    /// Ends a login that [`Registrar::plan_end`] has noted. When auth cannot do it now, the reconciler sees to it: the
    /// caller, whose own part is committed, does not wait for long.
    pub(crate) async fn end_login(&self, user_id: i64) -> bool {
        let ended = match timeout(PATIENCE, self.auth.delete_user(user_id)).await {
            Ok(Ok(())) => login::removed(&self.db, user_id)
                .await
                .map_err(|fault| fault.to_string()),
            Ok(Err(refused)) => Err(format!("{refused:?}")),
            Err(_) => Err("no answer in time".to_owned()),
        };
        if let Err(error) = &ended {
            tracing::warn!(
                user_id,
                error,
                "a login could not be ended now; it is tried again"
            );
        }
        ended.is_ok()
    }

    fn times(&self) -> Times {
        let now = self.clock.now_micros();
        Times {
            now,
            held_until: now + HOLD,
            check_time: now + GRACE,
        }
    }
}

fn under_way() -> Fault {
    Fault::new(
        Reason::Overloaded,
        "the same registration is under way, try again",
    )
    .with_retry_after(Duration::from_micros(HOLD.unsigned_abs()))
}

/// Settles a locked registration that has no user, and frees its address.
async fn undone(tx: &mut Tx, id: &str, check_time: Option<i64>, now: i64) -> Result<(), Fault> {
    email::release(tx, email::Holder::Registration(id)).await?;
    store::undone(tx, id, check_time, now).await
}

fn answer_of(response: Option<&[u8]>) -> Result<pb::RegisterCustomerResponse, Fault> {
    let response = response.ok_or_else(|| Fault::internal("a registration lost its answer"))?;
    pb::RegisterCustomerResponse::decode(response).map_err(|error| {
        Fault::internal("the answer of a registration is unreadable").with_source(error)
    })
}

/// A registrar that is shared by the handlers and the reconciler.
pub(crate) type SharedRegistrar = Arc<Registrar>;
