-- When a guard's connection ended; its row stays for a while. A guard that is away may serve on with the keys that it
-- had, so one that had not got an announced key is waited for (src/trust/keeper.rs).
ALTER TABLE trust_guards ADD COLUMN left_time INTEGER;

CREATE INDEX trust_guards_by_instance ON trust_guards (client_id, instance);
