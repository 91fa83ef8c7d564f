-- Access tokens that were revoked one by one, by their `jti`; kept until they would have expired by themselves.
CREATE TABLE revoked_tokens (
    jti TEXT NOT NULL PRIMARY KEY,
    expire_time BIGINT NOT NULL
);

CREATE INDEX revoked_tokens_by_expire_time ON revoked_tokens (expire_time);
