//! Compares the PostgreSQL engine with the SQLite engine in the same run, and its report by email with psql. Needs Debian's
//! package postgresql; as root, the servers run as its user postgres.

use std::{
    error::Error,
    fs::{self, File},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, types::ValueRef};
use tempfile::TempDir;

use crate::{
    Plan, capture, data,
    measure::{self, Server, median, spread},
    print_table,
};

/// A directory on a disk that every user can reach.
const DISK: &str = "/var/tmp";

/// How many WAL segments of 16 MB a server has before the loads. Each new one would take the disk for some 50 ms, about once a
/// second. On a server that has run for a while, checkpoints rename old ones instead.
const WAL_SEGMENTS: u32 = 48;

/// The levels of `synchronous_commit` with a synchronous standby.
const LEVELS: [&str; 3] = ["remote_write", "on", "remote_apply"];

/// What the daemons store into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Sqlite,
    Postgres,
    /// Two daemons on one server, each with half of the connections.
    TwoDaemons,
    /// With a synchronous standby.
    Standby(&'static str),
}

impl Subject {
    fn name(self) -> String {
        match self {
            Self::Sqlite => "SQLite".to_owned(),
            Self::Postgres => "PostgreSQL".to_owned(),
            Self::TwoDaemons => "PostgreSQL, two daemons".to_owned(),
            Self::Standby(level) => format!("PostgreSQL, standby, {level}"),
        }
    }
}

pub fn bench(plan: &Plan, directory: &Path) -> Result<(), Box<dyn Error>> {
    measure::require("wrk")?;
    measure::require("psql")?;
    capture_rates(plan)?;
    by_email(plan, directory)
}

fn capture_rates(plan: &Plan) -> Result<(), Box<dyn Error>> {
    let files = tempfile::tempdir_in(DISK)?;
    let alone = Cluster::start()?;
    let primary = Cluster::start()?;
    let standby = primary.start_standby()?;
    alone.fill_wal()?;
    primary.fill_wal()?;
    // A standby renames them at its own checkpoints.
    standby.sql("postgres", "CHECKPOINT")?;
    let mut subjects = vec![Subject::Sqlite, Subject::Postgres, Subject::TwoDaemons];
    subjects.extend(LEVELS.map(Subject::Standby));
    let mut rates: Vec<(Subject, u32, f64)> = Vec::new();
    for round in 1..=plan.rounds {
        eprintln!("postgres: round {round} of {}", plan.rounds);
        for &connections in &plan.connections {
            for &subject in &subjects {
                let url = match subject {
                    Subject::Sqlite => {
                        let file = format!("{round}-{connections}.db");
                        files.path().join(file).display().to_string()
                    }
                    Subject::Postgres | Subject::TwoDaemons => alone.new_database("")?,
                    Subject::Standby(level) => primary.new_database(level)?,
                };
                let count = if subject == Subject::TwoDaemons { 2 } else { 1 };
                let daemons: Vec<Server> = (0..count)
                    .map(|_| capture::start_daemon(&url))
                    .collect::<Result<_, _>>()?;
                rates.push((subject, connections, rate(plan, &daemons, connections)?));
            }
        }
    }
    let of = |subject: Subject, connections: u32| {
        rates
            .iter()
            .filter(move |rate| rate.0 == subject && rate.1 == connections)
            .map(|rate| rate.2)
    };
    let mut lines = Vec::new();
    for &connections in &plan.connections {
        for &subject in &subjects {
            let pairs = of(subject, connections).zip(of(Subject::Sqlite, connections));
            lines.push([
                connections.to_string(),
                subject.name(),
                format!("{:.0}", median(of(subject, connections))),
                spread(pairs.map(|(rate, sqlite)| rate / sqlite)),
            ]);
        }
    }
    print_table(["connections", "engine", "clicks/s", "of SQLite"], &lines);
    Ok(())
}

/// Clicks a second that all daemons store together.
fn rate(plan: &Plan, daemons: &[Server], connections: u32) -> Result<f64, Box<dyn Error>> {
    let each = (connections / u32::try_from(daemons.len())?).max(1);
    thread::scope(|scope| {
        let loads: Vec<_> = daemons
            .iter()
            .map(|daemon| {
                scope.spawn(move || {
                    capture::posts_per_sec(daemon, each, plan.secs)
                        .map_err(|error| error.to_string())
                })
            })
            .collect();
        let mut sum = 0.0;
        for load in loads {
            sum += load.join().map_err(|_| "a load ended early")??;
        }
        Ok(sum)
    })
}

