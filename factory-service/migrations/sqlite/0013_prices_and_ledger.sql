-- When so many pieces or fewer are available, more are to be made; 0 is never.
ALTER TABLE products ADD COLUMN reorder_threshold INTEGER NOT NULL DEFAULT 0
    CONSTRAINT products_reorder_threshold_not_negative CHECK (reorder_threshold >= 0);
CREATE INDEX products_low_in_stock ON products (id)
    WHERE reorder_threshold > 0 AND on_hand - reserved <= reorder_threshold AND delete_time IS NULL;

-- Every price that a product has had, and since when.
CREATE TABLE product_prices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    product_id INTEGER NOT NULL REFERENCES products (id),
    unit_price_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    actor TEXT NOT NULL,
    create_time INTEGER NOT NULL
) STRICT;
CREATE INDEX product_prices_by_product ON product_prices (product_id, id);
INSERT INTO product_prices (product_id, unit_price_minor, currency, actor, create_time)
    SELECT id, unit_price_minor, currency, '', create_time FROM products ORDER BY id;

-- A reservation moves the stock too: the sum of delta is products.on_hand, the sum of reserved_delta products.reserved.
-- SQLite cannot change a CHECK: the table is made anew.
CREATE TABLE stock_movements_new (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    product_id INTEGER NOT NULL REFERENCES products (id),
    delta INTEGER NOT NULL,
    reserved_delta INTEGER NOT NULL DEFAULT 0,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    order_id INTEGER REFERENCES orders (id),
    run_id INTEGER REFERENCES production_runs (id),
    part_id INTEGER REFERENCES ticket_parts (id),
    actor TEXT NOT NULL,
    session TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    CONSTRAINT stock_movements_kind_known CHECK
        (kind IN ('CREATED', 'ADJUSTED', 'IMPORTED', 'RESERVED', 'RELEASED', 'SHIPPED', 'PRODUCED', 'PART')),
    CONSTRAINT stock_movements_of_an_order
        CHECK ((kind IN ('RESERVED', 'RELEASED', 'SHIPPED')) = (order_id IS NOT NULL)),
    CONSTRAINT stock_movements_reserved_for_an_order CHECK (reserved_delta = 0 OR order_id IS NOT NULL),
    CONSTRAINT stock_movements_produced_by_a_run CHECK ((kind = 'PRODUCED') = (run_id IS NOT NULL)),
    CONSTRAINT stock_movements_part_of_a_ticket CHECK ((kind = 'PART') = (part_id IS NOT NULL))
) STRICT;
INSERT INTO stock_movements_new
    (id, product_id, delta, kind, reason, order_id, run_id, part_id, actor, session, create_time)
    SELECT id, product_id, delta, kind, reason, order_id, run_id, part_id, actor, session, create_time FROM stock_movements;
DROP TABLE stock_movements;
ALTER TABLE stock_movements_new RENAME TO stock_movements;
CREATE INDEX stock_movements_by_product ON stock_movements (product_id, id);
CREATE INDEX stock_movements_by_order ON stock_movements (order_id);
CREATE UNIQUE INDEX stock_movements_run_id_key ON stock_movements (run_id) WHERE run_id IS NOT NULL;
CREATE UNIQUE INDEX stock_movements_part_id_key ON stock_movements (part_id) WHERE part_id IS NOT NULL;
INSERT INTO stock_movements (product_id, delta, reserved_delta, kind, reason, order_id, actor, session, create_time)
    SELECT l.product_id, 0, l.quantity, 'RESERVED', '', o.id, '', '', o.create_time
    FROM orders o JOIN order_lines l ON l.order_id = o.id
    WHERE o.state IN ('PLACED', 'CONFIRMED', 'IN_PRODUCTION') ORDER BY o.id, l.position;
