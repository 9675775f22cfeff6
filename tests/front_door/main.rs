//! Tests through the front door: the real programs, a temporary database, real sockets.

mod python;
mod support;

mod backup;
mod capture;
mod check;
mod completions;
mod corpora;
mod documents;
mod durability;
mod errors;
mod exactly_once;
mod experts;
mod faults;
mod forget;
mod health;
mod heavy;
mod host_app;
mod html;
mod identity;
mod import;
mod interrupt;
mod leads;
mod leftovers;
mod limits;
mod location;
mod lookup;
mod man;
mod manners;
mod memory;
mod model;
mod other_readers;
mod permissions;
#[cfg(feature = "postgres")]
mod postgres;
mod privacy;
mod progress;
mod rankings;
mod report;
mod reset;
mod spreadsheets;
mod start;
mod structure;
mod systemd;
mod time_zone;
mod watch;
