//! From where a request comes, as far as it and its connection tell.

use flexgate_schemas::Provenance;
use http::{Extensions, HeaderMap, HeaderName, header::USER_AGENT};

use super::Shared;
use crate::listener::{Peer, around::CorrelationId};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// From where a request with these headers comes, that has passed the listener. Proxies are believed as in the data plane.
pub(super) fn of(headers: &HeaderMap, extensions: &Extensions, admin: &Shared) -> Provenance {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let client = |Peer(peer): &Peer| {
        let view = admin.journal.view();
        let settings = &view.state().settings().value;
        settings.client_of(peer.ip().to_canonical(), headers)
    };
    Provenance {
        correlation_id: extensions.get().map(|id: &CorrelationId| id.as_str().into()),
        traceparent: text(&TRACEPARENT).and_then(|text| text.parse().ok()),
        address: extensions.get().map(client),
        agent: text(&USER_AGENT).and_then(Provenance::agent),
    }
}
