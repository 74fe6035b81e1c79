//! Fits the limits of the data plane to the maximum of open files.
//!
//! Every connection is a file, and so is every request at its origin. Without free files the server
//! cannot accept, connect to an origin, or read a policy. So the limits are lowered until all of
//! them fit together, with a reserve for the rest, and the operator is informed.

use seawall_proxy::ProxyLimits;

/// Files outside the data plane: the admin socket and its clients, policies, lists, history, the
/// state, the log, and connections that are accepted before others have closed.
pub(crate) const FILES_RESERVE: u64 = 256;

/// Idle connections to origins get at most this part of the rest.
const IDLE_PART: u64 = 8;

/// Least number of connections, and of requests at origins.
const LEAST: u64 = 16;

/// Lowers the limits until `open_files` are enough for `workers`; returns a message for each
/// lowered limit.
pub(crate) fn fit_to_fd_limit(
    limits: &mut ProxyLimits,
    open_files: u64,
    workers: usize,
) -> Option<String> {
    let workers = workers.max(1) as u64;
    let ours = open_files.saturating_sub(FILES_RESERVE);
    let idle_wanted = limits.settings.origins.max_idle_connections_per_worker as u64;
    let idle = idle_wanted.min(ours / IDLE_PART / workers);
    let rest = ours.saturating_sub(idle.saturating_mul(workers));
    let (connections, forwards) = (
        limits.settings.connections.max_connections as u64,
        limits.settings.requests.max_concurrent_requests as u64,
    );
    let wanted = connections.saturating_add(forwards).max(1);
    limits.settings.origins.max_idle_connections_per_worker =
        usize::try_from(idle).unwrap_or(usize::MAX);
    if wanted <= rest {
        return None;
    }
    let share = |of: u64| {
        let part = u128::from(rest) * u128::from(of) / u128::from(wanted);
        usize::try_from(part).unwrap_or(usize::MAX).max(LEAST as usize)
    };
    limits.settings.connections.max_connections = share(connections);
    limits.settings.requests.max_concurrent_requests = share(forwards);
    let needed = idle_wanted.saturating_mul(workers).saturating_add(wanted) + FILES_RESERVE;
    Some(format!(
        "{open_files} files may be open, so there can be {} connections and {} requests at origins \
         at once; for {connections} and {forwards} the limit has to be {needed} (LimitNOFILE= in \
         the unit, `ulimit -Hn` in a shell)",
        limits.settings.connections.max_connections,
        limits.settings.requests.max_concurrent_requests,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(open_files: u64, workers: usize) -> (ProxyLimits, Option<String>) {
        let mut limits = ProxyLimits::default();
        let said = fit_to_fd_limit(&mut limits, open_files, workers);
        (limits, said)
    }

    #[test]
    fn with_enough_files_nothing_changes_and_nothing_is_said() {
        for open_files in [30_000, 1 << 20, u64::MAX] {
            assert_eq!(fitted(open_files, 4), (ProxyLimits::default(), None), "{open_files}");
        }
    }

    #[test]
    fn with_fewer_all_of_it_still_fits() {
        for (open_files, workers) in [(512, 2), (1_024, 8), (4_096, 2), (20_000, 2), (22_000, 64)] {
            let (limits, said) = fitted(open_files, workers);
            let idle = limits.settings.origins.max_idle_connections_per_worker * workers;
            let all = limits.settings.connections.max_connections
                + limits.settings.requests.max_concurrent_requests
                + idle;
            assert!(all as u64 + FILES_RESERVE <= open_files, "{open_files}: {limits:?}");
            assert!(
                limits.settings.connections.max_connections >= 90,
                "{open_files}: {}",
                limits.settings.connections.max_connections
            );
            let said = said.unwrap();
            assert!(
                said.contains(&limits.settings.connections.max_connections.to_string()),
                "{said}"
            );
        }
    }

    #[test]
    fn what_is_named_as_enough_is_enough() {
        let (_, said) = fitted(20_000, 2);
        let said = said.unwrap();
        let named = said.split("has to be ").nth(1).and_then(|rest| rest.split(' ').next());
        let (limits, again) = fitted(named.unwrap().parse().unwrap(), 2);
        assert_eq!(again, None, "{said}");
        assert_eq!(limits, ProxyLimits::default());
    }

    #[test]
    fn a_few_are_always_there() {
        let (limits, _) = fitted(64, 2);
        assert_eq!(
            (
                limits.settings.connections.max_connections,
                limits.settings.requests.max_concurrent_requests
            ),
            (16, 16)
        );
    }
}
