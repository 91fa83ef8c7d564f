//! Whether who calls is still who the token says: read at every call.

use millgate_platform::{Database, Fault, on};
use sqlx::FromRow;

use crate::domain::{Micros, Session};

/// What the database says about a person's token.
#[derive(FromRow)]
pub(crate) struct PersonRow {
    /// The account's state.
    pub(crate) state: String,
    /// The account's role.
    pub(crate) role: String,
    /// The account's generation.
    pub(crate) generation: i64,
    /// Whether the session id is that of a personal access token of the account, which can be exchanged.
    pub(crate) access_token_lives: bool,
    create_time: Option<Micros>,
    last_used_time: Option<Micros>,
    ended_time: Option<Micros>,
}

impl PersonRow {
    /// The session, where the account has it.
    pub(crate) fn session(&self, id: &str, user_id: i64) -> Option<Session> {
        Some(Session {
            id: id.to_owned(),
            user_id,
            auth_time: self.create_time?,
            amr: String::new(),
            create_time: self.create_time?,
            last_used_time: self.last_used_time?,
            ended_time: self.ended_time,
        })
    }
}

const PERSON: &str = "\
    SELECT u.state, u.role, u.generation, s.create_time, s.last_used_time, s.ended_time,
        EXISTS (
            SELECT 1 FROM access_tokens t
            WHERE t.sid = $2 AND t.user_id = u.id AND t.revoke_time IS NULL AND t.expire_time > $3
        ) AS access_token_lives
    FROM users u LEFT JOIN sessions s ON s.id = $2 AND s.user_id = u.id
    WHERE u.id = $1";

/// The account and the session behind a person's token, or the personal access token that stands for one at `now`. None
/// when the account is gone.
pub(crate) async fn person(
    db: &Database,
    id: i64,
    session: &str,
    now: Micros,
) -> Result<Option<PersonRow>, Fault> {
    Ok(on!(db, |c| sqlx::query_as(PERSON)
        .bind(id)
        .bind(session)
        .bind(now)
        .fetch_optional(c)
        .await)?)
}

const SERVICE: &str = "\
    SELECT client_id FROM service_accounts
    WHERE client_id = $1 AND NOT disabled AND delete_time IS NULL
    AND (tokens_ended_time IS NULL OR tokens_ended_time < $2)";

/// Whether the service account behind a token is in use and has not ended the tokens of `issued`, the beginning of the
/// second that the token was issued in: a token of the very second in which the account was disabled is refused.
pub(crate) async fn service_stands(
    db: &Database,
    client_id: &str,
    issued: Micros,
) -> Result<bool, Fault> {
    let found: Option<String> = on!(db, |c| sqlx::query_scalar(SERVICE)
        .bind(client_id)
        .bind(issued)
        .fetch_optional(c)
        .await)?;
    Ok(found.is_some())
}
