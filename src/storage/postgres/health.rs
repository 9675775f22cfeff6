//! The health check of a database on a server, for monitoring. Only reads.

use std::{cmp::Ordering, net::IpAddr, ops::ControlFlow, time::Duration};

use tokio_postgres::types::Type;

use super::{
    PostgresDb, ServerUrl,
    connect::Session,
    erase,
    rejection::SEQUENCE_BEHIND,
    schema::{ClicksTable, IdType, check_durability, check_takes_clicks},
    select::{WireTime, read_click, read_without_time, select},
};
use crate::{
    click::canonical_email,
    storage::{
        Cause, Checks, Columns, Depth, Error, Finding, State,
        disk::mib,
        health::{CLOCKS_DIFFER_MAX, Newest},
    },
    text::groups::TextGroups,
    timestamp::Timestamp,
};

/// The oldest supported version: earlier ones lack the functions by which `watch` follows transactions.
const VERSION_MIN: i32 = 130_000;

/// A standby further behind than this is a warning, in bytes of WAL: four segments, more than one that keeps up ever is.
const LAG_BYTES_HIGH: u64 = 64 * 1024 * 1024;

const SEE_REPLICATION: &str = "visible to members of pg_monitor";

/// As [`crate::storage::check`].
pub(crate) fn check(url: &ServerUrl, checks: &Checks) -> Vec<Finding> {
    match connect(url) {
        Ok(mut db) => {
            let mut findings = server(&db, checks.now);
            findings.extend(contents(&mut db, checks));
            findings
        }
        Err(cause) => {
            let error = Error::named(url.to_string(), cause);
            Vec::from([Finding::of_error("database", &error)])
        }
    }
}

fn server(db: &PostgresDb, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |check, found: Result<Finding, Cause>| {
        findings.push(Finding::of_result(check, db.run(|| found)));
    };
    add("postgresql", version(db));
    let role = role(db);
    let is_primary = matches!(role, Ok(Role::Primary | Role::ReadOnly));
    add("role", role.map(Role::finding));
    add("encryption", encryption(db));
    add("clock", clock(db, now));
    add("durability", durability(db));
    if !is_primary {
        add("replication", replay(db));
        return findings;
    }
    match Standby::read_all(db) {
        Ok(standbys) => {
            add("standbys", synchronous(db, &standbys));
            add("replication", Ok(replication(&standbys)));
        }
        Err(cause) => add("replication", Err(cause)),
    }
    findings
}

fn contents(db: &mut PostgresDb, checks: &Checks) -> Vec<Finding> {
    let table = db.runtime.block_on(ClicksTable::read(&db.client));
    match db.run(|| table) {
        Ok(table) => db.clicks = table,
        Err(error) => return Vec::from([Finding::of_error("schema", &error)]),
    }
    let db = &*db;
    let rights = match db.run(|| Rights::read(db)) {
        Ok(rights) => rights,
        Err(error) => return Vec::from([Finding::of_error("rights", &error)]),
    };
    let mut findings = Vec::from([
        rights.finding(),
        Finding::of_result("schema", db.run(|| schema(db, &rights))),
        click_id(db),
    ]);
    let index_name = match db.index_on_time() {
        Ok(name) => {
            findings.push(index(db, name.as_deref()));
            name
        }
        Err(error) => {
            findings.push(Finding::of_error("index", &error));
            None
        }
    };
    if !rights.reads {
        return findings;
    }
    findings.push(Finding::of_result("ids", db.run(|| ids(db))));
    let clicks = match checks.depth {
        Depth::Full => db.snapshot(|db| db.run(|| clicks(db))),
        Depth::Quick => db.run(|| estimate_clicks(db)),
    };
    findings.push(Finding::of_result("clicks", clicks));
    findings.push(match (checks.depth, index_name) {
        (Depth::Quick, None) => Finding::ok("newest", "skipped: no index on created_at"),
        _ => Finding::of_result("newest", db.run(|| newest(db, checks))),
    });
    let experts = db
        .experts()
        .map(|experts| Finding::ok("experts", experts.len().to_string()));
    // Reports work without names.
    findings.push(Finding::of_result("experts", experts).at_worst(State::Warning));
    findings
}

