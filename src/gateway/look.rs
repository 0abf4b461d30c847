//! One look over the fields of a message.

use http::{HeaderMap, HeaderName, HeaderValue};

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
    Host,
    /// Ours: which key a request came with.
    Key,
    Origin,
    Trace,
    UserAgent,
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
            "host" => Some(Self::Host),
            "x-flexgate-key" => Some(Self::Key),
            "origin" => Some(Self::Origin),
            "traceparent" | "tracestate" => Some(Self::Trace),
            "user-agent" => Some(Self::UserAgent),
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

    /// Looks, and shows somebody each line that there is.
    pub(super) fn showing(headers: &HeaderMap, mut show: impl FnMut(Field, &HeaderValue)) -> Self {
        let mut seen = 0;
        for (name, value) in headers {
            if let Some(field) = Field::of(name) {
                seen |= 1 << field as u32;
                show(field, value);
            }
        }
        Self {
            seen,
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

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, HOST, VIA};

    use super::*;

    #[test]
    fn a_look_shows_each_line_of_the_fields_that_matter() {
        let lines = [(HOST, "a"), (ACCEPT, "*/*"), (VIA, "1.1 b"), (VIA, "1.1 c")];
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut shown = Vec::new();
        let look = Look::showing(&headers, |field, value| shown.push((field, value.clone())));
        let expected = [(Field::Host, "a"), (Field::Via, "1.1 b"), (Field::Via, "1.1 c")];
        assert_eq!(
            shown,
            expected.map(|(field, value)| (field, HeaderValue::from_static(value)))
        );
        assert!(look.has(Field::Host) && look.has(Field::Via) && !look.has(Field::UserAgent));
        assert_eq!(look.fields(), 4);
    }
}
