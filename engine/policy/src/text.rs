//! Values as a policy writes them.

/// A duration in the largest units that say it exactly: `1h30m`, `90s` as `1m30s`.
#[must_use]
pub fn duration_ms(ms: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (604_800_000, "w"),
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
        (1, "ms"),
    ];
    let mut out = String::new();
    let mut rest = ms;
    for (unit_ms, unit) in UNITS {
        let n = rest / unit_ms;
        if n > 0 {
            out.push_str(&format!("{n}{unit}"));
            rest %= unit_ms;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_read_as_they_are_written() {
        for (ms, text) in [(0, "0s"), (90_000, "1m30s"), (5_400_000, "1h30m"), (1, "1ms")] {
            assert_eq!(super::duration_ms(ms), text);
        }
    }
}
