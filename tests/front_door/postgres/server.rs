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
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::{Daemon, PATIENCE, Ran, Site};

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
        let directory = new_directory();
        let data = directory.path().join("data");
        let args = [
            "--no-sync",
            "--username=admin",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "-D",
        ];
        let initialized = Ran::finish(as_own_user("initdb", &args, &data), b"");
        assert!(initialized.status.success(), "{initialized}");
        let socket = directory.path().display();
        let mut configuration = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        let own = format!("{SETTINGS}unix_socket_directories = '{socket}'\n{settings}\n");
        configuration += &own;
        fs::write(data.join("postgresql.conf"), configuration).unwrap();
        fs::write(data.join("pg_hba.conf"), HBA).unwrap();
        Self::run(directory)
    }

    /// A standby of this server, with these settings in addition.
    pub fn start_standby(&self, settings: &str) -> Self {
        let directory = new_directory();
        let data = directory.path().join("data");
        let args = [
            "--host",
            self.socket().to_str().unwrap(),
            "--username=admin",
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
            "-D",
        ];
        let copied = Ran::finish(as_own_user("pg_basebackup", &args, &data), b"");
        assert!(copied.status.success(), "{copied}");
        let socket = directory.path().display();
        let path = data.join("postgresql.conf");
        let configuration = fs::read_to_string(&path).unwrap();
        let own = format!("unix_socket_directories = '{socket}'\n{settings}\n");
        fs::write(path, configuration + &own).unwrap();
        Self::run(directory)
    }

    /// Makes the primary of a standby.
    pub fn promote(&self) {
        self.control(&["promote", "-w"]);
    }

    /// Restarts it with `fast` or `immediate`.
    pub fn restart(&self, mode: &str) {
        self.control(&["restart", "-w", "-m", mode]);
    }

    /// Starts it again after [`Server::kill`].
    pub fn start_again(&self) {
        self.control(&["start", "-w", "-t", "60"]);
    }

    fn control(&self, args: &[&str]) {
        let log = self.data().join("log");
        let args = [args, &["-l", log.to_str().unwrap(), "-D"]].concat();
        let mut command = as_own_user("pg_ctl", &args, &self.data());
        // The server would keep a pipe open.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().unwrap();
        assert!(status.success(), "{args:?}\n{}", self.log());
    }

    /// Ends it as a power cut does.
    pub fn kill(&self) {
        self.signal("KILL");
        let data = fs::canonicalize(self.data()).unwrap();
        let runs = || {
            fs::read_dir("/proc").unwrap().any(|process| {
                let directory = fs::read_link(process.unwrap().path().join("cwd"));
                directory.is_ok_and(|directory| directory == data)
            })
        };
        let deadline = Instant::now() + PATIENCE;
        while runs() {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(5));
        }
        // The process is still known, because nobody waits for it. After a power cut it would not be.
        fs::remove_file(self.data().join("postmaster.pid")).unwrap();
        fs::remove_file(self.socket().join(".s.PGSQL.5432.lock")).unwrap();
    }

    /// Sends its first process a signal.
    pub fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        kill.args([&format!("-{signal}"), &self.pid()]);
        assert!(kill.status().unwrap().success());
    }

    fn pid(&self) -> String {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().to_owned()
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.data().join("log")).unwrap_or_default()
    }

    fn run(directory: TempDir) -> Self {
        let data = directory.path().join("data");
        let mut child = as_own_user("sh", &["-c", RUN], &data)
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

/// A directory of the user who runs the servers.
pub fn new_directory() -> TempDir {
    let directory = tempfile::Builder::new()
        .prefix("pg")
        .tempdir_in("/tmp")
        .unwrap();
    if let Some((uid, gid)) = user() {
        chown(directory.path(), Some(uid), Some(gid)).unwrap();
    }
    directory
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

/// A program that runs as the user who runs the servers, with a path as its last argument.
pub fn as_own_user(program: &str, args: &[&str], path: &Path) -> Command {
    let mut command = match user() {
        None => Command::new(path_of(program)),
        Some((uid, gid)) => {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={uid}"), &format!("--regid={gid}")]);
            command.args(["--clear-groups", "--"]).arg(path_of(program));
            command
        }
    };
    let programs = path_of("pg_ctl");
    let search_path = format!(
        "{}:{}",
        programs.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    command
        .args(args)
        .arg(path)
        .env("PATH", search_path)
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
    server: Held,
    name: String,
}

/// The server that most tests share, or one that only this test needs.
enum Held {
    Shared(&'static Server),
    Own(Box<Server>),
}

impl ServerSite {
    /// A database with the tables that `leadclicks schema` prints.
    pub fn new() -> Self {
        Self::empty().with_tables()
    }

    /// An empty database on the shared server.
    pub fn empty() -> Self {
        Self::create(Held::Shared(Server::shared()), &[])
    }

    /// A database without UTF-8, with tables.
    pub fn with_encoding(encoding: &str) -> Self {
        let encoding = format!("--encoding={encoding}");
        let args = ["--template=template0", "--locale=C", &encoding];
        Self::create(Held::Shared(Server::shared()), &args).with_tables()
    }

    /// A database with tables on this server.
    pub fn on(server: Server) -> Self {
        Self::create(Held::Own(Box::new(server)), &[]).with_tables()
    }

    fn create(server: Held, args: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let new = Self {
            site: Site::new(),
            server,
            name: format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed)),
        };
        let mut command = new.server().program("createdb");
        command.args(args).arg(&new.name);
        let created = Ran::of(command);
        assert!(created.status.success(), "{created}");
        new
    }

    fn with_tables(self) -> Self {
        self.sql(&self.site.stdout_of(&["schema"]));
        self
    }

    pub fn server(&self) -> &Server {
        match &self.server {
            Held::Shared(server) => server,
            Held::Own(server) => server,
        }
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL for the superuser.
    pub fn url(&self) -> String {
        self.url_of("admin")
    }

    /// The URL of this database on several servers.
    pub fn url_on(&self, sockets: &[&Path]) -> String {
        let hosts: Vec<String> = sockets
            .iter()
            .map(|socket| socket.display().to_string().replace('/', "%2F"))
            .collect();
        format!("postgres://admin@{}/{}", hosts.join(","), self.name)
    }

    pub fn url_of(&self, user: &str) -> String {
        let socket = self
            .server()
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
            self.server().socket().display(),
            self.name
        )
    }

    /// `psql` as the superuser.
    pub fn psql(&self, args: &[&str]) -> Command {
        let mut command = self.server().program("psql");
        command
            .args([
                "--no-psqlrc",
                "--set=ON_ERROR_STOP=1",
                "--dbname",
                &self.name,
            ])
            .args(args);
        command
    }

    /// Runs SQL as the superuser, and returns the values, one row a line.
    pub fn sql(&self, sql: &str) -> String {
        let mut command = self.psql(&["--quiet", "--tuples-only", "--no-align", "--file=-"]);
        command.stdin(Stdio::piped());
        let ran = Ran::finish(command, sql.as_bytes());
        assert!(ran.status.success(), "{ran}");
        ran.stdout
    }

    /// Waits until a query is true.
    pub fn wait_until(&self, query: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.sql(query) != "t\n" {
            assert!(Instant::now() < deadline, "never: {query}");
            thread::sleep(Duration::from_millis(20));
        }
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

/// The status of the health path `/healthz`.
pub fn health(daemon: &Daemon) -> u16 {
    let request = crate::support::request("GET", "/healthz", "", "");
    daemon.connect().send(&request).status
}
