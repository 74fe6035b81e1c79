//! Durations and sizes outside a policy, in the grammar of the language.
//!
//! The configuration file and the command line write `1h30m` and `64KiB` as a policy does. The
//! lexer reads them here too, so there is one grammar.

use crate::syntax::lex::number;

/// Returns the microseconds of a duration such as `1h30m` or `250ms`; `None` for other text.
#[must_use]
pub fn duration_us(text: &str) -> Option<u64> {
    number::whole_duration(text).map(|duration| duration.us)
}

/// Returns the bytes of a size such as `64KiB`; `None` for other text.
#[must_use]
pub fn size_bytes(text: &str) -> Option<u64> {
    number::whole_size(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_in_a_policy() {
        let second = 1_000_000;
        for (text, us) in [
            ("0s", 0),
            ("90s", 90 * second),
            ("1h30m", 5_400 * second),
            ("250ms", 250_000),
            ("7us", 7),
            ("2w", 14 * 86_400 * second),
        ] {
            assert_eq!(duration_us(text), Some(us), "{text}");
        }
        for text in ["", "90", "s", "1x", "-1s", "1 s", "1.5s", "99999999999999999999s", "1KiB"] {
            assert_eq!(duration_us(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_in_a_policy() {
        for (text, bytes) in [("0B", 0), ("64KiB", 65_536), ("1MiB", 1 << 20), ("2GiB", 2 << 30)] {
            assert_eq!(size_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "64", "KiB", "64kb", "-1B", "1 KiB", "99999999999GiB", "1s"] {
            assert_eq!(size_bytes(text), None, "{text}");
        }
    }
}
