//! The integration tests: one binary, fixtures that run real servers, one file per topic.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test stops where something is wrong, and is a crate of its own"
)]

mod admin;
mod audit;
mod certificates;
mod cli;
mod client;
mod cluster;
mod config;
mod deploy;
mod devstack;
mod disk;
mod dns;
mod files;
mod fixtures;
mod gateway;
mod http2;
mod imports;
mod journal;
mod keys;
mod outcomes;
mod peers;
mod program;
mod projections;
mod rate_limits;
mod renewal;
mod restart;
mod schema;
mod tables;
mod tidy;
mod token_provider;
mod upstream;
mod wire;
