-- Refresh tokens of a session are numbered, and the number stands in the token under a seal (domain/refresh.rs). So a
-- used one is known for what it is when its row is gone, and a session keeps two rows instead of one for every refresh.
--
-- refresh_count: the number of the session's newest token. refresh_floor: of the first one that counts: those before
-- it were forgotten when the password was changed. number: null for a token from before there were numbers; its row
-- stays as long as its session.
ALTER TABLE sessions ADD COLUMN refresh_count BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN refresh_floor BIGINT NOT NULL DEFAULT 0;
ALTER TABLE refresh_tokens ADD COLUMN number BIGINT;

-- Few rows of a person: for lists, and to count them at a login.
CREATE INDEX sessions_not_ended ON sessions (user_id) WHERE ended_time IS NULL;
