-- What the guards of all services must learn: which tokens are refused before they expire, and which keys come and go.
--
-- The rows are written by triggers, in the very transaction that ends a right: whoever ends one, by whatever statement,
-- cannot forget it.
--
-- sequence: the number under which an event is told, given after the commit, without a gap (store/trust.rs): the order of
-- ids is not the order of commits. value: the generation of a user, or the last second of issue of a service.
-- expire_time: when everything that is refused has expired by itself; the row is deleted then.
CREATE TABLE trust_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sequence BIGINT UNIQUE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value BIGINT NOT NULL,
    expire_time BIGINT NOT NULL,
    CONSTRAINT trust_events_are_of_a_known_kind CHECK (kind IN (
        'token', 'session', 'user', 'service', 'key', 'key_announced', 'key_active', 'key_retiring', 'key_removed'
    ))
);

CREATE INDEX trust_events_untold ON trust_events (id) WHERE sequence IS NULL;
CREATE INDEX trust_events_by_expire_time ON trust_events (expire_time);

-- One row: the feed's name, which another database does not have; the last number given, taken as a lock by whoever
-- gives numbers or changes the key ring; and the longest life of a token, in microseconds.
CREATE TABLE trust_feed (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    token_life BIGINT NOT NULL
);

-- Until a start says better: no guard takes a token that lives longer than a day. Numbers begin at 1, so that 0 means
-- that nothing is known.
INSERT INTO trust_feed (id, name, sequence, token_life) VALUES (1, gen_random_uuid()::text, 1, 86400000000);

-- The guards that follow the feed, at any replica. connection: a guard that comes back has a new one, and the end of the
-- old one must not take it away. key_ids: separated by spaces.
CREATE TABLE trust_guards (
    connection TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL,
    instance TEXT NOT NULL,
    key_ids TEXT NOT NULL,
    seen_time BIGINT NOT NULL
);

-- Adds an event of what ended at this time.
CREATE FUNCTION trust_event(kind TEXT, name TEXT, value BIGINT, ended_time BIGINT) RETURNS void LANGUAGE sql AS $$
    INSERT INTO trust_events (kind, name, value, expire_time)
    SELECT $1, $2, $3, $4 + token_life FROM trust_feed
$$;

CREATE FUNCTION trust_now() RETURNS BIGINT LANGUAGE sql AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$;

CREATE FUNCTION trust_session_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM trust_event('session', NEW.id, 0, NEW.ended_time);
    RETURN NULL;
END $$;

CREATE TRIGGER trust_session_ended AFTER UPDATE OF ended_time ON sessions
FOR EACH ROW WHEN (OLD.ended_time IS NULL AND NEW.ended_time IS NOT NULL) EXECUTE FUNCTION trust_session_ended();

-- A change of password, role, state or second factor raises the generation.
CREATE FUNCTION trust_generation_raised() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM trust_event('user', NEW.id::text, NEW.generation, greatest(NEW.update_time, trust_now()));
    RETURN NULL;
END $$;

CREATE TRIGGER trust_generation_raised AFTER UPDATE OF generation ON users
FOR EACH ROW WHEN (NEW.generation > OLD.generation) EXECUTE FUNCTION trust_generation_raised();

CREATE FUNCTION trust_user_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM trust_event('user', OLD.id::text, 9223372036854775807, greatest(OLD.update_time, trust_now()));
    RETURN NULL;
END $$;

CREATE TRIGGER trust_user_deleted AFTER DELETE ON users
FOR EACH ROW EXECUTE FUNCTION trust_user_deleted();

CREATE FUNCTION trust_service_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM trust_event('service', NEW.client_id, NEW.tokens_ended_time / 1000000, NEW.tokens_ended_time);
    RETURN NULL;
END $$;

CREATE TRIGGER trust_service_ended AFTER UPDATE OF tokens_ended_time ON service_accounts
FOR EACH ROW WHEN (NEW.tokens_ended_time IS NOT NULL AND NEW.tokens_ended_time IS DISTINCT FROM OLD.tokens_ended_time)
EXECUTE FUNCTION trust_service_ended();

-- The tokens that a personal access token was exchanged for carry its sid.
CREATE FUNCTION trust_access_token_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM trust_event('session', NEW.sid, 0, NEW.revoke_time);
    RETURN NULL;
END $$;

CREATE TRIGGER trust_access_token_revoked AFTER UPDATE OF revoke_time ON access_tokens
FOR EACH ROW WHEN (OLD.revoke_time IS NULL AND NEW.revoke_time IS NOT NULL)
EXECUTE FUNCTION trust_access_token_revoked();

CREATE FUNCTION trust_token_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trust_events (kind, name, value, expire_time) VALUES ('token', NEW.jti, 0, NEW.expire_time);
    RETURN NULL;
END $$;

CREATE TRIGGER trust_token_revoked AFTER INSERT ON revoked_tokens
FOR EACH ROW EXECUTE FUNCTION trust_token_revoked();

-- The factory's account, made from configuration by an earlier version, may follow the feed like one made today.
UPDATE service_accounts SET scopes = scopes || ' trust.watch'
WHERE configured_hash IS NOT NULL AND ' ' || scopes || ' ' NOT LIKE '% trust.watch %';

-- Wakes every replica when the transaction commits.
CREATE FUNCTION trust_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('trust_events', '');
    RETURN NULL;
END $$;

CREATE TRIGGER trust_wake AFTER INSERT ON trust_events
FOR EACH STATEMENT EXECUTE FUNCTION trust_wake();
