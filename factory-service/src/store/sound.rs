//! What must be true of the whole database at every moment, whatever was done and whenever the process died. Each rule is
//! one statement, so it sees one moment.

use millgate_platform::{Database, Fault, on};

/// What must be, and how many rows say otherwise.
pub(crate) const RULES: &[(&str, &str)] = &[
    (
        "the stock of every product is the sum of its ledger",
        "SELECT count(*) FROM products p LEFT JOIN (SELECT product_id, cast(sum(delta) AS bigint) AS moved, \
         cast(sum(reserved_delta) AS bigint) AS held FROM stock_movements GROUP BY product_id) m ON m.product_id = p.id \
         WHERE p.on_hand <> coalesce(m.moved, 0) OR p.reserved <> coalesce(m.held, 0)",
    ),
    (
        "what is reserved is what open orders wait for",
        "SELECT count(*) FROM products p LEFT JOIN (SELECT l.product_id, cast(sum(l.quantity) AS bigint) AS wanted \
         FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE o.state IN ('PLACED', 'CONFIRMED', 'IN_PRODUCTION') \
         GROUP BY l.product_id) w ON w.product_id = p.id WHERE p.reserved <> coalesce(w.wanted, 0)",
    ),
    (
        "no stock is negative, and no more is reserved than there is",
        "SELECT count(*) FROM products WHERE on_hand < 0 OR reserved < 0 OR reserved > on_hand",
    ),
    (
        "the totals of every order are the sums of its lines",
        "SELECT count(*) FROM orders o LEFT JOIN (SELECT order_id, count(*) AS lines, \
         cast(sum(line_total_minor) AS bigint) AS subtotal, cast(sum(tax_minor) AS bigint) AS tax FROM order_lines \
         GROUP BY order_id) l ON l.order_id = o.id WHERE o.line_count <> coalesce(l.lines, 0) OR o.line_count < 1 \
         OR o.subtotal_minor <> l.subtotal OR o.tax_minor <> l.tax OR o.total_minor <> l.subtotal + l.tax",
    ),
    (
        "what each order holds is in the ledger: its lines while it is open, and nothing else",
        "SELECT count(*) FROM (SELECT o.id, l.product_id, CASE WHEN o.state IN ('PLACED', 'CONFIRMED', 'IN_PRODUCTION') \
         THEN l.quantity ELSE 0 END AS wanted, (SELECT cast(coalesce(sum(m.reserved_delta), 0) AS bigint) \
         FROM stock_movements m WHERE m.order_id = o.id AND m.product_id = l.product_id) AS held \
         FROM orders o JOIN order_lines l ON l.order_id = o.id) h WHERE wanted <> held",
    ),
    (
        "what each run made and each ticket took is in the ledger",
        "SELECT (SELECT count(*) FROM production_runs r WHERE r.produced_quantity <> coalesce((SELECT m.delta \
         FROM stock_movements m WHERE m.run_id = r.id AND m.product_id = r.product_id), 0)) \
         + (SELECT count(*) FROM ticket_parts p WHERE p.quantity <> coalesce((SELECT -m.delta \
         FROM stock_movements m WHERE m.part_id = p.id AND m.product_id = p.product_id), 0))",
    ),
    (
        "every line's discount and tax are rounded half to even",
        ROUNDED,
    ),
    (
        "no order was in a state that the machine does not lead to",
        "SELECT count(*) FROM (SELECT state, lag(state) OVER (PARTITION BY order_id ORDER BY id) AS before \
         FROM order_states) s WHERE NOT CASE state WHEN 'PLACED' THEN before IS NULL \
         WHEN 'CONFIRMED' THEN coalesce(before, '') = 'PLACED' WHEN 'IN_PRODUCTION' THEN coalesce(before, '') = 'CONFIRMED' \
         WHEN 'SHIPPED' THEN coalesce(before, '') = 'IN_PRODUCTION' WHEN 'COMPLETED' THEN coalesce(before, '') = 'SHIPPED' \
         ELSE coalesce(before, '') IN ('PLACED', 'CONFIRMED', 'IN_PRODUCTION') END",
    ),
    (
        "every order is in the last state of its history",
        "SELECT count(*) FROM orders o WHERE o.state <> coalesce((SELECT s.state FROM order_states s \
         WHERE s.order_id = o.id ORDER BY s.id DESC LIMIT 1), '')",
    ),
    (
        "every state that an order was moved to is a row in the log of changes",
        "SELECT count(*) FROM orders o WHERE EXISTS (SELECT 1 FROM changes c WHERE c.kind = 'orders' \
         AND c.resource_id = o.id AND c.verb = 'create') AND (SELECT count(*) FROM order_states s WHERE s.order_id = o.id) \
         <> (SELECT count(*) FROM changes c WHERE c.kind = 'orders' AND c.resource_id = o.id)",
    ),
    (
        "no ticket or run was moved by a verb that the machine does not allow",
        "SELECT count(*) FROM (SELECT kind, verb, lag(verb) OVER (PARTITION BY kind, resource_id ORDER BY id) AS before \
         FROM changes WHERE kind IN ('tickets', 'production-runs')) c WHERE before IS NOT NULL AND NOT CASE \
         WHEN kind = 'production-runs' THEN before = 'create' AND verb IN ('complete', 'cancel') \
         WHEN verb = 'assignMechanic' THEN before IN ('create', 'assignMechanic') \
         WHEN verb = 'start' THEN before = 'assignMechanic' WHEN verb IN ('addPart', 'close') THEN before IN ('start', 'addPart') \
         ELSE verb = 'cancel' AND before NOT IN ('close', 'cancel') END",
    ),
    (
        "every revision of everything is a row in the log of changes",
        REVISIONS,
    ),
    (
        "every product's price is the last of its history",
        "SELECT count(*) FROM products p WHERE NOT EXISTS (SELECT 1 FROM product_prices h WHERE h.product_id = p.id \
         AND h.id = (SELECT max(n.id) FROM product_prices n WHERE n.product_id = p.id) \
         AND h.unit_price_minor = p.unit_price_minor AND h.currency = p.currency)",
    ),
    (
        "the numbers of the changes have no gap",
        "SELECT coalesce(max(seq), 0) - count(seq) FROM changes",
    ),
];

