-- One row: which secrets file (AUTH_SECRETS) this database is used with. What is stored under its keys (the secrets of
-- service accounts, the successors of refresh tokens, the memory of request ids) means nothing under others, so a
-- replica that was given another file does not start.
CREATE TABLE secrets_check (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    fingerprint BYTEA NOT NULL
);
