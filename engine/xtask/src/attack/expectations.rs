//! The promises, one entry each. Figures are those of the catalogue that `tests/attack/README.md`
//! numbers its vectors by; where an own deadline is meant, with a second of slack.
//!
//! `seconds` are as few as show it, since all of them are run one after the other.

use crate::attack::expectation::Assertion::{
    Answers, ClosedWithinMs, CpuMsEach, HonestEach, KibEach, LogKibPerMinute, MibInAll, Never,
    OneClient, OriginEach, OriginInAll, P99Ms, P99Times, RefusalsRead, Served,
};
use crate::attack::expectation::AttackTarget::{Namespace4, Namespace6, Plain, Tls};
use crate::attack::expectation::{
    ALL_KINDS, Assertion, AttackTarget, Expectation, NEW_OVER_TLS, ORIGIN, POLICY,
};

/// Requests that the policy lets one client make in a few seconds, and a twentieth more.
const OF_ONE_CLIENT: u64 = 840;
/// Of the 20 clients of `pipeline`.
const OF_TWENTY_CLIENTS: u64 = 20 * OF_ONE_CLIENT;

/// Returns a promise with nothing out of the ordinary.
const fn plainly(
    scenario: &'static str,
    vector: &'static str,
    seconds: u64,
    must: &'static [Assertion],
) -> Expectation {
    at(Plain, scenario, vector, seconds, must)
}

/// Returns the same at another place.
const fn at(
    at: AttackTarget,
    scenario: &'static str,
    vector: &'static str,
    seconds: u64,
    must: &'static [Assertion],
) -> Expectation {
    Expectation { scenario, vector, at, seconds, arguments: &[], visitors: ALL_KINDS, must }
}

/// Against TLS itself: visitors that need a handshake come too.
const fn handshakes(
    scenario: &'static str,
    seconds: u64,
    must: &'static [Assertion],
) -> Expectation {
    let visitors = NEW_OVER_TLS;
    Expectation { scenario, vector: "A10", at: Tls, seconds, arguments: &[], visitors, must }
}

/// HTTP/2 that no browser sends: the connection is closed, and stays cheap.
const fn h2(scenario: &'static str, vector: &'static str) -> Expectation {
    at(Tls, scenario, vector, 2, &[ClosedWithinMs(1_500), OriginEach(100), HonestEach(100)])
}