/// A share is `amount * rate / 10000`. It is worked out in two halves of the amount, because the product may not fit 64
/// bits.
const ROUNDED: &str = "SELECT count(*) FROM (SELECT discount_minor, tax_minor, \
     gross / 10000 * discount_bp + gross % 10000 * discount_bp / 10000 AS discount, \
     gross % 10000 * discount_bp % 10000 AS discount_rest, \
     line_total_minor / 10000 * tax_bp + line_total_minor % 10000 * tax_bp / 10000 AS tax, \
     line_total_minor % 10000 * tax_bp % 10000 AS tax_rest \
     FROM (SELECT unit_price_minor * quantity AS gross, discount_bp, discount_minor, line_total_minor, tax_bp, tax_minor \
     FROM order_lines) l) s WHERE discount_minor <> discount + CASE WHEN discount_rest > 5000 THEN 1 \
     WHEN discount_rest = 5000 THEN discount % 2 ELSE 0 END OR tax_minor <> tax + CASE WHEN tax_rest > 5000 THEN 1 \
     WHEN tax_rest = 5000 THEN tax % 2 ELSE 0 END";

/// Of what was made before there was a log, it does not know every revision. A product that is shipped is told by the
/// order's row and the ledger's; an erasure revises the customer's orders and tickets, and is told by its own row. That a
/// demo was moved back in time is told of its customers and revises nothing.
const REVISIONS: &str = "SELECT (SELECT count(*) FROM products p WHERE EXISTS (SELECT 1 FROM changes c \
     WHERE c.kind = 'products' AND c.resource_id = p.id AND c.verb = 'create') AND p.revision <> \
     (SELECT count(*) FROM changes c WHERE c.kind = 'products' AND c.resource_id = p.id) \
     + (SELECT count(*) FROM stock_movements m WHERE m.product_id = p.id AND m.kind = 'SHIPPED')) \
     + (SELECT count(*) FROM (SELECT 'customers' AS kind, id, revision FROM customers \
     UNION ALL SELECT 'employees', id, revision FROM employees \
     UNION ALL SELECT 'production-runs', id, revision FROM production_runs) r WHERE EXISTS (SELECT 1 FROM changes c \
     WHERE c.kind = r.kind AND c.resource_id = r.id AND c.verb IN ('create', 'register')) AND r.revision <> \
     (SELECT count(*) FROM changes c WHERE c.kind = r.kind AND c.resource_id = r.id AND c.verb <> 'backdate')) \
     + (SELECT count(*) FROM (SELECT 'orders' AS kind, id, customer_id, revision FROM orders \
     UNION ALL SELECT 'tickets', id, customer_id, revision FROM service_tickets) r WHERE EXISTS (SELECT 1 FROM changes c \
     WHERE c.kind = r.kind AND c.resource_id = r.id AND c.verb = 'create') AND r.revision \
     - (SELECT count(*) FROM changes c WHERE c.kind = r.kind AND c.resource_id = r.id) NOT BETWEEN 0 AND \
     (SELECT count(*) FROM customers c WHERE c.id = r.customer_id AND c.erase_time IS NOT NULL))";

/// How many rows are against a rule.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn wrong(db: &Database, sql: &'static str) -> Result<i64, Fault> {
    Ok(on!(db, |c| sqlx::query_scalar(sql).fetch_one(c).await)?)
}
