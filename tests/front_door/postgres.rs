//! The second engine, on real servers of Debian's packages.

mod capture;
mod changes;
mod failover;
mod reports;
mod server;
