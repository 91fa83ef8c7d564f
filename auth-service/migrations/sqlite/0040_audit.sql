-- The audit log. A change writes its event into audit_pending in its own transaction; a sealer moves the events into
-- audit_log about a second later, where each row's mac covers the row and the mac before it. So no request waits for the
-- head of the chain, and seq has no gaps. docs/audit.md tells the whole story.
-- outcome: done or refused; occurrences: how many equal events the row stands for (a flood is summed up); mac: keyed, so
-- that a row put in by hand is not taken for one of the service's.
CREATE TABLE audit_pending (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    event TEXT NOT NULL,
    outcome TEXT NOT NULL,
    cause TEXT NOT NULL,
    actor TEXT NOT NULL,
    subject INTEGER,
    client_id TEXT NOT NULL,
    session TEXT NOT NULL,
    address TEXT NOT NULL,
    request_id TEXT NOT NULL,
    occurrences INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT;

CREATE TABLE audit_log (
    seq INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    event TEXT NOT NULL,
    outcome TEXT NOT NULL,
    cause TEXT NOT NULL,
    actor TEXT NOT NULL,
    subject INTEGER,
    client_id TEXT NOT NULL,
    session TEXT NOT NULL,
    address TEXT NOT NULL,
    request_id TEXT NOT NULL,
    occurrences INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT;

CREATE INDEX audit_log_subject ON audit_log (subject, seq);
CREATE INDEX audit_log_session ON audit_log (session, seq);

-- One row: where the chain ends. Whoever holds it seals; the others wait for their turn.
CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT;

-- Where the chain was, signed with another key. The same stands in a file outside the database.
CREATE TABLE audit_checkpoints (
    seq INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    mac BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;

-- What is sealed stays. This keeps honest hands off; against others there are the macs and the checkpoints.
CREATE TRIGGER audit_log_keep_update BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_log_keep_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_checkpoints_keep_update BEFORE UPDATE ON audit_checkpoints
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_checkpoints_keep_delete BEFORE DELETE ON audit_checkpoints
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
