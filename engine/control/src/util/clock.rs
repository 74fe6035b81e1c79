//! The clock: it starts at the wall clock's time, and is monotonic since.
//!
//! It is the only clock of this crate. A wall clock that jumps (NTP, a resumed machine) would
//! otherwise end every hold or make it endless.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use seawall_model::{Now, Tick};

/// Returns a clock that starts at the wall clock's time and never goes back.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the edge makes the ticks that the core is handed")]
pub fn clock() -> Now {
    let anchor = Instant::now();
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Arc::new(move || {
        let since = wall.saturating_add(anchor.elapsed());
        Tick(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    })
}

/// The last second of the year 9999, after which HTTP has no dates.
const LAST_DATE_S: u64 = 253_402_300_799;

/// The wall clock reads a time that no certificate, ticket or response date can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this machine's clock reads a time before 1970 or past 9999, for which HTTP and TLS have no dates; \
     set it (`date -u` shows it) and start again"
)]
pub struct WallClock;

/// Checks whether the wall clock can be used. HTTP and TLS read it themselves, and end the process
/// at a time without a date, so it is checked before. It cannot change to such a time later: the
/// kernel sets no clock to a time before 1970 or after 2232.
///
/// # Errors
/// The wall clock cannot be used.
#[expect(clippy::disallowed_methods, reason = "it is the clock that is looked at")]
pub fn check_wall_clock() -> Result<(), WallClock> {
    has_a_date(SystemTime::now())
}

fn has_a_date(at: SystemTime) -> Result<(), WallClock> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| WallClock)?;
    if since < Duration::from_secs(LAST_DATE_S) { Ok(()) } else { Err(WallClock) }
}

/// Returns a tick as RFC 3339, in UTC and in seconds.
#[must_use]
pub fn rfc3339(tick: Tick) -> String {
    let seconds = tick.0 / 1_000;
    let (day, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, date) = civil(day);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Returns year, month and day of a day since 1970-01-01 in the Gregorian calendar. Counting from
/// the 1st of March puts the leap day last, so that the month follows from the day by one division.
const fn civil(day: u64) -> (u64, u64, u64) {
    // 719,468 days from 0000-03-01 to 1970-01-01; 146,097 days in 400 years.
    let day = day.saturating_add(719_468);
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on the months have 31, 30, 31, 30, 31 days, repeatedly: 153 in five.
    let from_march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + (month <= 2) as u64, month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_read_as_dates() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_999, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Tick(ms)), expected);
        }
        assert!(rfc3339(Tick(u64::MAX)).ends_with('Z'));
    }

    #[test]
    fn a_clock_is_served_by_between_1970_and_9999_and_not_beyond() {
        let (begin, second) = (SystemTime::UNIX_EPOCH, Duration::from_secs(1));
        let end = begin + Duration::from_secs(LAST_DATE_S);
        for (at, fits) in
            [(begin, true), (begin - second, false), (end - second, true), (end + second, false)]
        {
            assert_eq!(has_a_date(at).is_ok(), fits, "{at:?}");
        }
        assert_eq!(has_a_date(begin - 4_000_000_000 * second), Err(WallClock));
        assert_eq!(check_wall_clock(), Ok(()));
        assert!(WallClock.to_string().contains("before 1970"));
    }

    #[test]
    fn the_clock_does_not_go_back() {
        let now = clock();
        let first = now();
        assert!(now() >= first && first > Tick::TEST_START);
    }
}
