//! The daemon's listener: a TCP address or a Unix socket.

use std::{
    fmt, fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
};

use listenfd::ListenFd;
use rustix::{io::Errno, net::sockopt::set_ipv6_v6only};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, UnixListener, UnixSocket, UnixStream},
};

use super::clients::Peer;

/// How many connections may wait to be accepted; fewer if `net.core.somaxconn` is lower. Beyond it, clients try again after
/// a second, so a burst of visitors needs more than the usual 128.
const BACKLOG: u32 = 4096;

/// The mode bits of a Unix socket that the daemon creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketMode(u32);

/// The text is not the mode of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a mode is three or four octal digits, such as 0660 or 666, at most 0777")]
pub(crate) struct ParseSocketModeError;

impl FromStr for SocketMode {
    type Err = ParseSocketModeError;

    fn from_str(text: &str) -> Result<Self, ParseSocketModeError> {
        // Rust's parser would accept a plus sign, and 60 is likelier an error than a mode.
        let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        if !is_octal || !matches!(text.len(), 3 | 4) {
            return Err(ParseSocketModeError);
        }
        match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o777 => Ok(Self(mode)),
            _ => Err(ParseSocketModeError),
        }
    }
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// An IPv4 or IPv6 address with a port. With port 0 the system chooses one.
    Tcp(SocketAddr),
    /// This port of all addresses of this machine, of IPv6 and of IPv4. A number alone means the same to nginx, Caddy and Node,
    /// and `:8080` to programs in Go.
    AllInterfaces(u16),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// The text is not an address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an address is IP:PORT as in 127.0.0.1:8787 or [::1]:8787, localhost:PORT, PORT or :PORT (all interfaces), or unix:PATH"
)]
pub(crate) struct ParseAddressError;

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(ParseAddressError),
                path => Ok(Self::Unix(path.into())),
            };
        }
        if let Some(port) = parse_port(text.strip_prefix(':').unwrap_or(text)) {
            return Ok(Self::AllInterfaces(port));
        }
        if let Some(port) = text.strip_prefix("localhost:").and_then(parse_port) {
            return Ok(Self::Tcp((Ipv4Addr::LOCALHOST, port).into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| ParseAddressError)
    }
}

/// A port as decimal digits; Rust's parser would accept a plus sign.
fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::AllInterfaces(port) => write!(f, "port {port} of all interfaces"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound listener. Dropping it removes the socket's file if the daemon made it.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        path: PathBuf,
        /// The device and inode of the socket's file; none if systemd made it.
        identity: Option<(u64, u64)>,
    },
}

impl Listener {
    /// Binds `address`; a Unix socket gets the mode `mode`. Replaces the file of a Unix socket that a killed daemon left behind,
    /// but not one that accepts connections.
    ///
    /// # Errors
    /// The system's error; also [`io::ErrorKind::AddrInUse`] if anything but a dead socket is at the path.
    pub(crate) async fn bind(address: &Address, mode: SocketMode) -> io::Result<Self> {
        Ok(match address {
            Address::Tcp(address) => Self::Tcp(bind_tcp(*address)?),
            Address::AllInterfaces(port) => {
                Self::Tcp(match bind_tcp((Ipv6Addr::UNSPECIFIED, *port).into()) {
                    Err(error) if is_without_ipv6(&error) => {
                        bind_tcp((Ipv4Addr::UNSPECIFIED, *port).into())?
                    }
                    bound => bound?,
                })
            }
            Address::Unix(path) => {
                if let Ok(metadata) = fs::symlink_metadata(path) {
                    // A socket whose backlog is full is in use and gives a different error, without waiting.
                    let is_dead = metadata.file_type().is_socket()
                        && UnixStream::connect(path)
                            .await
                            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
                    if !is_dead {
                        return Err(io::ErrorKind::AddrInUse.into());
                    }
                    fs::remove_file(path)?;
                }
                let socket = UnixSocket::new_stream()?;
                socket.bind(path)?;
                let listener = socket.listen(BACKLOG)?;
                fs::set_permissions(path, fs::Permissions::from_mode(mode.0))?;
                let metadata = fs::symlink_metadata(path)?;
                Self::Unix {
                    listener,
                    path: path.clone(),
                    identity: Some((metadata.dev(), metadata.ino())),
                }
            }
        })
    }

