-- Second factors: codes of an authenticator app (TOTP, RFC 6238), recovery codes, and logins that wait for a code. All go
-- with their account; the recovery codes with the factor.
--
-- sealed_secret: the app's secret, encrypted under a key that only the auth service has, and bound to user_id and
-- begin_time: a row that is moved to another account, or under another beginning, does not open (domain/factor_keys.rs).
-- confirm_time: null while nobody has shown that they have the secret; such a row counts for nothing, and ten minutes
-- after begin_time it is forgotten. last_step: the time step of the last code that was accepted; no code of it or of one
-- before is accepted again.
CREATE TABLE second_factors (
    user_id INTEGER NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    sealed_secret BLOB NOT NULL,
    begin_time INTEGER NOT NULL,
    confirm_time INTEGER,
    last_step INTEGER NOT NULL
) STRICT;

CREATE INDEX second_factors_pending ON second_factors (begin_time) WHERE confirm_time IS NULL;

-- code_hash: an HMAC-SHA256 of user_id and code under a key that only the auth service has. A used code's row is deleted.
CREATE TABLE recovery_codes (
    user_id INTEGER NOT NULL REFERENCES second_factors (user_id) ON DELETE CASCADE,
    code_hash BLOB NOT NULL,
    PRIMARY KEY (user_id, code_hash)
) STRICT, WITHOUT ROWID;

-- Logins whose password was good and whose code is missing. token_hash: SHA-256 of the mfa_token, 256 random bits.
-- generation: of the account when its password was checked; a change of the account since makes the row worthless.
-- codes_tried: at most five. account_attempts: how many passwords had been tried at the account then, this one included:
-- when more have been since, the account's throttle counts for the second step, too.
CREATE TABLE login_challenges (
    token_hash BLOB NOT NULL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    account_attempts INTEGER NOT NULL,
    codes_tried INTEGER NOT NULL,
    device_label TEXT NOT NULL,
    expire_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX login_challenges_by_user ON login_challenges (user_id);
CREATE INDEX login_challenges_by_expire_time ON login_challenges (expire_time);
