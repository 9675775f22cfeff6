//! `leadclicksd`, the capture daemon.

mod settings;

use std::{
    env,
    io::{self, Write},
    path::PathBuf,
    pin::pin,
    process::{self, ExitCode},
    sync::Arc,
    time::{Duration, SystemTime},
};

use clap::{
    CommandFactory, FromArgMatches, Parser, ValueEnum,
    error::{ContextKind, ContextValue},
};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time,
};

use self::settings::Setting;
use super::{DB_DEFAULT, VERSION, db_path, empty_variable, print_error, systemd};
use crate::{
    capture::{
        self, Address, CONNECTIONS_MAX, Listener, Origin, RateLimit, Settings, SocketMode,
        TrustedProxy,
    },
    storage::{CaptureDb, DbLocation, DiskReserve, Error as StorageError, Pace},
    text::visible,
    timestamp::Timestamp,
};

/// File descriptors that are reserved for the database's files, the standard streams and the runtime.
const FILES_RESERVED: u64 = 64;

/// The longest `--shutdown-grace`, far more than a shutdown needs.
const GRACE_MAX: Duration = Duration::from_hours(1);

/// The variable by which a platform says on which port it expects the daemon.
const PORT: &str = "PORT";

/// The exit code of clap's errors.
const WRONG_USAGE: i32 = 2;

const AFTER_HELP: &str = "\
Examples:
  leadclicksd
  leadclicksd --db /var/lib/leadclicks/leadclicks.db --trusted-proxy 127.0.0.1
  leadclicksd --listen unix:/run/leadclicksd.sock --trusted-proxy unix
  leadclicksd --allow-origin https://www.example.com --rate-limit 30/m
  leadclicksd --listen 8080 --health-path /healthz --log-format json

Exit codes:
  0      ended by SIGTERM or SIGINT after storing all queued clicks
  1      failed to start, or did not end within --shutdown-grace or before a
         second signal
  2      wrong usage
  128+n  ended by another signal n, as shells report it: 137 by SIGKILL";

