-- Like every other canonical column: in the order of a language, a search for how an address begins is another one.
ALTER TABLE users ALTER COLUMN email_canonical TYPE TEXT COLLATE "C";
