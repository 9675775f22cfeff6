//! The URL of a database, and connections to its servers.

use std::{
    env,
    error::Error as _,
    fmt,
    future::poll_fn,
    net::IpAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
    time,
};
use tokio_postgres::{
    AsyncMessage, Client, Config, NoTls,
    config::{ChannelBinding, Host, SslMode, TargetSessionAttrs},
    error::{Severity, SqlState},
};

use super::{
    password::{self, Login},
    tls::{self, Roots, TlsMode},
};
use crate::{storage::Cause, text::shell_word};

/// How long a server may take to accept a connection, unless the URL has a `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The same if there are other hosts: the second one should be reached while clicks wait.
const HOST_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the server may take to be asked to end a statement.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Where Debian's and most other servers have their Unix socket.
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";

const PORT: u16 = 5432;

/// Parameters that the URL may give otherwise, in seconds: a report on a dead network ends after less than a minute. The
/// system's own defaults are hours.
const DEFAULTS: [&str; 3] = [
    "keepalives_idle=30",
    "keepalives_interval=10",
    "tcp_user_timeout=30",
];

/// What is encoded in the user, the hosts and the name of a URL.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The same for a parameter, where paths and lists remain readable.
const PARAMETER: &AsciiSet = &COMPONENT.remove(b'/').remove(b',').remove(b':');

/// Which servers of the URL are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    /// Any, as far as the URL's `target_session_attrs` allows it.
    Any,
    /// The primary.
    ReadWrite,
}

/// The URL of a database on one or more servers, such as `postgres://app@db1.example.com,db2.example.com/app`. It is shown
/// without its password.
#[derive(Clone)]
pub(crate) struct ServerUrl {
    /// All but the hosts.
    config: Config,
    hosts: Vec<ServerHost>,
    /// The default depends on the host.
    tls_mode: Option<TlsMode>,
    roots: Roots,
    passfile: Option<PathBuf>,
    user: String,
    database: String,
}

/// A host of the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ServerHost {
    /// A directory if it begins with a slash.
    name: String,
    /// The address, if the URL has one, so that the name need not be looked up.
    address: Option<IpAddr>,
    port: u16,
}

/// Communicates with the server until the client is dropped.
type Connection = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection to one of the hosts.
pub(super) struct Connected {
    pub(super) client: Client,
    /// Has to be polled, in a task.
    pub(super) connection: Connection,
    /// The number of the host in the URL.
    pub(super) host: usize,
    /// Set when the server sends a warning, such as that it did not wait for a standby.
    pub(super) has_warned: Arc<AtomicBool>,
}

/// Why a host does not accept a connection, and the next step.
struct Refusal {
    shown: String,
    /// Without a message of the server.
    logged: String,
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self {
            logged: text.clone(),
            shown: text,
        }
    }
}

