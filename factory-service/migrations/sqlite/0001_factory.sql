-- The factory's tables. Times are microseconds since the epoch, amounts are in the minor unit of their currency.
-- A constraint is the rule: what it refuses, the store names to the caller.

-- sku_canonical and name_canonical are what is compared and searched, without regard to case. A deleted product keeps
-- its SKU: orders refer to it, and it can come back. A reservation does not count as a revision, or every order would
-- make the edit of somebody in the office stale.
CREATE TABLE products (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sku TEXT NOT NULL,
    sku_canonical TEXT NOT NULL,
    name TEXT NOT NULL,
    name_canonical TEXT NOT NULL,
    description TEXT NOT NULL,
    unit_price_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    on_hand INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    state TEXT NOT NULL,
    revision INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    delete_time INTEGER,
    CONSTRAINT products_unit_price_not_negative CHECK (unit_price_minor >= 0),
    CONSTRAINT products_on_hand_not_negative CHECK (on_hand >= 0),
    CONSTRAINT products_on_hand_bounded CHECK (on_hand <= 1000000000000),
    CONSTRAINT products_reserved_not_negative CHECK (reserved >= 0),
    CONSTRAINT products_reserved_on_hand CHECK (reserved <= on_hand),
    CONSTRAINT products_state_known CHECK (state IN ('ACTIVE', 'INACTIVE'))
) STRICT;

CREATE UNIQUE INDEX products_sku_canonical_key ON products (sku_canonical);
CREATE INDEX products_by_name ON products (name_canonical, id);

-- email_canonical stands beside for searching; that it is unique is the rule of customer_emails.
CREATE TABLE customers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    name_canonical TEXT NOT NULL,
    email TEXT NOT NULL,
    email_canonical TEXT NOT NULL,
    phone TEXT NOT NULL,
    phone_canonical TEXT NOT NULL,
    shipping_address TEXT NOT NULL,
    notes TEXT NOT NULL,
    user_id INTEGER,
    revision INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    delete_time INTEGER,
    erase_time INTEGER
) STRICT;

-- One login has one profile.
CREATE UNIQUE INDEX customers_user_id_key ON customers (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX customers_by_name ON customers (name_canonical, id);
CREATE INDEX customers_by_email ON customers (email_canonical);
CREATE INDEX customers_by_phone ON customers (phone_canonical);

-- A registration is committed before the auth service is asked, so that a crash between the two writes leaves a trace
-- that the reconciler follows. id is also the user's external_id at auth. The profile's columns are emptied as soon as
-- the registration is settled. The password is never here; body_hash is keyed.
--   held_until: until then one call drives it, and no other call takes it over.
--   check_time: when the reconciler looks at it next; NULL when there is nothing left to look for.
CREATE TABLE customer_registrations (
    id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    request_id TEXT,
    body_hash BLOB NOT NULL,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    email TEXT NOT NULL,
    phone TEXT NOT NULL,
    shipping_address TEXT NOT NULL,
    response BLOB,
    customer_id INTEGER REFERENCES customers (id),
    attempts INTEGER NOT NULL,
    held_until INTEGER NOT NULL,
    check_time INTEGER,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    CONSTRAINT customer_registrations_state_known CHECK (state IN ('PENDING', 'DONE', 'UNDONE'))
) STRICT;

-- A public create is keyed by method, id and body: nobody can spoil another's request by guessing its id.
CREATE UNIQUE INDEX customer_registrations_request_id_body_hash_key
    ON customer_registrations (request_id, body_hash) WHERE request_id IS NOT NULL;
CREATE INDEX customer_registrations_by_check_time ON customer_registrations (check_time) WHERE check_time IS NOT NULL;
CREATE INDEX customer_registrations_by_customer ON customer_registrations (customer_id);

-- Who has an email address: a profile that is not deleted, or a registration that is not settled. One table, so that
-- one constraint says that nobody else may take it.
CREATE TABLE customer_emails (
    email_canonical TEXT NOT NULL,
    customer_id INTEGER REFERENCES customers (id),
    registration_id TEXT REFERENCES customer_registrations (id),
    CONSTRAINT customer_emails_one_holder CHECK ((customer_id IS NULL) <> (registration_id IS NULL))
) STRICT;

CREATE UNIQUE INDEX customer_emails_email_canonical_key ON customer_emails (email_canonical);
CREATE INDEX customer_emails_by_customer ON customer_emails (customer_id);
CREATE INDEX customer_emails_by_registration ON customer_emails (registration_id);

-- Logins that are to end at the auth service: written in the transaction that ends the profile, tried at once, and
-- again until auth says that the user is gone.
CREATE TABLE login_removals (
    user_id INTEGER NOT NULL PRIMARY KEY,
    attempts INTEGER NOT NULL,
    check_time INTEGER NOT NULL,
    create_time INTEGER NOT NULL
) STRICT;

CREATE INDEX login_removals_by_check_time ON login_removals (check_time);

CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    state TEXT NOT NULL,
    total_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    cancel_reason TEXT NOT NULL,
    revision INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    CONSTRAINT orders_total_not_negative CHECK (total_minor >= 0),
    CONSTRAINT orders_state_known
        CHECK (state IN ('PLACED', 'CONFIRMED', 'IN_PRODUCTION', 'SHIPPED', 'COMPLETED', 'CANCELLED'))
) STRICT;

