//! The output of wrk.

/// What wrk counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WrkReport {
    /// Responses.
    pub(crate) requests: u64,
    /// Responses in a second.
    pub(crate) rate: f64,
    /// Responses with another status than 2xx or 3xx.
    pub(crate) not_2xx: u64,
    /// Connections that could not be made, and requests without a response in time.
    pub(crate) lost: u64,
    /// Connections that failed while they were read or written.
    pub(crate) broken: u64,
}

impl WrkReport {
    /// Reads the output; none if a part is missing.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let after = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start));
        let line = text.lines().find(|line| line.contains(" requests in "))?;
        let (lost, broken) = match after("Socket errors:") {
            None => (0, 0),
            Some(errors) => {
                let of = |name: &str| {
                    let rest = errors.split_once(name)?.1.trim_start();
                    rest.split(',').next()?.trim().parse::<u64>().ok()
                };
                (of("connect")? + of("timeout")?, of("read")? + of("write")?)
            }
        };
        let not_2xx = after("Non-2xx or 3xx responses:").and_then(|rest| rest.trim().parse().ok());
        Some(Self {
            requests: line.split_whitespace().next()?.parse().ok()?,
            rate: after("Requests/sec:")?.trim().parse().ok()?,
            not_2xx: not_2xx.unwrap_or(0),
            lost,
            broken,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 2s test @ http://127.0.0.1:1/denied
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   304.12us  100.00us   5.00ms   90.00%
    Req/Sec   101.10k     2.00k  105.00k    70.00%
  202200 requests in 2.00s, 60.00MB read
  Socket errors: connect 1, read 7, write 3, timeout 2
  Non-2xx or 3xx responses: 202100
Requests/sec: 101100.50
Transfer/sec:     30.00MB
";

    #[test]
    fn each_count_is_read() {
        let all =
            WrkReport { requests: 202_200, rate: 101_100.5, not_2xx: 202_100, lost: 3, broken: 10 };
        assert_eq!(WrkReport::read(SAID), Some(all));
        let lines = |without: &str| -> String {
            SAID.lines().filter(|line| !line.contains(without)).map(|l| format!("{l}\n")).collect()
        };
        let fine = WrkReport { lost: 0, broken: 0, ..all };
        assert_eq!(WrkReport::read(&lines("Socket errors")), Some(fine));
        assert_eq!(WrkReport::read(&lines("Non-2xx")), Some(WrkReport { not_2xx: 0, ..all }));
        assert_eq!(WrkReport::read(&lines("requests in")), None);
        assert_eq!(WrkReport::read(&lines("Requests/sec")), None);
    }
}
