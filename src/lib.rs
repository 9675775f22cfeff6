//! leadclicks stores which lead clicked which expert after which search, and reports it.
//!
//! Two thin programs stand on this library: `leadclicksd`, which captures clicks over HTTP, and `leadclicks`,
//! the admin's command line. The modules are listed from the ground up; each imports only from those above it
//! (ARCHITECTURE.md has the map).

pub mod click;
pub mod interrupt;
pub mod progress;
pub mod spreadsheet;
pub mod timestamp;
pub mod visible;

pub mod store;

pub mod erase;
pub mod experts;

pub mod backup;

pub mod check;
pub mod forget;
pub mod import;
pub mod purge;
pub mod report;
pub mod reset;

pub mod capture;
pub mod render;

pub mod cli;
