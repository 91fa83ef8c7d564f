-- What a line comes to, in minor units of the order's currency. discount and tax are each rounded half to even, on the
-- line:
--   discount   = unit_price * quantity * discount_bp / 10000
--   line_total = unit_price * quantity - discount
--   tax        = line_total * tax_bp / 10000
-- and of an order: subtotal = the sum of line_total, tax = the sum of tax, total = subtotal + tax.
ALTER TABLE order_lines
    ADD COLUMN discount_bp BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN discount_minor BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN tax_bp BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN tax_minor BIGINT NOT NULL DEFAULT 0,
    DROP CONSTRAINT order_lines_total_is_product,
    ADD CONSTRAINT order_lines_rates_are_shares
        CHECK (discount_bp BETWEEN 0 AND 10000 AND tax_bp BETWEEN 0 AND 10000),
    ADD CONSTRAINT order_lines_amounts_not_negative
        CHECK (discount_minor >= 0 AND line_total_minor >= 0 AND tax_minor >= 0),
    ADD CONSTRAINT order_lines_total_is_price_less_discount
        CHECK (line_total_minor = unit_price_minor * quantity - discount_minor),
    ADD CONSTRAINT order_lines_no_amount_without_its_rate
        CHECK ((discount_bp > 0 OR discount_minor = 0) AND (tax_bp > 0 OR tax_minor = 0));

-- notes and shipping_address are as they were when the order was placed: a customer who moves changes no order.
ALTER TABLE orders
    ADD COLUMN notes TEXT NOT NULL DEFAULT '',
    ADD COLUMN shipping_address TEXT NOT NULL DEFAULT '',
    ADD COLUMN subtotal_minor BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN tax_minor BIGINT NOT NULL DEFAULT 0;
UPDATE orders SET subtotal_minor = total_minor;
ALTER TABLE orders ADD CONSTRAINT orders_total_is_subtotal_and_tax
    CHECK (total_minor = subtotal_minor + tax_minor AND tax_minor >= 0);

-- The tax rate of a line that does not say its own.
ALTER TABLE products
    ADD COLUMN tax_bp BIGINT NOT NULL DEFAULT 0,
    ADD CONSTRAINT products_tax_is_a_share CHECK (tax_bp BETWEEN 0 AND 10000);
