-- The tables of leadclicks. Both programs embed this file. Every statement is IF NOT EXISTS, so
-- `sqlite3 FILE < schema.sql` changes nothing in a database that has the tables already.

-- One row for each click that was answered 202. The CHECKs repeat the bounds that src/click.rs enforces.
CREATE TABLE IF NOT EXISTS lead_clicks (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL CHECK (length(email) BETWEEN 1 AND 320),
    expert_username TEXT NOT NULL CHECK (length(expert_username) BETWEEN 1 AND 100),
    search_query TEXT NOT NULL DEFAULT '' CHECK (length(search_query) <= 2000),
    -- UTC, always 'YYYY-MM-DD HH:MM:SS.ffffff': what SQLAlchemy writes and reads, and it sorts as text.
    created_at TEXT NOT NULL CHECK (length(created_at) = 26),
    -- The page's own id of the click, a UUID in lower case, if it sent one: by it a click that was sent again is known.
    click_id TEXT CHECK (length(click_id) = 36)
) STRICT;

-- The only index besides the primary key: clicks arrive nearly in the order of their time, so it grows at its right
-- edge and costs the writer a few percent. There are deliberately none on email, expert_username and click_id: an index
-- over random keys costs the writer 16 times as much on an empty table and 41 times at 10 million rows (15,600 durable
-- clicks a second with both, 57,000 without), and the rate falls as the table grows. A site that reads far
-- more than it captures may add them, for example
--   CREATE INDEX lead_clicks_expert ON lead_clicks (expert_username, created_at);
--   CREATE INDEX lead_clicks_email ON lead_clicks (email COLLATE NOCASE, created_at);
-- and the reports then use them.
CREATE INDEX IF NOT EXISTS lead_clicks_created_at ON lead_clicks (created_at);

-- The experts' names, for the reports. Filled by `leadclicks experts import`. A click on an expert who is not here is
-- stored and reported too.
CREATE TABLE IF NOT EXISTS experts (
    username TEXT NOT NULL PRIMARY KEY CHECK (length(username) BETWEEN 1 AND 100),
    first_name TEXT NOT NULL DEFAULT '' CHECK (length(first_name) <= 200),
    last_name TEXT NOT NULL DEFAULT '' CHECK (length(last_name) <= 200)
) STRICT, WITHOUT ROWID;
