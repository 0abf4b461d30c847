//! The integration tests: one binary, fixtures that run real servers, one file per topic.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod gateway;
mod upstream;
mod wire;
