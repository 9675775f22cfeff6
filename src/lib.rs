//! leadclicks stores which lead clicked which expert after which search, and reports it.
//!
//! Two thin programs use this library: `leadclicksd`, which captures clicks over HTTP, and `leadclicks`, the admin's
//! command line. The modules are listed from the ground up; each imports only from those above it (tests/front_door/structure.rs
//! checks that, and ARCHITECTURE.md has the map). Public is only what the programs, the benches and tests/fuzz use.

#![warn(unreachable_pub)]

pub mod click;
pub mod expert;
mod interrupt;
pub mod progress;
pub mod text;
pub mod timestamp;

mod storage;

pub mod import;
mod reports;

pub mod capture;
mod render;

pub mod cli;
