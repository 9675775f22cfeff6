//! Text from visitors: made safe for a terminal and a spreadsheet, fitted to a column, or stored in little memory.

pub(crate) mod columns;
pub(crate) mod interner;
pub mod spreadsheet;
mod visible;

pub use visible::visible;
pub(crate) use visible::visible_path;
