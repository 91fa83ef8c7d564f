-- What the audit log is searched by, besides what 0040 and 0041 have: most events are about no service account, and stay out.
CREATE INDEX audit_log_client ON audit_log (client_id, seq) WHERE client_id <> '';