impl ServerUrl {
    /// # Errors
    /// What is wrong with the URL, without any password in it.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        check_separators(url)?;
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        // The last of several counts.
        let mut parameters = DEFAULTS.to_vec();
        let (mut tls_mode, mut roots, mut passfile) = (None, Roots::System, None);
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let name = percent_decode_str(name).decode_utf8_lossy();
            let value = percent_decode_str(value).decode_utf8_lossy();
            match &*name {
                "sslmode" => tls_mode = Some(TlsMode::parse(&value)?),
                "sslrootcert" if value == "system" => roots = Roots::System,
                "sslrootcert" => roots = Roots::File(PathBuf::from(&*value)),
                "passfile" => passfile = Some(PathBuf::from(&*value)),
                "load_balance_hosts" if value != "disable" => {
                    return Err(
                        "--db has load_balance_hosts, but hosts are tried in their order; leave it out"
                            .to_owned(),
                    );
                }
                _ => parameters.push(parameter),
            }
        }
        let rest = format!("{base}?{}", parameters.join("&"));
        let config: Config = rest.parse().map_err(|error: tokio_postgres::Error| {
            let reason = error.source().map_or_else(String::new, ToString::to_string);
            format!("--db is not a valid PostgreSQL URL: {reason}; write postgres://USER@HOST/NAME")
        })?;
        let user = config
            .get_user()
            .map(str::to_owned)
            .or_else(|| env::var("PGUSER").ok())
            .or_else(|| env::var("USER").ok())
            .ok_or("--db names no user; write postgres://USER@HOST/NAME")?;
        let database = config.get_dbname().unwrap_or(&user).to_owned();
        Ok(Self {
            hosts: hosts(&config)?,
            config,
            tls_mode,
            roots,
            passfile,
            user,
            database,
        })
    }

    /// Whether it contains a password.
    pub(crate) fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// The command that copies the database into `file`. It asks for the password.
    pub(crate) fn dump_command(&self, file: &Path) -> String {
        format!(
            "pg_dump --format=custom --file={} --dbname={}",
            shell_word(&file.display().to_string()),
            shell_word(&self.for_libpq())
        )
    }

    /// The command that replaces the tables by those of `file`, which [`ServerUrl::dump_command`] has written.
    pub(crate) fn restore_command(&self, file: &Path) -> String {
        format!(
            "pg_restore --clean --if-exists --single-transaction --dbname={} {}",
            shell_word(&self.for_libpq()),
            shell_word(&file.display().to_string())
        )
    }

    /// The URL for PostgreSQL's own programs, without its password. They would not encrypt by default, so what this program
    /// does by default is written out. libpq has one `sslmode` for all hosts: the strictest, and it ignores it on a socket.
    fn for_libpq(&self) -> String {
        let component = |text: &str| utf8_percent_encode(text, COMPONENT).to_string();
        let join = |texts: Vec<String>| texts.join(",");
        let host = |host: &ServerHost| match host.name.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]:{}", host.port),
            _ => format!("{}:{}", component(&host.name), host.port),
        };
        let modes = self.hosts.iter().map(|host| self.tls_mode_of(host));
        let mode = modes.max().unwrap_or(TlsMode::VerifyFull);
        let mut parameters = vec![("sslmode", mode.name().to_owned())];
        if mode >= TlsMode::VerifyCa {
            parameters.push(("sslrootcert", self.roots.to_string()));
        }
        let addresses: Vec<String> = self
            .hosts
            .iter()
            .filter_map(|host| Some(host.address?.to_string()))
            .collect();
        if !addresses.is_empty() {
            parameters.push(("hostaddr", join(addresses)));
        }
        if self.config.get_channel_binding() == ChannelBinding::Require {
            parameters.push(("channel_binding", "require".to_owned()));
        }
        if let Some(passfile) = &self.passfile {
            parameters.push(("passfile", passfile.display().to_string()));
        }
        if let Some(options) = self.config.get_options() {
            parameters.push(("options", options.to_owned()));
        }
        let parameters: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, PARAMETER)))
            .collect();
        format!(
            "postgres://{}@{}/{}?{}",
            component(&self.user),
            join(self.hosts.iter().map(host).collect()),
            component(&self.database),
            parameters.join("&")
        )
    }

    fn tls_mode_of(&self, host: &ServerHost) -> TlsMode {
        if host.is_socket() {
            TlsMode::Disable
        } else {
            self.tls_mode.unwrap_or_else(|| host.default_tls_mode())
        }
    }

    /// Connects to a host that is accepted. They are tried in their order, beginning with the number `first`; after the last
    /// comes the first one.
    ///
    /// # Errors
    /// Why none is accepted.
    pub(super) async fn connect(&self, session: Session, first: usize) -> Result<Connected, Cause> {
        let count = self.hosts.len();
        let (mut shown, mut logged) = (Vec::new(), Vec::new());
        for number in (first..first + count).map(|number| number % count) {
            let host = &self.hosts[number];
            let has_warned = Arc::new(AtomicBool::new(false));
            let connecting = self.connect_to(host, session, &has_warned);
            let refusal = match time::timeout(self.connect_timeout(), connecting).await {
                Ok(Ok((client, connection))) => {
                    return Ok(Connected {
                        client,
                        connection,
                        host: number,
                        has_warned,
                    });
                }
                Ok(Err(refusal)) => refusal,
                Err(_) => "no answer; check the host".to_owned().into(),
            };
            let name = if count == 1 {
                String::new()
            } else {
                format!("{host}: ")
            };
            shown.push(format!("{name}{}", refusal.shown));
            logged.push(format!("{name}{}", refusal.logged));
        }
        Err(Cause::NotConnected {
            shown: shown.join("; "),
            logged: logged.join("; "),
        })
    }

    fn connect_timeout(&self) -> Duration {
        let default = if self.hosts.len() == 1 {
            CONNECT_TIMEOUT
        } else {
            HOST_TIMEOUT
        };
        self.config
            .get_connect_timeout()
            .copied()
            .unwrap_or(default)
    }

    async fn connect_to(
        &self,
        host: &ServerHost,
        session: Session,
        has_warned: &Arc<AtomicBool>,
    ) -> Result<(Client, Connection), Refusal> {
        let mut config = self.config_of(host, session);
        if let Some(password) = self.password(host)? {
            config.password(password);
        }
        let mode = self.tls_mode_of(host);
        if mode == TlsMode::Disable {
            config.ssl_mode(SslMode::Disable);
            let (client, connection) = config.connect(NoTls).await.map_err(|error| why(&error))?;
            return Ok((client, Box::pin(run(connection, Arc::clone(has_warned)))));
        }
        config
            .ssl_mode(SslMode::Require)
            .ssl_negotiation(self.config.get_ssl_negotiation());
        let tls = tls::connector(mode, &self.roots)?;
        let (client, connection) = config.connect(tls).await.map_err(|error| why(&error))?;
        Ok((client, Box::pin(run(connection, Arc::clone(has_warned)))))
    }

    /// Asks the host with this number to end the statement that a client waits for. If only the connection were closed, the
    /// server's process would wait on, for a lock or a standby, and each attempt to store clicks would add one.
    pub(super) fn cancel_in_background(&self, client: &Client, host: usize) -> JoinHandle<()> {
        let token = client.cancel_token();
        let mode = self.tls_mode_of(&self.hosts[host]);
        let tls = match mode {
            TlsMode::Disable => None,
            _ => tls::connector(mode, &self.roots).ok(),
        };
        tokio::spawn(async move {
            let cancel = async {
                match tls {
                    None => token.cancel_query(NoTls).await,
                    Some(tls) => token.cancel_query(tls).await,
                }
            };
            // What fails is the connection, which the next attempt shows.
            let _ = time::timeout(CANCEL_TIMEOUT, cancel).await;
        })
    }

    /// For one of the hosts, without password and encryption.
    fn config_of(&self, host: &ServerHost, session: Session) -> Config {
        let mut config = Config::new();
        let given = &self.config;
        config
            .user(&self.user)
            .dbname(&self.database)
            .application_name(given.get_application_name().unwrap_or("leadclicks"))
            .keepalives(given.get_keepalives())
            .keepalives_idle(given.get_keepalives_idle())
            .channel_binding(given.get_channel_binding())
            .host(&host.name)
            .port(host.port);
        if let Some(options) = given.get_options() {
            config.options(options);
        }
        if let Some(interval) = given.get_keepalives_interval() {
            config.keepalives_interval(interval);
        }
        if let Some(retries) = given.get_keepalives_retries() {
            config.keepalives_retries(retries);
        }
        if let Some(timeout) = given.get_tcp_user_timeout() {
            config.tcp_user_timeout(*timeout);
        }
        if let Some(address) = host.address {
            config.hostaddr(address);
        }
        config.target_session_attrs(match session {
            Session::Any => given.get_target_session_attrs(),
            Session::ReadWrite => TargetSessionAttrs::ReadWrite,
        });
        config
    }

    /// That of the URL, of `PGPASSWORD`, or of the passfile.
    fn password(&self, host: &ServerHost) -> Result<Option<Vec<u8>>, String> {
        if let Some(password) = self.config.get_password() {
            return Ok(Some(password.to_owned()));
        }
        if let Ok(password) = env::var("PGPASSWORD") {
            return Ok(Some(password.into_bytes()));
        }
        let Some(passfile) = self.passfile.clone().or_else(password::default_passfile) else {
            return Ok(None);
        };
        let login = Login {
            host: if host.is_socket() {
                "localhost"
            } else {
                &host.name
            },
            port: host.port,
            database: &self.database,
            user: &self.user,
        };
        Ok(password::find(&passfile, &login)?.map(String::into_bytes))
    }
}