/// Every promise, in the order in which they are run.
pub(crate) const PROMISES: &[Expectation] = &[
    // Slow clients.
    plainly("slowloris", "A4", 13, &[ClosedWithinMs(11_000), KibEach(16)]),
    plainly("header-drip", "A5", 3, &[CpuMsEach(300), ClosedWithinMs(2_000)]),
    plainly("slow-body", "A6", 33, &[ClosedWithinMs(30_000)]),
    at(Tls, "h2-slow-body", "A6", 33, &[ClosedWithinMs(30_000), KibEach(1_024)]),
    plainly("slow-read", "A7", 33, &[ClosedWithinMs(30_000), KibEach(256)]),
    at(Tls, "h2-slow-read", "A7", 33, &[ClosedWithinMs(30_000), KibEach(1_024)]),
    // Clients that stay.
    Expectation {
        scenario: "idle-many",
        vector: "A8",
        at: Plain,
        seconds: 9,
        arguments: &[],
        visitors: "h1-new",
        must: &[KibEach(16), P99Ms(100)],
    },
    plainly("idle-one", "A8", 4, &[]),
    at(Tls, "h2-idle", "A8", 6, &[KibEach(48)]),
    at(Tls, "h2-preface", "A8", 12, &[ClosedWithinMs(11_000), KibEach(64)]),
    // Two thousand clients with one slow request each fill their site. The visitors of another site
    // are served, and there are enough files for all.
    Expectation {
        scenario: "fd-exhaustion",
        vector: "A9",
        at: Plain,
        seconds: 8,
        arguments: &["--legit-host", "neighbour.example"],
        visitors: ALL_KINDS,
        must: &[],
    },
    plainly("websocket-idle", "A19", 8, &[]),
    // TLS.
    handshakes("tls-silent", 8, &[ClosedWithinMs(6_000), KibEach(48), P99Times(3)]),
    handshakes("tls-half", 8, &[ClosedWithinMs(6_000), KibEach(48), P99Times(3)]),
    handshakes("tls-unfinished", 8, &[ClosedWithinMs(6_000), KibEach(48), P99Times(3)]),
    handshakes("tls-hello-flood", 4, &[HonestEach(100), P99Times(3)]),
    handshakes("tls-handshakes", 4, &[HonestEach(100), P99Times(3)]),
    handshakes(
        "tls-garbage",
        4,
        &[ClosedWithinMs(1_500), HonestEach(100), LogKibPerMinute(1_024), P99Times(3)],
    ),
    at(Tls, "tls-second-hello", "A11", 3, &[ClosedWithinMs(1_500), HonestEach(100)]),
    // HTTP/2.
    h2("h2-rapid-reset", "A12"),
    h2("h2-continuation", "A13"),
    h2("h2-reset-window-zero", "A14"),
    h2("h2-reset-window-over", "A14"),
    h2("h2-reset-data", "A14"),
    h2("h2-reset-headers", "A14"),
    h2("h2-reset-priority", "A14"),
    h2("h2-reset-self", "A14"),
    h2("h2-settings", "A15"),
    h2("h2-ping", "A15"),
    h2("h2-priority", "A15"),
    h2("h2-window", "A15"),
    h2("h2-window-zero", "A15"),
    h2("h2-empty-data", "A15"),
    h2("h2-unknown", "A15"),
    h2("hpack-bomb", "A16"),
    h2("hpack-cookies", "A16"),
    h2("hpack-resize", "A16"),
    // Requests.
    plainly("get-flood", "A1", 3, &[OriginInAll(OF_ONE_CLIENT)]),
    plainly("pipeline", "A1", 3, &[OriginInAll(OF_TWENTY_CLIENTS)]),
    Expectation {
        scenario: "banned-connects",
        vector: "A1",
        at: Namespace4,
        seconds: 6,
        arguments: &["--path", "/trap"],
        visitors: ALL_KINDS,
        // The first request bans its client; further connections are reset.
        must: &[Answers(0), CpuMsEach(1)],
    },
    plainly("post-flood", "A2", 3, &[MibInAll(32)]),
    plainly("cache-bust", "A3", 3, &[MibInAll(32), P99Times(3)]),
    plainly("huge-header", "A17", 3, &[MibInAll(32), OriginInAll(0)]),
    plainly("many-fields", "A17", 3, &[MibInAll(32), OriginInAll(0)]),
    plainly("huge-target", "A17", 3, &[MibInAll(32), OriginInAll(0)]),
    plainly("range-abuse", "A18", 3, &[MibInAll(32)]),
    plainly("hash-collision", "A20", 3, &[HonestEach(100)]),
    // An origin that can serve all of it; `attack neighbours` covers one that cannot.
    plainly("botnet", "A22", 4, &[KibEach(32)]),
    plainly("forwarded-spoof", "A24", 3, &[OneClient, OriginInAll(OF_ONE_CLIENT)]),
    plainly("proxy-lies", "A24", 3, &[OriginInAll(0)]),
    at(Namespace6, "net-rotation", "A25", 5, &[Served(OF_ONE_CLIENT)]),
    plainly("log-flood", "A30", 6, &[LogKibPerMinute(1_024)]),
    plainly("tracker-keys", "A31", 4, &[MibInAll(64)]),
    Expectation {
        scenario: "reload-storm",
        vector: "A32",
        at: Plain,
        seconds: 6,
        arguments: &["--rewrite", POLICY],
        visitors: ALL_KINDS,
        must: &[],
    },
    Expectation {
        scenario: "deny-unread-body",
        vector: "A34",
        at: Plain,
        seconds: 5,
        arguments: &["--path", "/denied"],
        visitors: ALL_KINDS,
        must: &[RefusalsRead(99), OriginInAll(0)],
    },
    Expectation {
        scenario: "origin-leak",
        vector: "A36",
        at: Plain,
        seconds: 15,
        arguments: &["--secret", ORIGIN],
        visitors: ALL_KINDS,
        must: &[Never("LEAK")],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_promise_is_of_another_scenario_that_exists() {
        let page = include_str!("../../../../tests/attack/README.md");
        let mut seen = HashSet::new();
        for Expectation { scenario, vector, .. } in PROMISES {
            assert!(seen.insert(scenario), "{scenario} twice");
            let line = format!("| `{scenario}` | {vector} |");
            assert!(page.contains(&line), "the page has no line that begins {line}");
        }
    }

    /// An attack that is over before the deadline cannot show it.
    #[test]
    fn every_attack_lasts_longer_than_what_it_is_to_show() {
        for promise in PROMISES {
            for must in promise.must {
                if let ClosedWithinMs(most) = must {
                    assert!(promise.seconds * 1_000 > *most, "{}", promise.scenario);
                }
            }
        }
    }

    /// Figures of the origin are missing if it cannot be requested.
    #[test]
    fn in_a_namespace_nothing_is_asked_of_the_origin() {
        let away = |promise: &&Expectation| matches!(promise.at, Namespace4 | Namespace6);
        let musts = PROMISES.iter().filter(away).flat_map(|promise| promise.must);
        let asks = |must: &Assertion| matches!(must, OriginEach(_) | OriginInAll(_) | OneClient);
        assert_eq!(musts.filter(|must| asks(must)).count(), 0);
    }
}
