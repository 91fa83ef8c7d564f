//! A person makes an account.

use millgate_contract::auth::v1 as pb;
use millgate_platform::{ClaimBy, Fault, Reason};

use crate::app::App;
use crate::audit::Event;
use crate::config::Registration;
use crate::domain::{Names, NewPassword, NewUser, Role};
use crate::origin::Origin;
use crate::store;
use crate::wire::{self, Naming};

/// Lets through while people may make their own accounts. Asked before anything is read, so that a closed door tells
/// nothing about names and costs no hash.
///
/// # Errors
/// REGISTRATION_CLOSED.
pub(crate) fn is_open(app: &App) -> Result<(), Fault> {
    match app.registration {
        Registration::Open => Ok(()),
        Registration::Closed => Err(Fault::new(
            Reason::RegistrationClosed,
            "registration is closed here: an administrator makes the accounts",
        )),
    }
}

/// Makes an account with the role `customer`.
///
/// With a `request_id`, the same request gives the first answer again. Anybody may call, so the id alone means nothing:
/// it counts together with the body, password included, and tells nobody about another's request.
///
/// # Errors
/// USERNAME_TAKEN, EMAIL_TAKEN; OVERLOADED when too many passwords are being hashed.
pub(crate) async fn register(
    app: &App,
    names: Names,
    password: &NewPassword,
    request: pb::RegisterRequest,
    origin: &Origin,
) -> Result<pb::RegisterResponse, Fault> {
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let naming = Naming::of(&names, None);
    // Before the hash, which costs: a retry needs none. The claim below decides.
    let done = app
        .idempotency
        .recall(&app.db, ClaimBy::Anyone, "Register", &request_id, &body)
        .await?;
    if let Some(user) = done {
        return Ok(answer(user, naming));
    }
    let new = NewUser {
        names,
        password_hash: app.hashing.hash(password.password()).await?,
        role: Role::Customer,
        external_id: None,
        created_by: None,
    };
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(&mut tx, ClaimBy::Anyone, "Register", &request_id, &body)
        .await?;
    if let Some(user) = once.replay() {
        return Ok(answer(user, naming));
    }
    let user = store::users::insert(&mut tx, &new, app.now()).await?;
    let mut made = wire::user(&user);
    let naming = Naming::take(&mut made);
    once.record(&mut tx, &made).await?;
    let event = Event {
        what: "register",
        subject: Some(user.id),
        ..Event::default()
    };
    event.done(&mut tx, app, origin).await?;
    tx.commit().await?;
    Ok(answer(made, naming))
}

fn answer(mut user: pb::User, naming: Naming) -> pb::RegisterResponse {
    naming.put(&mut user);
    pb::RegisterResponse {
        message: "User created successfully.".to_owned(),
        user: Some(user),
    }
}
