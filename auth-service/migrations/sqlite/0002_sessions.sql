-- Sessions and their refresh tokens. Both go with their account.
--
-- A session begins with a login. It ends by ended_time, or by itself: after the idle limit since last_used_time, after
-- the absolute limit since create_time (domain/session.rs). An ended one stays for a while, so that its tokens are
-- answered SESSION_ENDED and not like something unknown.
CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device_label TEXT NOT NULL,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    auth_time INTEGER NOT NULL,
    amr TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    last_used_time INTEGER NOT NULL,
    ended_time INTEGER,
    end_reason TEXT,
    CONSTRAINT sessions_end_for_a_reason CHECK ((ended_time IS NULL) = (end_reason IS NULL))
) STRICT;

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_create_time ON sessions (create_time);

-- token_hash: SHA-256 of the token (domain/refresh.rs says why that is enough). used_time: when it was traded for its
-- successor; a used one is kept as long as its session, because seeing it again means that it was stolen.
CREATE TABLE refresh_tokens (
    token_hash BLOB NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    create_time INTEGER NOT NULL,
    used_time INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
