//! The text of a file without what could be a secret, so that a line of it can be shown with a mistake, and logged.

/// Keys whose values are, or may be, secrets.
const SECRET_KEYS: [&str; 4] = ["authorization", "password", "secret", "token"];

/// Replaces secrets by as many `x`. Every place in the text stays where it is.
pub(super) fn masked(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| credentials(&secret_value(line)))
        .collect()
}

/// Masks the value of a key that names a secret. A reference is none.
fn secret_value(line: &str) -> String {
    let Some((key, value)) = line.split_once(':') else {
        return line.to_owned();
    };
    let names_secret = |word: &&str| key.to_ascii_lowercase().contains(word);
    if !SECRET_KEYS.iter().any(names_secret) || value.contains("${") || value.contains("file:") {
        return line.to_owned();
    }
    let hide = |c: char| {
        if c.is_whitespace() {
            c.to_string()
        } else {
            "x".repeat(c.len_utf8())
        }
    };
    format!("{key}:{}", value.chars().map(hide).collect::<String>())
}

/// Masks the user information of URLs (RFC 3986 3.2.1).
fn credentials(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        let authority = after
            .find(['/', '?', ' ', '"', '\'', '\n'])
            .unwrap_or(after.len());
        let secret = after[..authority].rfind('@').unwrap_or(0);
        masked.push_str(before);
        masked.push_str("://");
        masked.push_str(&"x".repeat(secret));
        rest = &after[secret..];
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_nothing_moves() {
        let check = |line: &str, shown: &str| {
            assert_eq!(masked(line), shown);
            assert_eq!(line.len(), shown.len());
        };
        check(
            "  authorization: \"Bearer hunter2\"\n",
            "  authorization: xxxxxxx xxxxxxxx\n",
        );
        check("authorization: ${TOKEN}", "authorization: ${TOKEN}");
        check(
            "  url: redis://me:hunter2@r:6379 # x\n",
            "  url: redis://xxxxxxxxxx@r:6379 # x\n",
        );
        check("  url: http://a/b@c\n", "  url: http://a/b@c\n");
        check("path: /*\n", "path: /*\n");
    }
}
