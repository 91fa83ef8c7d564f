-- Who works in the factory, and what it is making.

-- A deleted employee keeps the login: runs refer to them, and they can come back. user_id is the auth service's.
CREATE TABLE employees (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL,
    name_canonical TEXT NOT NULL,
    position TEXT NOT NULL,
    user_id BIGINT,
    revision BIGINT NOT NULL,
    create_time BIGINT NOT NULL,
    update_time BIGINT NOT NULL,
    delete_time BIGINT
);

CREATE UNIQUE INDEX employees_user_id_key ON employees (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX employees_by_name ON employees (name_canonical, id);

-- What a run produced is in the ledger of the stock too: the same transaction writes both.
CREATE TABLE production_runs (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id BIGINT NOT NULL REFERENCES products (id),
    employee_id BIGINT REFERENCES employees (id),
    planned_quantity BIGINT NOT NULL,
    produced_quantity BIGINT NOT NULL,
    scrap_quantity BIGINT NOT NULL,
    state TEXT NOT NULL,
    start_time BIGINT NOT NULL,
    finish_time BIGINT,
    revision BIGINT NOT NULL,
    create_time BIGINT NOT NULL,
    update_time BIGINT NOT NULL,
    CONSTRAINT production_runs_planned_positive CHECK (planned_quantity > 0),
    CONSTRAINT production_runs_produced_not_negative CHECK (produced_quantity >= 0),
    CONSTRAINT production_runs_scrap_not_negative CHECK (scrap_quantity >= 0),
    CONSTRAINT production_runs_state_known CHECK (state IN ('RUNNING', 'COMPLETED', 'CANCELLED')),
    CONSTRAINT production_runs_finished CHECK ((state = 'RUNNING') = (finish_time IS NULL)),
    CONSTRAINT production_runs_yield_when_completed
        CHECK (state = 'COMPLETED' OR (produced_quantity = 0 AND scrap_quantity = 0))
);

CREATE INDEX production_runs_by_product ON production_runs (product_id, id);
CREATE INDEX production_runs_by_employee ON production_runs (employee_id, id);
CREATE INDEX production_runs_by_finish_time ON production_runs (finish_time);
CREATE INDEX production_runs_by_start_time ON production_runs (start_time);
CREATE INDEX production_runs_by_state ON production_runs (state, id);
