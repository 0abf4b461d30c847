//! The configuration: what it is, what may be asked of it, and what then happens. Pure: no clock, no I/O, no
//! randomness; time, ids and the actor come from outside.
//!
//! [`decide`] turns a command into events or a refusal, [`evolve`] folds events into a [`ConfigState`]. To decide the
//! same command again on the result yields no events.

mod command;
mod decide;
mod destinations;
mod draft;
mod entity;
mod evolve;
mod file;
mod hash;
mod indexes;
mod keys;
mod ownership;
mod patch;
pub mod refusal;
mod routes;
mod settings;
mod snapshot;
pub mod state;
#[cfg(test)]
mod tests;
mod upstreams;
mod usage;
mod usernames;
pub mod warning;

pub use command::{Command, Decision, Expect, KnownKey};
pub use decide::decide;
pub use evolve::evolve;
pub use file::ApplyFile;
pub use hash::{FOLD_VERSION, StateHash};
pub use ownership::{Ownership, drifted};
pub use refusal::Refusal;
pub use state::{Changed, ConfigState, Entry, Keys, Stamp};
pub use usernames::Usernames;
pub use warning::Warning;

/// The most routes there may be.
pub const ROUTES_MAX: usize = 1_000_000;
/// The most upstreams there may be.
pub const UPSTREAMS_MAX: usize = 100_000;
/// The most API keys there may be.
pub const KEYS_MAX: usize = 2_000_000;
