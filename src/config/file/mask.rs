//! The text of a file without what could be a secret, so that a line of it can be shown with a mistake, and logged.

/// Words in the names of keys whose values are, or may be, secrets.
const SECRET_WORDS: [&str; 4] = ["authorization", "password", "secret", "token"];
/// A name whose value may be one: an API key, by somebody who has not hashed it.
const SECRET_NAME: &str = "key";

/// Replaces secrets by as many `x`. Every place in the text stays where it is.
pub(super) fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut below = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if below.is_some_and(|secret| indent > secret || line.trim().is_empty()) {
            shown.extend(line.chars().map(hidden));
            continue;
        }
        let secret = secret_at(line);
        let (plain, hide) = line.split_at(secret.unwrap_or(line.len()));
        // A value that is not in the line of its key is in those below it.
        let is_elsewhere = matches!(hide.trim(), "" | "|" | ">" | "|-" | ">-" | "|+" | ">+");
        below = secret.filter(|_| is_elsewhere).map(|_| indent);
        shown.push_str(&credentials(plain));
        shown.extend(hide.chars().map(hidden));
    }
    shown
}

fn hidden(c: char) -> String {
    if c.is_whitespace() {
        c.to_string()
    } else {
        "x".repeat(c.len_utf8())
    }
}

/// Where the first value in a line begins that may be a secret. A reference is none.
fn secret_at(line: &str) -> Option<usize> {
    line.match_indices(':').find_map(|(at, _)| {
        let before = line[..at].trim_end_matches(['"', '\'']);
        let name = before
            .rsplit([' ', '\t', '{', ',', '[', '"', '\''])
            .next()?
            .to_ascii_lowercase();
        let is_secret = !name.contains('/')
            && (name == SECRET_NAME || SECRET_WORDS.iter().any(|word| name.contains(word)));
        let value = &line[at + 1..];
        let is_reference = value.contains("${") || value.contains("file:");
        (is_secret && !is_reference).then_some(at + 1)
    })
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
        check(
            "  - key: hunter2\n    name: app\n",
            "  - key: xxxxxxx\n    name: app\n",
        );
        check(
            "auth: {keys: [{\"key\": hunter2}]}\n",
            "auth: {keys: [{\"key\": xxxxxxxxxx\n",
        );
        check("keys:\n  - name: app\n", "keys:\n  - name: app\n");
        check(
            "key: >-\n    hunter2\n\n    hunter3\nname: app\n",
            "key: xx\n    xxxxxxx\n\n    xxxxxxx\nname: app\n",
        );
    }
}
