//! The progress of long work.

/// How much is done, in bytes or clicks; the function that reports it says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The part that is done.
    pub done: u64,
    /// The whole; 0 if it is unknown.
    pub total: u64,
}
