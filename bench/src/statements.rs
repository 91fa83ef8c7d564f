//! The factory's statements, for the loops without the factory: as `factory-service/src/store/` has them, for an order
//! of three lines. A test holds the two together.

use std::sync::LazyLock;

/// Lines of an order.
pub(crate) const LINES: usize = 3;

/// A product's columns, in their order.
pub(crate) type ProductRow = (
    i64,
    String,
    String,
    String,
    i64,
    String,
    i64,
    i64,
    i64,
    i64,
    String,
    i64,
    i64,
    i64,
    Option<i64>,
);

/// A product by its key.
pub(crate) const SELECT_PRODUCT: &str = "SELECT id, sku, name, description, unit_price_minor, currency, \
     tax_bp, reorder_threshold, on_hand, reserved, state, revision, create_time, update_time, delete_time FROM products WHERE id = $1";

/// A page of products.
pub(crate) const LIST_PRODUCTS: &str = "SELECT id, sku, name, description, unit_price_minor, currency, \
     tax_bp, reorder_threshold, on_hand, reserved, state, revision, create_time, update_time, delete_time FROM products \
     WHERE (delete_time IS NULL) ORDER BY id LIMIT $1";

const CUSTOMER: &str = "SELECT id, shipping_address FROM customers WHERE (id = $1 OR user_id = $2) AND delete_time IS NULL";
const OFFER: &str = "SELECT (SELECT id FROM customer) AS customer_id, \
     (SELECT shipping_address FROM customer) AS customer_address, id, sku, name, unit_price_minor, currency, tax_bp, \
     on_hand - reserved AS available, state FROM products";
const LINE: &str = "line (position, product_id, sku, name, unit_price_minor, quantity, discount_bp, discount_minor, \
     line_total_minor, tax_bp, tax_minor)";
const RESERVE: &str = "UPDATE products SET reserved = products.reserved + line.quantity \
     FROM line WHERE products.id = line.product_id";
/// The order itself.
pub(crate) const INSERT_ORDER: &str = "INSERT INTO orders \
     (customer_id, state, subtotal_minor, tax_minor, total_minor, currency, shipping_address, notes, cancel_reason, \
     line_count, revision, create_time, update_time) \
     VALUES ($1, 'PLACED', $2, $3, $4, $5, $6, $7, '', $8, 1, $9, $9) RETURNING id";
const INSERT_LINES: &str = "INSERT INTO order_lines \
     (order_id, position, product_id, sku, name, unit_price_minor, quantity, discount_bp, discount_minor, \
     line_total_minor, tax_bp, tax_minor) \
     SELECT placed.id, line.position, line.product_id, line.sku, line.name, line.unit_price_minor, line.quantity, \
     line.discount_bp, line.discount_minor, line.line_total_minor, line.tax_bp, line.tax_minor FROM placed, line";
/// The order's first state.
pub(crate) const INSERT_STATE: &str = "INSERT INTO order_states (order_id, state, actor, session, create_time) VALUES ($1, 'PLACED', $2, $3, $4)";

/// The ledger's rows of what an order has reserved, on SQLite.
pub(crate) const RESERVED_SQLITE: &str = "INSERT INTO stock_movements \
     (product_id, delta, reserved_delta, kind, reason, order_id, actor, session, create_time) \
     SELECT l.product_id, 0, l.quantity, 'RESERVED', '', l.order_id, $2, $3, $4 \
     FROM order_lines l WHERE l.order_id = $1 ORDER BY l.position";
const CHANGE: &str = "INSERT INTO changes (seq, time, actor, session, act, request_id, kind, resource_id, customer_id, verb, \
     before_json, after_json) VALUES (";
const CHANGE_VALUES: &str = ", $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
/// The order's row in the log of changes, on SQLite.
pub(crate) static CHANGE_SQLITE: LazyLock<String> = LazyLock::new(|| {
    format!("{CHANGE}(SELECT coalesce(max(seq), 0) + 1 FROM changes){CHANGE_VALUES}")
});
/// The order's row in the log of changes, on PostgreSQL.
pub(crate) static CHANGE_POSTGRES: LazyLock<String> =
    LazyLock::new(|| format!("{CHANGE}NULL{CHANGE_VALUES}"));

/// What is offered, on SQLite.
pub(crate) static OFFERS_SQLITE: LazyLock<String> = LazyLock::new(|| offers("", ""));
/// What is offered, under locks, on PostgreSQL.
pub(crate) static OFFERS_POSTGRES: LazyLock<String> =
    LazyLock::new(|| offers(" FOR KEY SHARE", " FOR NO KEY UPDATE"));
/// Reserves the stock of the lines, on SQLite.
pub(crate) static RESERVE_SQLITE: LazyLock<String> =
    LazyLock::new(|| format!("WITH {LINE} AS (VALUES {}) {RESERVE}", rows(1)));