    /// Takes over the socket that systemd has bound and passed
    /// ([`sd_listen_fds`](https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html)), if any. Call it
    /// once, before a second thread starts, because it removes environment variables.
    ///
    /// # Errors
    /// If there are several sockets, or it is not a listening stream socket.
    pub(crate) fn inherit() -> io::Result<Option<Self>> {
        let mut sockets = ListenFd::from_env();
        if sockets.len() > 1 {
            let error = format!("systemd passed {} sockets, expected one", sockets.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        if let Ok(Some(listener)) = sockets.take_tcp_listener(0) {
            listener.set_nonblocking(true)?;
            return Ok(Some(Self::Tcp(TcpListener::from_std(listener)?)));
        }
        let Some(listener) = sockets.take_unix_listener(0)? else {
            return Ok(None);
        };
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Some(Self::Unix {
            listener: UnixListener::from_std(listener)?,
            path: address.as_pathname().unwrap_or(Path::new("")).to_owned(),
            identity: None,
        }))
    }

    /// The bound address, with the port that the system chose.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Self::Unix { path, .. } => Ok(Address::Unix(path.clone())),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // An answer is one small write, which Nagle's algorithm could only delay. This fails only if the
                // connection is closed already, which the first read reports.
                let _ = stream.set_nodelay(true);
                Ok((Box::new(stream), Peer::Ip(peer.ip())))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Peer::Unix))
            }
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if address.is_ipv6() {
        // `[::]` includes IPv4, whatever net.ipv6.bindv6only says.
        set_ipv6_v6only(&socket, false)?;
    }
    // Closed connections of an earlier daemon may still occupy the address.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether the error means that the system has no IPv6.
fn is_without_ipv6(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
    )
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix { path, identity, .. } = &*self {
            // Another daemon may have put its own socket there in the meantime.
            let is_ours = fs::symlink_metadata(path)
                .is_ok_and(|metadata| Some((metadata.dev(), metadata.ino())) == *identity);
            if is_ours {
                // If this fails, the next start replaces the file.
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// An accepted connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_accepted() {
        for (given, address) in [
            ("127.0.0.1:8787", "http://127.0.0.1:8787"),
            ("0.0.0.0:0", "http://0.0.0.0:0"),
            ("[::1]:8787", "http://[::1]:8787"),
            ("[::]:8080", "http://[::]:8080"),
            ("localhost:8080", "http://127.0.0.1:8080"),
            ("8080", "port 8080 of all interfaces"),
            (":8080", "port 8080 of all interfaces"),
            (":0", "port 0 of all interfaces"),
            ("unix:/run/x.sock", "unix:/run/x.sock"),
        ] {
            let parsed = given.parse::<Address>().map(|found| found.to_string());
            assert_eq!(parsed.as_deref(), Ok(address), "{given}");
        }
        for given in [
            "",
            ":",
            "+80",
            ":+80",
            "65536",
            "::1",
            "[::1]",
            "localhost",
            "localhost:",
            "example.com:80",
            "127.0.0.1",
            "http://127.0.0.1:80",
            "unix:",
            "80 ",
        ] {
            assert_eq!(given.parse::<Address>(), Err(ParseAddressError), "{given}");
        }
    }

    #[test]
    fn a_mode_is_three_or_four_octal_digits() {
        assert_eq!("0660".parse(), Ok(SocketMode(0o660)));
        assert_eq!("666".parse(), Ok(SocketMode(0o666)));
        for given in [
            "",
            "60",
            "+660",
            "0o660",
            "1660",
            "0888",
            "00660",
            "rw-rw----",
        ] {
            assert_eq!(
                given.parse::<SocketMode>(),
                Err(ParseSocketModeError),
                "{given}"
            );
        }
    }
}
