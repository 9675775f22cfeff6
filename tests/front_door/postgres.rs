//! The second engine, on real servers of Debian's packages.

mod capture;
mod changes;
mod reports;
mod server;
