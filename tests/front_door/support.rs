//! Shared test helpers: a temporary directory, the programs, and an HTTP client that sends exact bytes.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use rustix::net::{AddressFamily, SocketType, sockopt};
use tempfile::TempDir;

use crate::privacy;

/// The limit of every wait in a test, generous even for a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A temporary directory for a database.
pub struct Site {
    dir: TempDir,
}

impl Site {
    pub fn new() -> Self {
        Self {
            dir: TempDir::new().expect("a temporary directory"),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn db_path(&self) -> PathBuf {
        self.path("leadclicks.db")
    }

    /// The names of the files in the directory, sorted.
    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.dir.path())
            .expect("the directory")
            .map(|entry| entry.expect("an entry").file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A new connection to the database, for the test itself.
    pub fn connect(&self) -> Connection {
        let conn = Connection::open(self.db_path()).expect("the database");
        conn.busy_timeout(PATIENCE).unwrap();
        conn
    }

    /// Creates a database with the daemon's schema, then runs `sql`.
    pub fn with_schema(self, sql: &str) -> Self {
        let conn = self.connect();
        conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))
            .unwrap();
        conn.execute_batch(include_str!("../../schema.sql"))
            .expect("schema.sql");
        conn.execute_batch(sql).expect(sql);
        self
    }

    /// Creates a database with SQLite's defaults by running `sql`, as another program would.
    pub fn with_database(self, sql: &str) -> Self {
        self.connect().execute_batch(sql).expect(sql);
        self
    }

    /// Writes a file into the directory.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect(name);
        path
    }

    /// Reads a file of the directory.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect(name)
    }

    /// The first value of the first row of the query `sql`.
    pub fn value<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.connect()
            .query_row(sql, [], |row| row.get(0))
            .expect(sql)
    }

    /// All stored clicks as (email, expert, query), ordered by id.
    pub fn clicks(&self) -> Vec<(String, String, String)> {
        self.connect()
            .prepare("SELECT email, expert_username, search_query FROM lead_clicks ORDER BY id")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    /// The emails of all stored clicks, ordered by id.
    pub fn emails(&self) -> Vec<String> {
        self.clicks().into_iter().map(|click| click.0).collect()
    }

    /// `leadclicks` in this directory, with pipes, in UTC, and with the table width that applies without a terminal.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_leadclicks"));
        command.args(args);
        command
    }

    /// Like [`Site::command`], with a umask such as `077`.
    pub fn command_with_umask(&self, umask: &str, args: &[&str]) -> Command {
        let mut command = self.shell("umask \"$0\" && exec leadclicks \"$@\"");
        command.arg(umask).args(args);
        command
    }

    /// A shell in this directory with `leadclicks` in its PATH, set up like [`Site::command`].
    pub fn shell(&self, script: &str) -> Command {
        let mut command = self.program("sh");
        command.args(["-c", script]);
        command
    }

    /// Runs a shell script on its own terminal without colours, with `leadclicks` in its PATH.
    pub fn on_terminal(&self, script: &str) -> Terminal {
        self.on_terminal_with(&[("NO_COLOR", "1")], script)
    }

    /// Like [`Site::on_terminal`], with environment variables about colours. Without a pager, unless one is given.
    pub fn on_terminal_with(&self, variables: &[(&str, &str)], script: &str) -> Terminal {
        let mut command = self.program("script");
        command
            .args(["--quiet", "--return", "--command", script, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .env("LEADCLICKS_PAGER", "")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped());
        Terminal::start(command)
    }

    /// Runs a shell script in a mount namespace, as [`Site::shell`] does. Both programs are in its PATH.
    pub fn in_mount_namespace(&self, script: &str) -> Ran {
        let mut command = self.program("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        Ran::finish(command, b"")
    }

    fn program(&self, program: &str) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_leadclicks"))
            .parent()
            .unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env("PATH", path)
            .env("TZ", "UTC")
            .env_remove("CI")
            .env_remove("CLICOLOR")
            .env_remove("CLICOLOR_FORCE")
            .env_remove("COLUMNS")
            .env_remove("LEADCLICKS_DB")
            .env_remove("LEADCLICKS_EXCLUDE")
            .env_remove("LEADCLICKS_PAGER")
            .env_remove("LESS")
            .env_remove("PAGER")
            .env_remove("NO_COLOR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `leadclicks` until it ends.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::finish(self.command(args), b"")
    }

    /// Runs `leadclicks` with `input` on its standard input.
    pub fn run_with_input(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped());
        Ran::finish(command, input)
    }

    /// Runs `leadclicks`, which must succeed without any message, and returns its standard output.
    pub fn stdout_of(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert!(ran.status.success() && ran.stderr.is_empty(), "{ran}");
        ran.stdout
    }

    /// As [`Site::stdout_of`], for a report in a format that has no place for the period: it is printed to standard error.
    #[track_caller]
    pub fn rows_of_period(&self, args: &[&str], period: &str) -> String {
        let ran = self.run(args);
        ran.assert(0, &ran.stdout, &format!("leadclicks: period: {period}\n"));
        ran.stdout
    }
}

