//! Tests through the front door: the real programs, a temporary database, real sockets.

mod support;

mod capture;
mod durability;
mod errors;
mod experts;
mod readme;
mod report;
mod reset;
