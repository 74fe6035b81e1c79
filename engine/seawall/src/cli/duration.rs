//! Durations on the command line, written as in a policy.

/// Units with their milliseconds.
const UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// Returns the milliseconds of `90s` or `1h30m`.
///
/// # Errors
/// The text is not a duration; the error shows how to write one.
pub(super) fn duration_ms(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("`{}` is not a duration: write it as `90s` or `1h30m`", text.escape_debug());
    if text.is_empty() {
        return Err(wrong());
    }
    let (mut rest, mut ms) = (text, 0_u64);
    while !rest.is_empty() {
        let at = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (digits, behind) = rest.split_at_checked(at).ok_or_else(wrong)?;
        let end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at_checked(end).ok_or_else(wrong)?;
        let (_, factor) = UNITS.iter().find(|(known, _)| *known == unit).ok_or_else(wrong)?;
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        ms = count.checked_mul(*factor).and_then(|more| ms.checked_add(more)).ok_or_else(wrong)?;
        rest = next;
    }
    Ok(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_a_policy() {
        for (text, ms) in [("0s", 0), ("90s", 90_000), ("1h30m", 5_400_000), ("5ms", 5)] {
            assert_eq!(duration_ms(text), Ok(ms), "{text}");
        }
        for text in ["", "90", "s", "1x", "-1s", "1 s", "99999999999999999999s", "999999999999999w"]
        {
            assert!(duration_ms(text).unwrap_err().contains("is not a duration"), "{text}");
        }
    }
}