/// Store the lead clicks that pages post
///
/// Accepts one request, POST /api/lead-clicks, and answers 202 when the click is committed and fsynced. Creates the
/// database file if it does not exist, but no tables of a server. SIGTERM or SIGINT shuts down gracefully: requests in
/// flight are finished. A second signal ends the daemon at once. SIGHUP is logged and ignored.
#[derive(Debug, Parser)]
#[command(name = "leadclicksd", version = VERSION.as_str(), after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// The database file, or postgres://USER@HOST/NAME
    #[arg(long, value_name = "FILE|URL", env = "LEADCLICKS_DB", hide_env_values = true, default_value = DB_DEFAULT)]
    db: PathBuf,
    #[arg(
        help = "Address to listen on: IP:PORT, localhost:PORT, PORT or :PORT (all interfaces, IPv6 and IPv4), or unix:PATH. \
                With port 0 the system chooses one. If neither this nor its variable is given, but the variable PORT, that \
                port of all interfaces is used. A socket passed by systemd takes precedence",
        long,
        value_name = "ADDR",
        env = "LEADCLICKS_LISTEN",
        hide_env_values = true,
        default_value = "127.0.0.1:8787"
    )]
    listen: Address,
    /// Mode of the Unix socket that the daemon creates, in octal digits
    #[arg(
        long,
        value_name = "MODE",
        env = "LEADCLICKS_SOCKET_MODE",
        hide_env_values = true,
        default_value = "0660"
    )]
    socket_mode: SocketMode,
    /// Path that accepts clicks; repeatable, comma-separated in the variable
    #[arg(
        long = "path",
        value_name = "PATH",
        env = "LEADCLICKS_PATH",
        hide_env_values = true,
        value_delimiter = ',',
        value_parser = parse_path,
        default_value = "/api/lead-clicks"
    )]
    paths: Vec<String>,
    /// Path whose GET is answered 200 if a click could be stored and 503 if not, such as /healthz; by default none
    #[arg(
        long,
        value_name = "PATH",
        env = "LEADCLICKS_HEALTH_PATH",
        hide_env_values = true,
        value_parser = parse_path
    )]
    health_path: Option<String>,
    #[arg(
        help = "Origin of pages that may post, such as https://www.example.com, https://*.example.com for all its \
                subdomains, or * for all; repeatable, comma-separated in the variable. If any is given, pages of other \
                origins are refused",
        long = "allow-origin",
        value_name = "ORIGIN",
        env = "LEADCLICKS_ALLOW_ORIGIN",
        hide_env_values = true,
        value_delimiter = ','
    )]
    origins: Vec<Origin>,
    #[arg(
        help = "Proxy whose X-Forwarded-For is trusted: an address, a network such as 10.0.0.0/8, or unix for peers on \
                the Unix socket; repeatable, comma-separated in the variable",
        long = "trusted-proxy",
        value_name = "CIDR",
        env = "LEADCLICKS_TRUSTED_PROXY",
        hide_env_values = true,
        value_delimiter = ','
    )]
    trusted_proxies: Vec<TrustedProxy>,
    #[arg(
        help = "How many requests a client (an IPv4 address or an IPv6 /64) may send at once and regains over a second, \
                minute or hour, such as 5/s, 120/m or 1000/h; or off. An IPv6 /48 may send 16 times as many. Requests \
                beyond it are answered 429. Clients on this machine are limited only behind a trusted proxy",
        long,
        value_name = "RATE",
        env = "LEADCLICKS_RATE_LIMIT",
        hide_env_values = true,
        default_value = "120/m"
    )]
    rate_limit: RateLimit,
    /// Disk space to leave free, such as 64MiB, 1GB or off; by default 16MiB, or a tenth of the file system if that is less.
    /// Below it clicks are answered 503, so that there is room to delete old ones. Not for a server
    #[arg(
        long,
        value_name = "SIZE",
        env = "LEADCLICKS_DISK_RESERVE",
        hide_env_values = true
    )]
    disk_reserve: Option<DiskReserve>,
    /// How long a shutdown may take, such as 10s or 500ms
    #[arg(
        long,
        value_name = "TIME",
        env = "LEADCLICKS_SHUTDOWN_GRACE",
        hide_env_values = true,
        value_parser = parse_grace,
        default_value = "10s"
    )]
    shutdown_grace: Duration,
    /// Format of the log on standard error, and of the line on standard output when the daemon is ready
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        env = "LEADCLICKS_LOG_FORMAT",
        hide_env_values = true,
        default_value_t = LogFormat::Text
    )]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// One line for each event, for people
    Text,
    /// One JSON object for each event, for programs
    Json,
}

fn parse_path(text: &str) -> Result<String, &'static str> {
    let is_path = text.starts_with('/')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
    if is_path {
        Ok(text.to_owned())
    } else {
        Err(
            "a path begins with / and contains no blanks, ? or #; percent-encode everything but ASCII",
        )
    }
}

fn parse_grace(text: &str) -> Result<Duration, &'static str> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|grace| Duration::try_from(grace).ok())
        .filter(|grace| !grace.is_zero() && *grace <= GRACE_MAX)
        .ok_or("a time is a number with a unit, such as 10s, 500ms or 1m, and at most one hour")
}

/// Why the daemon could not start or did not shut down gracefully.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(
        "cannot use the socket that systemd passed: {0}; give the .socket unit exactly one ListenStream"
    )]
    Inherit(io::Error),
    #[error(
        "cannot listen on {address}: {error}; choose another --listen, or stop the program that listens there"
    )]
    Listen { address: Address, error: io::Error },
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    #[error("the clock is before 1970, so clicks cannot be dated; set it, and start again")]
    Clock,
    #[error("the writer ended unexpectedly; please report this as a bug")]
    WriterGone,
    #[error("the shutdown took longer than {0:?}; every click that was answered 202 is stored")]
    GraceExceeded(Duration),
    #[error("ended early by a second signal; every click that was answered 202 is stored")]
    Interrupted,
}

