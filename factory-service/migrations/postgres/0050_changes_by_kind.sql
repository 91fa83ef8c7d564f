-- A stream or a list of one kind goes through the log in the order of the numbers, however rare the kind is.
CREATE INDEX changes_by_kind ON changes (kind, seq);
