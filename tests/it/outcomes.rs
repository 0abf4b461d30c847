//! What became of every request: from the outbox over the stream into the tables.

mod frames;
mod projection;
