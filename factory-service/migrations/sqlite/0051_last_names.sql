-- People are looked for by their last name too. It is the end of name_canonical: as many characters as last_name has.
-- (A letter that is longer in lower case, such as the Turkish İ, makes that one too short until the profile is next
-- saved; what it begins with is then not its first letter.)
ALTER TABLE customers ADD COLUMN last_name_canonical TEXT NOT NULL DEFAULT '';
UPDATE customers SET last_name_canonical = substr(name_canonical, length(name_canonical) - length(last_name) + 1)
    WHERE last_name <> '';
CREATE INDEX customers_by_last_name ON customers (last_name_canonical);
