//! Words of commands that are printed for a user to run.

use std::path::Path;

use super::visible;

/// A path as one word of a shell, and [`visible`].
pub(crate) fn shell_path(path: &Path) -> String {
    visible(&shell_word(&path.display().to_string())).into_owned()
}

/// A text as one word of a shell.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./,:@%+=".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_would_change_it() {
        for (path, word) in [
            ("/data/leadclicks.db", "/data/leadclicks.db"),
            ("/my data/a.db", "'/my data/a.db'"),
            ("it's.db", r"'it'\''s.db'"),
            ("$HOME;a.db", "'$HOME;a.db'"),
            ("\u{e9}.db", "'\u{e9}.db'"),
        ] {
            assert_eq!(shell_path(Path::new(path)), word);
        }
    }
}
