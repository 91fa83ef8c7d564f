-- Whose personal data a remembered answer may hold, so that an erasure finds it without reading a day's answers: NULL for
-- nobody's. 0 stands where nobody has said it: for the answers of before, until their day is over.
ALTER TABLE idempotency_keys ADD COLUMN customer_id INTEGER DEFAULT 0;
CREATE INDEX idempotency_keys_by_customer ON idempotency_keys (customer_id) WHERE customer_id IS NOT NULL;
