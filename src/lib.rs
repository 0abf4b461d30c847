//! FlexGate: an internal HTTP API gateway whose whole life is a log.
//!
//! `ARCHITECTURE.md` has the bird's-eye view. Modules in reading order, from the pure core outwards.

pub mod admin;
pub mod config;
#[cfg(feature = "devstack")]
pub mod devstack;
pub mod domain;
pub mod drain;
pub mod health;
pub mod journal;
pub mod listener;
pub mod membership;
pub mod ops;
pub mod problem;
pub mod routing;
