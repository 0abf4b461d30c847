//! The text of a file without what could be a secret, so that a line of it can be shown with a mistake, and logged.

/// Words in the names of keys whose values are, or may be, secrets.
const SECRET_WORDS: [&str; 4] = ["authorization", "password", "secret", "token"];
/// A name whose value may be one: an API key, by somebody who has not hashed it.
const SECRET_NAME: &str = "key";

/// Replaces secrets by as many `x`. Every place in the text stays where it is, and so do the quotes and brackets around
/// secrets: what was YAML is YAML still.
pub(super) fn masked(text: &str) -> String {
    let mut masking = Masking::default();
    for line in text.split_inclusive('\n') {
        masking.line(line);
    }
    masking.shown
}

#[derive(Default)]
struct Masking {
    shown: String,
    /// How many brackets are open.
    depth: usize,
    /// The quote that ends a secret of several lines.
    quoted: Option<char>,
    /// The column of a key whose secret goes on in lines that begin right of it.
    below: Option<usize>,
}

impl Masking {
    fn line(&mut self, line: &str) {
        let indent = line.len() - line.trim_start().len();
        if let Some(quote) = self.quoted.take() {
            let rest = self.hide_quoted(line, quote);
            return self.rest(rest, line.len() - rest.len());
        }
        if self
            .below
            .is_some_and(|key| indent > key || line.trim().is_empty())
        {
            return self.hide(line);
        }
        self.below = None;
        if line.starts_with(|first: char| first.is_ascii_alphabetic()) {
            self.depth = 0; // no bracket is open where a section begins
        }
        if line.trim_start().starts_with('#') {
            let (plain, secret) = line.split_at(secret_at(line).map_or(line.len(), |(_, at)| at));
            self.shown.push_str(&credentials(plain));
            return self.hide(secret);
        }
        self.rest(line, 0);
    }

    /// What is left of a line that begins at a column of it.
    fn rest(&mut self, mut rest: &str, mut column: usize) {
        while let Some((key, at)) = secret_at(rest) {
            let (plain, value) = rest.split_at(at);
            self.plain(plain);
            let spaces = value.len() - value.trim_start_matches([' ', '\t']).len();
            self.shown.push_str(&value[..spaces]);
            let after = self.value(&value[spaces..], column + key);
            column += rest.len() - after.len();
            rest = after;
        }
        self.plain(rest);
    }

    /// Hides the value of the key in this column, and returns what follows it.
    fn value<'l>(&mut self, value: &'l str, column: usize) -> &'l str {
        if let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) {
            let inner = &value[1..];
            self.shown.push(quote);
            if let Some(end) = closing(inner, quote).filter(|end| is_reference(&inner[..*end])) {
                self.shown.push_str(&inner[..=end]);
                return &inner[end + 1..];
            }
            return self.hide_quoted(inner, quote);
        }
        if value.starts_with(['{', '[']) {
            return value; // keys and items within are looked at one by one
        }
        let end = if self.depth > 0 {
            let reference = value.strip_prefix("${").and_then(|rest| rest.find('}'));
            let begin = reference.map_or(0, |brace| brace + 3);
            let end = value[begin..].find([',', '}', ']', '\n']);
            end.map_or(value.len(), |end| begin + end)
        } else {
            value.len()
        };
        let (secret, after) = value.split_at(end);
        if is_reference(secret.split(" #").next().unwrap_or_default().trim()) {
            self.shown.push_str(secret);
            return after;
        }
        self.hide(secret);
        if self.depth == 0 {
            // A value of several lines, and one that is not in the line of its key.
            self.below = Some(column);
        }
        after
    }

    fn hide_quoted<'l>(&mut self, secret: &'l str, quote: char) -> &'l str {
        let Some(end) = closing(secret, quote) else {
            self.quoted = Some(quote);
            self.hide(secret);
            return "";
        };
        self.hide(&secret[..end]);
        self.shown.push(quote);
        &secret[end + 1..]
    }

    fn hide(&mut self, secret: &str) {
        for c in secret.chars() {
            if c.is_whitespace() {
                self.shown.push(c);
            } else {
                self.shown.extend(std::iter::repeat_n('x', c.len_utf8()));
            }
        }
    }

    fn plain(&mut self, text: &str) {
        self.shown.push_str(&credentials(text));
        let mut quote = None;
        for c in text.split(" #").next().unwrap_or_default().chars() {
            match (c, quote) {
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                ('{' | '[', None) => self.depth += 1,
                ('}' | ']', None) => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }
}

/// Where a quoted text ends.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let is_doubled = quote == '\'' && chars.peek().is_some_and(|(_, next)| *next == quote);
        if (c == '\\' && quote == '"') || (c == quote && is_doubled) {
            chars.next();
        } else if c == quote {
            return Some(at);
        }
    }
    None
}

/// A reference is no secret, but what it says for want of a value is one.
fn is_reference(value: &str) -> bool {
    let is_variable = value.starts_with("${") && value.find('}') == Some(value.len() - 1);
    (is_variable && !value.contains(":-")) || value.starts_with("file:")
}

/// The first key whose value may be a secret: where it begins, and where its value may begin.
fn secret_at(line: &str) -> Option<(usize, usize)> {
    line.match_indices(':').find_map(|(at, _)| {
        let before = line[..at].trim_end_matches(['"', '\'']);
        let begin = before
            .rfind([' ', '\t', '{', ',', '[', '"', '\''])
            .map_or(0, |separator| separator + 1);
        let name = before[begin..].to_ascii_lowercase();
        let is_secret = !name.contains('/')
            && (name == SECRET_NAME || SECRET_WORDS.iter().any(|word| name.contains(word)));
        let is_key = line[at + 1..].starts_with([' ', '\t', '\n', '\r', '"', '\'']) || at + 1 == line.len();
        (is_secret && is_key).then_some((begin, at + 1))
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
            "  authorization: \"xxxxxx xxxxxxx\"\n",
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
            "auth: {keys: [{\"key\": xxxxxxx}]}\n",
        );
        check("keys:\n  - name: app\n", "keys:\n  - name: app\n");
        check(
            "{password: \"a}b\\\"c\", secret: 'd''e', token: ${T}, key: ${K:-f}, a: b}\n",
            "{password: \"xxxxxx\", secret: 'xxxx', token: ${T}, key: xxxxxxx, a: b}\n",
        );
        check(
            "redis: {\n  password: hunter2,\n  host: r}\npassword: a, b\n",
            "redis: {\n  password: xxxxxxx,\n  host: r}\npassword: xx x\n",
        );
        check(
            "- password: \"hunter\n    two\"\n  name: app\n",
            "- password: \"xxxxxx\n    xxx\"\n  name: app\n",
        );
        check(
            "- password: hunter\n    two\n  name: app\n",
            "- password: xxxxxx\n    xxx\n  name: app\n",
        );
        check("# it's token: hunter's\na: b\n", "# it's token: xxxxxxxx\na: b\n");
        check(
            "key: >-\n    hunter2\n\n    hunter3\nname: app\n",
            "key: xx\n    xxxxxxx\n\n    xxxxxxx\nname: app\n",
        );
    }
}
