//! `Vary` (RFC 9110 12.5.5): which fields of a request a response depends on.

use http::{HeaderMap, HeaderValue, header::VARY};

/// Says that a response depends on this field, whose name is in lower case, unless that is said already.
pub(super) fn add(headers: &mut HeaderMap, field: &'static str) {
    let said = |value: &HeaderValue| {
        let mut members = value
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii);
        members.any(|member| member == b"*" || member.eq_ignore_ascii_case(field.as_bytes()))
    };
    if !headers.get_all(VARY).iter().any(said) {
        headers.append(VARY, HeaderValue::from_static(field));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_once() {
        let check = |lines: &[&'static str], expected: &[&str]| {
            let mut headers: HeaderMap = (lines.iter())
                .map(|line| (VARY, HeaderValue::from_static(line)))
                .collect();
            add(&mut headers, "origin");
            add(&mut headers, "origin");
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), expected);
        };
        check(&[], &["origin"]);
        check(&["Accept-Encoding"], &["Accept-Encoding", "origin"]);
        check(&["accept, Origin"], &["accept, Origin"]);
        check(&["*"], &["*"]);
    }
}