/// The lines of an order, on SQLite.
pub(crate) static INSERT_LINES_SQLITE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH placed (id) AS (VALUES ($1)), {LINE} AS (VALUES {}) {INSERT_LINES}",
        rows(2)
    )
});
/// Everything that an order writes, on PostgreSQL.
pub(crate) static PLACE_POSTGRES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH {LINE} AS (VALUES {}), placed AS ({INSERT_ORDER}), reserved AS ({RESERVE}), lines AS ({INSERT_LINES}), \
         moved AS (INSERT INTO order_states (order_id, state, actor, session, create_time) \
         SELECT id, 'PLACED', $10, $11, $9 FROM placed), noted AS (INSERT INTO stock_movements \
         (product_id, delta, reserved_delta, kind, reason, order_id, actor, session, create_time) \
         SELECT line.product_id, 0, line.quantity, 'RESERVED', '', placed.id, $10, $11, $9 FROM placed, line) \
         SELECT id FROM placed",
        rows(12)
    )
});

/// Whether every order has its lines, its state and its reserved pieces (one a line). The numbers of orders, lines,
/// states and pieces.
pub(crate) const BOOKS: &str = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM order_lines), \
     (SELECT count(*) FROM order_states), (SELECT cast(sum(reserved) AS bigint) FROM products)";

fn offers(for_reference: &str, for_change: &str) -> String {
    format!(
        "WITH customer AS ({CUSTOMER}{for_reference}) {OFFER} WHERE id IN ($3, $4, $5) \
         AND delete_time IS NULL ORDER BY id{for_change}"
    )
}

/// The placeholders of the lines.
fn rows(first: usize) -> String {
    const COLUMNS: usize = 11;
    let row = |row: usize| {
        let first = first + row * COLUMNS;
        let names: Vec<String> = (first..first + COLUMNS).map(|n| format!("${n}")).collect();
        format!("({})", names.join(", "))
    };
    (0..LINES).map(row).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source text as one line, its string continuations joined.
    fn joined(source: &str) -> String {
        let words = source
            .replace("\\\n", " ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        words.replace("{}", "")
    }

    #[test]
    fn the_statements_are_those_of_the_factory() {
        let placing = joined(include_str!("../../factory-service/src/store/placing.rs"));
        let clauses = joined(include_str!("../../factory-service/src/store/mod.rs"));
        for statement in [
            CUSTOMER,
            OFFER,
            LINE,
            RESERVE,
            INSERT_ORDER,
            INSERT_LINES,
            INSERT_STATE,
        ] {
            assert!(placing.contains(&joined(statement)), "{statement}");
        }
        for frame in [
            "WITH {LINE} AS (VALUES ), placed AS ({INSERT_ORDER}), reserved AS ({RESERVE}), lines AS ({INSERT_LINES}), \
             moved AS (INSERT INTO order_states (order_id, state, actor, session, create_time) \
             SELECT id, 'PLACED', $10, $11, $9 FROM placed), noted AS (INSERT INTO stock_movements \
             (product_id, delta, reserved_delta, kind, reason, order_id, actor, session, create_time) \
             SELECT line.product_id, 0, line.quantity, 'RESERVED', '', placed.id, $10, $11, $9 FROM placed, line) \
             SELECT id FROM placed",
            "WITH {LINE} AS (VALUES ) {RESERVE}",
            "WITH placed (id) AS (VALUES ($1)), {LINE} AS (VALUES ) {INSERT_LINES}",
            "WHERE id IN () AND delete_time IS NULL ORDER BY id",
            "on_postgres(tx, FOR_REFERENCE)",
            "on_postgres(tx, FOR_CHANGE)",
        ] {
            assert!(placing.contains(frame), "{frame}");
        }
        let changes = joined(include_str!("../../factory-service/src/store/change.rs"));
        assert!(changes.contains(&joined(CHANGE)) && changes.contains(CHANGE_VALUES));
        assert!(clauses.contains("FOR_REFERENCE: &str = \" FOR KEY SHARE\""));
        assert!(clauses.contains("FOR_CHANGE: &str = \" FOR NO KEY UPDATE\""));
    }

    #[test]
    fn the_columns_of_a_product_are_those_of_the_factory() {
        let product = joined(include_str!("../../factory-service/src/store/product.rs"));
        let columns = SELECT_PRODUCT
            .strip_prefix("SELECT ")
            .and_then(|rest| rest.split_once(" FROM"))
            .map(|(columns, _)| columns)
            .expect("columns");
        assert!(product.contains(columns), "{columns}");
        assert!(LIST_PRODUCTS.contains(columns));
    }

    #[test]
    fn the_placeholders_of_three_lines_count_on() {
        assert!(
            rows(12).starts_with("($12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22), ($23,")
        );
        assert!(rows(12).ends_with("$44)"));
    }
}
