//! What must be true of the whole database at every moment, whatever was done and whenever the process died. Each rule is
//! one statement, so it sees one moment.

use millgate_platform::{Database, Fault, on};

/// What must be, and how many rows say otherwise.
const RULES: &[(&str, &str)] = &[
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

/// What must be, and how many rows say otherwise: 0 of each, or something is wrong.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn check(db: &Database) -> Result<Vec<(&'static str, i64)>, Fault> {
    let mut found = Vec::with_capacity(RULES.len());
    for (rule, sql) in RULES.iter().copied() {
        let wrong: i64 = on!(db, |c| sqlx::query_scalar(sql).fetch_one(c).await)?;
        found.push((rule, wrong));
    }
    Ok(found)
}
