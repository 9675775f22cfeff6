//! A PostgreSQL server for the tests of this process.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use tempfile::TempDir;

use crate::support::{Daemon, Ran, Site};

/// Settings of every server. It only listens on its socket, so that no port has to be free.
const SETTINGS: &str = "
listen_addresses = ''
max_connections = 200
shared_buffers = 32MB
# A transaction that a failed test has left.
idle_in_transaction_session_timeout = 60s
";

/// Roles log in without a password, except those that are members of with_password.
const HBA: &str = "
local all +with_password scram-sha-256
local all all trust
local replication all trust
";

/// Starts the server, waits for the end of standard input, and ends the server.
const RUN: &str = r#"
pg_ctl -D "$0" -l "$0/log" -w -t 60 start >"$0/started" 2>&1 || { cat "$0/started" "$0/log"; exit 1; }
echo ready
cat >"$0/stdin"
pg_ctl -D "$0" -m immediate stop >"$0/stopped" 2>&1
"#;

/// A running server with its own data directory. It ends when this is dropped, or when the test process ends.
pub struct Server {
    directory: TempDir,
    /// Ends the server when it is closed.
    stdin: Option<ChildStdin>,
    child: Child,
}

impl Server {
    /// A new server with these settings in addition.
    pub fn start(settings: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("pg")
            .tempdir_in("/tmp")
            .unwrap();
        let data = directory.path().join("data");
        let user = user();
        if let Some((uid, gid)) = user {
            chown(directory.path(), Some(uid), Some(gid)).unwrap();
        }
        let initialized = Ran::finish(
            as_user(
                user,
                "initdb",
                &[
                    "--no-sync",
                    "--username=admin",
                    "--auth=trust",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "-D",
                ],
                &data,
            ),
            b"",
        );
        assert!(initialized.status.success(), "{initialized}");
        let socket = directory.path().display();
        let mut configuration = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        configuration += &format!("{SETTINGS}unix_socket_directories = '{socket}'\n{settings}\n");
        fs::write(data.join("postgresql.conf"), configuration).unwrap();
        fs::write(data.join("pg_hba.conf"), HBA).unwrap();
        Self::run(directory, &data)
    }

    fn run(directory: TempDir, data: &Path) -> Self {
        let mut child = as_user(user(), "sh", &["-c", RUN], data)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        Self {
            directory,
            stdin: child.stdin.take(),
            child,
        }
    }

    /// The server that most tests share, each with its own database.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| {
            Self::start("# Less to write at the end of each test.\nwal_level = replica")
        })
    }

    /// The directory of its socket.
    pub fn socket(&self) -> &Path {
        self.directory.path()
    }

    /// A program of PostgreSQL that connects to the server as its superuser.
    pub fn program(&self, program: &str) -> Command {
        let mut command = Command::new(path_of(program));
        command
            .env("PGHOST", self.socket())
            .env("PGUSER", "admin")
            .env("PGOPTIONS", "-c client_min_messages=warning")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// A program of PostgreSQL. Debian has most of them only in a directory of the version.
fn path_of(program: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path().join("bin").join(program))
        .filter(|path| path.exists())
        .collect();
    versions.sort();
    versions.pop().unwrap_or_else(|| PathBuf::from(program))
}

/// The user `postgres`, if the tests run as root, which PostgreSQL refuses.
fn user() -> Option<(u32, u32)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut fields = user.split(':').skip(2).map(|id| id.parse().unwrap());
    Some((fields.next()?, fields.next()?))
}

fn as_user(user: Option<(u32, u32)>, program: &str, args: &[&str], data: &Path) -> Command {
    let mut command = match user {
        None => Command::new(path_of(program)),
        Some((uid, gid)) => {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={uid}"), &format!("--regid={gid}")]);
            command.args(["--clear-groups", "--"]).arg(path_of(program));
            command
        }
    };
    let programs = path_of("pg_ctl");
    let path = format!(
        "{}:{}",
        programs.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    command
        .args(args)
        .arg(data)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A database of its own on a server, which `leadclicks` and `leadclicksd` use in the directory of a [`Site`].
pub struct ServerSite {
    pub site: Site,
    server: &'static Server,
    name: String,
}

impl ServerSite {
    /// An empty database on the shared server.
    pub fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = Server::shared();
        let name = format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let created = Ran::of(createdb(server, &name));
        assert!(created.status.success(), "{created}");
        Self {
            site: Site::new(),
            server,
            name,
        }
    }

    /// A database with the tables that `leadclicks schema` prints.
    pub fn new() -> Self {
        let new = Self::empty();
        new.sql(&new.site.stdout_of(&["schema"]));
        new
    }

    pub fn server(&self) -> &'static Server {
        self.server
    }

    /// The URL for the superuser.
    pub fn url(&self) -> String {
        self.url_of("admin")
    }

    pub fn url_of(&self, user: &str) -> String {
        let socket = self
            .server
            .socket()
            .display()
            .to_string()
            .replace('/', "%2F");
        format!("postgres://{user}@{socket}/{}", self.name)
    }

    /// How error messages name the database.
    pub fn shown(&self) -> String {
        format!(
            "postgres://admin@{}/{}",
            self.server.socket().display(),
            self.name
        )
    }

    /// Runs SQL as the superuser, and returns the values, one row a line.
    pub fn sql(&self, sql: &str) -> String {
        let mut command = self.server.program("psql");
        command
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--dbname", &self.name, "--file=-"])
            .stdin(Stdio::piped());
        let ran = Ran::finish(command, sql.as_bytes());
        assert!(ran.status.success(), "{ran}");
        ran.stdout
    }

    /// `psql` as the superuser, which runs what is written to it until its input is closed.
    pub fn psql(&self) -> Child {
        let mut command = self.server.program("psql");
        command
            .args(["--no-psqlrc", "--quiet", "--dbname", &self.name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        command.spawn().unwrap()
    }

    /// `leadclicks` on this database.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.site.command(args);
        command.env("LEADCLICKS_DB", self.url());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::finish(self.command(args), b"")
    }

    pub fn run_with_input(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped());
        Ran::finish(command, input)
    }

    pub fn stdout_of(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert!(ran.status.success() && ran.stderr.is_empty(), "{ran}");
        ran.stdout
    }

    /// `leadclicksd` on this database as the superuser.
    pub fn daemon(&self, args: &[&str]) -> Daemon {
        self.daemon_of(&self.url(), args)
    }

    pub fn daemon_of(&self, url: &str, args: &[&str]) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
        command.env("LEADCLICKS_DB", url);
        Daemon::start_on_own_database(command, &self.site, args)
    }
}

fn createdb(server: &Server, name: &str) -> Command {
    let mut command = server.program("createdb");
    command.arg(name);
    command
}
