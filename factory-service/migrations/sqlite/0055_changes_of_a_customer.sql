-- SQLite's index on the customer ends with the row's id anyway. Both databases have the same steps.
SELECT 1;
