//! Text from strangers: made safe for a terminal, a spreadsheet and a column, or kept in little memory.

pub(crate) mod columns;
pub(crate) mod interner;
pub mod spreadsheet;
mod visible;

pub use visible::visible;
