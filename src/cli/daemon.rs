//! `leadclicksd`, the capture daemon.

use std::{
    env,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    pin::pin,
    process::{self, ExitCode},
    sync::Arc,
    time::{Duration, SystemTime},
};

use clap::{
    CommandFactory, Parser, ValueEnum,
    error::{ContextKind, ContextValue},
};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time,
};

use super::{DB_DEFAULT, VERSION, db_path, empty_variable, print_error, systemd};
use crate::{
    capture::{
        self, Address, CONNECTIONS_MAX, Listener, Origin, Peer, RateLimit, Settings,
        TrustedProxies, TrustedProxy,
    },
    storage::{Db, DiskReserve, Error as StorageError, Pace},
    text::visible,
    timestamp::Timestamp,
};

/// File descriptors that are reserved for the database's files, the standard streams and the runtime.
const FILES_RESERVED: u64 = 64;

/// The longest `--shutdown-grace`, far more than a shutdown needs.
const GRACE_MAX: Duration = Duration::from_hours(1);

/// The exit code of clap's errors.
const WRONG_USAGE: i32 = 2;

const AFTER_HELP: &str = "\
Examples:
  leadclicksd
  leadclicksd --db /var/lib/leadclicks/leadclicks.db --trusted-proxy 127.0.0.1
  leadclicksd --listen unix:/run/leadclicksd.sock --trusted-proxy unix
  leadclicksd --allow-origin https://www.example.com --rate-limit 30/m

Exit codes:
  0      ended by SIGTERM or SIGINT after storing all queued clicks
  1      failed to start, or did not end within --shutdown-grace or before a second signal
  2      wrong usage
  128+n  ended by another signal n, as shells report it: 129 by SIGHUP, 137 by SIGKILL";

/// Store the lead clicks that pages post
///
/// Accepts one request, POST /api/lead-clicks, and answers 202 when the click is committed and fsynced. Creates the
/// database if it does not exist. SIGTERM or SIGINT shuts down gracefully: requests in flight are finished. A second
/// signal ends the daemon at once.
#[derive(Debug, Parser)]
#[command(name = "leadclicksd", version = VERSION.as_str(), after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// The database file
    #[arg(long, value_name = "FILE", env = "LEADCLICKS_DB", hide_env_values = true, default_value = DB_DEFAULT)]
    db: PathBuf,
    /// Address to listen on: IP:PORT (with port 0 the system chooses one) or unix:PATH. A socket passed by systemd
    /// takes precedence
    #[arg(
        long,
        value_name = "ADDR",
        env = "LEADCLICKS_LISTEN",
        hide_env_values = true,
        default_value = "127.0.0.1:8787"
    )]
    listen: Address,
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
    /// Below it clicks are answered 503, so that there is room to delete old ones
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
    /// Format of the log on standard error
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
    let cli = parse();
    start_log(cli.log_format);
    let pace = Arc::new(Pace::default());
    let ended = runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park({
            let pace = Arc::clone(&pace);
            move || pace.idle()
        })
        .build()
        .map_err(Failure::Runtime)
        .and_then(|runtime| runtime.block_on(run(cli, pace)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print_error("leadclicksd", &failure);
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Cli {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        // clap would name the flag, which the user did not give.
        if let Some(variable) = empty_variable_behind(&error) {
            print_error("leadclicksd", &empty_variable(&variable));
            process::exit(error.exit_code())
        }
        error.exit()
    });
    // Not in clap, whose error would repeat a URL with its password.
    if let Some(fault) = db_path::fault(&cli.db) {
        print_error("leadclicksd", &fault);
        process::exit(WRONG_USAGE);
    }
    cli
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

async fn run(cli: Cli, pace: Arc<Pace>) -> Result<(), Failure> {
    if SystemTime::now() < SystemTime::UNIX_EPOCH {
        return Err(Failure::Clock);
    }
    capture::read_clock().await;
    let inherited = Listener::inherit().map_err(Failure::Inherit)?;
    let mut signals = Signals::new().map_err(Failure::Runtime)?;
    let db = Db::open_for_capture(&cli.db)?;
    let db_path = db.path().to_owned();
    let listen_failed = |error| Failure::Listen {
        address: cli.listen.clone(),
        error,
    };
    let listener = match inherited {
        Some(listener) => listener,
        None => Listener::bind(&cli.listen).await.map_err(listen_failed)?,
    };
    let address = listener.address().map_err(listen_failed)?;
    let reserve = cli.disk_reserve.unwrap_or_default();
    let (writer, clicks) =
        db.start_writer(pace, reserve, || Timestamp::new(jiff::Timestamp::now()))?;
    let settings = Settings {
        paths: cli.paths,
        origins: cli.origins.into(),
        trusted_proxies: cli.trusted_proxies.into(),
        rate_limit: cli.rate_limit,
        connections_max: connections_max(),
        // The remaining quarter is for the writer to store the queue and to checkpoint.
        drain_timeout: cli.shutdown_grace * 3 / 4,
    };
    if settings.rate_limit.is_on() {
        warn_of_unlimited_clients(&address, &settings.trusted_proxies);
    }
    print_ready_line(&address, &settings.paths, &db_path.display().to_string());
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

/// Warns if clients on this machine are not limited. They may be a proxy that is not trusted; limiting it as one client
/// would limit everyone behind it.
fn warn_of_unlimited_clients(address: &Address, proxies: &TrustedProxies) {
    let v4 = Peer::Ip(Ipv4Addr::LOCALHOST.into());
    let v6 = Peer::Ip(Ipv6Addr::LOCALHOST.into());
    let (locals, name): (&[Peer], _) = match address {
        Address::Tcp(address) => match address.ip() {
            IpAddr::V4(ip) if ip.is_loopback() || ip.is_unspecified() => (&[v4], "127.0.0.1"),
            IpAddr::V6(Ipv6Addr::LOCALHOST) => (&[v6], "::1"),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => (&[v4, v6], "127.0.0.1"),
            _ => return,
        },
        Address::Unix(_) => (&[Peer::Unix], "unix"),
    };
    if locals
        .iter()
        .all(|local| proxies.leaves_local_clients_unknown(*local))
    {
        tracing::warn!(
            "the rate limit does not apply to clients on this machine or behind a proxy on it; if there is such a proxy \
             and it sets X-Forwarded-For, pass --trusted-proxy {name}"
        );
    }
}

/// Prints one line to standard output, for people and for scripts that wait until clicks can be posted.
fn print_ready_line(address: &Address, paths: &[String], db: &str) {
    let mut stdout = io::stdout().lock();
    // Whoever started the daemon may have closed its standard output.
    let _ = writeln!(
        stdout,
        "leadclicksd is ready: POST {address}{} stores into {}",
        paths.join(&format!(" or {address}")),
        visible(db)
    )
    .and_then(|()| stdout.flush());
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

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
