-- A run that is completed moves the stock too.
ALTER TABLE stock_movements ADD COLUMN run_id BIGINT REFERENCES production_runs (id);
ALTER TABLE stock_movements DROP CONSTRAINT stock_movements_kind_known;
ALTER TABLE stock_movements ADD CONSTRAINT stock_movements_kind_known
    CHECK (kind IN ('CREATED', 'ADJUSTED', 'SHIPPED', 'PRODUCED'));
ALTER TABLE stock_movements ADD CONSTRAINT stock_movements_produced_by_a_run
    CHECK ((kind = 'PRODUCED') = (run_id IS NOT NULL));

-- One run is in the ledger once.
CREATE UNIQUE INDEX stock_movements_run_id_key ON stock_movements (run_id) WHERE run_id IS NOT NULL;