/// The fastest query that was found for the same rows in the same order.
const BY_EMAIL: &str = "
    SET work_mem = '512MB';
    SELECT email, expert_username,
        coalesce(nullif(trim(first_name || ' ' || last_name), ''), expert_username) AS expert_name,
        search_query, created_at
    FROM (SELECT *, max(id) OVER (PARTITION BY email) AS latest FROM lead_clicks) AS clicks
    LEFT JOIN experts ON username = expert_username
    ORDER BY latest DESC, id DESC";

fn by_email(plan: &Plan, directory: &Path) -> Result<(), Box<dyn Error>> {
    let rows = plan.rows.iter().copied().min().unwrap_or_default();
    let file = data::database(directory, rows)?;
    let cluster = Cluster::start()?;
    let url = cluster.new_database("")?;
    cluster.copy(&file, &url)?;
    let report = |db: &str| {
        let mut leadclicks = Command::new(env!("CARGO_BIN_EXE_leadclicks"));
        leadclicks.args(["report", "--by-email", "--format", "csv", "--db", db]);
        leadclicks
    };
    let sqlite = file.display().to_string();
    let mut commands = [report(&sqlite), report(&url), cluster.psql(&url)];
    commands[2].args(["--csv", "--quiet", "--command", BY_EMAIL]);
    // The first runs load everything into memory.
    for command in &mut commands {
        measure::run(command)?;
    }
    let mut runs: [Vec<measure::Run>; 3] = Default::default();
    for _ in 0..plan.rounds {
        for (command, runs) in commands.iter_mut().zip(&mut runs) {
            runs.push(measure::run(command)?);
        }
    }
    let names = [
        "leadclicks on SQLite",
        "leadclicks on PostgreSQL",
        "psql --csv",
    ];
    let lines: Vec<_> = names
        .iter()
        .zip(&runs)
        .map(|(name, own)| {
            let ratio = |other: &[measure::Run]| {
                spread(
                    own.iter()
                        .zip(other)
                        .map(|(own, other)| own.secs / other.secs),
                )
            };
            [
                (*name).to_owned(),
                format!("{:.2}", median(own.iter().map(|run| run.secs))),
                ratio(&runs[0]),
                ratio(&runs[2]),
                format!("{:.0}", median(own.iter().map(|run| run.peak_mb))),
            ]
        })
        .collect();
    println!("\nBy email, {}:", data::clicks_in_words(rows));
    print_table(["report", "s", "of SQLite", "of psql", "MB"], &lines);
    Ok(())
}

/// A server with its own data, which ends when this is dropped.
struct Cluster {
    directory: TempDir,
}

impl Cluster {
    fn start() -> Result<Self, Box<dyn Error>> {
        let cluster = Self::in_new_directory()?;
        let args = [
            "--username=admin",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ];
        done(
            cluster
                .program("initdb")
                .args(args)
                .arg("-D")
                .arg(cluster.data()),
        )?;
        cluster.configure("max_connections = 300\nmin_wal_size = 1GB\nmax_wal_size = 4GB\n")?;
        cluster.run()
    }

    /// Makes WAL segments, which a checkpoint then renames to be written to again.
    fn fill_wal(&self) -> Result<(), Box<dyn Error>> {
        let fill = format!(
            "SELECT pg_logical_emit_message(false, '', repeat(' ', 16777216)) FROM generate_series(1, {WAL_SEGMENTS})"
        );
        self.sql("postgres", &fill)?;
        Ok(())
    }

