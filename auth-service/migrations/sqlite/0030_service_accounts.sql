-- Service accounts that administrators make, and secrets that are rotated.
--
-- revision counts the changes that a reader can see (the etag). delete_time: a deleted account stays as a name that
-- nobody gets again, because tokens, accounts and records still name it. tokens_ended_time: tokens issued until then are
-- refused; set by disabling, so that enabling brings no old token back. configured_hash: the hash of the secret that the
-- configuration named at the last start; null for an account that is not made from configuration.
ALTER TABLE service_accounts ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE service_accounts ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
ALTER TABLE service_accounts ADD COLUMN update_time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE service_accounts ADD COLUMN delete_time INTEGER;
ALTER TABLE service_accounts ADD COLUMN tokens_ended_time INTEGER;
ALTER TABLE service_accounts ADD COLUMN configured_hash BLOB;

UPDATE service_accounts SET update_time = create_time, configured_hash = secret_hash;

-- The secrets that work. secret_hash: an HMAC-SHA256 under a key that only the auth service has
-- (domain/service_account.rs). expire_time: null for the current one, of which an account has one at most.
CREATE TABLE service_account_secrets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    client_id TEXT NOT NULL REFERENCES service_accounts (client_id) ON DELETE CASCADE,
    secret_hash BLOB NOT NULL,
    create_time INTEGER NOT NULL,
    expire_time INTEGER,
    last_used_time INTEGER,
    UNIQUE (client_id, secret_hash)
) STRICT;

CREATE UNIQUE INDEX service_account_secrets_client_id_key ON service_account_secrets (client_id)
    WHERE expire_time IS NULL;
CREATE INDEX service_account_secrets_by_expire_time ON service_account_secrets (expire_time);

INSERT INTO service_account_secrets (client_id, secret_hash, create_time, last_used_time)
SELECT client_id, secret_hash, create_time, last_used_time FROM service_accounts;

ALTER TABLE service_accounts DROP COLUMN secret_hash;
