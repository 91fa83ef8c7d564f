-- Who changed what, and when: a row for every change, written in the change's own transaction.
--
-- seq is the public number, and it counts in the order of the commits. SQLite has one writer at a time, so a number that
-- is given out inside the transaction is in that order already.
--   customer_id: whose personal data before_json and after_json may hold, for the day that it must go.
CREATE TABLE changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL,
    actor TEXT NOT NULL,
    session TEXT NOT NULL,
    act TEXT NOT NULL,
    request_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    resource_id INTEGER NOT NULL,
    customer_id INTEGER,
    verb TEXT NOT NULL,
    before_json TEXT,
    after_json TEXT
) STRICT;

CREATE UNIQUE INDEX changes_seq_key ON changes (seq);
CREATE INDEX changes_by_resource ON changes (kind, resource_id, seq);
CREATE INDEX changes_by_actor ON changes (actor, seq);
CREATE INDEX changes_by_customer ON changes (customer_id) WHERE customer_id IS NOT NULL;
