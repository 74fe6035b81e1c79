//! The time of a snapshot, on two clocks.
//!
//! Within one run of the machine its boot clock counts, which cannot be set and continues during
//! sleep. Across a reboot there is only the wall clock, which is trusted from 0 to 30 days.
//!
//! Limitation: a wall clock that is changed while the machine is down moves the end of bans by that
//! much.

use std::time::SystemTime;

use seawall_state::REMEMBERED_MS_MAX;

/// Bytes of a timestamp.
pub(crate) const STAMP_BYTES: usize = 32;
/// Boot id of a machine that does not report one.
const UNKNOWN: [u8; 16] = [0; 16];

/// A time on both clocks, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SnapshotTimestamp {
    pub(crate) boot: [u8; 16],
    pub(crate) boot_ms: u64,
    pub(crate) wall_ms: u64,
}

impl SnapshotTimestamp {
    /// Returns the present time.
    #[expect(clippy::disallowed_methods, reason = "the one place that compares with the wall")]
    pub(crate) fn now() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        match seawall_sys::boot_time() {
            Ok(boot) => Self { boot: boot.boot, boot_ms: boot.since_ms, wall_ms },
            Err(_) => Self { boot: UNKNOWN, boot_ms: 0, wall_ms },
        }
    }

    /// Returns the time from `earlier` to this.
    pub(crate) fn since_ms(&self, earlier: &Self) -> u64 {
        let same_boot = self.boot == earlier.boot && self.boot != UNKNOWN;
        let elapsed_ms = if same_boot {
            self.boot_ms.saturating_sub(earlier.boot_ms)
        } else {
            self.wall_ms.saturating_sub(earlier.wall_ms)
        };
        elapsed_ms.min(REMEMBERED_MS_MAX)
    }

    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.boot);
        to.extend_from_slice(&self.boot_ms.to_le_bytes());
        to.extend_from_slice(&self.wall_ms.to_le_bytes());
    }

    /// Splits the timestamp from the end of `content`.
    pub(crate) fn split(content: &[u8]) -> Option<(&[u8], Self)> {
        let (before, stamp) = content.split_last_chunk::<STAMP_BYTES>()?;
        let (boot, clocks) = stamp.split_first_chunk()?;
        let (boot_ms, wall_ms) = clocks.split_first_chunk()?;
        let boot_ms = u64::from_le_bytes(*boot_ms);
        let wall_ms = u64::from_le_bytes(wall_ms.try_into().ok()?);
        Some((before, Self { boot: *boot, boot_ms, wall_ms }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;
    const THEN: SnapshotTimestamp =
        SnapshotTimestamp { boot: [1; 16], boot_ms: 5_000, wall_ms: 100 * DAY_MS };

    #[test]
    fn within_one_boot_the_wall_clock_does_not_count() {
        for wall_ms in [0, 99 * DAY_MS, 101 * DAY_MS] {
            let now = SnapshotTimestamp { boot_ms: 6_000, wall_ms, ..THEN };
            assert_eq!(now.since_ms(&THEN), 1_000);
        }
    }

    #[test]
    fn across_a_reboot_the_wall_clock_counts_within_bounds() {
        let now = |wall_ms| SnapshotTimestamp { boot: [2; 16], boot_ms: 10, wall_ms };
        assert_eq!(now(100 * DAY_MS + 7).since_ms(&THEN), 7);
        assert_eq!(now(99 * DAY_MS).since_ms(&THEN), 0);
        assert_eq!(now(500 * DAY_MS).since_ms(&THEN), 30 * DAY_MS);
        let unknown = |wall_ms| SnapshotTimestamp { boot: UNKNOWN, boot_ms: 0, wall_ms };
        assert_eq!(unknown(9).since_ms(&unknown(2)), 7);
    }

    #[test]
    fn a_stamp_stands_at_the_end() {
        let mut content = b"before".to_vec();
        THEN.write(&mut content);
        assert_eq!(SnapshotTimestamp::split(&content), Some((&b"before"[..], THEN)));
        assert_eq!(SnapshotTimestamp::split(&content[..STAMP_BYTES - 1]), None);
        let (first, second) = (SnapshotTimestamp::now(), SnapshotTimestamp::now());
        assert!(second.since_ms(&first) < DAY_MS && first.boot != UNKNOWN);
    }
}
