CREATE TABLE owners (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL
) STRICT;

CREATE TABLE things (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner_id INTEGER REFERENCES owners (id),
    name TEXT NOT NULL UNIQUE,
    shelf INTEGER NOT NULL DEFAULT 0,
    place INTEGER NOT NULL DEFAULT 0,
    amount INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT things_amount_check CHECK (amount >= 0)
) STRICT;

-- Nothing stands twice in one place; place 0 means that it stands nowhere.
CREATE UNIQUE INDEX things_shelf_place_key ON things (shelf, place) WHERE place > 0;
