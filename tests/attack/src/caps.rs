//! The limits of this program, for any arguments.
//!
//! A load generator without limits is dangerous, and a test with it may never end. Each limit has a
//! name, a unit and a test at it and past it; `README.md` lists them.

use anyhow::{Result, bail};

/// Connections open at once, the legitimate ones apart.
pub(crate) const CONNECTIONS_MAX: usize = 20_000;
/// Source addresses of an attack.
pub(crate) const ADDRESSES_MAX: usize = 250_000;
/// Seconds of each of the three phases.
pub(crate) const SECONDS_MAX: u64 = 600;
/// Connections or requests per second that an attack begins.
pub(crate) const RATE_MAX: u32 = 50_000;
/// Legitimate requests per second.
pub(crate) const LEGIT_RATE_MAX: u32 = 10_000;
/// Legitimate visitors, each with an address of its own.
pub(crate) const VISITORS_MAX: usize = 10_000;
/// Legitimate requests that wait for a response at once; further ones are counted as not sent.
pub(crate) const LEGIT_INFLIGHT_MAX: usize = 10_000;
/// Seconds after which a legitimate request is given up.
pub(crate) const LEGIT_TIMEOUT_S: u64 = 10;
/// Seconds in which an attacking connection must be made, TLS and HTTP/2 included.
pub(crate) const OPEN_TIMEOUT_S: u64 = 10;
/// Bytes of a response that are read before its connection is closed.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Bytes of a head or a frame that are kept.
pub(crate) const HEAD_BYTES_MAX: usize = 256 << 10;
/// Different names of events that one run counts.
pub(crate) const EVENT_NAMES_MAX: usize = 1_024;
/// Requests that the recording origin keeps the targets of.
pub(crate) const RECORDED_MAX: usize = 100_000;

/// Rejects zero and values over the limit, by name.
pub(crate) fn within(name: &str, asked: u64, max: u64) -> Result<()> {
    if asked == 0 || asked > max {
        bail!("{name} must be 1 to {max}, not {asked}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_allows_its_figure_and_nothing_past_it() {
        for (name, max) in [
            ("--connections", CONNECTIONS_MAX as u64),
            ("--for", SECONDS_MAX),
            ("--rate", u64::from(RATE_MAX)),
            ("--legit", u64::from(LEGIT_RATE_MAX)),
        ] {
            within(name, 1, max).unwrap();
            within(name, max, max).unwrap();
            let said = within(name, max + 1, max).unwrap_err().to_string();
            assert_eq!(said, format!("{name} must be 1 to {max}, not {}", max + 1));
            assert!(within(name, 0, max).is_err());
        }
    }
}