/// Parses the command line and runs until a signal ends the daemon. Prints errors to standard error.
#[must_use]
pub fn main() -> ExitCode {
    let (cli, db, settings) = parse();
    let log_format = cli.log_format;
    start_log(log_format);
    let pace = Arc::new(Pace::default());
    let ended = runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park({
            let pace = Arc::clone(&pace);
            move || pace.idle()
        })
        .build()
        .map_err(Failure::Runtime)
        .and_then(|runtime| runtime.block_on(run(cli, &db, settings, pace)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match log_format {
                LogFormat::Text => print_error("leadclicksd", &failure),
                LogFormat::Json => tracing::error!(reason = %failure, "leadclicksd failed"),
            }
            ExitCode::FAILURE
        }
    }
}

/// The options, and those that are not at their defaults.
fn parse() -> (Cli, DbLocation, Vec<Setting>) {
    let parsed = Cli::command()
        .try_get_matches()
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (mut cli, matches) = parsed.unwrap_or_else(|error| {
        // clap would name the flag, which the user did not give.
        if let Some(variable) = empty_variable_behind(&error) {
            wrong_usage(&empty_variable(&variable));
        }
        error.exit()
    });
    // Not in clap, whose error would repeat a URL with its password.
    let db = db_path::location(&cli.db).unwrap_or_else(|fault| wrong_usage(&fault));
    if let Err(fault) = db_path::disk_reserve(&db, cli.disk_reserve) {
        wrong_usage(&fault);
    }
    if let Some(path) = cli.health_path.as_ref()
        && cli.paths.contains(path)
    {
        wrong_usage(&format!(
            "--health-path {path} is also a --path, which accepts clicks; give it another path"
        ));
    }
    let mut settings = settings::given(&Cli::command(), &matches, &db.to_string());
    if !settings.iter().any(Setting::is_listen)
        && let Some(port) = env::var_os(PORT)
    {
        cli.listen = match port.to_str() {
            Some("") => wrong_usage(&empty_variable(PORT)),
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok(),
            _ => None,
        }
        .unwrap_or_else(|| {
            wrong_usage(&format!(
                "the variable {PORT} is not the number of a port; correct it, or pass --listen"
            ))
        });
        settings.push(Setting::listen(&cli.listen, PORT));
    }
    if settings.iter().any(Setting::is_socket_mode) && !matches!(cli.listen, Address::Unix(_)) {
        wrong_usage("--socket-mode is for a Unix socket; leave it out, or pass --listen unix:PATH");
    }
    (cli, db, settings)
}

fn wrong_usage(fault: &str) -> ! {
    print_error("leadclicksd", &fault);
    process::exit(WRONG_USAGE)
}

/// The environment variable that caused the error by being empty, if any.
fn empty_variable_behind(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let mut command = Cli::command();
    command.build();
    let mut args = command.get_arguments();
    let variable = args.find(|arg| arg.to_string() == *flag)?.get_env()?;
    let is_empty = env::var_os(variable)?.is_empty();
    is_empty.then(|| variable.to_string_lossy().into_owned())
}

