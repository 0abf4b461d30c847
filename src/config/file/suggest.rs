//! What somebody may have meant.

/// Help for an unknown key: the known one that it resembles, or all of them.
pub(super) fn key(wrong: &str, known: &[&str]) -> Option<String> {
    match closest(wrong, known) {
        Some(meant) => Some(format!("did you mean `{meant}`?")),
        None if known.is_empty() => None,
        None => Some(format!("the keys that can stand here: {}", known.join(", "))),
    }
}

/// Help for an unknown value, as for a key.
pub(super) fn value(wrong: &str, known: &[&str]) -> Option<String> {
    closest(wrong, known)
        .map(|meant| format!("did you mean `{meant}`?"))
        .or_else(|| Some(format!("write one of: {}", known.join(", "))))
}

/// The known word that is nearest: the same but for case, `_` and `-`, or with at most a third of it mistyped.
pub(super) fn closest<'k>(wrong: &str, known: &[&'k str]) -> Option<&'k str> {
    let wrong = plain(wrong);
    let near = |word: &&'k str| (distance(&wrong, &plain(word)), *word);
    let (distance, word) = known.iter().map(near).min_by_key(|(distance, _)| *distance)?;
    (distance <= wrong.len().div_ceil(3)).then_some(word)
}

fn plain(word: &str) -> Vec<char> {
    // A word longer than this is no misspelling, and comparing costs its length squared.
    word.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .take(40)
        .flat_map(char::to_lowercase)
        .collect()
}

/// How many letters must be added, removed, changed or swapped with their neighbour.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, counterpart) in other.iter().enumerate() {
            let changed = above[column] + usize::from(letter != counterpart);
            let mut best = changed.min(above[column + 1] + 1).min(line[column] + 1);
            let swapped =
                row > 0 && column > 0 && one[row - 1] == *counterpart && *letter == other[column - 1];
            if swapped {
                best = best.min(before[column - 1] + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_key_finds_what_was_meant() {
        let known = ["rateLimit", "upstream", "path", "timeout", "circuitBreaker"];
        let check = |wrong, meant| assert_eq!(closest(wrong, &known), meant, "{wrong}");
        check("rateLimt", Some("rateLimit"));
        check("rate_limit", Some("rateLimit"));
        check("ratelimit", Some("rateLimit"));
        check("upsteram", Some("upstream"));
        check("pahts", Some("path"));
        check("headers", None);
        check("", None);
    }
}
