-- How many lines an order has: a list of orders is cut where their lines become many, before any of them is read.
ALTER TABLE orders ADD COLUMN line_count INTEGER NOT NULL DEFAULT 0;
UPDATE orders SET line_count = (SELECT count(*) FROM order_lines WHERE order_lines.order_id = orders.id);

-- A product stands once in an order: a reservation is added to it in one statement for all the lines, which sees each
-- product once.
DROP INDEX order_lines_by_product;
CREATE UNIQUE INDEX order_lines_product_id_order_id_key ON order_lines (product_id, order_id);
