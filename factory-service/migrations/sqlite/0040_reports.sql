-- What the reports look for: orders by when they were placed, and what each employee finished when.
CREATE INDEX orders_by_create_time ON orders (create_time);
CREATE INDEX production_runs_by_employee_and_finish_time ON production_runs (employee_id, finish_time);
CREATE INDEX service_tickets_by_employee_and_finish_time ON service_tickets (employee_id, finish_time);
