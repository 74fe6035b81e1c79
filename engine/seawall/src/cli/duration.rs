//! Durations on the command line, written as in a policy.

/// Returns the milliseconds of `90s` or `1h30m`.
///
/// # Errors
/// Other text, and parts of a millisecond; the error says how a duration is written.
pub(super) fn duration_ms(text: &str) -> Result<u64, String> {
    let us = seawall_policy::quantity::duration_us(text).filter(|us| us.is_multiple_of(1_000));
    us.and_then(|us| us.checked_div(1_000)).ok_or_else(|| {
        format!("`{}` is not a duration: write it as `90s` or `1h30m`", text.escape_debug())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_a_policy() {
        for (text, ms) in [("0s", 0), ("90s", 90_000), ("1h30m", 5_400_000), ("5ms", 5)] {
            assert_eq!(duration_ms(text), Ok(ms), "{text}");
        }
        for text in ["", "90", "s", "1x", "-1s", "1 s", "99999999999999999999s", "5us"] {
            assert!(duration_ms(text).unwrap_err().contains("is not a duration"), "{text}");
        }
    }
}
