//! One look over the fields of a message.

use http::{HeaderMap, HeaderName};

/// The fields that a gateway has something to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Authorization,
    Connection,
    TransferEncoding,
    Te,
    Upgrade,
    ProxyAuthenticate,
    ProxyAuthorization,
    KeepAlive,
    ProxyConnection,
    ContentLength,
    Cookie,
    CorrelationId,
    Expect,
    /// `X-Forwarded-*` or `Forwarded`.
    Forwarding,
    /// Ours: which key a request came with.
    Key,
    Origin,
    Trace,
    Via,
}

impl Field {
    /// Which of them a name is, if it is one.
    pub(super) fn of(name: &HeaderName) -> Option<Self> {
        match name.as_str() {
            "authorization" => Some(Self::Authorization),
            "connection" => Some(Self::Connection),
            "transfer-encoding" => Some(Self::TransferEncoding),
            "te" => Some(Self::Te),
            "upgrade" => Some(Self::Upgrade),
            "proxy-authenticate" => Some(Self::ProxyAuthenticate),
            "proxy-authorization" => Some(Self::ProxyAuthorization),
            "keep-alive" => Some(Self::KeepAlive),
            "proxy-connection" => Some(Self::ProxyConnection),
            "content-length" => Some(Self::ContentLength),
            "cookie" => Some(Self::Cookie),
            "x-correlation-id" => Some(Self::CorrelationId),
            "expect" => Some(Self::Expect),
            "forwarded" => Some(Self::Forwarding),
            "x-flexgate-key" => Some(Self::Key),
            "origin" => Some(Self::Origin),
            "traceparent" | "tracestate" => Some(Self::Trace),
            "via" => Some(Self::Via),
            other if other.starts_with("x-forwarded-") => Some(Self::Forwarding),
            _ => None,
        }
    }
}

/// Which of these fields a message has. One look over a message is cheaper than one question to the map, and nearly
/// all of them are nearly always absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    seen: u32,
    fields: usize,
}

impl Look {
    /// Looks.
    pub(super) fn at(headers: &HeaderMap) -> Self {
        let found = headers.keys().filter_map(Field::of);
        Self {
            seen: found.fold(0, |seen, field| seen | 1 << field as u32),
            fields: headers.len(),
        }
    }

    /// Whether the field is there.
    pub(super) fn has(self, field: Field) -> bool {
        self.seen & 1 << field as u32 != 0
    }
    /// How many fields there were.
    pub(super) fn fields(self) -> usize {
        self.fields
    }
}
