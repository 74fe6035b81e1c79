//! Tests: ordinary queries get few points, random ones many, and every input has a score.

use super::*;
use proptest::prelude::*;

fn score(query: &str) -> i64 {
    query_entropy(query.as_bytes())
}

/// Pseudo-random numbers that are the same each time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn text(&mut self, from: &[u8], lens: std::ops::Range<usize>) -> String {
        let len = lens.start + self.below(lens.len());
        (0..len).map(|_| char::from(from[self.below(from.len())])).collect()
    }
}

const CAPITALS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LETTERS_AND_DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Returns how many of 1,000 queries get at least `least` points.
fn caught(least: i64, mut query: impl FnMut(&mut Chance) -> String) -> usize {
    let mut chance = Chance(7);
    (0..1_000).filter(|_| score(&query(&mut chance)) >= least).count()
}

#[test]
fn ordinary_queries_stay_low() {
    for query in [
        "",
        "page=3&sort=price_asc",
        "p=1523",
        "q=how+to+cook+rice",
        "C=N;O=D",
        "wsdl",
        "ver=6.4.2",
        "q=%D0%BF%D0%BE%D0%B3%D0%BE%D0%B4%D0%B0+%D0%BC%D0%BE%D1%81%D0%BA%D0%B2%D0%B0",
        "filter%5Bcolor%5D=blue&orderBy=createdAt",
        "q=caf%C3%A9+%C3%BCberraschung",
        "utm_source=newsletter&utm_campaign=a8Xk2Lq9Tz",
        "bbox=13.08,52.33,13.76,52.67",
        "fbclid=IwAR3kQ9xYvT2mLp8ZcN5dHs7BfGjW1aEoUiR4tVyXqKzPnMb",
        "?page=2",
        "s=iphone15pro+256gb",
    ] {
        assert_eq!(score(query), 0, "{query}");
    }
    for query in [
        "action=logout&_wpnonce=8c2f1a9b3e",
        "code=4/0AX4XfWh3kQ9xYvT2mLp8ZcN5dHs7&state=xyz123ABC&scope=email",
        "v=8f3a9c1d",
        "PHPSESSID=q7k3v9d2m5n8b1c4x6z0",
        "X-Amz-Credential=AKIAIOSFODNN7EXAMPLE&X-Amz-Signature=fe5f80f77d5fa3beca038a248ff027d0",
    ] {
        assert!(score(query) <= points::VERSION_MAX, "{query}: {}", score(query));
    }
}

#[test]
fn a_well_known_name_alone_never_gets_to_sixty() {
    assert_eq!(score("id=dQw4w9WgXcQ"), points::KNOWN_MAX);
    assert_eq!(score("q=xkqjzvwpqx"), points::KNOWN_MAX);
    assert_eq!(score("Q=xkqjzvwpqx"), points::KNOWN_MAX);
}

#[test]
fn what_tools_draw_by_chance_gets_high() {
    // Names and values of 3 to 10 upper-case letters.
    let capitals = caught(60, |chance| {
        format!("{}={}", chance.text(CAPITALS, 3..11), chance.text(CAPITALS, 3..11))
    });
    assert!(capitals > 500, "{capitals}");
    // One to five pairs of letters and digits.
    let pairs = caught(60, |chance| {
        let pairs = 1 + chance.below(5);
        let pair = |chance: &mut Chance| {
            let name = chance.text(LETTERS_AND_DIGITS, 3..11);
            format!("{name}={}", chance.text(LETTERS_AND_DIGITS, 3..21))
        };
        (0..pairs).map(|_| pair(chance)).collect::<Vec<_>>().join("&")
    });
    assert!(pairs > 900, "{pairs}");
    // Six letters and digits without a name: too few for a clear result.
    let short = caught(40, |chance| chance.text(LETTERS_AND_DIGITS, 6..7));
    assert!(short > 500, "{short}");
}

#[test]
fn numbers_by_chance_are_not_seen() {
    assert_eq!(caught(1, |chance| format!("r={}", chance.below(1_000_000_000))), 0);
}

#[test]
fn encoding_what_needs_none_counts() {
    assert_eq!(score("q=%61bc"), points::NEEDLESSLY_ENCODED);
    assert_eq!(score("%71=abc"), points::NEEDLESSLY_ENCODED);
    assert_eq!(score("q=a%20b%2Fc%"), 0);
    assert_eq!(score("q=%zz%4"), 0);
}

#[test]
fn what_lies_beyond_the_bounds_is_not_read() {
    let strange = "x7Kq2Lp9Rw=aB3xQ9kZ2";
    let full = "a=b&".repeat(PARAMS_MAX);
    assert!(score(strange) >= 60);
    assert!(score(&format!("{}{strange}", "a=b&".repeat(PARAMS_MAX - 1))) >= 60);
    assert_eq!(score(&format!("{full}{strange}")), 0);
    assert_eq!(score(&format!("a={}&{strange}", "%20".repeat(READ_BYTES_MAX / 3))), 0);
}

proptest! {
    #[test]
    fn any_bytes_have_a_score(query in any::<Vec<u8>>()) {
        prop_assert!((0..=100).contains(&query_entropy(&query)));
    }

    #[test]
    fn a_strange_parameter_is_not_washed_out_by_ordinary_ones(
        pages in proptest::collection::vec(0..1_000_u32, 0..15)
    ) {
        let ordinary: String = pages.iter().map(|page| format!("page={page}&")).collect();
        let strange = "x7Kq2Lp9Rw=aB3xQ9kZ2";
        let both = format!("{ordinary}{strange}");
        prop_assert!(score(&both) >= score(strange));
    }

    #[test]
    fn words_of_letters_that_alternate_stay_low(
        words in proptest::collection::vec("([bdklmnprst][aeiou]){2,4}", 1..5)
    ) {
        prop_assert_eq!(score(&format!("q={}", words.join("+"))), 0);
    }
}
