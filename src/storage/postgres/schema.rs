//! What leadclicks reads from and requires of the tables, which may be a host app's.

use tokio_postgres::{Client, types::Type};

use super::{Parameters, PostgresDb};
use crate::storage::{Cause, Columns, Error};

/// The type of `lead_clicks.created_at`. Both have the same form on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeType {
    /// `timestamptz`.
    WithZone,
    /// `timestamp`, in UTC.
    WithoutZone,
}

impl TimeType {
    pub(super) fn wire_type(self) -> Type {
        match self {
            Self::WithZone => Type::TIMESTAMPTZ,
            Self::WithoutZone => Type::TIMESTAMP,
        }
    }

    /// The server's time as a value of this type. `timestamp` would get the time of the session's zone otherwise.
    pub(super) fn now(self) -> &'static str {
        match self {
            Self::WithZone => "statement_timestamp()",
            Self::WithoutZone => "(statement_timestamp() AT TIME ZONE 'UTC')",
        }
    }
}

/// The type of `lead_clicks.click_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdType {
    Uuid,
    Text,
}

impl IdType {
    /// The type of an array of ids.
    pub(super) fn array(self) -> &'static str {
        match self {
            Self::Uuid => "uuid[]",
            Self::Text => "text[]",
        }
    }
}

/// What leadclicks has to know about the table `lead_clicks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClicksTable {
    pub(super) time: TimeType,
    /// None if the table has no column `click_id`.
    pub(super) click_id: Option<IdType>,
}

/// A column as the server describes it.
struct Column {
    name: String,
    column_type: String,
}

const COLUMNS: &str = "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
    WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";

async fn columns(client: &Client, table: &str) -> Result<Vec<Column>, Cause> {
    let rows = client.query_typed(COLUMNS, &[(&table, Type::TEXT)]).await?;
    rows.iter()
        .map(|row| {
            Ok(Column {
                name: row.try_get(0)?,
                column_type: row.try_get(1)?,
            })
        })
        .collect()
}

impl ClicksTable {
    /// Reads the table's columns, and checks that it has those that reports read.
    pub(super) async fn read(client: &Client) -> Result<Self, Cause> {
        const TABLE: &str = "lead_clicks";
        let encoding: String = client
            .query_typed_one("SHOW server_encoding", &[])
            .await?
            .try_get(0)?;
        if encoding != "UTF8" {
            return Err(Cause::Encoding(encoding));
        }
        let columns = columns(client, TABLE).await?;
        if columns.is_empty() {
            return Err(Cause::NoServerTable(TABLE));
        }
        let column_type = |name: &str| {
            let column = columns.iter().find(|column| column.name == name)?;
            Some(&*column.column_type)
        };
        for column in ["id"]
            .into_iter()
            .chain(Columns::NAMES.map(|(_, name)| name))
        {
            if column_type(column).is_none() {
                return Err(Cause::NoColumn {
                    table: TABLE,
                    column,
                });
            }
        }
        let wrong = |column, wanted| Cause::ColumnType { column, wanted };
        if !matches!(column_type("id"), Some("smallint" | "integer" | "bigint")) {
            return Err(wrong("id", "bigint"));
        }
        let time = match column_type("created_at") {
            Some("timestamp with time zone") => TimeType::WithZone,
            Some("timestamp without time zone") => TimeType::WithoutZone,
            _ => return Err(wrong("created_at", "timestamptz")),
        };
        let click_id = match column_type("click_id") {
            None => None,
            Some("uuid") => Some(IdType::Uuid),
            Some("text" | "character varying" | "character") => Some(IdType::Text),
            Some(_) => return Err(wrong("click_id", "uuid")),
        };
        Ok(Self { time, click_id })
    }

    /// Stores the clicks of five arrays: emails, usernames, searches, ages in microseconds, and, if the table has a column for
    /// them, ids. Those whose id is stored already are left out.
    pub(super) fn insert(self) -> String {
        let created_at = format!("{} - age * interval '1 microsecond'", self.time.now());
        match self.click_id {
            Some(id) => format!(
                "INSERT INTO lead_clicks (email, expert_username, search_query, created_at, click_id)
                 SELECT email, expert_username, search_query, {created_at}, click_id
                 FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[], $5::text[]::{})
                     AS clicks (email, expert_username, search_query, age, click_id)
                 ON CONFLICT (click_id) DO NOTHING",
                id.array()
            ),
            None => format!(
                "INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
                 SELECT email, expert_username, search_query, {created_at}
                 FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[])
                     AS clicks (email, expert_username, search_query, age)"
            ),
        }
    }
}

/// Whether a crash empties the table or a partition of it, which no standby has, or a partition is on another server, which this one
/// does not answer for.
const IS_NOT_LOGGED: &str = "EXISTS (SELECT 1 FROM pg_class
    WHERE oid IN (SELECT to_regclass('lead_clicks')::oid UNION SELECT relid FROM pg_partition_tree(to_regclass('lead_clicks')))
      AND (relpersistence <> 'p' OR relkind = 'f'))";

/// Whether the warning is not sent that a commit has not waited for its standby.
const WARNINGS_ARE_HIDDEN: &str =
    "current_setting('client_min_messages') IN ('error', 'fatal', 'panic')";

