-- The accounts. Times are microseconds since the Unix epoch, UTC.
--
-- A person logs in by username or email. What is unique is the canonical column beside each: the same name in another
-- case or another Unicode spelling is the same name (domain/username.rs, domain/email.rs). A user name cannot hold an
-- '@', so the two columns never hold the same text.
--
-- id: never used again, because tokens and other services' rows may still name it. AUTOINCREMENT never gives an id
-- twice, not even that of the last row when it was deleted.
-- generation: a token carries the one it was issued under; raising it ends every token issued before.
-- created_by: the client_id of the service account that made the account, and then the only service account that sees
-- it; null where a person did. external_id: the id that this client knows the account by. Together they are unique,
-- so a client that crashed half-way finds what it made.
-- revision: counts the changes that a reader can see (the etag).
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT,
    username_canonical TEXT UNIQUE,
    email TEXT,
    email_canonical TEXT UNIQUE,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    state TEXT NOT NULL,
    generation INTEGER NOT NULL,
    external_id TEXT,
    created_by TEXT,
    revision INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    last_login_time INTEGER,
    UNIQUE (created_by, external_id),
    CONSTRAINT users_have_a_name CHECK (username_canonical IS NOT NULL OR email_canonical IS NOT NULL),
    CONSTRAINT users_have_a_known_role CHECK (role IN ('admin', 'user', 'mechanic', 'customer')),
    CONSTRAINT users_have_a_known_state CHECK (state IN ('active', 'disabled'))
) STRICT;

-- For lists sorted by name; accounts without one come first.
CREATE INDEX users_by_username ON users ((coalesce(username_canonical, '')), id);

-- Few rows: to count the administrators that remain.
CREATE INDEX users_admins ON users (id) WHERE role = 'admin';

-- One row, taken as a lock by whoever takes an administrator away (store/users.rs): two who remove each other at the
-- same instant must not both succeed, and neither sees the other's uncommitted change.
CREATE TABLE admin_lock (
    id INTEGER PRIMARY KEY CHECK (id = 1)
) STRICT;

INSERT INTO admin_lock (id) VALUES (1);