/// Other programs differ in where the user and the hosts end if these contain separators that are not encoded. A part of a
/// password could be taken for a host, and be shown.
fn check_separators(url: &str) -> Result<(), String> {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let Some((login, rest)) = rest.split_once('@') else {
        return Ok(());
    };
    let hosts = rest.split(['/', '?']).next().unwrap_or(rest);
    if login.contains(['/', '?']) || hosts.contains('@') {
        return Err(
            "--db has a /, ? or @ in the user or password, or an @ after the host; write %2F, %3F or %40 for it"
                .to_owned(),
        );
    }
    Ok(())
}

/// The hosts of the URL, each with its address and port.
fn hosts(config: &Config) -> Result<Vec<ServerHost>, String> {
    let (names, addresses, ports) = (
        config.get_hosts(),
        config.get_hostaddrs(),
        config.get_ports(),
    );
    let count = names.len().max(addresses.len()).max(1);
    let is_whole = |len: usize| len == 0 || len == count;
    if !is_whole(names.len())
        || !is_whole(addresses.len())
        || !(is_whole(ports.len()) || ports.len() == 1)
    {
        return Err(
            "--db has different numbers of hosts, addresses and ports; give each host its own"
                .to_owned(),
        );
    }
    let host = |number: usize| {
        let address = addresses.get(number).copied();
        let name = match (names.get(number), address) {
            (Some(Host::Tcp(name)), _) => name.clone(),
            (Some(Host::Unix(directory)), _) => directory.display().to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => SOCKET_DIRECTORY.to_owned(),
        };
        let port = ports.get(number).or(ports.first()).copied().unwrap_or(PORT);
        ServerHost {
            name,
            address,
            port,
        }
    };
    Ok((0..count).map(host).collect())
}

