//! The passfile of libpq: [PostgreSQL on it](https://www.postgresql.org/docs/current/libpq-pgpass.html).

use std::{
    env, fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Whose password is wanted.
pub(super) struct Login<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// `PGPASSFILE`, or else `~/.pgpass`.
pub(super) fn default_passfile() -> Option<PathBuf> {
    env::var_os("PGPASSFILE")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".pgpass")))
}

/// The password of the first line that matches, if there is such a file and such a line.
///
/// # Errors
/// If the file can't be read, or if other users can read it.
pub(super) fn find(passfile: &Path, login: &Login<'_>) -> Result<Option<String>, String> {
    const GROUP_AND_OTHERS: u32 = 0o077;
    let name = passfile.display();
    let metadata = match fs::metadata(passfile) {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read the passfile {name}: {error}")),
    };
    if metadata.mode() & GROUP_AND_OTHERS != 0 {
        return Err(format!(
            "other users may open the passfile {name}; remove that permission with chmod 600"
        ));
    }
    let text = fs::read_to_string(passfile)
        .map_err(|error| format!("cannot read the passfile {name}: {error}"))?;
    Ok(text.lines().find_map(|line| password(line, login)))
}

/// The password of a line `host:port:database:user:password`, if it matches. A backslash makes a colon or a backslash part of
/// a field, and `*` as a field matches everything.
fn password(line: &str, login: &Login<'_>) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let port = login.port.to_string();
    let mut rest = line;
    for wanted in [login.host, &port, login.database, login.user] {
        let (field, after) = field(rest)?;
        if field != "*" && unescaped(field) != wanted {
            return None;
        }
        rest = after;
    }
    Some(unescaped(rest))
}

/// The text before the first colon that is not escaped, and the text after it.
fn field(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b':' if !is_escaped => return Some((&text[..at], &text[at + 1..])),
            b'\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    None
}

fn unescaped(field: &str) -> String {
    let mut text = String::new();
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            character => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_matches_by_its_fields_and_gives_its_password() {
        let login = Login {
            host: "db.example.com",
            port: 5432,
            database: "app",
            user: "jane",
        };
        for (line, wanted) in [
            ("db.example.com:5432:app:jane:secret", Some("secret")),
            ("*:*:*:*:secret", Some("secret")),
            ("*:*:*:jane:a\\:b\\\\c", Some("a:b\\c")),
            ("*:*:*:jane:secret:more", Some("secret:more")),
            ("*:*:*:jane:", Some("")),
            ("db.example.com:5433:app:jane:secret", None),
            ("db.example.org:*:*:*:secret", None),
            ("*:*:app:joe:secret", None),
            ("# *:*:*:*:secret", None),
            ("*:*:*", None),
            ("", None),
        ] {
            assert_eq!(password(line, &login).as_deref(), wanted, "{line}");
        }
    }
}
