-- What the guards of all services must learn: which tokens are refused before they expire, and which keys come and go.
--
-- The rows are written by triggers, in the very transaction that ends a right: whoever ends one, by whatever statement,
-- cannot forget it.
--
-- sequence: the number under which an event is told, given after the commit, without a gap (store/trust.rs): the order of
-- ids is not the order of commits on PostgreSQL. value: the generation of a user, or the last second of issue of a
-- service. expire_time: when everything that is refused has expired by itself; the row is deleted then.
CREATE TABLE trust_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sequence INTEGER UNIQUE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    expire_time INTEGER NOT NULL,
    CONSTRAINT trust_events_are_of_a_known_kind CHECK (kind IN (
        'token', 'session', 'user', 'service', 'key', 'key_announced', 'key_active', 'key_retiring', 'key_removed'
    ))
) STRICT;

CREATE INDEX trust_events_untold ON trust_events (id) WHERE sequence IS NULL;
CREATE INDEX trust_events_by_expire_time ON trust_events (expire_time);

-- One row: the feed's name, which another database does not have; the last number given, taken as a lock by whoever
-- gives numbers or changes the key ring; and the longest life of a token, in microseconds.
CREATE TABLE trust_feed (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    token_life INTEGER NOT NULL
) STRICT;

-- Until a start says better: no guard takes a token that lives longer than a day. Numbers begin at 1, so that 0 means
-- that nothing is known.
INSERT INTO trust_feed (id, name, sequence, token_life) VALUES (1, lower(hex(randomblob(16))), 1, 86400000000);

-- The guards that follow the feed, at any replica. connection: a guard that comes back has a new one, and the end of the
-- old one must not take it away. key_ids: separated by spaces.
CREATE TABLE trust_guards (
    connection TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL,
    instance TEXT NOT NULL,
    key_ids TEXT NOT NULL,
    seen_time INTEGER NOT NULL
) STRICT;

CREATE TRIGGER trust_session_ended AFTER UPDATE OF ended_time ON sessions
WHEN OLD.ended_time IS NULL AND NEW.ended_time IS NOT NULL
BEGIN
    INSERT INTO trust_events (kind, name, value, expire_time)
    SELECT 'session', NEW.id, 0, NEW.ended_time + token_life FROM trust_feed;
END;

-- A change of password, role, state or second factor raises the generation.
CREATE TRIGGER trust_generation_raised AFTER UPDATE OF generation ON users
WHEN NEW.generation > OLD.generation
BEGIN
    INSERT INTO trust_events (kind, name, value, expire_time)
    SELECT 'user', CAST(NEW.id AS TEXT), NEW.generation, max(NEW.update_time, unixepoch() * 1000000) + token_life
    FROM trust_feed;
END;

CREATE TRIGGER trust_user_deleted AFTER DELETE ON users
BEGIN
    INSERT INTO trust_events (kind, name, value, expire_time)
    SELECT 'user', CAST(OLD.id AS TEXT), 9223372036854775807,
        max(OLD.update_time, unixepoch() * 1000000) + token_life
    FROM trust_feed;
END;

CREATE TRIGGER trust_service_ended AFTER UPDATE OF tokens_ended_time ON service_accounts
WHEN NEW.tokens_ended_time IS NOT NULL AND NEW.tokens_ended_time IS NOT OLD.tokens_ended_time
BEGIN
    INSERT INTO trust_events (kind, name, value, expire_time)
    SELECT 'service', NEW.client_id, NEW.tokens_ended_time / 1000000, NEW.tokens_ended_time + token_life
    FROM trust_feed;
END;

-- The tokens that a personal access token was exchanged for carry its sid.
CREATE TRIGGER trust_access_token_revoked AFTER UPDATE OF revoke_time ON access_tokens
WHEN OLD.revoke_time IS NULL AND NEW.revoke_time IS NOT NULL
BEGIN
    INSERT INTO trust_events (kind, name, value, expire_time)
    SELECT 'session', NEW.sid, 0, NEW.revoke_time + token_life FROM trust_feed;
END;

CREATE TRIGGER trust_token_revoked AFTER INSERT ON revoked_tokens
BEGIN
    INSERT INTO trust_events (kind, name, value, expire_time) VALUES ('token', NEW.jti, 0, NEW.expire_time);
END;

-- The factory's account, made from configuration by an earlier version, may follow the feed like one made today.
UPDATE service_accounts SET scopes = scopes || ' trust.watch'
WHERE configured_hash IS NOT NULL AND ' ' || scopes || ' ' NOT LIKE '% trust.watch %';
