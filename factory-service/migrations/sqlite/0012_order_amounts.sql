-- What a line comes to, in minor units of the order's currency. discount and tax are each rounded half to even, on the
-- line:
--   discount   = unit_price * quantity * discount_bp / 10000
--   line_total = unit_price * quantity - discount
--   tax        = line_total * tax_bp / 10000
-- and of an order: subtotal = the sum of line_total, tax = the sum of tax, total = subtotal + tax.
-- SQLite cannot change a CHECK: the table is made anew.
CREATE TABLE order_lines_new (
    order_id INTEGER NOT NULL REFERENCES orders (id),
    position INTEGER NOT NULL,
    product_id INTEGER NOT NULL REFERENCES products (id),
    sku TEXT NOT NULL,
    name TEXT NOT NULL,
    unit_price_minor INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    discount_bp INTEGER NOT NULL,
    discount_minor INTEGER NOT NULL,
    line_total_minor INTEGER NOT NULL,
    tax_bp INTEGER NOT NULL,
    tax_minor INTEGER NOT NULL,
    PRIMARY KEY (order_id, position),
    CONSTRAINT order_lines_quantity_positive CHECK (quantity > 0),
    CONSTRAINT order_lines_rates_are_shares CHECK (discount_bp BETWEEN 0 AND 10000 AND tax_bp BETWEEN 0 AND 10000),
    CONSTRAINT order_lines_amounts_not_negative CHECK (discount_minor >= 0 AND line_total_minor >= 0 AND tax_minor >= 0),
    CONSTRAINT order_lines_total_is_price_less_discount
        CHECK (line_total_minor = unit_price_minor * quantity - discount_minor),
    CONSTRAINT order_lines_no_amount_without_its_rate
        CHECK ((discount_bp > 0 OR discount_minor = 0) AND (tax_bp > 0 OR tax_minor = 0))
) STRICT, WITHOUT ROWID;

INSERT INTO order_lines_new
    SELECT order_id, position, product_id, sku, name, unit_price_minor, quantity, 0, 0, line_total_minor, 0, 0
    FROM order_lines;
DROP TABLE order_lines;
ALTER TABLE order_lines_new RENAME TO order_lines;
CREATE UNIQUE INDEX order_lines_product_id_order_id_key ON order_lines (product_id, order_id);

-- notes and shipping_address are as they were when the order was placed: a customer who moves changes no order.
ALTER TABLE orders ADD COLUMN notes TEXT NOT NULL DEFAULT '';
ALTER TABLE orders ADD COLUMN shipping_address TEXT NOT NULL DEFAULT '';
ALTER TABLE orders ADD COLUMN subtotal_minor INTEGER NOT NULL DEFAULT 0;
UPDATE orders SET subtotal_minor = total_minor;
ALTER TABLE orders ADD COLUMN tax_minor INTEGER NOT NULL DEFAULT 0
    CONSTRAINT orders_total_is_subtotal_and_tax CHECK (total_minor = subtotal_minor + tax_minor AND tax_minor >= 0);

-- The tax rate of a line that does not say its own.
ALTER TABLE products ADD COLUMN tax_bp INTEGER NOT NULL DEFAULT 0
    CONSTRAINT products_tax_is_a_share CHECK (tax_bp BETWEEN 0 AND 10000);
