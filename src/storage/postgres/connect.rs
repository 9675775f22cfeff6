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

use percent_encoding::percent_decode_str;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time,
};
use tokio_postgres::{
    AsyncMessage, Client, Config, NoTls,
    config::{Host, SslMode, TargetSessionAttrs},
    error::{Severity, SqlState},
};

use super::{
    password::{self, Login},
    tls::{self, Roots, TlsMode},
};
use crate::storage::Cause;

/// How long a server may take to accept a connection, unless the URL has a `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The same if there are other hosts: the second one should be reached while clicks wait.
const HOST_TIMEOUT: Duration = Duration::from_secs(2);

/// Where Debian's and most other servers have their Unix socket.
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";

const PORT: u16 = 5432;

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
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut parameters = Vec::new();
        let (mut tls_mode, mut roots, mut passfile) = (None, Roots::System, None);
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = percent_decode_str(value).decode_utf8_lossy();
            match name {
                "sslmode" => tls_mode = Some(TlsMode::parse(&value)?),
                "sslrootcert" if value == "system" => roots = Roots::System,
                "sslrootcert" => roots = Roots::File(PathBuf::from(&*value)),
                "passfile" => passfile = Some(PathBuf::from(&*value)),
                _ => parameters.push(parameter),
            }
        }
        let mut rest = base.to_owned();
        if !parameters.is_empty() {
            rest = format!("{rest}?{}", parameters.join("&"));
        }
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

    /// The command that copies the database into `file`. It asks for the password.
    pub(crate) fn dump_command(&self, file: &Path) -> String {
        let names: Vec<&str> = self.hosts.iter().map(|host| &*host.name).collect();
        let ports: Vec<String> = self
            .hosts
            .iter()
            .map(|host| host.port.to_string())
            .collect();
        let ports = if self.hosts.iter().all(|host| host.port == PORT) {
            String::new()
        } else {
            format!(" --port={}", ports.join(","))
        };
        format!(
            "pg_dump --host={}{ports} --username={} --format=custom --file={} {}",
            shell_word(&names.join(",")),
            shell_word(&self.user),
            shell_word(&file.display().to_string()),
            shell_word(&self.database)
        )
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
        if let Some(password) = self.password(host)? {
            config.password(password);
        }
        let mode = self.tls_mode.unwrap_or_else(|| host.default_tls_mode());
        if mode == TlsMode::Disable || host.is_socket() {
            config.ssl_mode(SslMode::Disable);
            let (client, connection) = config.connect(NoTls).await.map_err(|error| why(&error))?;
            return Ok((client, Box::pin(run(connection, Arc::clone(has_warned)))));
        }
        config
            .ssl_mode(SslMode::Require)
            .ssl_negotiation(given.get_ssl_negotiation());
        let tls = tls::connector(mode, &self.roots)?;
        let (client, connection) = config.connect(tls).await.map_err(|error| why(&error))?;
        Ok((client, Box::pin(run(connection, Arc::clone(has_warned)))))
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

/// A text as one word of a shell.
fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./,:@%+=".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
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

    /// On this machine nobody else can listen; everywhere else the certificate must be right.
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
        ] {
            let fault = ServerUrl::parse(url).unwrap_err();
            assert!(fault.starts_with("--db "), "{fault}");
            assert!(!fault.contains("secret"), "{fault}");
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