    /// A standby for which commits wait from now on.
    fn start_standby(&self) -> Result<Self, Box<dyn Error>> {
        let standby = Self::in_new_directory()?;
        let mut copy = standby.program("pg_basebackup");
        copy.args([
            "--username=admin",
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--host",
        ]);
        done(
            copy.arg(self.directory.path())
                .arg("-D")
                .arg(standby.data()),
        )?;
        standby.configure("synchronous_standby_names = ''\n")?;
        let standby = standby.run()?;
        self.sql(
            "postgres",
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
        )?;
        self.sql("postgres", "SELECT pg_reload_conf()")?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.sql(
            "postgres",
            "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'",
        )? != "1\n"
        {
            if Instant::now() > deadline {
                return Err("the standby does not become synchronous".into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(standby)
    }

    fn in_new_directory() -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::tempdir_in(DISK)?;
        if let Some((uid, gid)) = user()? {
            chown(directory.path(), Some(uid), Some(gid))?;
        }
        Ok(Self { directory })
    }

    fn configure(&self, settings: &str) -> Result<(), Box<dyn Error>> {
        let path = self.data().join("postgresql.conf");
        let socket = self.directory.path().display();
        let own =
            format!("listen_addresses = ''\nunix_socket_directories = '{socket}'\n{settings}");
        let text = fs::read_to_string(&path)?;
        Ok(fs::write(path, text + &own)?)
    }

    fn run(self) -> Result<Self, Box<dyn Error>> {
        let mut start = self.program("pg_ctl");
        start
            .args(["start", "-w", "-l"])
            .arg(self.data().join("log"));
        done(start.arg("-D").arg(self.data()))?;
        Ok(self)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// An empty database with the tables of leadclicks, and its URL.
    fn new_database(&self, synchronous_commit: &str) -> Result<String, Box<dyn Error>> {
        let count = self.sql("postgres", "SELECT count(*) FROM pg_database")?;
        let name = format!("bench{}", count.trim());
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        // It renames the segments that are no longer needed.
        self.sql("postgres", "CHECKPOINT")?;
        if !synchronous_commit.is_empty() {
            self.sql(
                "postgres",
                &format!("ALTER DATABASE {name} SET synchronous_commit = {synchronous_commit}"),
            )?;
        }
        let schema = Command::new(env!("CARGO_BIN_EXE_leadclicks"))
            .arg("schema")
            .output()?;
        self.sql(&name, &String::from_utf8(schema.stdout)?)?;
        let socket = self
            .directory
            .path()
            .display()
            .to_string()
            .replace('/', "%2F");
        Ok(format!("postgres://admin@{socket}/{name}"))
    }

    /// Copies the clicks and experts of an SQLite database.
    fn copy(&self, file: &Path, url: &str) -> Result<(), Box<dyn Error>> {
        let conn = Connection::open(file)?;
        for (table, columns) in [
            ("experts", "username, first_name, last_name"),
            (
                "lead_clicks",
                "id, email, expert_username, search_query, created_at",
            ),
        ] {
            let path = self.directory.path().join(table);
            let mut rows_out = csv::Writer::from_writer(File::create(&path)?);
            let mut statement = conn.prepare(&format!("SELECT {columns} FROM {table}"))?;
            let count = statement.column_count();
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                for column in 0..count {
                    match row.get_ref(column)? {
                        ValueRef::Text(text) => rows_out.write_field(text)?,
                        other => rows_out.write_field(other.as_i64()?.to_string())?,
                    }
                }
                rows_out.write_record(None::<&[u8]>)?;
            }
            rows_out.flush()?;
            let copy = format!(
                "SET TIME ZONE 'UTC'; COPY {table} ({columns}) FROM STDIN (FORMAT csv, FORCE_NOT_NULL ({}))",
                columns.rsplit(", ").take(3).collect::<Vec<_>>().join(", ")
            );
            let copied = self
                .psql(url)
                .args(["--quiet", "--command", &copy])
                .stdin(File::open(path)?)
                .status()?;
            if !copied.success() {
                return Err(format!("cannot copy {table}").into());
            }
        }
        done(
            self.psql(url)
                .args(["--quiet", "--command", "VACUUM ANALYZE"]),
        )
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new("psql");
        psql.args([
            "--no-psqlrc",
            "--set=ON_ERROR_STOP=1",
            "--username=admin",
            "--host",
        ]);
        psql.arg(self.directory.path())
            .arg("--dbname")
            .arg(database);
        psql
    }

    fn sql(&self, database: &str, sql: &str) -> Result<String, Box<dyn Error>> {
        let mut psql = self.psql(database);
        psql.args(["--quiet", "--tuples-only", "--no-align", "--command", sql]);
        psql.env("PGOPTIONS", "-c client_min_messages=warning");
        let output = psql.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("psql failed: {sql}").into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A program of the newest version, as the user who runs the server.
    fn program(&self, name: &str) -> Command {
        let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .map(|version| version.path().join("bin").join(name))
            .collect();
        versions.sort();
        let path = versions.pop().unwrap_or_else(|| PathBuf::from(name));
        let mut command = match user() {
            Ok(Some((uid, gid))) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
                command.args(["--clear-groups", "--"]).arg(path);
                command
            }
            _ => Command::new(path),
        };
        command
            .current_dir(self.directory.path())
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
        // An error only means that it has already ended.
        let _ = stop
            .args(["stop", "-m", "immediate", "-D"])
            .arg(self.data())
            .status();
    }
}

fn done(command: &mut Command) -> Result<(), Box<dyn Error>> {
    if command.status()?.success() {
        Ok(())
    } else {
        Err(format!("{command:?} failed").into())
    }
}

/// The user `postgres`, if this runs as root, which PostgreSQL refuses.
fn user() -> Result<Option<(u32, u32)>, Box<dyn Error>> {
    let own = fs::metadata("/proc/self")?;
    if std::os::unix::fs::MetadataExt::uid(&own) != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let user = users
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .ok_or("no user postgres; install Debian's postgresql")?;
    let ids: Vec<u32> = user
        .split(':')
        .skip(2)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok(Some((ids[0], ids[1])))
}
