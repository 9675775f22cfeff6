//! `leadclicksd`, the capture daemon.

use std::{
    env, fmt,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    pin::pin,
    process::{self, ExitCode},
    sync::Arc,
    time::Duration,
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

use super::{DB_DEFAULT, empty_variable, failure::exit_codes, print_error, systemd};
use crate::{
    capture::{
        self, Address, CONNECTIONS_MAX, Listener, Origin, Peer, RateLimit, Settings,
        TrustedProxies, TrustedProxy,
    },
    storage::{Db, Error as StoreError, Pace},
    text::visible,
    timestamp::Timestamp,
};

/// File descriptors that are kept for other things than connections: the database's files, standard streams,
/// the runtime's own.
const FILES_RESERVED: u64 = 64;

/// The longest grace time: nobody waits longer for a program to end.
const GRACE_MAX: Duration = Duration::from_hours(1);

/// What `leadclicksd` ends with, and when.
pub(super) const EXIT_STATUSES: [(&str, &str); 4] = [
    (
        "0",
        "ended by SIGTERM or SIGINT, and all that was queued is stored",
    ),
    (
        "1",
        "failed to start, or to end in --shutdown-grace or before a second signal",
    ),
    ("2", "wrong usage"),
    (
        "128+n",
        "ended by another signal n, as a shell tells it: 129 by SIGHUP, 137 by SIGKILL",
    ),
];

fn after_help() -> String {
    format!(
        "\
Examples:
  leadclicksd
  leadclicksd --db /var/lib/leadclicks/leadclicks.db --trusted-proxy 127.0.0.1
  leadclicksd --listen unix:/run/leadclicksd.sock --trusted-proxy unix
  leadclicksd --allow-origin https://www.example.com --rate-limit 30/m

{}",
        exit_codes(&EXIT_STATUSES)
    )
}

/// Store leads' clicks that pages post
///
/// Takes one request, POST /api/lead-clicks, and answers 202 when the click is committed and fsynced. Makes the
/// database where there is none. SIGTERM or SIGINT finishes what is in flight; a second one ends it at once.
#[derive(Debug, Parser)]
#[command(name = "leadclicksd", version, after_help = after_help())]
pub(crate) struct Cli {
    /// The database file
    #[arg(long, value_name = "FILE", env = "LEADCLICKS_DB", hide_env_values = true, default_value = DB_DEFAULT)]
    db: PathBuf,
    /// Where to listen: IP:PORT (port 0 lets the system choose) or unix:PATH. A socket that systemd passes is taken
    /// instead
    #[arg(
        long,
        value_name = "ADDR",
        env = "LEADCLICKS_LISTEN",
        hide_env_values = true,
        default_value = "127.0.0.1:8787"
    )]
    listen: Address,
    /// A path that takes clicks; may be given more than once, in the variable with commas
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
        help = "The origin of pages that may post, as in https://www.example.com, or * for all; may be given more \
                than once, in the variable with commas. With one or more, pages of other origins are refused",
        long = "allow-origin",
        value_name = "ORIGIN",
        env = "LEADCLICKS_ALLOW_ORIGIN",
        hide_env_values = true,
        value_delimiter = ','
    )]
    origins: Vec<Origin>,
    #[arg(
        help = "A proxy whose X-Forwarded-For tells who its clients are: an address, a network as in 10.0.0.0/8, or unix \
                for the peers on a Unix socket; may be given more than once, in the variable with commas",
        long = "trusted-proxy",
        value_name = "CIDR",
        env = "LEADCLICKS_TRUSTED_PROXY",
        hide_env_values = true,
        value_delimiter = ','
    )]
    trusted_proxies: Vec<TrustedProxy>,
    #[arg(
        help = "How many requests a client, which is an IPv4 address or an IPv6 /64, may send at once and regains in the \
                course of a second, minute or hour, as in 5/s, 120/m or 1000/h; or off. Beyond it requests are \
                answered 429. Clients on this machine are limited only behind a trusted proxy",
        long,
        value_name = "RATE",
        env = "LEADCLICKS_RATE_LIMIT",
        hide_env_values = true,
        default_value = "120/m"
    )]
    rate_limit: RateLimit,
    /// How long a shutdown may take, as in 10s or 500ms
    #[arg(
        long,
        value_name = "TIME",
        env = "LEADCLICKS_SHUTDOWN_GRACE",
        hide_env_values = true,
        value_parser = parse_grace,
        default_value = "10s"
    )]
    shutdown_grace: Duration,
    /// How to write the log on standard error
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
    /// A line an event, for people
    Text,
    /// A JSON object an event, for programs
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
        Err("a path begins with / and has no blanks, ? or #; anything but ASCII is percent-encoded")
    }
}

