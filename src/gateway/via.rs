//! Our name in `Via` (RFC 9110 7.6.3): it says where a request came through, and shows when it goes in a circle.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header::VIA};

/// A pseudonym, as it is written for each version that a request comes in.
#[derive(Debug)]
pub(super) struct Via {
    pseudonym: Box<str>,
    http_10: HeaderValue,
    http_11: HeaderValue,
    http_2: HeaderValue,
}

impl Via {
    /// None if the pseudonym is no token.
    pub(super) fn new(pseudonym: &str) -> Option<Self> {
        HeaderName::from_bytes(pseudonym.as_bytes()).ok()?; // a field's name is a token, too
        let field = |version: &str| HeaderValue::try_from(format!("{version} {pseudonym}")).ok();
        Some(Self {
            pseudonym: pseudonym.into(),
            http_10: field("1.0")?,
            http_11: field("1.1")?,
            http_2: field("2")?,
        })
    }

    /// Says that the request passed here.
    pub(super) fn add(&self, headers: &mut HeaderMap, version: Version) {
        let value = match version {
            Version::HTTP_10 => &self.http_10,
            Version::HTTP_2 => &self.http_2,
            _ => &self.http_11,
        };
        headers.append(VIA, value.clone());
    }

    /// Whether the request passed here before.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let received_by = |member: &[u8]| {
            let mut words = member
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty());
            words.nth(1) == Some(self.pseudonym.as_bytes())
        };
        let mut members = headers
            .get_all(VIA)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        members.any(received_by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_seen_in_any_member_of_via() {
        let own = Via::new("flexgate-1").unwrap();
        let check = |lines: &[&str], seen: bool| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(VIA, line.parse().unwrap());
            }
            assert_eq!(own.is_in(&headers), seen, "{lines:?}");
        };
        check(&["1.1 flexgate-1"], true);
        check(&["1.0 fred, HTTP/1.1 flexgate-1 (comment)"], true);
        check(&["1.0 fred", "1.1 flexgate-1"], true);
        check(&["1.1 flexgate-12", "flexgate-1 1.1"], false);
        check(&[], false);
    }

    #[test]
    fn a_pseudonym_is_a_token() {
        for text in ["", "two words", "a,b", "(a)"] {
            assert!(Via::new(text).is_none(), "{text}");
        }
    }
}
