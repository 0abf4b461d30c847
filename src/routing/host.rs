//! The form in which hosts are matched.

use std::{borrow::Cow, net::Ipv6Addr};

/// The longest host name, in bytes (RFC 1035 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// Why a `Host` field is refused. All of them are 400 (RFC 9112 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostRefusal {
    /// There is nothing before the port.
    #[error("the host is empty")]
    Empty,
    /// Something other than a name, an IPv4 address or an IPv6 address in brackets, with or without a port.
    #[error("the host is neither a name nor an address")]
    Syntax,
    /// Longer than a name can be.
    #[error("the host has more than {HOST_BYTES_MAX} characters")]
    TooLong,
}

/// The host of a `Host` field, or of a target's authority, as routes match it: without port and trailing dot, in lower
/// case, IPv6 addresses in the form of RFC 5952. Borrowed when it is so already.
pub fn normalize_host(authority: &str) -> Result<Cow<'_, str>, HostRefusal> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(HostRefusal::Syntax)?;
        let normal = format!(
            "[{}]",
            address.parse::<Ipv6Addr>().map_err(|_| HostRefusal::Syntax)?
        );
        check_port(port)?;
        let literal = &authority[..address.len() + 2];
        return Ok(if literal == normal {
            literal.into()
        } else {
            normal.into()
        });
    }
    let name = match authority.find(':') {
        Some(colon) => {
            check_port(&authority[colon..])?;
            &authority[..colon]
        }
        None => authority,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(HostRefusal::Empty);
    }
    if name.len() > HOST_BYTES_MAX {
        return Err(HostRefusal::TooLong);
    }
    let (mut upper, mut previous) = (false, b'.');
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' => upper = true,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'.' if previous != b'.' => {}
            _ => return Err(HostRefusal::Syntax),
        }
        previous = byte;
    }
    if previous == b'.' {
        return Err(HostRefusal::Syntax);
    }
    Ok(if upper {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    })
}

/// Nothing, or a colon and a port, which may be left out (RFC 3986 3.2.3).
fn check_port(text: &str) -> Result<(), HostRefusal> {
    match text.strip_prefix(':') {
        None if text.is_empty() => Ok(()),
        Some("") => Ok(()),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok() => Ok(()),
        _ => Err(HostRefusal::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(authority: &str, expected: Result<&str, HostRefusal>) {
        let host = normalize_host(authority);
        assert_eq!(
            host.as_deref(),
            expected.as_ref().map(|text| *text),
            "{authority}"
        );
    }

    #[test]
    fn port_case_and_trailing_dot_make_no_difference() {
        for authority in [
            "api.example.com",
            "API.example.COM:8080",
            "api.example.com.",
            "api.example.com.:",
            "Api.example.com:443",
        ] {
            check(authority, Ok("api.example.com"));
        }
        check("127.0.0.1:8000", Ok("127.0.0.1"));
        check("my_service-1", Ok("my_service-1"));
    }

    #[test]
    fn an_ipv6_address_has_one_form() {
        for authority in ["[::1]", "[::1]:8000", "[0:0::0001]"] {
            check(authority, Ok("[::1]"));
        }
        check("[FD00::A]", Ok("[fd00::a]"));
    }

    #[test]
    fn what_is_in_form_already_is_borrowed() {
        for authority in ["api.example.com", "api.example.com:80", "[::1]:80"] {
            assert!(
                matches!(normalize_host(authority), Ok(Cow::Borrowed(_))),
                "{authority}"
            );
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for authority in ["", ":80", "."] {
            check(authority, Err(HostRefusal::Empty));
        }
        for authority in [
            "a..b", ".a", "a..", "a b", "a/b", "a:b", "a:99999", "a:+80", "user@a", "é", "a,b", "[::1",
            "[x]", "[::1]x", "::1",
        ] {
            check(authority, Err(HostRefusal::Syntax));
        }
        check(&"a".repeat(254), Err(HostRefusal::TooLong));
    }
}
