-- SQLite compares by code point anyway. Both databases have the same steps.
SELECT 1;
