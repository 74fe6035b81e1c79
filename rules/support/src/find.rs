//! Searches bytes in a text of a client.

/// Returns the text after the first `mark`. It compares the first byte alone first, so that most
/// positions cost one comparison.
#[must_use]
pub fn after<'t>(text: &'t [u8], mark: &[u8]) -> Option<&'t [u8]> {
    let (first, others) = mark.split_first()?;
    let mut left = text;
    loop {
        let at = left.iter().position(|byte| byte == first)?;
        left = left.get(at + 1..)?;
        if let Some(rest) = left.strip_prefix(others) {
            return Some(rest);
        }
    }
}

/// Returns whether the text contains `mark`.
#[must_use]
pub fn has(text: &[u8], mark: &[u8]) -> bool {
    after(text, mark).is_some()
}

/// Up to eight texts to search in one pass. A position where none of them begins costs one look-up.
#[derive(Debug)]
pub struct Marks {
    marks: &'static [&'static [u8]],
    /// For each byte, a bit for each text that begins with it.
    begins: [u8; 256],
}

impl Marks {
    /// Creates the search at compile time. Texts beyond the eighth are not found.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which checks it")]
    pub const fn new(marks: &'static [&'static [u8]]) -> Self {
        let mut begins = [0; 256];
        let mut at = 0;
        while at < marks.len() && at < 8 {
            if let Some(first) = marks[at].first() {
                begins[*first as usize] |= 1 << at;
            }
            at += 1;
        }
        Self { marks, begins }
    }

    /// Returns whether the text contains one of them.
    #[must_use]
    pub fn any_in(&self, text: &[u8]) -> bool {
        let mut left = text;
        while let Some((first, rest)) = left.split_first() {
            let begun = self.begins.get(usize::from(*first)).copied().unwrap_or(0);
            if begun != 0 && self.one_of(begun, left) {
                return true;
            }
            left = rest;
        }
        false
    }

    fn one_of(&self, begun: u8, left: &[u8]) -> bool {
        let mut bits = begun;
        while bits != 0 {
            let at = bits.trailing_zeros() as usize;
            if self.marks.get(at).is_some_and(|mark| left.starts_with(mark)) {
                return true;
            }
            bits &= bits - 1;
        }
        false
    }
}

/// Returns the number at the start of the text, from at most its first six digits.
#[must_use]
pub fn leading_number(text: &[u8]) -> Option<u32> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).take(6);
    let mut number = None;
    for digit in digits {
        number = Some(number.unwrap_or(0) * 10 + u32::from(digit - b'0'));
    }
    number
}

/// Returns the first `bytes_max` bytes, or all.
#[must_use]
pub fn beginning(text: &[u8], bytes_max: usize) -> &[u8] {
    text.get(..bytes_max).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mark_counts_and_overlaps_are_seen() {
        assert_eq!(after(b"a=1; a=2", b"a="), Some(&b"1; a=2"[..]));
        assert_eq!(after(b"aab", b"ab"), Some(&b""[..]));
        assert_eq!(after(b"aa", b"ab"), None);
        assert_eq!(after(b"a", b""), None);
        assert!(has(b"xyz", b"yz") && !has(b"", b"y"));
    }

    #[test]
    fn marks_are_found_as_one_by_one() {
        const MARKS: Marks = Marks::new(&[b"bot", b"Bot", b"http:", b"@"]);
        for text in ["a bot", "Robot", "aBot", "see http://a", "a@b", "@", "bbot"] {
            assert!(MARKS.any_in(text.as_bytes()), "{text}");
        }
        for text in ["", "b", "bo", "BOT", "httpx", "https:"] {
            assert!(!MARKS.any_in(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn numbers_end_at_six_digits() {
        assert_eq!(leading_number(b"120.0"), Some(120));
        assert_eq!(leading_number(b"99999999999"), Some(999_999));
        assert_eq!(leading_number(b"x1"), None);
    }

    #[test]
    fn a_beginning_is_never_longer_than_asked() {
        assert_eq!(beginning(b"abc", 2), b"ab");
        assert_eq!(beginning(b"abc", 3), b"abc");
        assert_eq!(beginning(b"abc", 9), b"abc");
    }
}
