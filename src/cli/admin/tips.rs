//! The command line as people type it: `help COMMAND`, and tips for commands that do not exist.

use std::ffi::OsString;

use clap::{
    Error,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Commands that delete. They are never a tip because of their spelling: whoever mistypes a command may follow the tip at once.
const DESTRUCTIVE: [&str; 5] = ["forget", "purge", "reset", "remove", "restore"];

/// Words that people try, and the command that they mean.
const MEANT: [(&[&str], &str); 12] = [
    (
        &[
            "stats",
            "stat",
            "statistics",
            "status",
            "overview",
            "dashboard",
        ],
        "`leadclicks summary` shows an overview",
    ),
    (
        &["lead", "leads"],
        "`leadclicks report --leads` has a row for each lead, and `leadclicks report --by-email` lists all clicks",
    ),
    (
        &["click", "clicks", "list", "ls", "show"],
        "`leadclicks report --by-email` lists the clicks of each lead",
    ),
    (
        &["expert", "ranking", "top"],
        "`leadclicks report --by-expert` ranks the experts, and `leadclicks experts list` lists them",
    ),
    (
        &["search", "searches", "query", "queries", "find"],
        "`leadclicks report --by-query` ranks the searches, and `leadclicks report --by-email --query TEXT` finds one",
    ),
    (
        &["export", "dump", "csv", "excel"],
        "`leadclicks report --by-email --output clicks.csv` exports the clicks; add --for excel for a spreadsheet",
    ),
    (
        &["tail", "follow", "live", "log"],
        "`leadclicks watch` shows clicks as they arrive",
    ),
    (
        &[
            "delete", "del", "rm", "remove", "erase", "gdpr", "forget", "purge",
        ],
        "`leadclicks forget EMAIL` erases one person, and `leadclicks purge --older-than 365d` old clicks; both ask first",
    ),
    (
        &["recover", "rollback", "revert", "restore"],
        "`leadclicks restore backup.db` replaces the database with a backup; it asks first",
    ),
    (
        &["merge", "combine", "join", "load"],
        "`leadclicks import other.db` merges the clicks of another database",
    ),
    (
        &["doctor", "health", "verify", "validate", "fsck"],
        "`leadclicks check` checks the health of the database",
    ),
    (
        &[
            "start", "serve", "server", "run", "daemon", "init", "create",
        ],
        "`leadclicksd` captures clicks, and creates the database",
    ),
];

/// `leadclicks help report` as `leadclicks report --help`, also after the options of all commands.
pub(super) fn with_help(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.collect();
    let mut at = 1;
    while let Some(word) = args.get(at) {
        at += match word.to_str() {
            Some("--db") => 2,
            Some(option) if option == "--no-pager" || option.starts_with("--db=") => 1,
            _ => break,
        };
    }
    if args.get(at).is_some_and(|word| word == "help") {
        args.remove(at);
        args.push("--help".into());
    }
    args
}

/// Replaces the tips of an error about an unknown command.
pub(super) fn improve(mut error: Error) -> Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let mut harmless = match error.remove(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(similar)) => similar,
        _ => Vec::new(),
    };
    if let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) {
        let edits = |name: &String| strsim::osa_distance(name, typed);
        let is_destructive = |name: &String| DESTRUCTIVE.contains(&&**name);
        let destructive = harmless.iter().filter(|name| is_destructive(name));
        // Whoever typed `rset` did not mean `report`.
        let edits_max = destructive.map(edits).min().unwrap_or(usize::MAX);
        harmless.retain(|name| !is_destructive(name) && edits(name) <= edits_max);
    }
    let tip = tip(&error, &harmless);
    // Without tips, clap would print an empty line for them.
    error.remove(ContextKind::Suggested);
    if let Some(tip) = tip {
        let tips = vec![StyledStr::from(tip)];
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    } else if !harmless.is_empty() {
        error.insert(
            ContextKind::SuggestedSubcommand,
            ContextValue::Strings(harmless),
        );
    }
    error
}

/// The tip that is better than the `similar` commands.
fn tip(error: &Error, similar: &[String]) -> Option<&'static str> {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let is_in_group = matches!(
        error.get(ContextKind::Usage),
        Some(ContextValue::StyledStr(usage)) if usage.to_string().contains("leadclicks experts")
    );
    let typed = typed.to_lowercase();
    if is_in_group {
        let is_removal = ["delete", "del", "rm", "erase", "forget"].contains(&&*typed);
        return is_removal
            .then_some("`leadclicks experts remove USERNAME` removes an expert from the list");
    }
    // A third, as for experts.
    let edits_max = typed.chars().count() / 3;
    let edits = |word: &str| strsim::osa_distance(word, &typed);
    let edits_to_similar = similar.iter().map(|name| edits(name)).min();
    MEANT
        .iter()
        .flat_map(|(words, tip)| words.iter().map(move |word| (edits(word), *tip)))
        .filter(|(edits, _)| {
            *edits <= edits_max && edits_to_similar.is_none_or(|least| *edits <= least)
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, tip)| tip)
}
