-- The changes of a customer in the order of their ids, as SQLite's index has them anyway: an erasure takes them some at a
-- time, so that no statement is longer than it may be.
CREATE INDEX changes_by_customer_and_id ON changes (customer_id, id) WHERE customer_id IS NOT NULL;
DROP INDEX changes_by_customer;
