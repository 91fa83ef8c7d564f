-- The answers to requests that carried a request_id, kept for 24 hours, so that a retry gives
-- the first answer again. caller: who sent it; body_hash: a keyed hash of the request;
-- response: the encoded answer, NULL while the work is not done.
CREATE TABLE idempotency_keys (
    caller TEXT NOT NULL,
    request_id TEXT NOT NULL,
    method TEXT NOT NULL,
    body_hash BYTEA NOT NULL,
    response BYTEA,
    create_time BIGINT NOT NULL,
    PRIMARY KEY (caller, request_id)
);

CREATE INDEX idempotency_keys_create_time ON idempotency_keys (create_time);
