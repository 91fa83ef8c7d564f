-- Service accounts: how internal services say who they are (client credentials, RFC 6749 section 4.4).
--
-- secret_hash: an HMAC-SHA256 of the secret under a key that only the auth service has (domain/service_account.rs).
-- scopes: separated by spaces, never empty.
CREATE TABLE service_accounts (
    client_id TEXT NOT NULL PRIMARY KEY,
    secret_hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    last_used_time INTEGER,
    CONSTRAINT service_accounts_have_scopes CHECK (scopes <> '')
) STRICT;
