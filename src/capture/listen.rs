//! The daemon's listener: a TCP address or a Unix socket.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
};

use listenfd::ListenFd;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, UnixListener, UnixSocket, UnixStream},
};

use super::clients::Peer;

/// How many connections may wait to be accepted; fewer if `net.core.somaxconn` is lower. Beyond it, clients try again after
/// a second, so a burst of visitors needs more than the usual 128.
const BACKLOG: u32 = 4096;

/// The mode of a Unix socket: the proxy's user must be in the daemon's group.
const SOCKET_MODE: u32 = 0o660;

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// An IPv4 or IPv6 address with a port. With port 0 the system chooses one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// The text is not an address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address is IP:PORT as in 127.0.0.1:8787 or [::1]:8787, or unix:PATH")]
pub(crate) struct ParseAddressError;

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        match text.strip_prefix("unix:") {
            Some("") => Err(ParseAddressError),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| ParseAddressError),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
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
    /// Binds `address`. Replaces the file of a Unix socket that a killed daemon left behind, but not one that accepts
    /// connections.
    ///
    /// # Errors
    /// The system's error; also [`io::ErrorKind::AddrInUse`] if anything but a dead socket is at the path.
    pub(crate) async fn bind(address: &Address) -> io::Result<Self> {
        Ok(match address {
            Address::Tcp(address) => {
                let socket = match address {
                    SocketAddr::V4(_) => TcpSocket::new_v4()?,
                    SocketAddr::V6(_) => TcpSocket::new_v6()?,
                };
                // Closed connections of an earlier daemon may still occupy the address.
                socket.set_reuseaddr(true)?;
                socket.bind(*address)?;
                Self::Tcp(socket.listen(BACKLOG)?)
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
                fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
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
