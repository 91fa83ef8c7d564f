//! What the calls do: each takes parsed values, works in one transaction, and tells the audit log.

pub(crate) mod access_tokens;
pub(crate) mod accounts;
pub(crate) mod attempt;
pub(crate) mod audit_log;
pub(crate) mod exchange;
pub(crate) mod import;
pub(crate) mod introspect;
pub(crate) mod keys;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod password;
pub(crate) mod password_reset;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod revoke_token;
pub(crate) mod second_factor;
pub(crate) mod second_step;
pub(crate) mod service_accounts;
pub(crate) mod service_token;
pub(crate) mod sessions;
pub(crate) mod step_up;
pub(crate) mod suspension;

use millgate_platform::Tx;
use millgate_platform::{Fault, Reason};
use secrecy::SecretString;

use crate::app::App;
use crate::domain::{Place, RefreshToken, Session, User};
use crate::store;
use crate::tokens::AccessToken;

/// The tokens of a session, new ones.
pub(crate) struct Issued {
    /// The access token.
    pub(crate) access: AccessToken,
    /// The refresh token.
    pub(crate) refresh: SecretString,
    /// The session that both belong to.
    pub(crate) session: String,
}

impl Issued {
    /// An access token to go with a refresh token that is stored.
    fn new(app: &App, user: &User, session: &Session, refresh: &RefreshToken) -> Self {
        Self {
            access: app.mint.person(user, session),
            refresh: refresh.text(&app.refresh_keys),
            session: session.id.clone(),
        }
    }
}

/// Adds a new family's first refresh token to a session; those that it had are forgotten.
async fn begin_family(app: &App, tx: &mut Tx, session: &Session) -> Result<RefreshToken, Fault> {
    let place = Place {
        session: session.id.clone(),
        number: store::refresh_tokens::begin_family(tx, &session.id).await?,
    };
    add_token(app, tx, place).await
}

/// Adds a new refresh token.
async fn add_token(app: &App, tx: &mut Tx, place: Place) -> Result<RefreshToken, Fault> {
    let session = place.session.clone();
    let token = RefreshToken::generate(app.entropy.as_ref(), place);
    store::refresh_tokens::insert(tx, &token, &session, app.now()).await?;
    Ok(token)
}

/// The one answer to everybody who does not prove who they are, whatever was wrong.
fn credentials_invalid() -> Fault {
    Fault::new(
        Reason::CredentialsInvalid,
        "the name or the password is wrong",
    )
}
