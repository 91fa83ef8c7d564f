//! Reading the stream of an import.

use std::time::Duration;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::import_users_request::Part;
use millgate_platform::{Fault, FieldFault, Fields, Reason};
use tonic::{Status, Streaming};

use super::sign_in;
use crate::actions::import::{Import, Options, Row, create_time};
use crate::app::App;
use crate::domain::{ExternalId, Micros, MovedUser, NewUser, Role, UserState};
use crate::hashing::{self, Format, HashFault};
use crate::wire;

/// How long may pass between two messages: a stream costs a connection, and a name that is held waits for its commit.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest hash, in bytes: the longest of those that are known has some 200.
const LONGEST_HASH: usize = 512;

type Stream = Streaming<pb::ImportUsersRequest>;

/// The options, which come first.
///
/// # Errors
/// FIELD_INVALID; DEADLINE when nothing comes.
pub(super) async fn options(stream: &mut Stream) -> Result<Options, Status> {
    let Some(Part::Options(mut sent)) = next(stream).await?.and_then(|first| first.part) else {
        return Err(Fault::field("options", "must be the first message").into());
    };
    let id = std::mem::take(&mut sent.import_id);
    let mut fields = Fields::new();
    let known = id.is_empty() || uuid::Uuid::try_parse(&id).is_ok();
    fields.check("options.import_id", known, "must be a UUID");
    let default_role = fields.parse(
        "options.default_role",
        wire::optional_role(sent.default_role),
    );
    let skips_taken = fields.parse("options.on_conflict", skips_taken(sent.on_conflict));
    let (default_role, skips_taken) = fields.all((default_role, skips_taken))?;
    Ok(Options {
        id: (!id.is_empty()).then(|| id.to_ascii_lowercase()),
        dry_run: sent.dry_run,
        default_role,
        skips_taken,
        sent,
    })
}

/// Hands on every row until the stream ends.
///
/// # Errors
/// As [`Import::take`]; FIELD_INVALID for options that come again; DEADLINE when nothing comes.
pub(super) async fn rows(
    app: &App,
    import: &mut Import,
    stream: &mut Stream,
) -> Result<(), Status> {
    while let Some(message) = next(stream).await? {
        let Some(Part::User(user)) = message.part else {
            return Err(Fault::field("user", "is needed in every message but the first").into());
        };
        let row = row(&user, import.default_role(), app.now());
        import.take(app, row).await?;
    }
    Ok(())
}

async fn next(stream: &mut Stream) -> Result<Option<pb::ImportUsersRequest>, Status> {
    match tokio::time::timeout(LONGEST_PAUSE, stream.message()).await {
        Ok(message) => message,
        Err(_) => Err(Fault::new(Reason::Deadline, "no row came for a minute").into()),
    }
}

fn skips_taken(number: i32) -> Result<bool, FieldFault> {
    match pb::ImportConflict::try_from(number) {
        Ok(pb::ImportConflict::Unspecified | pb::ImportConflict::Refuse) => Ok(false),
        Ok(pb::ImportConflict::Skip) => Ok(true),
        Err(_) => Err("is no way to treat a conflict".into()),
    }
}

/// What a row says; what is wrong with it is for the report and stops nothing.
fn row(user: &pb::ImportedUser, default_role: Option<Role>, now: Micros) -> Row {
    let content = read(user, default_role, now).map_err(|fault| fault.violations().to_vec());
    Row {
        line: user.line,
        content,
    }
}

fn read(
    user: &pb::ImportedUser,
    default_role: Option<Role>,
    now: Micros,
) -> Result<(MovedUser, Format), Fault> {
    let mut fields = Fields::new();
    let names = sign_in::names(&mut fields, "", &user.username, &user.email);
    let role = wire::optional_role(user.role)
        .and_then(|role| role.or(default_role).ok_or_else(|| "is needed".into()));
    let role = fields.parse("role", role);
    let format = fields.parse("password_hash", format(&user.password_hash));
    let state = fields.parse("state", wire::optional_state(user.state));
    let external_id = fields.parse("external_id", ExternalId::parse(&user.external_id));
    let create_time = user
        .create_time
        .as_ref()
        .map(|at| create_time(at, now))
        .transpose();
    let create_time = fields.parse("create_time", create_time);
    let (names, role, format, state, external_id, create_time) =
        fields.all((names, role, format, state, external_id, create_time))?;
    let new = NewUser {
        names,
        password_hash: user.password_hash.clone(),
        role,
        external_id,
        created_by: None,
    };
    let moved = MovedUser {
        new,
        state: state.unwrap_or(UserState::Active),
        create_time,
    };
    Ok((moved, format))
}

fn format(hash: &str) -> Result<Format, FieldFault> {
    if hash.is_empty() {
        return Err("is needed".into());
    }
    if hash.len() > LONGEST_HASH {
        return Err(FieldFault::new(
            Reason::PasswordHashUnknown,
            "at most 512 bytes",
        ));
    }
    // No known format has one, but salts are taken as they are, and PostgreSQL refuses a NUL only with the whole batch.
    if hash.chars().any(char::is_control) {
        return Err(FieldFault::new(
            Reason::PasswordHashUnknown,
            "no control characters",
        ));
    }
    hashing::imported(hash).map_err(|fault| {
        let reason = match fault {
            HashFault::Unknown => Reason::PasswordHashUnknown,
            HashFault::TooCostly => Reason::PasswordHashTooCostly,
        };
        FieldFault::new(reason, fault.to_string())
    })
}
