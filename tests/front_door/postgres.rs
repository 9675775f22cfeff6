//! The second engine, on real servers of Debian's packages.

mod capture;
mod failover;
mod reports;
mod server;
