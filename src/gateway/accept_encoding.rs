//! Which coding a client wants a body in (RFC 9110 12.5.3).

use flexgate_schemas::compression::Coding;
use http::{HeaderMap, header::ACCEPT_ENCODING};

/// The coding that a client likes best among these, which are in our own order; none if it did not ask for any, or likes
/// the body as it is better.
pub(super) fn preferred(headers: &HeaderMap, ours: &[Coding]) -> Option<Coding> {
    let lists = headers.get_all(ACCEPT_ENCODING).iter();
    let members = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(member);
    let mut wishes = Wishes::default();
    for (coding, weight) in members {
        wishes.hear(coding, weight);
    }
    let best = |best: Option<(Coding, u16)>, coding: &Coding| {
        let weight = wishes.of(*coding);
        let is_better = weight > best.map_or(0, |(_, weight)| weight);
        if is_better { Some((*coding, weight)) } else { best }
    };
    let (coding, weight) = ours.iter().fold(None, best)?;
    (wishes.identity.is_none_or(|identity| identity <= weight)).then_some(coding)
}

/// How much a client wants what, in thousandths.
#[derive(Default)]
struct Wishes {
    zstd: Option<u16>,
    br: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    /// Whatever is not named.
    others: Option<u16>,
}

impl Wishes {
    fn hear(&mut self, coding: &str, weight: u16) {
        let wish = match &*coding.to_ascii_lowercase() {
            "zstd" => &mut self.zstd,
            "br" => &mut self.br,
            "gzip" | "x-gzip" => &mut self.gzip, // which are the same (RFC 9110 8.4.1.3)
            "identity" => &mut self.identity,
            "*" => &mut self.others,
            _ => return,
        };
        *wish = Some(weight);
    }

    fn of(&self, coding: Coding) -> u16 {
        let named = match coding {
            Coding::Zstd => self.zstd,
            Coding::Br => self.br,
            Coding::Gzip => self.gzip,
        };
        named.or(self.others).unwrap_or(0)
    }
}

/// A coding and its weight; none for what is no member of such a list.
fn member(text: &str) -> Option<(&str, u16)> {
    let (coding, parameter) = text.split_once(';').unwrap_or((text, "q=1"));
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    Some((coding.trim(), thousandths(value.trim())?))
}

/// RFC 9110 12.4.2: `0` or `1` and up to three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let part = is_digits
        .then(|| format!("{decimals:0<3}"))?
        .parse::<u16>()
        .ok()?;
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_heaviest_coding_is_chosen_and_ours_among_equals() {
        use Coding::{Br, Gzip, Zstd};
        let check = |lines: &[&str], chosen: Option<Coding>| {
            let lines = lines.iter().map(|line| HeaderValue::from_str(line).unwrap());
            let headers: HeaderMap = lines.map(|line| (ACCEPT_ENCODING, line)).collect();
            assert_eq!(preferred(&headers, &[Zstd, Br, Gzip]), chosen, "{headers:?}");
        };
        check(&["gzip, deflate, br, zstd"], Some(Zstd));
        check(&["gzip, deflate", "br"], Some(Br));
        check(&["br;q=0.8, GZIP;Q=0.9"], Some(Gzip));
        check(&["gzip;q=1.0,br;q=1"], Some(Br));
        check(&["x-gzip"], Some(Gzip));
        check(&["*"], Some(Zstd));
        check(&["*;q=0.1, zstd;q=0, br;q=0"], Some(Gzip));
        check(&["gzip;q=0.001"], Some(Gzip));
        check(&["gzip, identity"], Some(Gzip));
        check(&["gzip;q=0.5, identity"], None);
        check(&["gzip;q=0.5, identity;q=0"], Some(Gzip));
        check(&["gzip;q=0"], None);
        check(&["identity"], None);
        check(&["deflate, compress"], None);
        check(&[""], None);
        check(&[], None);
        for wrong in [
            "gzip;q=2",
            "gzip;q=0.1234",
            "gzip;q=",
            "gzip;level=9",
            "gzip;q=-1",
            "g zip",
            "gzip;q=1.5",
        ] {
            check(&[wrong], None);
        }
    }
}