/// Connects to the primary, or else to any server of the URL.
fn connect(url: &ServerUrl) -> Result<PostgresDb, Cause> {
    PostgresDb::connect(url, Session::ReadWrite).or_else(|_| PostgresDb::connect(url, Session::Any))
}

fn setting(db: &PostgresDb, name: &str) -> Result<String, Cause> {
    Ok(db.query_one(&format!("SHOW {name}"), &[])?.try_get(0)?)
}

fn version(db: &PostgresDb) -> Result<Finding, Cause> {
    const CHECK: &str = "postgresql";
    let version = setting(db, "server_version")?;
    let number: i32 = db
        .query_one("SELECT current_setting('server_version_num')::int4", &[])?
        .try_get(0)?;
    Ok(if number < VERSION_MIN {
        Finding::problem(
            CHECK,
            version,
            "upgrade the server to PostgreSQL 13 or later",
        )
    } else {
        Finding::ok(CHECK, version)
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Primary,
    Standby,
    /// A primary whose sessions are read-only.
    ReadOnly,
}

fn role(db: &PostgresDb) -> Result<Role, Cause> {
    let row = db.query_one(
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'",
        &[],
    )?;
    Ok(match (row.try_get(0)?, row.try_get(1)?) {
        (true, _) => Role::Standby,
        (false, true) => Role::ReadOnly,
        (false, false) => Role::Primary,
    })
}

impl Role {
    fn finding(self) -> Finding {
        const CHECK: &str = "role";
        match self {
            Self::Primary => Finding::ok(CHECK, "primary"),
            Self::Standby => Finding::warning(
                CHECK,
                "standby, which takes no clicks",
                "name the primary in --db too, or promote this server",
            ),
            Self::ReadOnly => Finding::problem(
                CHECK,
                "read-only, so it takes no clicks",
                "set default_transaction_read_only to off",
            ),
        }
    }
}

/// Of the connection to the server; behind a pooler, that of the pooler.
fn encryption(db: &PostgresDb) -> Result<Finding, Cause> {
    const CHECK: &str = "encryption";
    let row = db.query_one(
        "SELECT version::text, host(inet_client_addr()) FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        &[],
    )?;
    let version: Option<String> = row.try_get(0)?;
    let address: Option<String> = row.try_get(1)?;
    let is_loopback = address.as_ref().is_some_and(|address| {
        address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
    });
    Ok(match (version, address) {
        (Some(version), _) => Finding::ok(CHECK, version),
        (None, None) => Finding::ok(CHECK, "none, on a Unix socket"),
        (None, Some(_)) if is_loopback => Finding::ok(CHECK, "none, on this machine"),
        (None, Some(_)) => Finding::warning(
            CHECK,
            "none, so clicks can be read in the network",
            "use sslmode=verify-full",
        ),
    })
}

/// The server's clock dates the clicks.
fn clock(db: &PostgresDb, now: Timestamp) -> Result<Finding, Cause> {
    const CHECK: &str = "clock";
    let server: WireTime = db.query_one("SELECT clock_timestamp()", &[])?.try_get(0)?;
    let ahead = server.timestamp().unwrap_or(now).micros() - now.micros();
    let differs = Duration::from_micros(ahead.unsigned_abs());
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    Ok(if differs > CLOCKS_DIFFER_MAX {
        Finding::warning(
            CHECK,
            format!(
                "the server's is {} seconds {direction} that of this machine",
                differs.as_secs()
            ),
            "set both",
        )
    } else {
        Finding::ok(CHECK, "the server's is that of this machine")
    })
}

/// Whether a click that was answered 202 stays stored.
fn durability(db: &PostgresDb) -> Result<Finding, Cause> {
    const CHECK: &str = "durability";
    db.runtime.block_on(check_durability(&db.client))?;
    if setting(db, "full_page_writes")? == "off" {
        return Ok(Finding::warning(
            CHECK,
            "full_page_writes is off, so a crash of the machine can damage the database",
            "set it to on in postgresql.conf, unless the file system writes whole pages",
        ));
    }
    let commit = setting(db, "synchronous_commit")?;
    Ok(Finding::ok(
        CHECK,
        format!("synchronous_commit is {commit}"),
    ))
}

/// A standby that is connected to this server.
struct Standby {
    name: String,
    /// None if this user may not see it, as the rest.
    state: Option<String>,
    is_synchronous: bool,
    /// In bytes of WAL.
    lag: u64,
}

impl Standby {
    fn read_all(db: &PostgresDb) -> Result<Vec<Self>, Cause> {
        // A running pg_basebackup is one, too.
        let rows = db.query(
            "SELECT coalesce(application_name, ''), state,
                    coalesce(sync_state IN ('sync', 'quorum', 'potential'), FALSE),
                    greatest(coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0), 0)::int8
             FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup' ORDER BY 1, pid",
            &[],
        )?;
        rows.iter()
            .map(|row| {
                Ok(Self {
                    name: row.try_get(0)?,
                    state: row.try_get(1)?,
                    is_synchronous: row.try_get(2)?,
                    lag: row.try_get::<_, i64>(3)?.unsigned_abs(),
                })
            })
            .collect()
    }
}

/// The standbys for which commits wait.
fn synchronous(db: &PostgresDb, standbys: &[Standby]) -> Result<Finding, Cause> {
    const CHECK: &str = "standbys";
    let names = setting(db, "synchronous_standby_names")?;
    if names.is_empty() {
        return Ok(Finding::ok(
            CHECK,
            "none synchronous, so a failover can lose the newest clicks",
        ));
    }
    let commit = setting(db, "synchronous_commit")?;
    if commit == "local" {
        return Ok(Finding::warning(
            CHECK,
            "synchronous_commit is local, so no commit waits for a standby, and a failover can lose the newest clicks",
            "set it to on for the user of leadclicksd with ALTER ROLE",
        ));
    }
    if standbys.iter().any(|standby| standby.state.is_none()) {
        return Ok(Finding::ok(
            CHECK,
            format!("{names}; whether they are connected is {SEE_REPLICATION}"),
        ));
    }
    let needed = commits_wait_for(&names);
    let connected = standbys
        .iter()
        .filter(|standby| standby.is_synchronous)
        .count();
    let found = format!("{connected} synchronous connected, and commits wait for {needed}");
    Ok(match connected.cmp(&needed) {
        Ordering::Less => Finding::problem(
            CHECK,
            format!("{found}, so clicks are answered 503"),
            "start a standby, or shorten synchronous_standby_names",
        ),
        Ordering::Equal => Finding::warning(
            CHECK,
            format!("{found}: if one is gone, clicks are answered 503"),
            "add a standby to synchronous_standby_names",
        ),
        Ordering::Greater => Finding::ok(CHECK, found),
    })
}

/// The number in `FIRST 2 (a, b, c)`, `ANY 2 (a, b, c)` or `2 (a, b, c)`; without one it is 1.
fn commits_wait_for(names: &str) -> usize {
    let number = names
        .split_once('(')
        .and_then(|(method, _)| method.split_whitespace().find_map(|word| word.parse().ok()));
    number.unwrap_or(1)
}

fn replication(standbys: &[Standby]) -> Finding {
    const CHECK: &str = "replication";
    if standbys.is_empty() {
        return Finding::ok(CHECK, "no standby is connected");
    }
    if standbys.iter().any(|standby| standby.state.is_none()) {
        return Finding::ok(
            CHECK,
            format!(
                "standbys: {}; their lag is {SEE_REPLICATION}",
                standbys.len()
            ),
        );
    }
    let found: Vec<String> = standbys
        .iter()
        .map(|standby| format!("{} is {} behind", standby.name, mib(standby.lag)))
        .collect();
    let found = found.join(", ");
    if standbys.iter().any(|standby| standby.lag > LAG_BYTES_HIGH) {
        Finding::warning(CHECK, found, "check that standby and its network")
    } else {
        Finding::ok(CHECK, found)
    }
}

/// How far this standby is behind what it has received.
fn replay(db: &PostgresDb) -> Result<Finding, Cause> {
    const CHECK: &str = "replication";
    let row = db.query_one(
        "SELECT greatest(coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0), 0)::int8",
        &[],
    )?;
    let lag = row.try_get::<_, i64>(0)?.unsigned_abs();
    let found = format!("{} received and not yet visible", mib(lag));
    Ok(if lag > LAG_BYTES_HIGH {
        Finding::warning(CHECK, found, "check the standby's disk and long queries")
    } else {
        Finding::ok(CHECK, found)
    })
}

/// What the user of the URL may do.
struct Rights {
    user: String,
    stores: bool,
    reads: bool,
    deletes: bool,
}

impl Rights {
    fn read(db: &PostgresDb) -> Result<Self, Cause> {
        let row = db.query_one(
            "SELECT current_user::text,
                    bool_and(has_column_privilege('lead_clicks', name, 'INSERT')),
                    bool_and(has_column_privilege('lead_clicks', name, 'SELECT'))
                        AND has_column_privilege('lead_clicks', 'id', 'SELECT'),
                    has_table_privilege('lead_clicks', 'DELETE')
             FROM unnest($1::text[]) AS name",
            &[(&&Columns::NAMES.map(|(_, name)| name)[..], Type::TEXT_ARRAY)],
        )?;
        let (inserts, reads, deletes): (bool, bool, bool) =
            (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let mut stores = inserts;
        if db.clicks.click_id.is_some() {
            stores &= db
                .query_one(
                    "SELECT has_column_privilege('lead_clicks', 'click_id', 'INSERT')
                        AND has_column_privilege('lead_clicks', 'click_id', 'SELECT')",
                    &[],
                )?
                .try_get::<_, bool>(0)?;
        }
        Ok(Self {
            user: row.try_get(0)?,
            stores,
            reads,
            deletes: reads && deletes,
        })
    }

    fn finding(&self) -> Finding {
        const CHECK: &str = "rights";
        let rights = [
            (self.stores, "store"),
            (self.reads, "read"),
            (self.deletes, "delete"),
        ];
        let rights: Vec<&str> = rights
            .into_iter()
            .filter_map(|(has, right)| has.then_some(right))
            .collect();
        let user = &self.user;
        if rights.is_empty() {
            return Finding::problem(
                CHECK,
                format!("{user} may neither store nor read clicks"),
                "grant rights as docs/postgresql.md shows",
            );
        }
        Finding::ok(CHECK, format!("{user} may {} clicks", rights.join(", ")))
    }
}

fn schema(db: &PostgresDb, rights: &Rights) -> Result<Finding, Cause> {
    const CHECK: &str = "schema";
    if !rights.stores {
        return Ok(Finding::ok(CHECK, "fit for reports"));
    }
    db.runtime
        .block_on(check_takes_clicks(&db.client, db.clicks))?;
    Ok(Finding::ok(CHECK, "takes clicks"))
}

fn click_id(db: &PostgresDb) -> Finding {
    const CHECK: &str = "click_id";
    match db.clicks.click_id {
        Some(_) => Finding::ok(CHECK, "each click is stored once"),
        None => Finding::ok(
            CHECK,
            "no such column, so a click that is sent again may be stored twice",
        ),
    }
}

/// Whether the sequence has an id for the next click.
fn ids(db: &PostgresDb) -> Result<Finding, Cause> {
    const CHECK: &str = "ids";
    const MAKE_BIGINT: &str = "make lead_clicks.id a bigint in the program that owns the database";
    let rows = db.query(
        "SELECT CASE WHEN has_sequence_privilege(seqrelid, 'SELECT, USAGE') THEN pg_sequence_last_value(seqrelid) END,
                has_sequence_privilege(seqrelid, 'SELECT, USAGE'),
                least(seqmax, CASE atttypid WHEN 'int2'::regtype THEN 32767
                                            WHEN 'int4'::regtype THEN 2147483647 ELSE seqmax END),
                (SELECT max(id)::int8 FROM lead_clicks)
         FROM pg_sequence
         JOIN pg_attribute ON attrelid = to_regclass('lead_clicks') AND attname = 'id'
         WHERE seqrelid = to_regclass(pg_get_serial_sequence('lead_clicks', 'id'))",
        &[],
    )?;
    let Some(row) = rows.first() else {
        return Ok(Finding::ok(
            CHECK,
            "not from a sequence of the table; another program owns it",
        ));
    };
    if !row.try_get::<_, bool>(1)? {
        return Ok(Finding::ok(
            CHECK,
            "the sequence is not visible to this user",
        ));
    }
    let last: Option<i64> = row.try_get(0)?;
    let largest: i64 = row.try_get(2)?;
    let stored: Option<i64> = row.try_get(3)?;
    let last = last.unwrap_or(0);
    if let Some(stored) = stored
        && stored > last
    {
        let (found, next) = SEQUENCE_BEHIND
            .split_once("; ")
            .unwrap_or((SEQUENCE_BEHIND, ""));
        return Ok(Finding::problem(CHECK, found, next));
    }
    let left = largest.saturating_sub(last);
    let found = format!("{left} left");
    Ok(if left == 0 {
        Finding::problem(CHECK, "used up, so no click can be stored", MAKE_BIGINT)
    } else if left < largest / 10 {
        Finding::warning(CHECK, found, MAKE_BIGINT)
    } else {
        Finding::ok(CHECK, "rising")
    })
}

/// The index that finds clicks by their time. A host app's table need not have one.
fn index(db: &PostgresDb, name: Option<&str>) -> Finding {
    const CHECK: &str = "index";
    match name {
        Some(name) => Finding::ok(CHECK, name),
        // As in the schema that `leadclicks schema` prints.
        None if db.clicks.click_id == Some(IdType::Uuid) => Finding::warning(
            CHECK,
            "none on created_at, so every report reads all clicks",
            "create it with `leadclicks schema | psql`",
        ),
        None => Finding::ok(CHECK, "none on created_at; another program owns the table"),
    }
}

const CHANGE_TIME: &str = "change it to a time between the years 0 and 9999, or delete the rows";

fn estimate_clicks(db: &PostgresDb) -> Result<Finding, Cause> {
    let row = db.query_one(
        "SELECT reltuples::int8 FROM pg_class WHERE oid = to_regclass('lead_clicks')",
        &[],
    )?;
    let rows: i64 = row.try_get(0)?;
    Ok(Finding::ok(
        "clicks",
        if rows < 0 {
            "not estimated yet; run ANALYZE".to_owned()
        } else {
            format!("about {rows}, by the last ANALYZE")
        },
    ))
}

/// Reads all clicks once.
fn clicks(db: &PostgresDb) -> Result<Finding, Cause> {
    const CHECK: &str = "clicks";
    let mut clicks = 0_u64;
    let mut leads = TextGroups::new(canonical_email);
    let mut unreadable: Option<(u64, String)> = None;
    db.for_each_row(&select(Columns::EMAIL | Columns::CREATED_AT), &[], |row| {
        clicks += 1;
        leads.group(&read_without_time(row)?.email)?;
        match read_click(row) {
            Err(Cause::InvalidTime(id)) => unreadable.get_or_insert((0, id)).0 += 1,
            click => drop(click?),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let finding = match unreadable {
        None => Finding::ok(CHECK, format!("{clicks} of {} leads", leads.len())),
        Some((rows, first)) => Finding::problem(
            CHECK,
            format!("{rows} of {clicks} have an invalid created_at, one of them with id {first}"),
            CHANGE_TIME,
        ),
    };
    Ok(finding.with_count(clicks))
}

fn newest(db: &PostgresDb, checks: &Checks) -> Result<Finding, Cause> {
    let row = db.query_one("SELECT max(created_at) FROM lead_clicks", &[])?;
    let newest = match row.try_get::<_, Option<WireTime>>(0)? {
        None => Newest::NoClicks,
        Some(newest) => newest.timestamp().map_or(Newest::Invalid, Newest::At),
    };
    checks.newest(newest, CHANGE_TIME, |bound| {
        let row = db.query_one(
            "SELECT count(*) FROM lead_clicks WHERE created_at > $1",
            &[(&WireTime::new(bound), db.clicks.time.wire_type())],
        )?;
        erase::count(&row, 0)
    })
}
