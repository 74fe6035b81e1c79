//! The query and the cookies of a request, parsed once.
//!
//! A policy can read a hundred parameters. Each read compares numbers and does not parse the query
//! again. Text without escapes is borrowed from the request.

use std::ops::Range;

use seawall_policy::fuel::price;
use smallvec::SmallVec;

/// Number of pairs without an allocation.
const PAIRS_EXPECTED: usize = 8;

/// Names with their values, in the order of the request.
#[derive(Debug, Default)]
pub(crate) struct Pairs<'r> {
    /// A number for each name; equal names have equal numbers.
    marks: SmallVec<[u32; PAIRS_EXPECTED]>,
    pairs: SmallVec<[(Text<'r>, Text<'r>); PAIRS_EXPECTED]>,
    decoded: Vec<u8>,
}

/// A text as received, or a part of the decoded text.
#[derive(Debug, Clone)]
enum Text<'r> {
    Raw(&'r [u8]),
    Decoded(Range<usize>),
}

/// Returns the maximum fuel to parse bytes.
pub(crate) fn price_of(bytes: &[u8], separator: u8) -> u64 {
    let pairs = memchr::memchr_iter(separator, bytes).count().saturating_add(1) as u64;
    let bytes = (bytes.len() as u64).saturating_mul(price::PAIR_BYTE);
    pairs.saturating_mul(price::PAIR).saturating_add(bytes)
}

impl<'r> Pairs<'r> {
    /// Parses a query string and decodes it once. An invalid escape stays as received.
    pub(crate) fn of_query(query: &'r [u8]) -> Self {
        let mut all = Self::default();
        for pair in query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let (name, value) = pair.split_at_checked(at).unwrap_or((pair, b""));
            let name = all.decode(name);
            let value = all.decode(value.strip_prefix(b"=").unwrap_or(value));
            all.push(name, value);
        }
        all
    }

    /// Adds the pairs of a Cookie header (RFC 6265 §5.4), with quotes.
    pub(crate) fn add_cookies(&mut self, line: &'r [u8]) {
        for pair in line.split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            let Some((name, value)) =
                memchr::memchr(b'=', pair).and_then(|at| pair.split_at_checked(at))
            else {
                continue;
            };
            self.push(Text::Raw(name), Text::Raw(value.get(1..).unwrap_or_default()));
        }
    }

    /// Returns the fuel to search a name, without that for matches.
    pub(crate) fn price(&self) -> u64 {
        price::NAMED.saturating_add(self.marks.len() as u64 / 2)
    }

    /// Calls `visit` with each value of a name until it returns true. Returns whether it did. `pay`
    /// is called before each comparison of names.
    pub(crate) fn any_value(
        &self,
        name: &[u8],
        pay: impl Fn(u64) -> bool,
        visit: &mut dyn FnMut(&[u8]) -> bool,
    ) -> bool {
        let wanted = mark(name);
        let places = self.marks.iter().enumerate().filter(|(_, mark)| **mark == wanted);
        for (at, _) in places {
            if !pay(price::NAMED.saturating_add(price::bytes(name.len()))) {
                return false;
            }
            let Some((key, value)) = self.pairs.get(at) else { return false };
            if self.text(key) == name && visit(self.text(value)) {
                return true;
            }
        }
        false
    }

    fn push(&mut self, name: Text<'r>, value: Text<'r>) {
        self.marks.push(mark(self.text(&name)));
        self.pairs.push((name, value));
    }

    fn text<'s>(&'s self, text: &'s Text<'r>) -> &'s [u8] {
        match text {
            Text::Raw(bytes) => bytes,
            Text::Decoded(range) => self.decoded.get(range.clone()).unwrap_or_default(),
        }
    }

    fn decode(&mut self, text: &'r [u8]) -> Text<'r> {
        if memchr::memchr2(b'%', b'+', text).is_none() {
            return Text::Raw(text);
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|n| u8::try_from(n).ok());
        let from = self.decoded.len();
        let mut rest = text;
        while let Some((first, tail)) = rest.split_first() {
            rest = tail;
            let pair = tail.first().and_then(digit).zip(tail.get(1).and_then(digit));
            match (first, pair) {
                (b'+', _) => self.decoded.push(b' '),
                (b'%', Some((high, low))) => {
                    self.decoded.push((high << 4) | low);
                    rest = tail.get(2..).unwrap_or_default();
                }
                _ => self.decoded.push(*first),
            }
        }
        Text::Decoded(from..self.decoded.len())
    }
}

/// Returns the number of a name. A client can send names with equal numbers; each comparison of
/// names then takes fuel.
fn mark(name: &[u8]) -> u32 {
    name.iter()
        .fold(0x811C_9DC5, |mark: u32, byte| (mark ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Vec<(Vec<u8>, Vec<u8>)>;

    fn all(pairs: &Pairs<'_>) -> Found {
        let pairs =
            pairs.pairs.iter().map(|(k, v)| (pairs.text(k).to_vec(), pairs.text(v).to_vec()));
        pairs.collect()
    }

    fn text(pairs: &[(&str, &str)]) -> Found {
        pairs.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect()
    }

    #[test]
    fn cookies_and_parameters_come_apart() {
        let mut found = Pairs::default();
        found.add_cookies(b"a=1; b=x=y;c; d=");
        found.add_cookies(b"a=2");
        assert_eq!(all(&found), text(&[("a", "1"), ("b", "x=y"), ("d", ""), ("a", "2")]));
        let found = Pairs::of_query(b"a=1&b=%41+c&&d&e=%zz&%66=g&=h");
        let expected = [("a", "1"), ("b", "A c"), ("d", ""), ("e", "%zz"), ("f", "g"), ("", "h")];
        assert_eq!(all(&found), text(&expected));
    }

    #[test]
    fn a_name_finds_all_its_values_and_only_them() {
        let pairs = Pairs::of_query(b"a=1&b=2&a=3&%61=4&A=5");
        let values = |name: &str| {
            let mut found = Vec::new();
            pairs.any_value(name.as_bytes(), |_| true, &mut |value| {
                found.push(value[0]);
                false
            });
            found
        };
        assert_eq!(values("a"), b"134");
        assert_eq!(values("c"), b"");
        assert!(pairs.any_value(b"a", |_| true, &mut |value| value == b"3"));
        assert!(!pairs.any_value(b"a", |_| false, &mut |_| true), "what cannot be paid for");
    }

    #[test]
    fn names_that_share_a_number_are_told_apart() {
        // Found by search: FNV-1a of 32 bits.
        assert_eq!(mark(b"costarring"), mark(b"liquid"));
        let pairs = Pairs::of_query(b"costarring=1&liquid=2");
        assert!(pairs.any_value(b"liquid", |_| true, &mut |value| value == b"2"));
        assert!(!pairs.any_value(b"liquid", |_| true, &mut |value| value == b"1"));
    }

    #[test]
    fn the_price_is_paid_before_anything_is_taken_apart() {
        assert_eq!(price_of(b"", b'&'), price::PAIR);
        assert_eq!(price_of(b"a&b&c", b'&'), 3 * price::PAIR + 5 * price::PAIR_BYTE);
    }
}
