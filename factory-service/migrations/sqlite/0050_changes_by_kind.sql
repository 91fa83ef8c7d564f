-- A stream or a list of one kind goes through the log in the order of the numbers. Without this, SQLite takes
-- changes_by_resource for it, and reads and sorts every change of the kind, each time.
CREATE INDEX changes_by_kind ON changes (kind, seq);
