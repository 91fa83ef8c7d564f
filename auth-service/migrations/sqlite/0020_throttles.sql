-- How often somebody may guess (domain/throttle.rs has the rules). Nothing here names anybody: a key is an HMAC of what
-- is counted, under a key that only the auth service has, because people type passwords into the field of the name.
--
-- throttles: the attempts at one account, known or not, since the last good one. Counted before they are checked.
-- blocked_until: none is let through before. last_time: of the last one that was let through; a day after it the row
-- means nothing.
CREATE TABLE throttles (
    key_hash BLOB NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    blocked_until INTEGER NOT NULL,
    last_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX throttles_by_last_time ON throttles (last_time);

-- The failed attempts of one address: a bucket that every one fills and time drains. drained_time: when it is empty
-- again, and the row means nothing.
CREATE TABLE address_buckets (
    key_hash BLOB NOT NULL PRIMARY KEY,
    drained_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX address_buckets_by_drained_time ON address_buckets (drained_time);
