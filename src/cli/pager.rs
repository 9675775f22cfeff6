//! A pager for what is printed on a terminal, by the rules of
//! [git](https://git-scm.com/docs/git-config#Documentation/git-config.txt-corepager): a long report begins with its newest
//! rows, and without a pager these would scroll away.

use std::{
    env,
    fs::File,
    io,
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use super::print_error;

/// The variables that name the pager, the first one first. An empty one means no pager.
const VARIABLES: [&str; 2] = ["LEADCLICKS_PAGER", "PAGER"];
const DEFAULT: &str = "less";

/// What these pagers get, unless the variable is set: `less` ends at once if all fits on the screen, shows colours, and leaves the
/// text on the screen; `lv` shows colours.
const SETTINGS: [(&str, &str); 2] = [("LESS", "FRX"), ("LV", "-c")];

/// Characters that only a shell understands. Without one of them, the pager is started without a shell.
const FOR_A_SHELL: &str = "|&;<>()$`\\\"' \t\n*?[#~=%";

static IS_OFF: AtomicBool = AtomicBool::new(false);
static HAS_STARTED: AtomicBool = AtomicBool::new(false);

/// Prints without a pager from now on.
pub(super) fn turn_off() {
    IS_OFF.store(true, Ordering::Relaxed);
}

/// Whether a pager has the terminal. Ctrl-C is then meant for it, also if it ended just now: nothing is left to do then.
pub(super) fn has_started() -> bool {
    HAS_STARTED.load(Ordering::Relaxed)
}

/// A running pager.
#[derive(Debug)]
pub(super) struct Pager(Child);

impl Pager {
    /// Starts the pager, and returns what it reads; none if the user wants none, or if it can't be started.
    pub(super) fn start() -> Option<(Self, File)> {
        if IS_OFF.load(Ordering::Relaxed) {
            return None;
        }
        let chosen = VARIABLES.iter().find_map(env::var_os);
        let is_default = chosen.is_none();
        let pager = chosen.unwrap_or_else(|| DEFAULT.into());
        if pager.is_empty() || pager == "cat" {
            return None;
        }
        let mut command = match pager.to_str() {
            Some(name) if !name.contains(|character| FOR_A_SHELL.contains(character)) => {
                Command::new(&pager)
            }
            _ => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(&pager);
                shell
            }
        };
        for (variable, setting) in SETTINGS {
            if env::var_os(variable).is_none() {
                command.env(variable, setting);
            }
        }
        match command.stdin(Stdio::piped()).spawn() {
            Ok(mut child) => {
                let stdin = child.stdin.take()?;
                HAS_STARTED.store(true, Ordering::Relaxed);
                Some((Self(child), OwnedFd::from(stdin).into()))
            }
            // The default one need not be installed.
            Err(error) if is_default && error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let name = pager.to_string_lossy();
                let sentence = format!(
                    "cannot start the pager {name}: {error}; correct LEADCLICKS_PAGER or PAGER, or pass --no-pager"
                );
                print_error("leadclicks", &sentence);
                None
            }
        }
    }

    /// Waits until the user has left the pager. It has read everything or wants no more.
    pub(super) fn wait(mut self) {
        // Its exit code says nothing about the report.
        let _ = self.0.wait();
    }
}
