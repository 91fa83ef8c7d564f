-- Passwords to be set anew: one row for each account that asked lately.
--
-- token_hash: SHA-256 of the token that was mailed last; null once it was used. generation, revision: the account's when it
-- was asked for; a token of another one means nothing (the password, the role, the state or a name has changed since).
-- window_time, mails: when the current hour began, and how many mails were sent in it.
CREATE TABLE password_resets (
    user_id BIGINT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    token_hash BYTEA UNIQUE,
    generation BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    expire_time BIGINT NOT NULL,
    window_time BIGINT NOT NULL,
    mails BIGINT NOT NULL
);
