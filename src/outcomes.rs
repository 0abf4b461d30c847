//! From a finished request to the stream: the outbox keeps outcomes on local disk, the shipper takes them to NATS.
//!
//! The data plane imports the outbox alone: a request appends to memory that the disk backs, and waits for nobody.

pub mod outbox;
