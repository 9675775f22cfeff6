use std::{
    fmt,
    path::{Path, PathBuf},
};

#[cfg(feature = "postgres")]
use super::postgres::ServerUrl;

/// Where a database is.
#[derive(Debug, Clone)]
pub(crate) enum DbLocation {
    /// An SQLite database.
    File(PathBuf),
    /// A database of a PostgreSQL server.
    #[cfg(feature = "postgres")]
    Server(Box<ServerUrl>),
}

impl DbLocation {
    /// The SQLite database at `path`.
    pub(crate) fn file(path: &Path) -> Self {
        Self::File(path.to_owned())
    }

    /// The database of a URL such as `postgres://app@db.example.com/app`.
    ///
    /// # Errors
    /// What is wrong with the URL, without any password in it, or that this build has no such engine.
    #[cfg(feature = "postgres")]
    pub(crate) fn server(url: &str) -> Result<Self, String> {
        Ok(Self::Server(Box::new(ServerUrl::parse(url)?)))
    }

    /// As with the feature.
    #[cfg(not(feature = "postgres"))]
    pub(crate) fn server(_url: &str) -> Result<Self, String> {
        Err(
            "--db is a PostgreSQL URL, and this build has only SQLite; build it with --features postgres, or give --db \
             the path of a database file"
                .to_owned(),
        )
    }

    /// Whether it contains a password.
    pub(crate) fn has_password(&self) -> bool {
        match self {
            Self::File(_) => false,
            #[cfg(feature = "postgres")]
            Self::Server(url) => url.has_password(),
        }
    }

    /// The command that copies the database into `file`; none for a file, which [`super::Db::backup`] copies.
    pub(crate) fn dump_command(&self, file: &Path) -> Option<String> {
        #[cfg(not(feature = "postgres"))]
        let _ = file;
        match self {
            Self::File(_) => None,
            #[cfg(feature = "postgres")]
            Self::Server(url) => Some(url.dump_command(file)),
        }
    }
}

impl fmt::Display for DbLocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(formatter),
            #[cfg(feature = "postgres")]
            Self::Server(url) => url.fmt(formatter),
        }
    }
}