impl ServerHost {
    fn is_socket(&self) -> bool {
        self.name.starts_with('/')
    }

    /// Nobody on the network can read or answer what stays on this machine, and most servers there have no certificate. What
    /// is accepted: while the server is not running, another user of this machine can listen on its port, and would get the
    /// password and the clicks. A Unix socket, or `sslmode=verify-full`, prevents that. To every other host the certificate must
    /// be right.
    fn default_tls_mode(&self) -> TlsMode {
        let is_loopback = match self.name.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.name == "localhost",
        };
        if is_loopback || self.is_socket() {
            TlsMode::Disable
        } else {
            TlsMode::VerifyFull
        }
    }
}

impl fmt::Display for ServerHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port, .. } = self;
        if self.is_socket() {
            formatter.write_str(name)?;
        } else if name.contains(':') {
            write!(formatter, "[{name}]")?;
        } else {
            formatter.write_str(name)?;
        }
        if *port == PORT {
            Ok(())
        } else {
            write!(formatter, ":{port}")
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        let (user, database) = (&self.user, &self.database);
        write!(
            formatter,
            "postgres://{user}@{}/{database}",
            hosts.join(",")
        )
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Why a connection failed, and the next step.
fn why(error: &tokio_postgres::Error) -> Refusal {
    if let Some(refused) = error.as_db_error() {
        let code = refused.code();
        let next = if *code == SqlState::INVALID_PASSWORD
            || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        {
            "check the user, the password and pg_hba.conf"
        } else if *code == SqlState::INVALID_CATALOG_NAME {
            "check the name of the database in --db"
        } else if *code == SqlState::TOO_MANY_CONNECTIONS {
            "raise max_connections, or use a pooler"
        } else {
            "check the server"
        };
        return Refusal {
            shown: format!("{}; {next}", refused.message()),
            logged: format!("SQLSTATE {}; {next}", code.code()),
        };
    }
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Each repeats its own causes.
        reason = cause.to_string();
        source = cause.source();
    }
    let next = if reason.contains("not valid for name") {
        // The names in it are not those of the user.
        reason = String::from("the certificate is for another host name");
        "write the host of the certificate, or sslmode=verify-ca in the URL"
    } else if reason.contains("does not support TLS") {
        "turn ssl on in postgresql.conf, or write sslmode=disable in the URL"
    } else if reason.contains("certificate") {
        "give sslrootcert=FILE in the URL if the authority is your own"
    } else if reason.contains("password") {
        "give it in PGPASSWORD, in a passfile, or in the URL in LEADCLICKS_DB"
    } else if reason.contains("does not allow writes") {
        return Refusal::from(
            "it is a standby, which takes no changes; name the primary too".to_owned(),
        );
    } else {
        "check the host and port in --db, and whether the server runs"
    };
    format!("{reason}; {next}").into()
}

