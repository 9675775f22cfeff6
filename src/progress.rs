//! How far long work is, for those who wait.

/// How much is done, in bytes or in clicks, as whoever tells it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Done so far.
    pub done: u64,
    /// All that there is to do.
    pub total: u64,
}
