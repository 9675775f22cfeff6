//! Tests through the front door: the real programs, a temporary database, real sockets.

mod python;
mod support;

mod backup;
mod capture;
mod check;
mod completions;
mod corpora;
mod durability;
mod errors;
mod exactly_once;
mod experts;
mod faults;
mod forget;
mod heavy;
mod host_app;
mod html;
mod import;
mod interrupt;
mod limits;
mod man;
mod manners;
mod model;
mod other_readers;
mod permissions;
mod privacy;
mod progress;
mod rankings;
mod readme;
mod report;
mod reset;
mod systemd;
mod watch;
