//! Where the daemon listens: a TCP address or a Unix socket.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    pin::Pin,
    str::FromStr,
    task::{Context, Poll},
};

use listenfd::ListenFd;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixSocket, UnixStream},
};

use super::clients::Peer;

/// How many connections may wait to be accepted, where the system does not allow fewer (`net.core.somaxconn`). Whose
/// connection finds no place tries again after a second, so a burst of visitors needs more than the usual 128.
const BACKLOG: u32 = 4096;

/// The mode of a Unix socket: the proxy's user must be in the daemon's group.
const SOCKET_MODE: u32 = 0o660;

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A TCP address, of IPv4 or IPv6; port 0 lets the system choose one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// What is given as an address is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAnAddress;

impl fmt::Display for NotAnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address is IP:PORT as in 127.0.0.1:8787 or [::1]:8787, or unix:PATH")
    }
}

impl std::error::Error for NotAnAddress {}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        match text.strip_prefix("unix:") {
            Some("") => Err(NotAnAddress),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| NotAnAddress),
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

/// A bound listener. The file of a Unix socket that it bound is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        path: PathBuf,
        /// The device and inode of the socket's file; none where it is systemd's.
        identity: Option<(u64, u64)>,
    },
}

impl Listener {
    /// Binds `address`. The socket that a killed daemon left behind is replaced; one that answers is not.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::AddrInUse`] also when the path is something else than a dead socket.
    pub(crate) async fn bind(address: &Address) -> io::Result<Self> {
        let kind = match address {
            Address::Tcp(address) => {
                let socket = match address {
                    SocketAddr::V4(_) => TcpSocket::new_v4()?,
                    SocketAddr::V6(_) => TcpSocket::new_v6()?,
                };
                // Connections of an earlier daemon may linger at the address.
                socket.set_reuseaddr(true)?;
                socket.bind(*address)?;
                Kind::Tcp(socket.listen(BACKLOG)?)
            }
            Address::Unix(path) => {
                if let Ok(metadata) = fs::symlink_metadata(path) {
                    // One whose backlog is full is in use, too, and gives another error, at once.
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
                Kind::Unix {
                    listener,
                    path: path.clone(),
                    identity: Some((metadata.dev(), metadata.ino())),
                }
            }
        };
        Ok(Self { kind })
    }

    /// The socket that systemd has bound and passed
    /// ([`sd_listen_fds`](https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html)), if any. To be
    /// called once, and before there is a second thread: it removes the variables that tell of the socket.
    ///
    /// # Errors
    /// When there are several, or it is no stream socket that listens.
    pub(crate) fn inherit() -> io::Result<Option<Self>> {
        let mut sockets = ListenFd::from_env();
        match sockets.len() {
            0 => return Ok(None),
            1 => {}
            many => {
                let error = format!("systemd passed {many} sockets, and one is taken");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
            }
        }
        if let Ok(Some(listener)) = sockets.take_tcp_listener(0) {
            listener.set_nonblocking(true)?;
            let kind = Kind::Tcp(TcpListener::from_std(listener)?);
            return Ok(Some(Self { kind }));
        }
        let Some(listener) = sockets.take_unix_listener(0)? else {
            return Ok(None);
        };
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let kind = Kind::Unix {
            listener: UnixListener::from_std(listener)?,
            path: address.as_pathname().unwrap_or(Path::new("")).to_owned(),
            identity: None,
        };
        Ok(Some(Self { kind }))
    }

    /// The address that is bound, with the port that the system chose.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn address(&self) -> io::Result<Address> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Kind::Unix { path, .. } => Ok(Address::Unix(path.clone())),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // An answer is one small write; waiting for more to send would only delay it. It can fail only on
                // a connection that is gone already, which shows soon enough.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Peer::Ip(peer.ip())))
            }
            Kind::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Kind::Unix { path, identity, .. } = &self.kind {
            // Another daemon may have put its own there since.
            let is_ours = fs::symlink_metadata(path)
                .is_ok_and(|metadata| Some((metadata.dev(), metadata.ino())) == *identity);
            if is_ours {
                // The next start replaces a socket that is left behind.
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Calls the same method on whichever stream it is.
macro_rules! either {
    ($self:expr, $method:ident($($argument:expr),*)) => {
        match $self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            Self::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }
}
