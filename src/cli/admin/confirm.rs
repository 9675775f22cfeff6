//! What commands that delete for good share: they ask for a word.

use std::io::{self, IsTerminal, Write};

use crate::cli::failure::Failure;

/// Asks for `word`, which is also the command's name.
///
/// # Errors
/// When there is no terminal to ask on, or another answer is given.
pub(super) fn confirm(word: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::NotConfirmed(format!(
            "there is no terminal to ask on, so nothing was deleted; add --yes to {word} without asking"
        )));
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "\nType {word} to delete these rows for good: ")?;
    stderr.flush()?;
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    if !answer.ends_with('\n') {
        // Nobody pressed Enter, so what comes next would stand behind the question.
        writeln!(stderr)?;
    }
    if read.is_err() || answer.trim() != word {
        return Err(Failure::NotConfirmed(
            "not confirmed, so nothing was deleted".to_owned(),
        ));
    }
    Ok(())
}
