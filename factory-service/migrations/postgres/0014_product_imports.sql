-- How far an import of products is, so that it goes on where it was cut off: written with each batch of rows. hash is a
-- keyed hash over all rows so far. Kept for 24 hours.
CREATE TABLE product_imports (
    caller TEXT NOT NULL,
    request_id TEXT NOT NULL,
    done_rows BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    report BYTEA NOT NULL,
    is_done BIGINT NOT NULL,
    create_time BIGINT NOT NULL,
    PRIMARY KEY (caller, request_id)
);
