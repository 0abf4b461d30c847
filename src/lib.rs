//! FlexGate: an internal HTTP API gateway whose whole life is a log.
//!
//! `ARCHITECTURE.md` has the bird's-eye view. Modules in reading order, from the pure core outwards.

pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod drain;
pub mod problem;
pub mod routing;
pub mod telemetry;
