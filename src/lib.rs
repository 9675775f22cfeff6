//! leadclicks stores which lead clicked which expert after which search, and reports it.
//!
//! Two thin programs use this library: `leadclicksd`, which captures clicks over HTTP, and `leadclicks`, the command line of
//! the admin. The modules are listed from the bottom up: each imports only from those above it in this list, which
//! tests/front_door/structure.rs checks. ARCHITECTURE.md has the map. Only what the programs, the benches and tests/fuzz
//! use is public.

#![warn(unreachable_pub)]

pub mod text;

pub mod click;
pub mod expert;
mod interrupt;
pub mod progress;
pub mod timestamp;

mod storage;

pub mod import;
mod reports;

pub mod capture;
mod render;

pub mod cli;
