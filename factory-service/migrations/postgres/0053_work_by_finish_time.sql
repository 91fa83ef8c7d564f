-- A report is of the completed runs, or the closed tickets, of a period: everybody's or each employee's. SQLite, which is
-- told nothing of what its tables hold, takes an equal state for the better half of that, and read every completed run
-- there ever was; PostgreSQL read every ticket. These indexes have all of it.
CREATE INDEX production_runs_by_state_and_finish_time ON production_runs (state, finish_time);
CREATE INDEX production_runs_by_employee_state_and_finish_time ON production_runs (employee_id, state, finish_time);
DROP INDEX production_runs_by_finish_time;
DROP INDEX production_runs_by_employee_and_finish_time;
CREATE INDEX service_tickets_by_state_and_finish_time ON service_tickets (state, finish_time);
CREATE INDEX service_tickets_by_employee_state_and_finish_time ON service_tickets (employee_id, state, finish_time);
DROP INDEX service_tickets_by_employee_and_finish_time;
