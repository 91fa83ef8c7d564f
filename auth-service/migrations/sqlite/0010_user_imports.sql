-- Imports of accounts: how far each has come, so that a stream that broke off is sent again and goes on.
--
-- owner: the caller's key. options: the encoded options; another stream under the same id must have the same. last_line:
-- the last line that is written, with its accounts in the same commit. report: the encoded answer so far; it names lines
-- and fields, never a person.
CREATE TABLE user_imports (
    owner TEXT NOT NULL,
    import_id TEXT NOT NULL,
    options BLOB NOT NULL,
    last_line INTEGER NOT NULL,
    report BLOB NOT NULL,
    update_time INTEGER NOT NULL,
    PRIMARY KEY (owner, import_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_imports_by_update_time ON user_imports (update_time);