CREATE INDEX orders_by_customer ON orders (customer_id, id);
CREATE INDEX orders_by_state ON orders (state, id);

-- A copy of the product as it was when the order was placed.
CREATE TABLE order_lines (
    order_id INTEGER NOT NULL REFERENCES orders (id),
    position INTEGER NOT NULL,
    product_id INTEGER NOT NULL REFERENCES products (id),
    sku TEXT NOT NULL,
    name TEXT NOT NULL,
    unit_price_minor INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    line_total_minor INTEGER NOT NULL,
    PRIMARY KEY (order_id, position),
    CONSTRAINT order_lines_quantity_positive CHECK (quantity > 0),
    CONSTRAINT order_lines_total_is_product CHECK (line_total_minor = unit_price_minor * quantity)
) STRICT, WITHOUT ROWID;

CREATE INDEX order_lines_by_product ON order_lines (product_id, order_id);

-- Every state an order was in, who moved it there and in which session.
CREATE TABLE order_states (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    state TEXT NOT NULL,
    actor TEXT NOT NULL,
    session TEXT NOT NULL,
    create_time INTEGER NOT NULL
) STRICT;

CREATE INDEX order_states_by_order ON order_states (order_id, id);

-- Every movement of the stock: their sum is products.on_hand.
CREATE TABLE stock_movements (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    product_id INTEGER NOT NULL REFERENCES products (id),
    delta INTEGER NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    order_id INTEGER REFERENCES orders (id),
    actor TEXT NOT NULL,
    session TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    CONSTRAINT stock_movements_kind_known CHECK (kind IN ('CREATED', 'ADJUSTED', 'SHIPPED')),
    CONSTRAINT stock_movements_shipped_for_an_order CHECK ((kind = 'SHIPPED') = (order_id IS NOT NULL))
) STRICT;

CREATE INDEX stock_movements_by_product ON stock_movements (product_id, id);
CREATE INDEX stock_movements_by_order ON stock_movements (order_id);

CREATE TABLE service_tickets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    state TEXT NOT NULL,
    description TEXT NOT NULL,
    revision INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    CONSTRAINT service_tickets_state_known CHECK (state IN ('OPEN', 'CANCELLED'))
) STRICT;

CREATE INDEX service_tickets_by_customer ON service_tickets (customer_id, id);
CREATE INDEX service_tickets_by_state ON service_tickets (state, id);

-- The answers to requests that carried a request_id, kept for 24 hours, so that a retry gives
-- the first answer again. caller: who sent it; body_hash: a keyed hash of the request;
-- response: the encoded answer, NULL while the work is not done.
CREATE TABLE idempotency_keys (
    caller TEXT NOT NULL,
    request_id TEXT NOT NULL,
    method TEXT NOT NULL,
    body_hash BLOB NOT NULL,
    response BLOB,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (caller, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_create_time ON idempotency_keys (create_time);
