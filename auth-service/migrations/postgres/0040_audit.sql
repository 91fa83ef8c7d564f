-- The audit log. A change writes its event into audit_pending in its own transaction; a sealer moves the events into
-- audit_log about a second later, where each row's mac covers the row and the mac before it. So no request waits for the
-- head of the chain, and seq has no gaps. docs/audit.md tells the whole story.
-- outcome: done or refused; occurrences: how many equal events the row stands for (a flood is summed up); mac: keyed, so
-- that a row put in by hand is not taken for one of the service's.
CREATE TABLE audit_pending (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time BIGINT NOT NULL,
    event TEXT NOT NULL,
    outcome TEXT NOT NULL,
    cause TEXT NOT NULL,
    actor TEXT NOT NULL,
    subject BIGINT,
    client_id TEXT NOT NULL,
    session TEXT NOT NULL,
    address TEXT NOT NULL,
    request_id TEXT NOT NULL,
    occurrences BIGINT NOT NULL,
    mac BYTEA NOT NULL
);

CREATE TABLE audit_log (
    seq BIGINT PRIMARY KEY,
    time BIGINT NOT NULL,
    event TEXT NOT NULL,
    outcome TEXT NOT NULL,
    cause TEXT NOT NULL,
    actor TEXT NOT NULL,
    subject BIGINT,
    client_id TEXT NOT NULL,
    session TEXT NOT NULL,
    address TEXT NOT NULL,
    request_id TEXT NOT NULL,
    occurrences BIGINT NOT NULL,
    mac BYTEA NOT NULL
);

CREATE INDEX audit_log_subject ON audit_log (subject, seq);
CREATE INDEX audit_log_session ON audit_log (session, seq);

-- One row: where the chain ends. Whoever holds it seals; the others wait for their turn.
CREATE TABLE audit_head (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL,
    mac BYTEA NOT NULL
);

-- Where the chain was, signed with another key. The same stands in a file outside the database.
CREATE TABLE audit_checkpoints (
    seq BIGINT PRIMARY KEY,
    time BIGINT NOT NULL,
    mac BYTEA NOT NULL,
    signature BYTEA NOT NULL
);

-- What is sealed stays. This keeps honest hands off; against others there are the macs and the checkpoints.
CREATE FUNCTION audit_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END
$$;

CREATE TRIGGER audit_log_keep_rows BEFORE UPDATE OR DELETE ON audit_log
FOR EACH ROW EXECUTE FUNCTION audit_keep();
CREATE TRIGGER audit_log_keep BEFORE TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION audit_keep();
CREATE TRIGGER audit_checkpoints_keep_rows BEFORE UPDATE OR DELETE ON audit_checkpoints
FOR EACH ROW EXECUTE FUNCTION audit_keep();
CREATE TRIGGER audit_checkpoints_keep BEFORE TRUNCATE ON audit_checkpoints
FOR EACH STATEMENT EXECUTE FUNCTION audit_keep();
