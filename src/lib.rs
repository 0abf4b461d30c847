//! FlexGate: an internal HTTP API gateway whose whole life is a log.
//!
//! `ARCHITECTURE.md` has the bird's-eye view; the pure core is `routing` and `domain`, the composition root is `app`.

pub mod admin;
pub mod app;
pub mod audit;
pub mod cli;
pub mod config;
#[cfg(feature = "devstack")]
pub mod devstack;
pub mod domain;
pub mod drain;
pub mod egress;
pub mod gateway;
pub mod health;
pub mod journal;
pub mod limiter;
pub mod listener;
pub mod membership;
pub mod ops;
pub mod outcomes;
pub mod password;
pub mod problem;
pub mod projectors;
pub mod routing;
pub mod sealing;
pub mod telemetry;
mod unambiguous;
pub mod validation;