fn parse_grace(text: &str) -> Result<Duration, &'static str> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|grace| Duration::try_from(grace).ok())
        .filter(|grace| !grace.is_zero() && *grace <= GRACE_MAX)
        .ok_or("a time is a number with a unit, as in 10s, 500ms or 1m, and at most an hour")
}

/// Why the daemon could not start, or did not end well.
#[derive(Debug)]
enum Failure {
    Store(StoreError),
    Inherit(io::Error),
    Listen { address: Address, error: io::Error },
    Runtime(io::Error),
    WriterGone,
    NotInTime(Duration),
    Interrupted,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Inherit(error) => write!(
                f,
                "cannot use the socket that systemd passes: {error}; give the .socket unit one ListenStream"
            ),
            Self::Listen { address, error } => write!(
                f,
                "cannot listen on {address}: {error}; choose another --listen, or stop what listens there"
            ),
            Self::Runtime(error) => write!(f, "cannot start: {error}"),
            Self::WriterGone => {
                f.write_str("the writer ended by itself; please report this as a bug")
            }
            Self::NotInTime(grace) => write!(
                f,
                "the shutdown took longer than {grace:?}; every click that was answered 202 is stored"
            ),
            Self::Interrupted => f.write_str(
                "ended at once by a second signal; every click that was answered 202 is stored",
            ),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Parses the command line and runs until a signal ends the daemon. Prints an error to standard error.
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
    Cli::try_parse().unwrap_or_else(|error| {
        // clap would name the flag, which nobody has given.
        if let Some(variable) = variable_at_fault(&error) {
            print_error("leadclicksd", &empty_variable(&variable));
            process::exit(error.exit_code())
        }
        error.exit()
    })
}

/// The variable that made for the error, if it is empty.
fn variable_at_fault(error: &clap::Error) -> Option<String> {
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
        // It would tell of a log that can't be written with a panic, and a full disk must not end the daemon.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

async fn run(cli: Cli, pace: Arc<Pace>) -> Result<(), Failure> {
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
    let (writer, clicks) = db.start_writer(pace, || Timestamp::new(jiff::Timestamp::now()))?;
    let settings = Settings {
        paths: cli.paths,
        origins: cli.origins.into(),
        trusted_proxies: cli.trusted_proxies.into(),
        rate_limit: cli.rate_limit,
        connections_max: connections_max(),
        // The rest is for the writer to store what is queued and to checkpoint.
        drain_timeout: cli.shutdown_grace * 3 / 4,
    };
    if settings.rate_limit.is_on() {
        warn_of_unknown_clients(&address, &settings.trusted_proxies);
    }
    say_ready(&address, &settings.paths, &db_path.display().to_string());
    systemd::tell_ready();
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
    systemd::tell_stopping();
    let _ = stop.send(());
    tokio::select! {
        ended = time::timeout(cli.shutdown_grace, &mut serving) => match ended {
            Ok(checkpoint) => {
                checkpoint?;
                tracing::info!("stopped");
                Ok(())
            }
            Err(_) => Err(Failure::NotInTime(cli.shutdown_grace)),
        },
        () = signals.next() => Err(Failure::Interrupted),
    }
}

/// A proxy that is not named would be one client for everybody, so such clients are not limited; better said once.
fn warn_of_unknown_clients(address: &Address, proxies: &TrustedProxies) {
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
            "clients on this machine are not limited in their rate, nor are those behind a proxy on it; if there is one \
             that sets X-Forwarded-For, name it with --trusted-proxy {name}"
        );
    }
}

/// One line on standard output, for people and for whatever waits until clicks can be posted.
fn say_ready(address: &Address, paths: &[String], db: &str) {
    let mut stdout = io::stdout().lock();
    // Who closed standard output does not want to know.
    let _ = writeln!(
        stdout,
        "leadclicksd is ready: POST {address}{} stores into {}",
        paths.join(&format!(" or {address}")),
        visible(db)
    )
    .and_then(|()| stdout.flush());
}

/// Raises the limit of open files as far as the system lets it, and leaves connections what it then allows.
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

/// The signals that end the daemon.
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
