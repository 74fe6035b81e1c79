//! Rates how unusual the form of a name or a value is.

use rule_support::words::{Look, look};

/// Most decoded bytes of a name or value that are read.
const TEXT_BYTES_MAX: usize = 96;

/// The result for a name or a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Token {
    /// 0 (a usual form) to 100 (random).
    pub(crate) points: i64,
    /// Whether letters or digits were percent-encoded.
    pub(crate) needlessly_encoded: bool,
}

/// Points for each half bit by which letters look random rather than like a word.
const PER_HALF_BIT: i64 = 4;

/// Most points for each letter beyond the third: `mysql` and `xmlrpc` are not words either, so five
/// letters have at most 30 and ten have 100.
const PER_LETTER_MAX: i64 = 15;
const LETTERS_FREE: i64 = 3;

/// The position of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A name, or a value without a name: chosen by a site's author, so it has few digits inside.
    Name,
    /// A value.
    Value,
}

impl Place {
    /// Returns how many changes between letters and digits, or between cases, give no points, and
    /// the points for each further one. A name such as `page2` has one, a value such as
    /// `iPhone15Pro` two.
    const fn changes(self) -> (i64, i64) {
        match self {
            Self::Name => (1, 22),
            Self::Value => (2, 18),
        }
    }
}

/// Points of a text of hex digits with letters, by its length.
const HEX_SHORT: (usize, i64) = (8, 35);
const HEX_LONG: (usize, i64) = (16, 55);

/// Returns how unusual the form of `text` is.
pub(crate) fn strangeness(text: &[u8], place: Place) -> Token {
    let mut decoded = [0; TEXT_BYTES_MAX];
    let (len, needlessly_encoded) = decode(text, &mut decoded);
    let words = decoded.get(..len).unwrap_or_default().split(|byte| !byte.is_ascii_alphanumeric());
    let mut most = 0;
    let mut sum = 0;
    for word in words {
        let points = word_points(word, place);
        most = most.max(points);
        sum += points;
    }
    Token { points: (most + (sum - most) / 4).min(100), needlessly_encoded }
}

/// Decodes `%XX` and returns whether a letter or a digit was encoded. Other than ASCII becomes a
/// separator: there is no table for other scripts, and their words must not get points.
fn decode(text: &[u8], into: &mut [u8]) -> (usize, bool) {
    let (mut len, mut needless) = (0, false);
    let mut left = text;
    while let Some((byte, rest)) = left.split_first() {
        let Some(place) = into.get_mut(len) else { break };
        len += 1;
        match (byte, rest) {
            (b'%', [high, low, rest @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let byte = hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0);
                needless |= byte.is_ascii_alphanumeric();
                *place = byte;
                left = rest;
            }
            _ => {
                *place = *byte;
                left = rest;
            }
        }
    }
    (len, needless)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Returns the points of letters and digits.
fn word_points(word: &[u8], place: Place) -> i64 {
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits == word.len() {
        // An id, a date, a time in milliseconds: random numbers look the same.
        return 0;
    }
    if digits == 0 {
        return letters_points(word).max(changes_points(word, place));
    }
    if word.iter().all(u8::is_ascii_hexdigit) {
        let of = |(len, points): (usize, i64)| if word.len() >= len { points } else { 0 };
        return of(HEX_SHORT).max(of(HEX_LONG)).max(changes_points(word, place));
    }
    changes_points(word, place).max(letters_points(word) / 2)
}

fn letters_points(word: &[u8]) -> i64 {
    match look(word) {
        Look::Chance(half_bits) => {
            let letters = i64::try_from(word.len()).unwrap_or(i64::MAX);
            let most = letters.saturating_sub(LETTERS_FREE).saturating_mul(PER_LETTER_MAX);
            (i64::from(half_bits) * PER_HALF_BIT).min(most)
        }
        Look::Word | Look::Short => 0,
    }
}

/// Returns the points for changes inside a word. An upper-case letter before a lower-case letter
/// starts a word, as in `sortBy`.
fn changes_points(word: &[u8], place: Place) -> i64 {
    let class = |byte: &u8| match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        _ => 2,
    };
    let pairs = word.iter().zip(word.iter().skip(1));
    let changes = pairs.filter(|(a, b)| class(a) != class(b) && !(class(a) == 2 && class(b) == 1));
    let changes = i64::try_from(changes.count()).unwrap_or(i64::MAX);
    let (free, each) = place.changes();
    changes.saturating_sub(free).max(0).saturating_mul(each)
}
