-- Who changed what, and when: a row for every change, written in the change's own transaction.
--
-- seq is the public number, and it counts in the order of the commits. id cannot: PostgreSQL gives it out before the
-- commit, and a reader that has seen 8 would never see a 7 that commits late. So a row is written without a seq, and a
-- publisher (one at a time, under an advisory lock) numbers what is committed, by id. It sees committed rows only, so
-- whatever commits later gets a later number, and no row that another one waited for comes behind it: it had its id
-- before the other could even be written. Reading behind the oldest open transaction instead would stop the feed for as
-- long as any transaction of the database is open, and its numbers would not survive a dump; one row that every writer
-- locks would make all writers wait for each other's commit.
--   customer_id: whose personal data before_json and after_json may hold, for the day that it must go.
CREATE TABLE changes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seq BIGINT,
    time BIGINT NOT NULL,
    actor TEXT NOT NULL,
    session TEXT NOT NULL,
    act TEXT NOT NULL,
    request_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    resource_id BIGINT NOT NULL,
    customer_id BIGINT,
    verb TEXT NOT NULL,
    before_json TEXT,
    after_json TEXT
);

CREATE UNIQUE INDEX changes_seq_key ON changes (seq);
CREATE INDEX changes_unpublished ON changes (id) WHERE seq IS NULL;
CREATE INDEX changes_by_resource ON changes (kind, resource_id, seq);
CREATE INDEX changes_by_actor ON changes (actor, seq);
CREATE INDEX changes_by_customer ON changes (customer_id) WHERE customer_id IS NOT NULL;
