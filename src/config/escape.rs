//! Percent-encoding (RFC 3986 2.1).

/// Encodes everything but unreserved characters (RFC 3986 2.3), so that the text can stand anywhere in a URL.
pub fn escape(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}
