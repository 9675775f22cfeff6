use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::answer::Answer;
use crate::storage::WriterCounts;

/// The number of answers of each kind since the last logged line of counts.
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
    evicted: AtomicU64,
    /// The writer's commits at the last line of counts.
    commits_before: AtomicU64,
}

impl Counts {
    pub(super) fn count(&self, answer: &Answer) {
        let counter = match answer {
            // Probes would hide how many clicks there are.
            Answer::Healthy | Answer::Unhealthy => return,
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

    /// Counts connections evicted for a `reason`. Logs the first eviction after each line of counts.
    pub(super) fn count_evicted(&self, connections: usize, reason: &str) {
        if connections > 0 && self.evicted.fetch_add(connections as u64, Relaxed) == 0 {
            tracing::warn!(
                "{reason}, closing those that have been open longest without posting a click"
            );
        }
    }

    /// Logs one line of counts, unless all are zero, and resets them.
    pub(super) fn log(&self, writer: &WriterCounts) {
        let take = |counter: &AtomicU64| counter.swap(0, Relaxed);
        let accepted = take(&self.accepted);
        let preflights = take(&self.preflights);
        let invalid = take(&self.invalid);
        let forbidden = take(&self.forbidden);
        let too_many = take(&self.too_many);
        let other_refusals = take(&self.other_refusals);
        let overloaded = take(&self.overloaded);
        let unavailable = take(&self.unavailable);
        let crowded_out = take(&self.evicted);
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
