-- Tickets that somebody works on: what they are about, who has them, the parts they took. SQLite cannot change a CHECK:
-- the tables are made anew.
CREATE TABLE service_tickets_new (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    state TEXT NOT NULL,
    description TEXT NOT NULL,
    priority TEXT NOT NULL,
    product_id INTEGER REFERENCES products (id),
    order_id INTEGER REFERENCES orders (id),
    employee_id INTEGER REFERENCES employees (id),
    labour_minutes INTEGER NOT NULL,
    resolution TEXT NOT NULL,
    start_time INTEGER,
    finish_time INTEGER,
    revision INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    CONSTRAINT service_tickets_state_known
        CHECK (state IN ('OPEN', 'ASSIGNED', 'IN_PROGRESS', 'CLOSED', 'CANCELLED')),
    CONSTRAINT service_tickets_priority_known CHECK (priority IN ('LOW', 'NORMAL', 'HIGH', 'URGENT')),
    CONSTRAINT service_tickets_labour_not_negative CHECK (labour_minutes >= 0),
    CONSTRAINT service_tickets_worked_on_by_somebody
        CHECK (state NOT IN ('ASSIGNED', 'IN_PROGRESS', 'CLOSED') OR employee_id IS NOT NULL),
    CONSTRAINT service_tickets_finished CHECK ((state IN ('CLOSED', 'CANCELLED')) = (finish_time IS NOT NULL))
) STRICT;

INSERT INTO service_tickets_new
    (id, customer_id, state, description, priority, labour_minutes, resolution, finish_time, revision, create_time,
     update_time)
    SELECT id, customer_id, state, description, 'NORMAL', 0, '',
        CASE state WHEN 'CANCELLED' THEN update_time END, revision, create_time, update_time
    FROM service_tickets;
DROP TABLE service_tickets;
ALTER TABLE service_tickets_new RENAME TO service_tickets;

CREATE INDEX service_tickets_by_customer ON service_tickets (customer_id, id);
CREATE INDEX service_tickets_by_state ON service_tickets (state, id);
CREATE INDEX service_tickets_by_employee ON service_tickets (employee_id, id);

-- A copy of the product as it was when the part was taken.
CREATE TABLE ticket_parts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id INTEGER NOT NULL REFERENCES service_tickets (id),
    product_id INTEGER NOT NULL REFERENCES products (id),
    sku TEXT NOT NULL,
    name TEXT NOT NULL,
    unit_price_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    CONSTRAINT ticket_parts_quantity_positive CHECK (quantity > 0)
) STRICT;

CREATE INDEX ticket_parts_by_ticket ON ticket_parts (ticket_id, id);

-- A part moves the stock too.
CREATE TABLE stock_movements_new (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    product_id INTEGER NOT NULL REFERENCES products (id),
    delta INTEGER NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    order_id INTEGER REFERENCES orders (id),
    run_id INTEGER REFERENCES production_runs (id),
    part_id INTEGER REFERENCES ticket_parts (id),
    actor TEXT NOT NULL,
    session TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    CONSTRAINT stock_movements_kind_known CHECK (kind IN ('CREATED', 'ADJUSTED', 'SHIPPED', 'PRODUCED', 'PART')),
    CONSTRAINT stock_movements_shipped_for_an_order CHECK ((kind = 'SHIPPED') = (order_id IS NOT NULL)),
    CONSTRAINT stock_movements_produced_by_a_run CHECK ((kind = 'PRODUCED') = (run_id IS NOT NULL)),
    CONSTRAINT stock_movements_part_of_a_ticket CHECK ((kind = 'PART') = (part_id IS NOT NULL))
) STRICT;

INSERT INTO stock_movements_new (id, product_id, delta, kind, reason, order_id, run_id, actor, session, create_time)
    SELECT id, product_id, delta, kind, reason, order_id, run_id, actor, session, create_time FROM stock_movements;
DROP TABLE stock_movements;
ALTER TABLE stock_movements_new RENAME TO stock_movements;

CREATE INDEX stock_movements_by_product ON stock_movements (product_id, id);
CREATE INDEX stock_movements_by_order ON stock_movements (order_id);
-- A run, and a part, is in the ledger once.
CREATE UNIQUE INDEX stock_movements_run_id_key ON stock_movements (run_id) WHERE run_id IS NOT NULL;
CREATE UNIQUE INDEX stock_movements_part_id_key ON stock_movements (part_id) WHERE part_id IS NOT NULL;
