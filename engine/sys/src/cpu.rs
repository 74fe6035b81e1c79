//! CPU time of the process.

use rustix::time::{ClockId, clock_gettime};

/// Returns the CPU time that the process has used, in microseconds.
#[must_use]
pub fn cpu_time_us() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let [seconds, nanos] = [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    seconds.saturating_mul(1_000_000).saturating_add(nanos / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_while_something_is_done() {
        let before = cpu_time_us();
        while cpu_time_us() == before {
            std::hint::spin_loop();
        }
    }
}
