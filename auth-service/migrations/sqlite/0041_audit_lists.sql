-- What the audit log is searched by, besides accounts and sessions.
CREATE INDEX audit_log_time ON audit_log (time, seq);
CREATE INDEX audit_log_event ON audit_log (event, seq);
CREATE INDEX audit_log_actor ON audit_log (actor, seq);
CREATE INDEX audit_log_address ON audit_log (address, seq);
