-- A run that is completed moves the stock too. SQLite cannot change a CHECK: the table is made anew.
CREATE TABLE stock_movements_new (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    product_id INTEGER NOT NULL REFERENCES products (id),
    delta INTEGER NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    order_id INTEGER REFERENCES orders (id),
    run_id INTEGER REFERENCES production_runs (id),
    actor TEXT NOT NULL,
    session TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    CONSTRAINT stock_movements_kind_known CHECK (kind IN ('CREATED', 'ADJUSTED', 'SHIPPED', 'PRODUCED')),
    CONSTRAINT stock_movements_shipped_for_an_order CHECK ((kind = 'SHIPPED') = (order_id IS NOT NULL)),
    CONSTRAINT stock_movements_produced_by_a_run CHECK ((kind = 'PRODUCED') = (run_id IS NOT NULL))
) STRICT;

INSERT INTO stock_movements_new (id, product_id, delta, kind, reason, order_id, actor, session, create_time)
    SELECT id, product_id, delta, kind, reason, order_id, actor, session, create_time FROM stock_movements;
DROP TABLE stock_movements;
ALTER TABLE stock_movements_new RENAME TO stock_movements;

CREATE INDEX stock_movements_by_product ON stock_movements (product_id, id);
CREATE INDEX stock_movements_by_order ON stock_movements (order_id);
-- One run is in the ledger once.
CREATE UNIQUE INDEX stock_movements_run_id_key ON stock_movements (run_id) WHERE run_id IS NOT NULL;
