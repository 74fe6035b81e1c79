//! The time since the machine booted, by the clock that includes suspended time.
//!
//! Reads `CLOCK_BOOTTIME` from `/proc`, in hundredths of a second, together with the boot id. The
//! time has a meaning only within one boot.

use std::io;

/// A time within one boot of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootTime {
    /// The boot id of the kernel.
    pub boot: [u8; 16],
    /// Milliseconds since the boot, at a resolution of 10.
    pub since_ms: u64,
}

/// Returns the current boot time.
///
/// # Errors
/// `/proc` is not mounted or has an unexpected format.
pub fn boot_time() -> io::Result<BootTime> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let strange = || io::Error::new(io::ErrorKind::InvalidData, "/proc reports no boot time");
    let boot = boot_id(&id).ok_or_else(strange)?;
    let since_ms = uptime_ms(&uptime).ok_or_else(strange)?;
    Ok(BootTime { boot, since_ms })
}

/// Parses `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
fn boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim_end().chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

/// Parses `seconds.hundredths` and ignores the idle time behind it.
fn uptime_ms(text: &str) -> Option<u64> {
    let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    if hundredths.len() != 2 {
        return None;
    }
    let whole = seconds.parse::<u64>().ok()?.checked_mul(1_000)?;
    whole.checked_add(hundredths.parse::<u64>().ok()?.checked_mul(10)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let id = boot_id("0123abcd-4567-89ef-0123-456789abcdef\n").unwrap();
        assert_eq!(id[..4], [0x01, 0x23, 0xab, 0xcd]);
        assert!(boot_id("0123abcd\n").is_none() && boot_id(&"z".repeat(32)).is_none());
        assert_eq!(uptime_ms("26412.07 51000.10\n"), Some(26_412_070));
        assert!(uptime_ms("").is_none() && uptime_ms("12 3").is_none());
    }

    #[test]
    fn the_machine_runs_and_goes_on() {
        let first = boot_time().unwrap();
        let second = boot_time().unwrap();
        assert_eq!(first.boot, second.boot);
        assert!(second.since_ms >= first.since_ms && first.since_ms > 0);
    }
}
