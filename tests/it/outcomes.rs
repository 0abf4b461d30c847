//! What became of every request: from the outbox over the stream into the tables.

mod accounting;
mod closed_hours;
pub mod database;
mod dead_letters;
pub mod frames;
mod full_disk;
mod handover;
pub mod load;
mod older;
mod outbox;
mod projection;
mod projector;
mod rebuild;
mod retention;
mod shipper;
mod sketches;
mod takeover;
