//! Whether who calls is still who the token says: read at every call, in one statement.

use millgate_guard::MOST_ACTORS;
use millgate_platform::{Database, Fault, on};
use sqlx::FromRow;

use crate::domain::{Micros, Session};

/// What is asked about a token.
pub(crate) struct Asked<'a> {
    /// The token's own id.
    pub(crate) jti: &'a str,
    /// The beginning of the second that it was issued in: a token of the very second in which a service account was
    /// disabled is refused.
    pub(crate) issued: Micros,
    /// The service accounts that act for the subject.
    pub(crate) actors: &'a [String],
    /// The time.
    pub(crate) now: Micros,
}

/// What the database says about a person's token.
#[derive(FromRow)]
pub(crate) struct PersonRow {
    /// The account's state.
    pub(crate) state: String,
    /// The account's role.
    pub(crate) role: String,
    /// The account's generation.
    pub(crate) generation: i64,
    /// Whether the token was revoked by itself.
    pub(crate) is_revoked: bool,
    /// How many of the actors are in use and have not ended the token.
    pub(crate) standing_actors: i64,
    /// When the personal access token ends whose id the session's is, while it can be exchanged.
    pub(crate) access_token_end: Option<Micros>,
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
        (
            SELECT t.expire_time FROM access_tokens t
            WHERE t.sid = $2 AND t.user_id = u.id AND t.generation = u.generation
            AND t.revoke_time IS NULL AND t.expire_time > $3
        ) AS access_token_end,
        EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = $4) AS is_revoked,
        (
            SELECT count(*) FROM service_accounts a
            WHERE a.client_id IN ($6, $7, $8) AND NOT a.disabled AND a.delete_time IS NULL
            AND (a.tokens_ended_time IS NULL OR a.tokens_ended_time < $5)
        ) AS standing_actors
    FROM users u LEFT JOIN sessions s ON s.id = $2 AND s.user_id = u.id
    WHERE u.id = $1";

/// The account and the session behind a person's token, and who acts for them. None when the account is gone.
pub(crate) async fn person(
    db: &Database,
    id: i64,
    session: &str,
    asked: &Asked<'_>,
) -> Result<Option<PersonRow>, Fault> {
    let actor = |place| asked.actors.get(place).map(String::as_str);
    let [first, second, third]: [Option<&str>; MOST_ACTORS] = std::array::from_fn(actor);
    Ok(on!(db, |c| sqlx::query_as(PERSON)
        .bind(id)
        .bind(session)
        .bind(asked.now)
        .bind(asked.jti)
        .bind(asked.issued)
        .bind(first)
        .bind(second)
        .bind(third)
        .fetch_optional(c)
        .await)?)
}

const SERVICE: &str = "\
    SELECT client_id FROM service_accounts
    WHERE client_id = $1 AND NOT disabled AND delete_time IS NULL
    AND (tokens_ended_time IS NULL OR tokens_ended_time < $2)
    AND NOT EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = $3)";

/// Whether the service account behind a token is in use, and neither it nor anybody else has ended the token.
pub(crate) async fn service_stands(
    db: &Database,
    client_id: &str,
    asked: &Asked<'_>,
) -> Result<bool, Fault> {
    let found: Option<String> = on!(db, |c| sqlx::query_scalar(SERVICE)
        .bind(client_id)
        .bind(asked.issued)
        .bind(asked.jti)
        .fetch_optional(c)
        .await)?;
    Ok(found.is_some())
}
