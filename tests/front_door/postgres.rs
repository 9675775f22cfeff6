//! The second engine, on real servers of Debian's packages.

mod capture;
mod changes;
mod check;
mod failover;
mod host_app;
mod reports;
mod rights;
mod server;
mod tls;
mod watch;
