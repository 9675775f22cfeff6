-- schema.sql as it was before `click_id`: the tables that a database of the first version has.
CREATE TABLE IF NOT EXISTS lead_clicks (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL CHECK (length(email) BETWEEN 1 AND 320),
    expert_username TEXT NOT NULL CHECK (length(expert_username) BETWEEN 1 AND 100),
    search_query TEXT NOT NULL DEFAULT '' CHECK (length(search_query) <= 2000),
    -- UTC, always 'YYYY-MM-DD HH:MM:SS.ffffff': what SQLAlchemy writes and reads, and it sorts as text.
    created_at TEXT NOT NULL CHECK (length(created_at) = 26)
) STRICT;
CREATE INDEX IF NOT EXISTS lead_clicks_created_at ON lead_clicks (created_at);
CREATE TABLE IF NOT EXISTS experts (
    username TEXT NOT NULL PRIMARY KEY CHECK (length(username) BETWEEN 1 AND 100),
    first_name TEXT NOT NULL DEFAULT '' CHECK (length(first_name) <= 200),
    last_name TEXT NOT NULL DEFAULT '' CHECK (length(last_name) <= 200)
) STRICT, WITHOUT ROWID;
