use std::time::Duration;

use serde::Serialize;

use super::{DiskReserve, Error};
use crate::timestamp::Timestamp;

/// What is checked, and by which rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checks {
    pub(crate) depth: Depth,
    /// That of the daemon.
    pub(crate) reserve: DiskReserve,
    /// Decides which clicks are in the future.
    pub(crate) now: Timestamp,
    /// Older newest clicks are a warning.
    pub(crate) newest_since: Option<Timestamp>,
    pub(crate) daemon: DaemonCheck,
}

/// Whether a daemon should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DaemonCheck {
    /// If the database looks as a daemon leaves it, and not as a backup.
    IfLive,
    /// Not checked.
    Skipped,
}

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Everything; reads the whole file.
    Full,
    /// Everything except what reads the whole file: its integrity, foreign keys, the times of all clicks, and the number of
    /// leads.
    Quick,
}

/// The result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// No action needed.
    Ok,
    /// It works, but somebody should look into it.
    Warning,
    /// Something does not work.
    Problem,
}

/// How far ahead of the clock the newest click may be, and how much a server's clock and this one may differ.
pub(super) const CLOCKS_DIFFER_MAX: Duration = Duration::from_mins(1);

/// When the newest click was made.
#[derive(Clone, Copy)]
pub(super) enum Newest {
    /// There are no clicks.
    NoClicks,
    /// Its `created_at` is no time.
    Invalid,
    /// At this time.
    At(Timestamp),
}

impl Checks {
    /// The finding about the newest click. `invalid_next` is what to do if its time is invalid, and `count_after` counts the
    /// clicks after an instant.
    ///
    /// # Errors
    /// Those of `count_after`.
    pub(super) fn newest<E>(
        &self,
        newest: Newest,
        invalid_next: &str,
        count_after: impl FnOnce(Timestamp) -> Result<u64, E>,
    ) -> Result<Finding, E> {
        const CHECK: &str = "newest";
        const NEXT: &str = "check that the pages reach leadclicksd, with a click of your own";
        let newest = match newest {
            Newest::At(newest) => newest,
            Newest::NoClicks => {
                const NONE: &str = "no clicks yet";
                return Ok(match self.newest_since {
                    None => Finding::ok(CHECK, NONE),
                    Some(_) => Finding::warning(CHECK, NONE, NEXT),
                });
            }
            Newest::Invalid => {
                let found = "the newest click has an invalid created_at";
                return Ok(Finding::problem(CHECK, found, invalid_next));
            }
        };
        let found = newest.rfc3339().to_string();
        let finding = if newest.since(self.now) > CLOCKS_DIFFER_MAX {
            let future = count_after(self.now.after(CLOCKS_DIFFER_MAX))?;
            Finding::warning(
                CHECK,
                format!("{found}, in the future; clicks of the future: {future}"),
                "set the clock if it is behind; else correct their created_at, or delete them",
            )
        } else if self.newest_since.is_some_and(|since| newest < since) {
            Finding::warning(CHECK, format!("{found}, longer ago than --max-age"), NEXT)
        } else {
            Finding::ok(CHECK, found)
        };
        Ok(finding.with_number(newest.micros()))
    }
}

impl State {
    /// The name in JSON and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }

    /// The worst of `findings`.
    pub(crate) fn worst(findings: &[Finding]) -> Self {
        findings
            .iter()
            .map(|finding| finding.state)
            .max()
            .unwrap_or(Self::Ok)
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The name of the check.
    pub(crate) check: &'static str,
    /// Its result.
    pub(crate) state: State,
    /// What was found.
    pub(crate) found: String,
    /// What to do, unless everything is in order or `found` says it.
    pub(crate) next: Option<String>,
    /// What was measured, if it is one number: bytes, clicks, or the microseconds since 1970 of the newest click.
    #[serde(skip)]
    pub(crate) measured: Option<i64>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            found: found.into(),
            next: None,
            measured: None,
        }
    }

    pub(super) fn with_count(self, count: u64) -> Self {
        self.with_number(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(super) fn with_number(self, number: i64) -> Self {
        Self {
            measured: Some(number),
            ..self
        }
    }

    pub(super) fn warning(
        check: &'static str,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Warning,
            next: Some(next.into()),
            ..Self::ok(check, found)
        }
    }

    pub(super) fn problem(
        check: &'static str,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Problem,
            ..Self::warning(check, found, next)
        }
    }

    pub(super) fn of_result(check: &'static str, result: Result<Self, Error>) -> Self {
        result.unwrap_or_else(|error| Self::of_error(check, &error))
    }

    /// The text of an error contains the next step.
    pub(super) fn of_error(check: &'static str, error: &Error) -> Self {
        Self {
            state: State::Problem,
            ..Self::ok(check, error.to_string())
        }
    }

    pub(super) fn at_worst(self, state: State) -> Self {
        Self {
            state: self.state.min(state),
            ..self
        }
    }
}
