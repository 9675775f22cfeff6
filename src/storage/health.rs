use serde::Serialize;

use super::Error;

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// All; reads the whole file.
    Full,
    /// Not what reads the whole file: its integrity, foreign keys, the times of all clicks, and how many leads they are
    /// of.
    Quick,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// In order.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// Something does not work.
    Problem,
}

impl State {
    /// Its word, as in JSON.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }

    /// The worst of `findings`.
    #[must_use]
    pub(crate) fn worst(findings: &[Finding]) -> Self {
        findings
            .iter()
            .map(|line| line.state)
            .max()
            .unwrap_or(Self::Ok)
    }
}

/// What was looked at and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The name of the check.
    pub(crate) check: &'static str,
    /// How it is.
    pub(crate) state: State,
    /// What was found.
    pub(crate) found: String,
    /// What to do where it is not in order, unless `found` says so.
    pub(crate) next: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            found: found.into(),
            next: None,
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

    /// An error names the next step itself.
    pub(super) fn of_error(check: &'static str, error: &Error) -> Self {
        Self {
            state: State::Problem,
            ..Self::ok(check, error.to_string())
        }
    }
}
