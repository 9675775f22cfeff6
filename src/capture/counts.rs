use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::answer::Answer;
use crate::storage::WriterCounts;

/// How many requests got which answer since the last line of counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    accepted: AtomicU64,
    preflights: AtomicU64,
    invalid: AtomicU64,
    forbidden: AtomicU64,
    too_many: AtomicU64,
    other_refusals: AtomicU64,
    overloaded: AtomicU64,
    unavailable: AtomicU64,
    crowded_out: AtomicU64,
    commits_before: AtomicU64,
}

impl Counts {
    pub(super) fn count(&self, answer: &Answer) {
        let counter = match answer {
            Answer::Accepted => &self.accepted,
            Answer::Preflight => &self.preflights,
            Answer::Invalid(_) => &self.invalid,
            Answer::OriginNotAllowed => &self.forbidden,
            Answer::Overloaded => &self.overloaded,
            Answer::Unavailable => &self.unavailable,
            Answer::TooManyRequests { .. } => &self.too_many,
            Answer::BrokenBody
            | Answer::InvalidHost
            | Answer::UnknownCoding
            | Answer::NotFound
            | Answer::MethodNotAllowed
            | Answer::BodyTooSlow
            | Answer::BodyTooLarge
            | Answer::WrongContentType
            | Answer::HeadersTooLarge => &self.other_refusals,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Counts connections that were closed to make room for others, and tells it once in the time between two lines of
    /// counts.
    pub(super) fn count_crowded_out(&self, connections: usize) {
        if connections > 0 && self.crowded_out.fetch_add(connections as u64, Relaxed) == 0 {
            tracing::warn!(
                "all connections are taken, closing those that have been open for the longest without posting a click"
            );
        }
    }

    /// Logs one line of counts and starts again from zero; nothing if nothing happened.
    pub(super) fn log(&self, writer: &WriterCounts) {
        let take = |counter: &AtomicU64| counter.swap(0, Relaxed);
        let [
            accepted,
            preflights,
            invalid,
            forbidden,
            too_many,
            other_refusals,
            overloaded,
            unavailable,
            crowded_out,
        ] = [
            &self.accepted,
            &self.preflights,
            &self.invalid,
            &self.forbidden,
            &self.too_many,
            &self.other_refusals,
            &self.overloaded,
            &self.unavailable,
            &self.crowded_out,
        ]
        .map(take);
        let commits = writer.commits();
        let commits = commits - self.commits_before.swap(commits, Relaxed);
        let answered = accepted
            + preflights
            + invalid
            + forbidden
            + too_many
            + other_refusals
            + overloaded
            + unavailable;
        if answered + commits + crowded_out > 0 {
            tracing::info!(
                accepted,
                commits,
                preflights,
                invalid,
                forbidden,
                too_many,
                other_refusals,
                overloaded,
                unavailable,
                crowded_out,
                "counts"
            );
        }
    }
}
