//! What became of every request, on its way from the core that served it to whoever reads the stream.

pub mod outbox;
pub mod shipper;

pub mod closed_hours;
pub mod condition;
pub mod dead_letters;
pub mod equation;
pub mod feed;
pub mod verify;
