-- Tickets that somebody works on: what they are about, who has them, the parts they took.
ALTER TABLE service_tickets ADD COLUMN priority TEXT NOT NULL DEFAULT 'NORMAL';
ALTER TABLE service_tickets ADD COLUMN product_id BIGINT REFERENCES products (id);
ALTER TABLE service_tickets ADD COLUMN order_id BIGINT REFERENCES orders (id);
ALTER TABLE service_tickets ADD COLUMN employee_id BIGINT REFERENCES employees (id);
ALTER TABLE service_tickets ADD COLUMN labour_minutes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE service_tickets ADD COLUMN resolution TEXT NOT NULL DEFAULT '';
ALTER TABLE service_tickets ADD COLUMN start_time BIGINT;
ALTER TABLE service_tickets ADD COLUMN finish_time BIGINT;
UPDATE service_tickets SET finish_time = update_time WHERE state = 'CANCELLED';
ALTER TABLE service_tickets DROP CONSTRAINT service_tickets_state_known;
ALTER TABLE service_tickets ADD CONSTRAINT service_tickets_state_known
    CHECK (state IN ('OPEN', 'ASSIGNED', 'IN_PROGRESS', 'CLOSED', 'CANCELLED'));
ALTER TABLE service_tickets ADD CONSTRAINT service_tickets_priority_known
    CHECK (priority IN ('LOW', 'NORMAL', 'HIGH', 'URGENT'));
ALTER TABLE service_tickets ADD CONSTRAINT service_tickets_labour_not_negative CHECK (labour_minutes >= 0);
ALTER TABLE service_tickets ADD CONSTRAINT service_tickets_worked_on_by_somebody
    CHECK (state NOT IN ('ASSIGNED', 'IN_PROGRESS', 'CLOSED') OR employee_id IS NOT NULL);
ALTER TABLE service_tickets ADD CONSTRAINT service_tickets_finished
    CHECK ((state IN ('CLOSED', 'CANCELLED')) = (finish_time IS NOT NULL));

CREATE INDEX service_tickets_by_employee ON service_tickets (employee_id, id);

-- A copy of the product as it was when the part was taken.
CREATE TABLE ticket_parts (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket_id BIGINT NOT NULL REFERENCES service_tickets (id),
    product_id BIGINT NOT NULL REFERENCES products (id),
    sku TEXT NOT NULL,
    name TEXT NOT NULL,
    unit_price_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    create_time BIGINT NOT NULL,
    CONSTRAINT ticket_parts_quantity_positive CHECK (quantity > 0)
);

CREATE INDEX ticket_parts_by_ticket ON ticket_parts (ticket_id, id);

-- A part moves the stock too.
ALTER TABLE stock_movements ADD COLUMN part_id BIGINT REFERENCES ticket_parts (id);
ALTER TABLE stock_movements DROP CONSTRAINT stock_movements_kind_known;
ALTER TABLE stock_movements ADD CONSTRAINT stock_movements_kind_known
    CHECK (kind IN ('CREATED', 'ADJUSTED', 'SHIPPED', 'PRODUCED', 'PART'));
ALTER TABLE stock_movements ADD CONSTRAINT stock_movements_part_of_a_ticket
    CHECK ((kind = 'PART') = (part_id IS NOT NULL));

-- One part is in the ledger once.
CREATE UNIQUE INDEX stock_movements_part_id_key ON stock_movements (part_id) WHERE part_id IS NOT NULL;