/// A program that has ended.
pub struct Ran {
    command: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Runs a command until it ends, and captures its output.
    pub fn of(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::finish(command, b"")
    }

    /// Runs `leadclicksd` on `site`'s database. It must fail to start.
    pub fn daemon(site: &Site, listen: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leadclicksd"));
        command
            .args(["--listen", listen, "--db"])
            .arg(site.db_path());
        Self::of(command)
    }

    pub fn finish(mut command: Command, input: &[u8]) -> Self {
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        if let Some(mut stdin) = child.stdin.take() {
            // The program may end without reading everything.
            let _ = stdin.write_all(input);
        }
        Self::wait(&command, child)
    }

    /// Like [`Ran::finish`], for a child that `command` has already started.
    pub fn wait(command: &Command, child: Child) -> Self {
        let name = format!("{command:?}");
        let id = child.id().to_string();
        let (send, ended) = mpsc::channel();
        // The test may have stopped waiting.
        thread::spawn(move || send.send(child.wait_with_output()));
        let Ok(output) = ended.recv_timeout(4 * PATIENCE) else {
            let _ = Command::new("kill").args(["-KILL", &id]).status();
            panic!("{name} did not end");
        };
        let output = output.expect(&name);
        Self {
            command: name,
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: without_settings(&String::from_utf8_lossy(&output.stderr)),
        }
    }

    #[track_caller]
    pub fn assert(&self, code: i32, stdout: &str, stderr: &str) {
        assert_eq!(self.status.code(), Some(code), "{self}");
        assert_eq!(self.stdout, stdout, "{self}");
        assert_eq!(self.stderr, stderr, "{self}");
    }
}

/// Without the lines of the version and the settings with which the log of a daemon begins.
fn without_settings(log: &str) -> String {
    let is_setting = |line: &&str| {
        line.contains(" INFO leadclicksd starts version=") || line.contains(" INFO setting option=")
    };
    log.split_inclusive('\n').skip_while(is_setting).collect()
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\n{}\n--- stdout ---\n{}\n--- stderr ---\n{}",
            self.command, self.status, self.stdout, self.stderr
        )
    }
}

/// A program on a terminal, run by `script` of util-linux. It is killed on drop.
pub struct Terminal {
    child: Child,
    output: mpsc::Receiver<u8>,
    seen: Vec<u8>,
}