fn start_log(format: LogFormat) {
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_target(false)
        // Otherwise a failed write to the log would panic, and a full disk must not end the daemon.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

async fn run(
    cli: Cli,
    db: &DbLocation,
    mut settings: Vec<Setting>,
    pace: Arc<Pace>,
) -> Result<(), Failure> {
    let inherited = Listener::inherit();
    if let Ok(Some(listener)) = &inherited
        && let Ok(address) = listener.address()
    {
        settings.retain(|setting| !setting.is_listen());
        settings.push(Setting::listen(&address, "systemd"));
    }
    // First, so that the log of a failed start has them.
    settings::log(&Cli::command(), &settings);
    if SystemTime::now() < SystemTime::UNIX_EPOCH {
        return Err(Failure::Clock);
    }
    capture::read_clock().await;
    let inherited = inherited.map_err(Failure::Inherit)?;
    let mut signals = Signals::new().map_err(Failure::Runtime)?;
    let db = CaptureDb::open(db).await?;
    let db_name = db.name();
    let listen_failed = |error| Failure::Listen {
        address: cli.listen.clone(),
        error,
    };
    let listener = match inherited {
        Some(listener) => Ok(listener),
        None => Listener::bind(&cli.listen, cli.socket_mode).await,
    }
    .map_err(listen_failed)?;
    let address = listener.address().map_err(listen_failed)?;
    let reserve = cli.disk_reserve.unwrap_or_default();
    let (writer, clicks) =
        db.start_writer(pace, reserve, || Timestamp::new(jiff::Timestamp::now()))?;
    let settings = Settings {
        paths: cli.paths,
        health_path: cli.health_path,
        origins: cli.origins.into(),
        trusted_proxies: cli.trusted_proxies.into(),
        rate_limit: cli.rate_limit,
        connections_max: connections_max(),
        // The remaining quarter is for the writer to store the queue and to checkpoint.
        drain_timeout: cli.shutdown_grace * 3 / 4,
    };
    print_ready_line(cli.log_format, &address, &settings.paths, &db_name);
    systemd::notify_ready();
    tokio::spawn(systemd::feed_watchdog());

    let (stop, stopped) = oneshot::channel::<()>();
    let serving = async {
        let stopped = async {
            // The sender is never dropped before it has sent.
            let _ = stopped.await;
        };
        let counts = writer.counts().clone();
        capture::serve(listener, settings, clicks, &counts, stopped).await;
        writer.ended().await
    };
    let mut serving = pin!(serving);
    tokio::select! {
        _ = &mut serving => return Err(Failure::WriterGone),
        () = signals.next() => {}
    }
    tracing::info!("stopping");
    systemd::notify_stopping();
    let _ = stop.send(());
    tokio::select! {
        ended = time::timeout(cli.shutdown_grace, &mut serving) => match ended {
            Ok(checkpoint) => {
                checkpoint?;
                tracing::info!("stopped");
                Ok(())
            }
            Err(_) => Err(Failure::GraceExceeded(cli.shutdown_grace)),
        },
        () = signals.next() => Err(Failure::Interrupted),
    }
}

/// Prints one line to standard output, for people or for programs that wait until clicks can be posted.
fn print_ready_line(format: LogFormat, address: &Address, paths: &[String], db: &str) {
    let line = match format {
        LogFormat::Text => format!(
            "leadclicksd is ready: POST {address}{} stores into {}",
            paths.join(&format!(" or {address}")),
            visible(db)
        ),
        LogFormat::Json => serde_json::json!({
            "message": "leadclicksd is ready",
            "address": address.to_string(),
            "paths": paths,
            "db": db,
        })
        .to_string(),
    };
    let mut stdout = io::stdout().lock();
    // Whoever started the daemon may have closed its standard output.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Raises the soft limit of open files to the hard one, and returns how many connections that allows.
fn connections_max() -> usize {
    let mut files = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: files.maximum,
        ..files
    };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        files = raised;
    }
    let for_connections = files
        .current
        .map_or(u64::MAX, |files| files.saturating_sub(FILES_RESERVED));
    usize::try_from(for_connections)
        .unwrap_or(CONNECTIONS_MAX)
        .clamp(1, CONNECTIONS_MAX)
}

/// SIGTERM and SIGINT, and SIGHUP, which is only logged: a closed terminal or a habit of other daemons should not end this one.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop.
    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => tracing::info!(
                    "SIGHUP is ignored; restart leadclicksd to change its settings"
                ),
            }
        }
    }
}
