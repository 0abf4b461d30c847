//! The integration tests: one binary, fixtures that run real servers, one file per topic.

mod gateway;
mod upstream;
mod wire;
