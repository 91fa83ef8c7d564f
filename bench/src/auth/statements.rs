//! The statements of a refresh and of a service's token, for the loops without the service: as `auth-service/src/store/`
//! has them. A test holds the two together.

use std::sync::LazyLock;

const SESSION: &str = "id, user_id, auth_time, amr, create_time, last_used_time, ended_time";
const USER: &str = "id, username, email, role, state, generation, external_id, created_by, revision, create_time, update_time, \
         last_login_time";
const ACCOUNT: &str =
    "client_id, description, scopes, disabled, revision, create_time, update_time, last_used_time";
const OF_SESSION: &str = ", refresh_count, refresh_floor FROM sessions WHERE id = $1";
const OF_ACCOUNT: &str = " FROM service_accounts WHERE client_id = $1 AND delete_time IS NULL";

/// The session, on SQLite.
pub(super) static HOLD_SQLITE: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {SESSION}{OF_SESSION}"));
/// The session, under a lock, on PostgreSQL.
pub(super) static HOLD_POSTGRES: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {SESSION}{OF_SESSION} FOR UPDATE"));
/// The person.
pub(super) static PERSON: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {USER} FROM users WHERE id = $1"));
/// The token and its successor.
pub(super) const LOOK_UP: &str = "\
    SELECT used_time, EXISTS (SELECT 1 FROM refresh_tokens WHERE token_hash = $2 AND used_time IS NULL) \
     AS child_is_unused
    FROM refresh_tokens WHERE token_hash = $1";
/// The token is used up.
pub(super) const USE_UP: &str =
    "UPDATE refresh_tokens SET used_time = $2 WHERE token_hash = $1 AND used_time IS NULL";
/// Its successor.
pub(super) const INSERT: &str = "INSERT INTO refresh_tokens (token_hash, session_id, create_time, number) VALUES ($1, $2, $3, $4)";
/// The session is used.
pub(super) const COUNT_UP: &str =
    "UPDATE sessions SET last_used_time = $2, refresh_count = refresh_count + 1 WHERE id = $1";
/// Old tokens go.
pub(super) const FORGET: &str = "DELETE FROM refresh_tokens WHERE session_id = $1 AND number < $2";
/// The service account.
pub(super) static SERVICE: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {ACCOUNT}{OF_ACCOUNT}"));
/// Its secrets.
pub(super) const SECRETS: &str = "\
    SELECT id, secret_hash, create_time, expire_time, last_used_time FROM service_account_secrets
    WHERE client_id = $1 AND (expire_time IS NULL OR expire_time > $2) ORDER BY id";

#[cfg(test)]
mod tests {
    use super::*;

    /// Source text as one line, its string continuations joined.
    fn joined(source: &str) -> String {
        let words = source
            .replace("\\\n", " ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        words.replace("( ", "(")
    }

    #[test]
    fn the_statements_are_those_of_the_service() {
        let tokens = joined(include_str!(
            "../../../auth-service/src/store/refresh_tokens.rs"
        ));
        for statement in [LOOK_UP, USE_UP, INSERT, COUNT_UP, FORGET, OF_SESSION] {
            assert!(tokens.contains(&joined(statement)), "{statement}");
        }
        let sessions = joined(include_str!("../../../auth-service/src/store/sessions.rs"));
        assert!(sessions.contains(SESSION));
        let users = joined(include_str!("../../../auth-service/src/store/users.rs"));
        assert!(users.contains(&joined(USER)));
        let accounts = joined(include_str!(
            "../../../auth-service/src/store/service_accounts.rs"
        ));
        assert!(accounts.contains(ACCOUNT) && accounts.contains(OF_ACCOUNT));
        let secrets = joined(include_str!(
            "../../../auth-service/src/store/service_account_secrets.rs"
        ));
        assert!(secrets.contains(&joined(SECRETS)));
        let hold = joined(include_str!("../../../auth-service/src/store/mod.rs"));
        assert!(hold.contains("\" FOR UPDATE\""));
    }
}