impl Terminal {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("script");
        let stdout = child.stdout.take().expect("a pipe");
        let (send, output) = mpsc::channel();
        thread::spawn(move || {
            for byte in BufReader::new(stdout).bytes().map_while(Result::ok) {
                if send.send(byte).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            output,
            seen: Vec::new(),
        }
    }

    /// Waits until the screen ends with `prompt`.
    pub fn wait_for(&mut self, prompt: &str) {
        while !self.seen.ends_with(prompt.as_bytes()) {
            match self.output.recv_timeout(PATIENCE) {
                Ok(byte) => self.seen.push(byte),
                Err(error) => panic!(
                    "no {prompt:?} ({error}) in {:?}",
                    String::from_utf8_lossy(&self.seen)
                ),
            }
        }
    }

    /// Types `keys`, then closes the input.
    pub fn type_and_end(&mut self, keys: &str) {
        let mut stdin = self.child.stdin.take().expect("a pipe");
        stdin.write_all(keys.as_bytes()).expect("typed");
    }

    /// Waits until the program ends; returns its exit code and everything on the screen, with plain line breaks.
    pub fn finish(mut self) -> (Option<i32>, String) {
        drop(self.child.stdin.take());
        loop {
            match self.output.recv_timeout(PATIENCE) {
                Ok(byte) => self.seen.push(byte),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("the program did not end"),
            }
        }
        let code = self.child.wait().expect("wait").code();
        let seen = std::mem::take(&mut self.seen);
        let screen = String::from_utf8(seen).expect("UTF-8");
        (code, screen.replace("\r\n", "\n"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `leadclicksd`. It is killed on drop.
pub struct Daemon {
    child: Child,
    pub ready_line: String,
    log: PathBuf,
}

impl Daemon {
    /// Starts the daemon on `site`'s database and a free loopback port, and waits until it is ready.
    pub fn start(site: &Site, args: &[&str]) -> Self {
        Self::start_as(Command::new(env!("CARGO_BIN_EXE_leadclicksd")), site, args)
    }

    /// Like [`Daemon::start`], with a command whose last argument is the daemon.
    pub fn start_as(mut command: Command, site: &Site, args: &[&str]) -> Self {
        command.arg("--db").arg(site.db_path());
        Self::start_on_own_database(command, site, args)
    }

    /// Like [`Daemon::start_as`], with the standard input of `command`.
    pub fn start_with_stdin(mut command: Command, site: &Site) -> Self {
        command.arg("--db").arg(site.db_path());
        Self::wait_until_ready(command, site)
    }

    /// Like [`Daemon::start_as`], with a command that already has `--db`.
    pub fn start_on_own_database(mut command: Command, site: &Site, args: &[&str]) -> Self {
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(args);
        Self::start_prepared(command, site)
    }

    /// Like [`Daemon::start_as`], with a command that already has all its arguments.
    pub fn start_prepared(mut command: Command, site: &Site) -> Self {
        command.stdin(Stdio::null());
        Self::wait_until_ready(command, site)
    }

    fn wait_until_ready(mut command: Command, site: &Site) -> Self {
        let log = site.path("leadclicksd.log");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("the log"))
            .spawn()
            .expect("leadclicksd starts");
        let ready_line = first_line(child.stdout.take().expect("a pipe"));
        let daemon = Self {
            child,
            ready_line,
            log,
        };
        assert!(
            daemon.ready_line.contains("leadclicksd is ready"),
            "not ready: {:?}\n{}",
            daemon.ready_line,
            daemon.log()
        );
        daemon
    }

    /// `127.0.0.1:PORT`, from the ready line, whatever its format.
    pub fn address(&self) -> &str {
        let rest = self.ready_line.split("http://").nth(1).expect("an address");
        rest.split(['/', '"']).next().expect("an address")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn connect(&self) -> Client<TcpStream> {
        let stream = TcpStream::connect(self.address()).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client::new(stream)
    }

    /// Connects from one of the addresses of [`in_own_network`].
    pub fn connect_from(&self, source: impl Into<IpAddr>) -> Client<TcpStream> {
        Self::connect_between(source.into(), self.address().parse().unwrap())
    }

    /// Connects from one address of this machine to another.
    pub fn connect_between(source: IpAddr, address: SocketAddr) -> Client<TcpStream> {
        let family = match source {
            IpAddr::V4(_) => AddressFamily::INET,
            IpAddr::V6(_) => AddressFamily::INET6,
        };
        let socket = rustix::net::socket(family, SocketType::STREAM, None).expect("a socket");
        if source.is_ipv6() {
            // The kernel knows the route to it, but not the address.
            sockopt::set_ipv6_freebind(&socket, true).expect("any address");
        }
        rustix::net::bind(&socket, &SocketAddr::new(source, 0)).expect("an address");
        rustix::net::connect(&socket, &address).expect("a connection");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client::new(stream)
    }

    /// Posts a click on a new connection, as a page would.
    pub fn post(&self, email: &str, expert_username: &str, search_query: &str) -> Answer {
        self.connect()
            .send(&post_request(&body(email, expert_username, search_query)))
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([&format!("-{signal}"), &self.pid().to_string()])
            .status()
            .expect("kill");
        assert!(status.success());
    }

    /// The daemon's resident memory in KiB: `VmRSS` is the current value, `VmHWM` the peak.
    pub fn memory_kb(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("status");
        status
            .lines()
            .find_map(|line| {
                line.strip_prefix(name)?
                    .strip_prefix(':')?
                    .trim()
                    .strip_suffix(" kB")
            })
            .and_then(|kilobytes| kilobytes.parse().ok())
            .expect(name)
    }

    /// Waits until the log contains `text`.
    pub fn wait_for_log(&self, text: &str) {
        self.wait_for_logs(text, 1);
    }

    /// Waits until the log contains `text` that many times.
    pub fn wait_for_logs(&self, text: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.log().matches(text).count() < times {
            assert!(Instant::now() < deadline, "no {text:?} in\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the daemon has accepted every connection to its TCP address and read everything sent on them. It then
    /// knows all requests that are complete.
    pub fn wait_until_all_is_read(&self) {
        let port: u16 = self.address().rsplit(':').next().unwrap().parse().unwrap();
        let port = format!(":{port:04X}");
        let is_read = |socket: &str| {
            // proc_pid_net(5): number, local and remote address, state, queues for sending and receiving. A listening
            // socket's receive queue is the number of connections to accept.
            let fields: Vec<&str> = socket.split_whitespace().collect();
            let (sending, receiving) = fields[4].split_once(':').unwrap();
            (!fields[1].ends_with(&port) || receiving == "00000000")
                && (!fields[2].ends_with(&port) || sending == "00000000")
        };
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string("/proc/net/tcp")
            .unwrap()
            .lines()
            .skip(1)
            .all(is_read)
        {
            assert!(Instant::now() < deadline, "not all is read");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Sends SIGTERM and waits for the end; returns the exit status and the log.
    pub fn stop(mut self) -> (ExitStatus, String) {
        self.signal("TERM");
        (self.wait(), self.log())
    }

    /// Waits until the daemon ends.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "leadclicksd did not end\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Whether this is a network namespace in which all of 198.18.0.0/15 and 2001:db8::/32 belong to this machine. If not, runs `test`, the full name of the calling test, again in one.
pub fn in_own_network(test: &str) -> bool {
    const INSIDE: &str = "LEADCLICKS_TEST_IN_OWN_NETWORK";
    const SCRIPT: &str = "set -e
        ip link set lo up
        ip address add 198.18.0.1/15 dev lo
        ip -6 route add local 2001:db8::/32 dev lo
        exec \"$0\" \"$@\"";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--net", "sh", "-c", SCRIPT])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--include-ignored", "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null());
    let ran = Ran::of(command);
    assert!(
        ran.status.success() && ran.stdout.contains("1 passed"),
        "{ran}"
    );
    eprint!("{}", ran.stderr);
    false
}

/// The first line that a program prints.
pub fn first_line(output: impl Read + Send + 'static) -> String {
    let mut output = BufReader::new(output);
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = output.read_line(&mut line);
        // The test may have stopped waiting.
        let _ = send.send(read.map(|_| line));
    });
    receive
        .recv_timeout(PATIENCE)
        .expect("a line in time")
        .expect("a line")
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !thread::panicking() {
            privacy::assert_private(&self.log());
        }
    }
}

/// Holds the database's write lock until it is dropped, as a long transaction of another program would.
pub struct WriteLock(Connection);

impl WriteLock {
    pub fn take(site: &Site) -> Self {
        let conn = site.connect();
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(conn)
    }

    pub fn release(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

/// Makes system calls of a running daemon fail or wait, with strace, until it is dropped.
pub struct Fault(Child);

impl Fault {
    /// `injection` is a system call and its fault, such as `fsync:error=EIO`.
    pub fn inject(daemon: &Daemon, injection: &str) -> Self {
        let mut strace = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e"])
            .arg(format!("trace={}", injection.split(':').next().unwrap()))
            .args([
                "-e",
                &format!("inject={injection}"),
                "-p",
                &daemon.pid().to_string(),
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace");
        let line = first_line(strace.stderr.take().unwrap());
        let fault = Self(strace);
        // strace prints this line when it is attached to all threads.
        assert!(
            line.contains(" attached"),
            "{line}see /proc/sys/kernel/yama/ptrace_scope"
        );
        fault
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // At this signal strace detaches from the daemon, which continues normally.
        let _ = Command::new("kill")
            .args(["-INT", &self.0.id().to_string()])
            .status();
        let _ = self.0.wait();
    }
}

pub const FAILING: &str = "ERROR clicks can't be stored, answering 503 until they can";
pub const WORKING: &str = "INFO clicks are stored again";

#[track_caller]
pub fn assert_unavailable(answer: &Answer) {
    let error = r#"{"error":"the click could not be stored; send it again later"}"#;
    assert_eq!((answer.status, &*answer.body), (503, error));
    assert_eq!(answer.header("retry-after"), Some("2"));
}

/// Asserts that the log says once that storing failed, once that it works again, and once the `reason`.
#[track_caller]
pub fn assert_logged_once(log: &str, reason: &str) {
    let counts = [FAILING, WORKING, reason].map(|text| log.matches(text).count());
    assert_eq!(counts, [1, 1, 1], "{reason}\n{log}");
}

/// The sum of the numbers after `name=` in the log's lines of counts.
pub fn counted(log: &str, name: &str) -> u64 {
    log.lines()
        .filter(|line| line.contains(" counts "))
        .flat_map(|line| line.split(' '))
        .filter_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        .map(|number| number.parse::<u64>().unwrap())
        .sum()
}

/// The `--help` of a command of `program`, such as `["experts", "list"]`.
#[track_caller]
pub fn help(program: &str, command: &[String]) -> String {
    let mut help = Command::new(program);
    help.args(command).arg("--help");
    let ran = Ran::of(help);
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran}");
    ran.stdout
}

/// All commands and groups of commands of `leadclicks`, each as its words. The first is `leadclicks` itself, without any.
pub fn commands() -> Vec<Vec<String>> {
    let mut commands = vec![vec![]];
    let mut known = 0;
    while let Some(group) = commands.get(known).cloned() {
        commands.extend(
            subcommands(&group)
                .into_iter()
                .map(|name| [&group[..], &[name]].concat()),
        );
        known += 1;
    }
    commands
}

/// The names of the commands in a group of `leadclicks`; empty for a command.
pub fn subcommands(group: &[String]) -> Vec<String> {
    help(env!("CARGO_BIN_EXE_leadclicks"), group)
        .split("\nCommands:\n")
        .nth(1)
        .into_iter()
        .flat_map(|rest| rest.split("\n\n").next().unwrap().lines())
        // The description of a command may continue on the next line.
        .filter_map(|line| {
            line.strip_prefix("  ")
                .filter(|line| !line.starts_with(' '))
        })
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect()
}

/// Whether the tests run under `tests/run --long` and may take minutes.
pub fn is_long() -> bool {
    std::env::var_os("LEADCLICKS_TEST_LONG").is_some()
}

pub fn body(email: &str, expert_username: &str, search_query: &str) -> String {
    serde_json::json!({
        "email": email,
        "expert_username": expert_username,
        "search_query": search_query,
    })
    .to_string()
}

pub fn post_request(body: &str) -> String {
    request("POST", "/api/lead-clicks", "", body)
}

/// A request with a JSON body. `headers` are complete lines, each with its line break.
pub fn request(method: &str, target: &str, headers: &str, body: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         {headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A connection that sends exact bytes.
pub struct Client<S> {
    stream: BufReader<S>,
}

impl<S: Read + Write> Client<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    #[track_caller]
    pub fn send(&mut self, request: &str) -> Answer {
        self.write(request.as_bytes());
        self.read()
    }

    /// Sends a request and reads its answer; an error if the connection ends before that.
    pub fn try_send(&mut self, request: &str) -> io::Result<Answer> {
        privacy::remember(request.as_bytes());
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.try_read()
    }

    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        privacy::remember(bytes);
        self.stream.get_mut().write_all(bytes).expect("sent");
    }

    #[track_caller]
    pub fn read(&mut self) -> Answer {
        self.try_read().expect("an answer")
    }

    /// Reads the status of an answer without a body, and all that follows it until the connection ends.
    pub fn read_head(&mut self) -> (u16, String) {
        let mut text = String::new();
        self.stream.read_to_string(&mut text).expect("an answer");
        let (head, rest) = text.split_once("\r\n\r\n").expect("a head");
        (head[9..12].parse().expect("a status"), rest.to_owned())
    }

    /// Reads an answer; an error if the connection ends before that.
    pub fn try_read(&mut self) -> io::Result<Answer> {
        let mut line = String::new();
        let mut head = Vec::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some(header) = line.strip_suffix("\r\n").filter(|line| !line.is_empty()) else {
                break;
            };
            head.push(header.to_owned());
        }
        let status = head[0].split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut answer = Answer {
            status: status.unwrap_or_default(),
            headers: head.split_off(1),
            body: String::new(),
        };
        let length = answer
            .header("content-length")
            .map_or(0, |length| length.parse().expect("a content length"));
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        answer.body = String::from_utf8(body).expect("UTF-8");
        privacy::assert_private(&answer.body);
        Ok(answer)
    }

    /// Waits until the other side closes the connection; false if it sends something instead, or leaves it open.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

impl Client<UnixStream> {
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::new(stream)
    }
}

impl Client<TcpStream> {
    /// Closes the sending side, as a client that is cut off.
    pub fn end_sending(&self) {
        // The daemon may have refused and closed the connection already; its answer can still be read.
        match self.stream.get_ref().shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            ended => ended.unwrap(),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|header| {
            let (key, value) = header.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// The mode bits of a file.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).expect("the file").permissions().mode() & 0o7777
}

/// Raises this process's limit of open files to the maximum.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("more open files");
}

/// The tables of a host app, as SQLAlchemy would create them, with a full-text index over the clicks.
pub const HOST_APP: &str = "
    CREATE TABLE experts (
        id INTEGER NOT NULL PRIMARY KEY,
        username VARCHAR(100) NOT NULL UNIQUE,
        email VARCHAR(320) NOT NULL,
        first_name VARCHAR(100) NOT NULL,
        last_name VARCHAR(100),
        job_title VARCHAR(200) NOT NULL,
        bio TEXT NOT NULL
    );
    INSERT INTO experts VALUES
        (1, 'jdoe', 'jdoe@example.com', 'Jane', 'Doe', 'CTO', 'Builds things.'),
        (2, 'plain', 'plain@example.com', '', NULL, '', '');
    CREATE TABLE admin_users (id INTEGER PRIMARY KEY, email VARCHAR(320) NOT NULL);
    INSERT INTO admin_users VALUES (1, 'admin@example.com');
    CREATE TABLE settings (name VARCHAR(50) PRIMARY KEY, value TEXT);
    INSERT INTO settings VALUES ('theme', 'dark');
    CREATE TABLE lead_clicks (
        id INTEGER NOT NULL,
        email VARCHAR(320) NOT NULL,
        expert_username VARCHAR(100) NOT NULL,
        search_query TEXT NOT NULL,
        created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
        PRIMARY KEY (id)
    );
    CREATE INDEX ix_lead_clicks_email ON lead_clicks (email);
    CREATE INDEX ix_lead_clicks_expert_username ON lead_clicks (expert_username);
    CREATE VIRTUAL TABLE lead_clicks_fts
        USING fts5(search_query, content=lead_clicks, content_rowid=id);
    CREATE TRIGGER lead_clicks_ai AFTER INSERT ON lead_clicks BEGIN
        INSERT INTO lead_clicks_fts (rowid, search_query) VALUES (new.id, new.search_query);
    END;
    CREATE TRIGGER lead_clicks_ad AFTER DELETE ON lead_clicks BEGIN
        INSERT INTO lead_clicks_fts (lead_clicks_fts, rowid, search_query)
        VALUES ('delete', old.id, old.search_query);
    END;";
