//! The signals that end `leadclicks`: SIGINT (Ctrl-C), SIGTERM (`kill`) and SIGHUP (a closed terminal).

use std::{fs, sync::mpsc, thread};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};

use super::pager;
use crate::interrupt;

/// From now on, each of these signals ends the program by [`interrupt::end`], and shells see that it was this signal. A
/// second signal ends it at once.
///
/// A signal that is ignored, as with `nohup`, stays ignored. If the system can't start a thread or report the ignored
/// signals, the signals keep their default action.
pub(super) fn handle() {
    let Ok(status) = fs::read_to_string("/proc/self/status") else {
        return;
    };
    let Some(ignored) = ignored(&status) else {
        return;
    };
    let ending: Vec<i32> = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|signal| ignored & (1 << (signal - 1)) == 0)
        .collect();
    let (registered, wait) = mpsc::channel();
    let thread = thread::Builder::new().name("signals".to_owned());
    let limit = without_room_for_a_heap(&status);
    // Registered by the thread itself: without the thread, a registered signal would do nothing.
    let spawned = thread.spawn(move || {
        let signals = Signals::new(ending);
        // It can't fail: the other end is waiting.
        let _ = registered.send(());
        if let Ok(signals) = signals {
            end_by(signals);
        }
    });
    if spawned.is_ok() {
        let _ = wait.recv();
    }
    if let Some(limit) = limit {
        // It was the limit before.
        let _ = setrlimit(Resource::As, limit);
    }
}

/// If address space is limited, lowers the limit, and returns what it was. glibc reserves 64 MiB for a heap of each new thread if it
/// can (`new_heap` in [arena.c](https://sourceware.org/git/?p=glibc.git;a=blob;f=malloc/arena.c)), and this thread needs next to
/// none: the reports should have them.
fn without_room_for_a_heap(status: &str) -> Option<Rlimit> {
    const HEAP_BYTES: u64 = 64 * 1024 * 1024;
    let limit = getrlimit(Resource::As);
    let used_kb: u64 = field(status, "VmSize:")?
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    let lower = (used_kb * 1024).saturating_add(HEAP_BYTES / 2);
    if limit.current? <= lower {
        return None;
    }
    let current = Some(lower);
    setrlimit(Resource::As, Rlimit { current, ..limit }).ok()?;
    Some(limit)
}

fn end_by(mut signals: Signals) {
    let mut is_first = true;
    loop {
        // If several arrive together, they count as one, and the strongest is used.
        let Some(signal) = signals.wait().max() else {
            continue;
        };
        // A pager stays, and so does the program that waits for it.
        if signal == SIGINT && pager::has_started() {
            continue;
        }
        let end = move || {
            // Only an unknown signal is an error, and these are known.
            let _ = emulate_default_handler(signal);
        };
        if is_first {
            interrupt::end(end);
        // When a terminal closes, a shell repeats the SIGHUP that the program has already received, so it does not count
        // as a second signal.
        } else if signal != SIGHUP {
            interrupt::end_at_once(end);
        }
        is_first = false;
    }
}

/// The set of signals that are ignored, the first one in the lowest bit
/// ([proc_pid_status(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)).
fn ignored(status: &str) -> Option<u64> {
    u64::from_str_radix(field(status, "SigIgn:")?, 16).ok()
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = status.lines();
    lines.find_map(|line| Some(line.strip_prefix(name)?.trim()))
}
