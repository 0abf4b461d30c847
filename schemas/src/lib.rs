//! The vocabulary of FlexGate: what an event, a route, an upstream and a commit are, and how each is written down.
//!
//! Everything that crosses a process boundary has its type here, and every value is checked when it is parsed: code
//! that holds a [`PathPattern`] or an [`UpstreamUrl`] need not check it again.

#[macro_use]
mod text;

pub mod access;
pub mod admin;
pub mod alert;
pub mod audit;
pub mod auth;
pub mod authority;
pub mod base62;
pub mod catalog;
pub mod chain;
pub mod commit;
pub mod compression;
pub mod cors;
pub mod edits;
pub mod envelope;
pub mod event;
pub mod file;
pub mod frame;
pub mod host;
pub mod ids;
pub mod key;
pub mod limits;
pub mod matchers;
pub mod media_range;
pub mod methods;
pub mod node;
pub mod origins;
pub mod outcome;
pub mod parts;
pub mod path;
pub mod policy;
pub mod provenance;
pub mod proxies;
pub mod rare;
pub mod rate_limit;
pub mod recording;
pub mod request_id;
pub mod rewrite;
pub mod rollup;
pub mod route;
pub mod secret;
pub mod security;
pub mod settings;
pub mod size;
pub mod sketch;
pub mod span;
pub mod template;
pub mod time;
pub mod tokens;
pub mod traceparent;
pub mod transport;
pub mod upcast;
pub mod upstream;
pub mod url;
pub mod validation;
pub mod value_template;
pub mod variable;
pub mod whole_regex;

pub use access::Access;
pub use admin::AdminEvent;
pub use alert::Alert;
pub use auth::Authentication;
pub use authority::Authority;
pub use chain::Chain;
pub use commit::Commit;
pub use compression::Compression;
pub use cors::Cors;
pub use event::Event;
pub use file::{FileDigest, FileName};
pub use host::HostPattern;
pub use ids::{BootId, ClusterId, CommitId, NodeId, ProviderId, RouteId, UpstreamId};
pub use key::{ApiKey, KeyId};
pub use limits::Limits;
pub use matchers::Matchers;
pub use methods::Methods;
pub use outcome::Outcome;
pub use path::PathPattern;
pub use provenance::Provenance;
pub use rate_limit::{RateLimit, RateLimits};
pub use request_id::IdKey;
pub use rewrite::Rewrite;
pub use route::{Route, UpstreamRef};
pub use secret::Secret;
pub use security::Security;
pub use settings::Settings;
pub use size::Size;
pub use sketch::Sketch;
pub use span::Millis;
pub use template::PathTemplate;
pub use time::Timestamp;
pub use tokens::TokenProvider;
pub use traceparent::Traceparent;
pub use upstream::Upstream;
pub use url::UpstreamUrl;
pub use validation::Validation;
pub use value_template::ValueTemplate;
pub use whole_regex::WholeRegex;

/// The highest schema level this build can read. A commit that needs more freezes the node (see [`commit::ReadError`]).
pub const READER_LEVEL: u32 = 6;
