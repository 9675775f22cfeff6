//! The value of `--db`: the path of a file, or the URL of a PostgreSQL database.

use std::{env, path::Path};

use crate::storage::{DbLocation, DiskReserve};

/// The schemes of URLs that PostgreSQL's own programs take.
const SERVER_SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// The database that the value of `--db` names.
///
/// # Errors
/// What to write instead.
pub(super) fn location(db: &Path) -> Result<DbLocation, String> {
    if let Some(url) = db.to_str()
        && SERVER_SCHEMES.iter().any(|scheme| url.starts_with(scheme))
    {
        let is_argument = env::args_os()
            .skip(1)
            .any(|argument| argument.to_string_lossy().contains(url));
        let server = DbLocation::server(url);
        if is_argument
            && (seems_to_have_password(url) || server.as_ref().is_ok_and(DbLocation::has_password))
        {
            return Err(
                "--db has a password, which every user of this machine can read in the list of processes; put it into \
                 the variable PGPASSWORD or a passfile, or the URL into the variable LEADCLICKS_DB"
                    .to_owned(),
            );
        }
        return server;
    }
    match fault(db) {
        Some(fault) => Err(fault),
        None => Ok(DbLocation::file(db)),
    }
}

/// The disk reserve of a database, which is that of a file.
///
/// # Errors
/// If one is given for a server.
#[cfg_attr(
    not(feature = "postgres"),
    expect(clippy::unnecessary_wraps, reason = "there are only files")
)]
pub(super) fn disk_reserve(
    db: &DbLocation,
    given: Option<DiskReserve>,
) -> Result<DiskReserve, String> {
    match db {
        DbLocation::File(_) => Ok(given.unwrap_or_default()),
        #[cfg(feature = "postgres")]
        DbLocation::Server(_) if given.is_some() => Err(
            "--disk-reserve is for a database file, and a server watches its own disk; leave it and the variable \
             LEADCLICKS_DISK_RESERVE out"
                .to_owned(),
        ),
        #[cfg(feature = "postgres")]
        DbLocation::Server(_) => Ok(DiskReserve::default()),
    }
}

/// Whether a URL has what is usually a password. This also works if the URL is not valid, and in builds without PostgreSQL.
fn seems_to_have_password(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let (login, _) = rest.split_once('@').unwrap_or(("", rest));
    login.contains(':') || rest.contains("password=")
}

/// Why the value of `--db` is rejected, and what to write instead; none if it may be the path of a file. What is rejected would
/// silently become the name of a new file. Any file can be named by its full path, or with `./` before its name.
fn fault(db: &Path) -> Option<String> {
    let text = db.to_str()?;
    let trimmed = text.trim();
    if trimmed != text {
        return Some(instead("--db has white space around the path", trimmed));
    }
    for quote in ['"', '\''] {
        let inner = text
            .strip_prefix(quote)
            .and_then(|text| text.strip_suffix(quote));
        if let Some(inner) = inner {
            return Some(instead("--db has quotes around the path", inner));
        }
    }
    let is_setting = |word: &str| {
        CONNECTION_SETTINGS
            .iter()
            .any(|name| word.starts_with(name))
    };
    if text.split(' ').any(is_setting) {
        // Without the rest, which may contain a password.
        return Some(NOT_A_SERVER_URL.to_owned());
    }
    let (scheme, rest) = text.split_once(':')?;
    // SQLAlchemy names a driver after a plus.
    let dialect = scheme.split('+').next().unwrap_or(scheme).to_lowercase();
    match &*dialect {
        // `:memory:`
        "" if rest == "memory:" => Some(instead(URL, "")),
        "sqlite" | "sqlite3" | "file" => Some(instead(URL, path_in_url(&dialect, rest))),
        "jdbc" => Some(instead(
            URL,
            rest.strip_prefix("sqlite:").unwrap_or_default(),
        )),
        // Without the rest, which may contain a password.
        "postgres" | "postgresql" => Some(NOT_A_SERVER_URL.to_owned()),
        _ if rest.starts_with("//") => Some(instead(URL, "")),
        _ => None,
    }
}

/// The other form in which PostgreSQL's own programs take a database: `host=db.example.com user=jane dbname=app`.
const CONNECTION_SETTINGS: [&str; 5] = ["host=", "hostaddr=", "dbname=", "user=", "password="];

const NOT_A_SERVER_URL: &str =
    "--db is not the URL of a PostgreSQL database; write postgres://USER@HOST/NAME";

const URL: &str = "--db takes the path of a file, not a URL";

fn instead(fault: &str, path: &str) -> String {
    if path.is_empty() {
        format!("{fault}; give it the path of a database file")
    } else {
        format!("{fault}; write {path}")
    }
}

/// The path of `sqlite:///app.db` (SQLAlchemy's form of a relative path), `sqlite:app.db` or `file:///srv/app.db?mode=ro`.
fn path_in_url<'a>(dialect: &str, rest: &'a str) -> &'a str {
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    let path = match path.strip_prefix("//") {
        Some(path) if dialect == "file" => path,
        Some(path) => path.strip_prefix('/').unwrap_or(path),
        None => path,
    };
    if path == ":memory:" { "" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_url_or_is_quoted_is_rejected_with_what_to_write() {
        for (given, path) in [
            ("sqlite:app.db", "app.db"),
            ("SQLite:app.db", "app.db"),
            ("sqlite:///app.db", "app.db"),
            ("sqlite+pysqlite:////srv/app.db", "/srv/app.db"),
            ("sqlite:///app.db?timeout=5", "app.db"),
            ("sqlite3:app.db", "app.db"),
            ("sqlite://app.db", "app.db"),
            ("jdbc:sqlite:app.db", "app.db"),
            ("file:app.db", "app.db"),
            ("file:///srv/app.db?mode=ro", "/srv/app.db"),
            ("file:/srv/app.db", "/srv/app.db"),
            ("\"app.db\"", "app.db"),
            ("'/srv/app.db'", "/srv/app.db"),
            ("app.db\r", "app.db"),
            (" app.db", "app.db"),
        ] {
            let fault = fault(Path::new(given)).expect(given);
            assert!(
                fault.ends_with(&format!("; write {path}")),
                "{given}: {fault}"
            );
        }
        for given in [
            ":memory:",
            "sqlite://",
            "sqlite::memory:",
            "file::memory:?cache=shared",
            "mysql://db.example.com/app",
            "jdbc:postgresql://db.example.com/app",
            "\"\"",
        ] {
            let fault = fault(Path::new(given)).expect(given);
            assert!(
                fault.ends_with("; give it the path of a database file"),
                "{given}: {fault}"
            );
        }
        for given in [
            "postgresql+psycopg://jane:secret@db.example.com/app",
            "postgres:jane:secret@db.example.com/app",
            "host=db.example.com user=jane password=secret dbname=app",
            "dbname=app password=secret",
        ] {
            assert_eq!(
                fault(Path::new(given)).as_deref(),
                Some(
                    "--db is not the URL of a PostgreSQL database; write postgres://USER@HOST/NAME"
                )
            );
        }
    }

    #[test]
    fn every_other_path_is_accepted() {
        for path in [
            "leadclicks.db",
            "/srv/app.db",
            "./sqlite:app.db",
            "./\"app.db\"",
            "my clicks.db",
            "it's.db",
            "2026-11-01T10:00.db",
            "c:app.db",
            "postgres.db",
            "./host=db.example.com",
            "user.db",
            "",
        ] {
            assert_eq!(fault(Path::new(path)), None, "{path}");
        }
    }
}
