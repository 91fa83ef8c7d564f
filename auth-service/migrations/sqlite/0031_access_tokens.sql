-- Personal access tokens. They go with their account.
--
-- sid: the session id in the access tokens that it is exchanged for. token_hash: an HMAC-SHA256 of the token under a key
-- that only the auth service has. scopes: separated by spaces, never empty. generation: the account's when the token was
-- made; an account that has moved on has ended it.
CREATE TABLE access_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sid TEXT NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    generation INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    expire_time INTEGER NOT NULL,
    last_used_time INTEGER,
    revoke_time INTEGER,
    CONSTRAINT access_tokens_have_scopes CHECK (scopes <> '')
) STRICT;

CREATE INDEX access_tokens_by_user ON access_tokens (user_id, id);
CREATE INDEX access_tokens_by_expire_time ON access_tokens (expire_time);
