//! FlexGate: an internal HTTP API gateway whose whole life is a log.
//!
//! `ARCHITECTURE.md` has the bird's-eye view. Modules in reading order, from the pure core outwards.

pub mod domain;
pub mod drain;
pub mod gateway;
pub mod problem;
pub mod routing;
