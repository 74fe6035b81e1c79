//! Numbers of settings as text: in the file, in messages and in the documentation.

use crate::setting::{Number, Unit};

const TIMES: [(&str, u64); 3] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
const SIZES: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Returns the largest unit that divides `number` without a remainder, if the result is short.
fn split(number: u64, units: &[(&'static str, u64)]) -> Option<(u64, &'static str)> {
    const COUNT_MAX: u64 = 9_999;
    let fits = |(_, factor): &&(&str, u64)| number != 0 && number.is_multiple_of(*factor);
    let (unit, factor) = units.iter().find(fits)?;
    let count = number.checked_div(*factor)?;
    (count <= COUNT_MAX).then_some((count, unit))
}

/// Returns a duration in the grammar of the file, as `10s` or `250ms`.
pub(crate) fn time(ms: u64) -> String {
    let (count, unit) = split(ms, &TIMES).unwrap_or((ms, "ms"));
    format!("{count}{unit}")
}

/// Returns a number with `_` between groups of three digits, as TOML allows.
pub(crate) fn grouped(number: u64, by: char) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len().saturating_mul(2));
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digits.len().saturating_sub(place).is_multiple_of(3) {
            text.push(by);
        }
        text.push(digit);
    }
    text
}

impl Number {
    /// Returns `number` in the form of the file: `10_000`, `"10s"` or `"64KiB"`.
    #[must_use]
    pub fn toml(&self, number: u64) -> String {
        match self.unit {
            Unit::Time => format!("\"{}\"", time(number)),
            Unit::Bytes | Unit::BytesPerSecond => match split(number, &SIZES) {
                Some((count, unit)) => format!("\"{count}{unit}\""),
                None => grouped(number, '_'),
            },
            _ => grouped(number, '_'),
        }
    }

    /// Returns `number` in the form of documents: `10,000`, `10 s`, `64 KiB` or `80 %`.
    #[must_use]
    pub fn text(&self, number: u64) -> String {
        let spaced = |(count, unit): (u64, &str)| format!("{} {unit}", grouped(count, ','));
        match self.unit {
            Unit::Time => {
                let text = time(number);
                let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
                let unit = text.strip_prefix(digits).unwrap_or_default();
                let unit = if unit == "m" { "min" } else { unit };
                format!("{digits} {unit}")
            }
            Unit::Bytes => split(number, &SIZES).map_or_else(|| spaced((number, "B")), spaced),
            Unit::BytesPerSecond => match split(number, &SIZES) {
                Some((count, unit)) => format!("{count} {unit}/s"),
                None => spaced((number, "B/s")),
            },
            Unit::PerSecond => spaced((number, "per second")),
            Unit::Percent => spaced((number, "%")),
            Unit::Count | Unit::Bits | Unit::Fuel => grouped(number, ','),
        }
    }

    /// Returns the range in the form of documents.
    #[must_use]
    pub fn range_text(&self) -> String {
        format!("{} to {}", self.text(self.min), self.text(self.max))
    }

    /// Returns the range in the form of the file.
    #[must_use]
    pub fn range(&self) -> String {
        let bare = |number| match self.unit {
            Unit::Time => time(number),
            _ => self.toml(number).trim_matches('"').to_owned(),
        };
        format!("{} to {}", bare(self.min), bare(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn of(unit: Unit) -> Number {
        Number { unit, default: None, min: 0, max: u64::MAX }
    }

    #[test]
    fn numbers_are_written_with_the_unit_that_fits() {
        for (ms, toml, text) in [
            (0, "\"0ms\"", "0 ms"),
            (250, "\"250ms\"", "250 ms"),
            (75_000, "\"75s\"", "75 s"),
            (60_000, "\"1m\"", "1 min"),
            (600_000, "\"10m\"", "10 min"),
            (3_600_000, "\"1h\"", "1 h"),
            (90_500, "\"90500ms\"", "90500 ms"),
        ] {
            assert_eq!(of(Unit::Time).toml(ms), toml);
            assert_eq!(of(Unit::Time).text(ms), text);
        }
        for (bytes, toml, text) in [
            (0, "0", "0 B"),
            (108, "108", "108 B"),
            (65_536, "\"64KiB\"", "64 KiB"),
            (1 << 20, "\"1MiB\"", "1 MiB"),
            (1_000_000_000, "1_000_000_000", "1,000,000,000 B"),
        ] {
            assert_eq!(of(Unit::Bytes).toml(bytes), toml);
            assert_eq!(of(Unit::Bytes).text(bytes), text);
        }
        assert_eq!(of(Unit::Count).toml(10_000), "10_000");
        assert_eq!(of(Unit::Percent).text(80), "80 %");
    }
}
