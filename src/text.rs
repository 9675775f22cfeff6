//! Text from visitors: made safe for a terminal and a spreadsheet, fitted to a column, or stored in little memory.

pub(crate) mod columns;
pub(crate) mod groups;
pub(crate) mod interner;
mod invisible;
pub(crate) mod memory;
mod shell;
pub mod spreadsheet;
mod visible;

pub(crate) use invisible::is_invisible;
pub(crate) use shell::shell_path;
#[cfg(feature = "postgres")]
pub(crate) use shell::shell_word;
pub use visible::visible;
pub(crate) use visible::visible_path;