/// Communicates with the server until the client is dropped or the connection is lost, which the client reports.
async fn run<S, T>(mut connection: tokio_postgres::Connection<S, T>, has_warned: Arc<AtomicBool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notice(notice) = message
            && notice.parsed_severity() == Some(Severity::Warning)
        {
            has_warned.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_with_its_hosts_and_without_its_password() {
        for (url, shown) in [
            (
                "postgres://app:secret@db.example.com/clicks",
                "postgres://app@db.example.com/clicks",
            ),
            (
                "postgresql://app@a.example.com:5433,b.example.com/clicks?sslmode=disable",
                "postgres://app@a.example.com:5433,b.example.com/clicks",
            ),
            (
                "postgres://app@[::1]:6000/clicks",
                "postgres://app@[::1]:6000/clicks",
            ),
            (
                "postgres://app@%2Frun%2Fpg/clicks",
                "postgres://app@/run/pg/clicks",
            ),
            (
                "postgres://app@/clicks",
                "postgres://app@/var/run/postgresql/clicks",
            ),
        ] {
            let parsed = ServerUrl::parse(url).map(|url| url.to_string());
            assert_eq!(parsed.as_deref(), Ok(shown), "{url}");
        }
    }

    #[test]
    fn a_bad_url_is_an_error_without_its_password() {
        for url in [
            "postgres://app:secret@db.example.com:port/clicks",
            "postgres://app:secret@db.example.com/clicks?colour=red",
            "postgres://app:secret@db.example.com/clicks?sslmode=prefer",
            "postgres://app:secret@a.example.com,b.example.com/clicks?port=1,2,3",
            "postgres://app:12?sslmode=secret@db.example.com/clicks",
            "postgres://app:12/secret@db.example.com/clicks",
            "postgres://app:12@secret@db.example.com/clicks",
            "postgres://db.example.com/clicks?user=app&password=12@secret",
            "postgres://db.example.com?user=app&password=12@secret",
            "postgres://app@db.example.com/clicks?%73slmode=secret",
            "postgres://app@db.example.com/clicks?connect_timeout=secret",
        ] {
            let fault = ServerUrl::parse(url).unwrap_err();
            assert!(fault.starts_with("--db "), "{fault}");
            assert!(!fault.contains("secret"), "{fault}");
        }
    }

    #[test]
    fn a_dead_network_is_noticed_unless_the_url_says_otherwise() {
        let config = |parameters: &str| {
            let url = format!("postgres://app@db.example.com/clicks?{parameters}");
            let url = ServerUrl::parse(&url).unwrap();
            let config = url.config_of(&url.hosts[0], Session::Any);
            (
                config.get_keepalives_idle().as_secs(),
                config.get_keepalives_interval().unwrap().as_secs(),
                config.get_keepalives_retries(),
                config.get_tcp_user_timeout().unwrap().as_secs(),
            )
        };
        assert_eq!(config(""), (30, 10, None, 30));
        assert_eq!(
            config(
                "keepalives_idle=1&keepalives_interval=2&keepalives_retries=3&tcp_user_timeout=4"
            ),
            (1, 2, Some(3), 4)
        );
    }

    #[test]
    fn other_programs_get_the_url_with_what_is_the_default_here() {
        for (url, given) in [
            (
                "postgres://app:secret@db.example.com/clicks",
                "postgres://app@db.example.com:5432/clicks?sslmode=verify-full&sslrootcert=system",
            ),
            (
                "postgres://app@localhost/clicks?password=secret",
                "postgres://app@localhost:5432/clicks?sslmode=disable",
            ),
            (
                "postgres://app@localhost,[::1]:6000,b.example.com/clicks",
                "postgres://app@localhost:5432,[::1]:6000,b.example.com:5432/clicks?sslmode=verify-full&sslrootcert=system",
            ),
            (
                "postgres://app@db.example.com/clicks?sslmode=require&sslrootcert=/srv/ca.crt",
                "postgres://app@db.example.com:5432/clicks?sslmode=require",
            ),
            (
                "postgres://a%20b@%2Frun%2Fpg/my%2Fclicks?sslmode=verify-full",
                "postgres://a%20b@%2Frun%2Fpg:5432/my%2Fclicks?sslmode=disable",
            ),
            (
                "postgres://app@db.example.com/clicks?sslmode=verify-ca&sslrootcert=/srv/my%20ca.crt&hostaddr=10.0.0.5\
                 &channel_binding=require&passfile=/srv/pass&options=-c%20a%3Db&connect_timeout=1",
                "postgres://app@db.example.com:5432/clicks?sslmode=verify-ca&sslrootcert=/srv/my%20ca.crt\
                 &hostaddr=10.0.0.5&channel_binding=require&passfile=/srv/pass&options=-c%20a%3Db",
            ),
        ] {
            assert_eq!(ServerUrl::parse(url).unwrap().for_libpq(), given);
        }
    }

    #[test]
    fn encryption_is_required_except_on_this_machine() {
        for (name, mode) in [
            ("localhost", TlsMode::Disable),
            ("127.0.0.1", TlsMode::Disable),
            ("::1", TlsMode::Disable),
            ("/run/postgresql", TlsMode::Disable),
            ("db.example.com", TlsMode::VerifyFull),
            ("10.0.0.5", TlsMode::VerifyFull),
            ("localhost.example.com", TlsMode::VerifyFull),
        ] {
            let host = ServerHost {
                name: name.to_owned(),
                address: None,
                port: PORT,
            };
            assert_eq!(host.default_tls_mode(), mode, "{name}");
        }
    }
}
