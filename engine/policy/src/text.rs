//! Values in the notation of policies.

/// Returns a duration in the largest units that are exact: `1h30m`; `90s` becomes `1m30s`.
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

/// Returns bytes in the largest unit with a value of at least one, with one decimal digit.
#[must_use]
pub fn bytes(n: usize) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match UNITS.iter().find(|(shift, _)| n >> shift > 0) {
        Some((shift, unit)) => {
            let tenths = (n >> (shift - 10)).saturating_mul(10) >> 10;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{n} B"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_told_in_units_that_people_read() {
        for (n, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (1 << 30, "1.0 GiB"),
            (usize::MAX, "17179869183.9 GiB"),
        ] {
            assert_eq!(super::bytes(n), text);
        }
    }

    #[test]
    fn durations_read_as_they_are_written() {
        for (ms, text) in [(0, "0s"), (90_000, "1m30s"), (5_400_000, "1h30m"), (1, "1ms")] {
            assert_eq!(super::duration_ms(ms), text);
        }
    }
}
