//! What an operator does to the accounts of a service that is not running: for who has locked themselves out. It goes the
//! way of the service's own calls, through the same rules, and is in the audit log as well.

use std::sync::Arc;

use millgate_contract::auth::v1 as pb;
use millgate_guard::{KeyRing, SharedRing};
use millgate_platform::{Ambient, Fault, Reason, StartError};
use secrecy::{ExposeSecret as _, SecretString};

use crate::actions::password_reset::Desk;
use crate::actions::second_factor::take_away;
use crate::app::App;
use crate::audit::Event;
use crate::audit::sealer;
use crate::audit::verify::Verification;
use crate::config::Config;
use crate::domain::throttle::Counter;
use crate::domain::{Email, EndReason, Names, NewPassword, NewUser, User, Username};
use crate::origin::Origin;
use crate::running::Alone;
use crate::{start, store, wire};

/// Who did it, in the audit log: whoever can read the secrets file.
const ACTOR: &str = "local";

/// The accounts of a stopped service.
pub struct Recovery {
    app: Arc<App>,
    /// Keeps a service from starting meanwhile, where that can be done.
    alone: Option<Alone>,
}

impl Recovery {
    /// Opens the database and the secrets that the service would.
    ///
    /// # Errors
    /// Names the setting that is wrong; AUTH_DATABASE_URL also when a service uses the SQLite file, or there is none.
    pub async fn open(config: Config, ambient: Ambient) -> Result<Self, StartError> {
        let alone = Alone::with(&config)?;
        let checked = config.check()?;
        // No token is signed or verified here, so the ring of the service is not asked for.
        let json = KeyRing::generate(ambient.entropy.as_ref(), ambient.clock.as_ref());
        let ring = KeyRing::from_jwks(json.expose_secret())
            .map_err(|error| StartError::new("key ring", error.to_string()))?;
        let ring = SharedRing::new(ring);
        let app = start::app(&config, &checked, &ring, &ambient, Desk::default()).await?;
        Ok(Self {
            app: Arc::new(app),
            alone,
        })
    }

    /// Whether it is certain that no service works on the same database: PostgreSQL does not tell.
    pub fn is_alone(&self) -> bool {
        self.alone.is_some()
    }

    /// Makes an account with any role.
    ///
    /// # Errors
    /// FIELD_INVALID, PASSWORD_TOO_SHORT and the like for what cannot be used; USERNAME_TAKEN, EMAIL_TAKEN.
    pub async fn create_user(
        &self,
        user: &pb::User,
        password: &SecretString,
    ) -> Result<pb::User, Fault> {
        let mut fields = millgate_platform::Fields::new();
        let username = fields.parse("name", wire::optional(&user.username, Username::parse_new));
        let email = fields.parse("email", wire::optional(&user.email, Email::parse));
        let role = fields.parse("role", wire::role(user.role));
        let password = fields.parse("password", NewPassword::parse(password.expose_secret()));
        let (username, email, role, password) = fields.all((username, email, role, password))?;
        let names = Names::new(username, email).map_err(|wrong| Fault::field("name", wrong))?;
        avoids(&password, names.texts())?;
        let new = NewUser {
            names,
            password_hash: self.app.hashing.hash(password.password()).await?,
            role,
            external_id: None,
            created_by: None,
        };
        let mut tx = self.app.db.begin().await?;
        let user = store::users::insert(&mut tx, &new, self.app.now()).await?;
        self.tell(&mut tx, "create_user", &user).await?;
        tx.commit().await?;
        Ok(wire::user(&user))
    }

    /// Gives an account another password: its sessions and tokens end, and failed attempts are forgotten.
    ///
    /// # Errors
    /// USER_NOT_FOUND; STATE_CONFLICT for a closed account; FIELD_INVALID and the like for a password that cannot be used.
    pub async fn reset_password(
        &self,
        name: &str,
        password: &SecretString,
    ) -> Result<pb::User, Fault> {
        let mut fields = millgate_platform::Fields::new();
        let password = fields.parse("password", NewPassword::parse(password.expose_secret()));
        let (password,) = fields.all((password,))?;
        let id = self.find(name).await?;
        let hash = self.app.hashing.hash(password.password()).await?;
        let now = self.app.now();
        let mut tx = self.app.db.begin().await?;
        let user = store::users::lock(&mut tx, id)
            .await?
            .ok_or_else(|| unknown(name))?;
        let names = [user.username.as_deref(), user.email.as_deref()];
        avoids(&password, names.into_iter().flatten())?;
        let user = store::users::set_password(&mut tx, id, user.generation, &hash)
            .await?
            .ok_or_else(|| {
                Fault::new(
                    Reason::StateConflict,
                    "the account is closed: an administrator can open it again",
                )
            })?;
        store::sessions::end_all(&mut tx, id, "", EndReason::PasswordChanged, now).await?;
        for counter in [Counter::Account(id), Counter::Holder(id)] {
            store::throttle::clear(&mut tx, &counter.stored(&self.app.throttle_key)).await?;
        }
        self.tell(&mut tx, "reset_password", &user).await?;
        tx.commit().await?;
        Ok(wire::user(&user))
    }

    /// Takes away a second factor that was lost: the account's sessions and tokens end.
    ///
    /// # Errors
    /// USER_NOT_FOUND; STATE_CONFLICT where there is none.
    pub async fn remove_second_factor(&self, name: &str) -> Result<pb::User, Fault> {
        let id = self.find(name).await?;
        let mut tx = self.app.db.begin().await?;
        let user = take_away(&self.app, &mut tx, id).await?;
        self.tell(&mut tx, "remove_totp", &user).await?;
        tx.commit().await?;
        Ok(wire::user(&user))
    }

    /// Begins to verify the audit log.
    ///
    /// # Errors
    /// STORE_UNAVAILABLE; INTERNAL when the file of checkpoints cannot be read.
    pub async fn verify_audit(&self) -> Result<Verification, Fault> {
        let audit = &self.app.audit;
        Verification::begin(self.app.db.clone(), audit.chain.clone(), &audit.path).await
    }

    /// Seals what was told, and closes the database.
    pub async fn close(self) {
        sealer::finish(&self.app).await;
        self.app.db.close().await;
    }

    async fn find(&self, name: &str) -> Result<i64, Fault> {
        if let Ok(id) = name.parse() {
            return Ok(id);
        }
        let found = if name.contains('@') {
            let email = Email::parse(name).map_err(|wrong| Fault::field("user", wrong))?;
            store::users::credentials_by_email(&self.app.db, &email).await?
        } else {
            let username = Username::parse(name).map_err(|wrong| Fault::field("user", wrong))?;
            store::users::credentials_by_username(&self.app.db, &username).await?
        };
        Ok(found.ok_or_else(|| unknown(name))?.id)
    }

    async fn tell(
        &self,
        tx: &mut millgate_platform::Tx,
        what: &'static str,
        user: &User,
    ) -> Result<(), Fault> {
        let event = Event {
            what,
            cause: "recovery",
            actor: ACTOR,
            subject: Some(user.id),
            ..Event::default()
        };
        event.done(tx, &self.app, &Origin::default()).await
    }
}

impl std::fmt::Debug for Recovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recovery").finish_non_exhaustive()
    }
}

fn unknown(name: &str) -> Fault {
    Fault::new(Reason::UserNotFound, format!("there is no account {name}"))
}

/// PASSWORD_BLOCKLISTED for a password that is made of the account's names.
fn avoids<'a>(
    password: &NewPassword,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<(), Fault> {
    let mut fields = millgate_platform::Fields::new();
    fields.parse("password", password.avoid(names));
    fields.finish()
}
