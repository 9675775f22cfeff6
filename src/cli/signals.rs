//! The signals that end `leadclicks`: Ctrl-C, and what a terminal sends that is closed, or `kill`.

use std::{fs, sync::mpsc, thread};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};

use crate::interrupt;

/// From now on such a signal ends the program by [`interrupt::end`], whatever the program does, and shells see that it
/// was this signal. A second one ends it at once.
///
/// A signal that is ignored, as `nohup` has it, stays ignored. Where the system refuses a thread, or doesn't tell what
/// is ignored, the signals end the program as they always did.
pub(super) fn handle() {
    let Some(ignored) = ignored() else { return };
    let ending: Vec<i32> = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|signal| ignored & (1 << (signal - 1)) == 0)
        .collect();
    let (registered, wait) = mpsc::channel();
    let thread = thread::Builder::new().name("signals".to_owned());
    // Registered by the thread itself: a signal that is caught and waited for by nobody would do nothing.
    let spawned = thread.spawn(move || {
        let signals = Signals::new(ending);
        // The other side waits for it.
        let _ = registered.send(());
        if let Ok(signals) = signals {
            end_by(signals);
        }
    });
    if spawned.is_ok() {
        let _ = wait.recv();
    }
}

fn end_by(mut signals: Signals) {
    let mut is_first = true;
    loop {
        // Of those that come together, and count as one, what was meant most.
        let Some(signal) = signals.wait().max() else {
            continue;
        };
        let end = move || {
            // Only an unknown signal is an error, and these are known.
            let _ = emulate_default_handler(signal);
        };
        if is_first {
            interrupt::end(end);
        // A shell passes on the SIGHUP of a closing terminal that all have got already, so nobody insists by one.
        } else if signal != SIGHUP {
            interrupt::end_at_once(end);
        }
        is_first = false;
    }
}

/// The set of signals that are ignored, the first one in the lowest bit
/// ([proc_pid_status(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)).
fn ignored() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}