/// Checks that a commit is on the server's disk when it answers, that its warnings arrive, and that a crash does not empty the
/// table.
pub(super) async fn check_durability(client: &Client) -> Result<(), Cause> {
    let sql = format!(
        "SELECT current_setting('fsync'), current_setting('synchronous_commit'), {WARNINGS_ARE_HIDDEN}, {IS_NOT_LOGGED}"
    );
    let row = client.query_typed_one(&sql, &[]).await?;
    for (number, setting) in ["fsync", "synchronous_commit"].into_iter().enumerate() {
        if row.try_get::<_, &str>(number)? == "off" {
            return Err(Cause::NotDurable { setting });
        }
    }
    if row.try_get(2)? {
        return Err(Cause::WarningsHidden);
    }
    if row.try_get(3)? {
        return Err(Cause::NotLogged);
    }
    Ok(())
}

/// Checks that clicks can be stored: the table may be a view, or require more columns, and the user may lack a right. An
/// error at the start is better than 503 for every click.
pub(super) async fn check_takes_clicks(client: &Client, clicks: ClicksTable) -> Result<(), Cause> {
    let table = client
        .query_typed_one(
            "SELECT relkind::text FROM pg_class WHERE oid = to_regclass('lead_clicks')",
            &[],
        )
        .await?;
    if !matches!(table.try_get(0)?, "r" | "p") {
        return Err(Cause::View);
    }
    let required = client
        .query_typed_opt(
            "SELECT attname::text FROM pg_attribute
             WHERE attrelid = to_regclass('lead_clicks') AND attnum > 0 AND NOT attisdropped
               AND attnotnull AND NOT atthasdef AND attidentity = ''
               AND attname NOT IN ('email', 'expert_username', 'search_query', 'created_at', 'click_id')
             LIMIT 1",
            &[],
        )
        .await?;
    if let Some(required) = required {
        return Err(Cause::ColumnRequired(required.try_get(0)?));
    }
    // Planning the statement below checks neither this nor the sequence.
    let short_id = client
        .query_typed_opt(
            "SELECT atttypmod - 4 FROM pg_attribute
             WHERE attrelid = to_regclass('lead_clicks') AND attname = 'click_id' AND NOT attisdropped
               AND atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND atttypmod BETWEEN 0 AND 36 + 3",
            &[],
        )
        .await?;
    if let Some(short_id) = short_id {
        return Err(Cause::IdTooShort(short_id.try_get(0)?));
    }
    let sequence = client
        .query_typed_opt(
            "SELECT sequence.relname::text FROM pg_attrdef
             JOIN pg_depend ON classid = 'pg_attrdef'::regclass AND objid = pg_attrdef.oid
             JOIN pg_class AS sequence ON refclassid = 'pg_class'::regclass AND refobjid = sequence.oid
             WHERE adrelid = to_regclass('lead_clicks')
               AND CASE relkind WHEN 'S' THEN NOT has_sequence_privilege(sequence.oid, 'USAGE, UPDATE') END
             LIMIT 1",
            &[],
        )
        .await?;
    if let Some(sequence) = sequence {
        let name: &str = sequence.try_get(0)?;
        return Err(Cause::NoRight(format!(
            "permission denied for sequence {name}"
        )));
    }
    let texts: Vec<&str> = Vec::new();
    let ages: Vec<i64> = Vec::new();
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 5] = [
        (&texts, Type::TEXT_ARRAY),
        (&texts, Type::TEXT_ARRAY),
        (&texts, Type::TEXT_ARRAY),
        (&ages, Type::INT8_ARRAY),
        (&texts, Type::TEXT_ARRAY),
    ];
    let count = if clicks.click_id.is_some() { 5 } else { 4 };
    let parameters: &Parameters<'_> = &parameters[..count];
    if clicks.click_id.is_some() {
        // Planning takes one that is checked at the end of the transaction, but inserting does not.
        let unique = client
            .query_typed_opt(
                "SELECT 1 FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
                 WHERE indrelid = to_regclass('lead_clicks') AND attname = 'click_id' AND indnkeyatts = 1
                   AND indisunique AND indimmediate AND indpred IS NULL
                 LIMIT 1",
                &[],
            )
            .await?;
        if unique.is_none() {
            return Err(Cause::NoUniqueId);
        }
    }
    // Planning it checks types and rights.
    client
        .query_typed(&format!("EXPLAIN {}", clicks.insert()), parameters)
        .await?;
    Ok(())
}

impl PostgresDb {
    /// The names of a table's columns in their order; none if there is no such table.
    pub(super) fn columns(&self, table: &str) -> Result<Vec<String>, Cause> {
        let columns = self.runtime.block_on(columns(&self.client, table))?;
        Ok(columns.into_iter().map(|column| column.name).collect())
    }

    /// The name of an index that finds clicks by their time.
    pub(crate) fn index_on_time(&self) -> Result<Option<String>, Error> {
        self.run(|| {
            let rows = self.query(
                "SELECT index.relname::text FROM pg_index
                 JOIN pg_class AS index ON index.oid = indexrelid
                 JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
                 WHERE indrelid = to_regclass('lead_clicks') AND attname = 'created_at'
                   AND indisvalid AND indpred IS NULL
                 LIMIT 1",
                &[],
            )?;
            rows.first().map(|row| Ok(row.try_get(0)?)).transpose()
        })
    }
}
