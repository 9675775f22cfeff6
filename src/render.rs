//! What is printed, made safe for a terminal.

mod visible;

pub use visible::visible;
