-- When so many pieces or fewer are available, more are to be made; 0 is never.
ALTER TABLE products
    ADD COLUMN reorder_threshold BIGINT NOT NULL DEFAULT 0,
    ADD CONSTRAINT products_reorder_threshold_not_negative CHECK (reorder_threshold >= 0);
CREATE INDEX products_low_in_stock ON products (id)
    WHERE reorder_threshold > 0 AND on_hand - reserved <= reorder_threshold AND delete_time IS NULL;

-- Every price that a product has had, and since when.
CREATE TABLE product_prices (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id BIGINT NOT NULL REFERENCES products (id),
    unit_price_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    actor TEXT NOT NULL,
    create_time BIGINT NOT NULL
);
CREATE INDEX product_prices_by_product ON product_prices (product_id, id);
INSERT INTO product_prices (product_id, unit_price_minor, currency, actor, create_time)
    SELECT id, unit_price_minor, currency, '', create_time FROM products ORDER BY id;

-- A reservation moves the stock too: the sum of delta is products.on_hand, the sum of reserved_delta products.reserved.
ALTER TABLE stock_movements
    ADD COLUMN reserved_delta BIGINT NOT NULL DEFAULT 0,
    DROP CONSTRAINT stock_movements_kind_known,
    ADD CONSTRAINT stock_movements_kind_known CHECK
        (kind IN ('CREATED', 'ADJUSTED', 'IMPORTED', 'RESERVED', 'RELEASED', 'SHIPPED', 'PRODUCED', 'PART')),
    DROP CONSTRAINT stock_movements_shipped_for_an_order,
    ADD CONSTRAINT stock_movements_of_an_order
        CHECK ((kind IN ('RESERVED', 'RELEASED', 'SHIPPED')) = (order_id IS NOT NULL)),
    ADD CONSTRAINT stock_movements_reserved_for_an_order CHECK (reserved_delta = 0 OR order_id IS NOT NULL);
INSERT INTO stock_movements (product_id, delta, reserved_delta, kind, reason, order_id, actor, session, create_time)
    SELECT l.product_id, 0, l.quantity, 'RESERVED', '', o.id, '', '', o.create_time
    FROM orders o JOIN order_lines l ON l.order_id = o.id
    WHERE o.state IN ('PLACED', 'CONFIRMED', 'IN_PRODUCTION') ORDER BY o.id, l.position;
