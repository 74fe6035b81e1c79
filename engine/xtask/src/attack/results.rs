//! Reads a result of `seawall-attack`: every missing figure is `None`, and never 0.

use serde_json::Value;

/// The server's share of one run, by phase, and the visitors'.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Results<'r>(&'r Value);

impl<'r> Results<'r> {
    /// Of this result.
    pub(crate) fn of(report: &'r Value) -> Self {
        Self(report)
    }

    /// Returns a number by its JSON pointer.
    pub(crate) fn number(self, pointer: &str) -> Option<f64> {
        self.0.pointer(pointer).and_then(Value::as_f64)
    }

    /// Returns the sum of a table's numbers whose names `choose` chooses.
    pub(crate) fn sum(self, pointer: &str, choose: impl Fn(&str) -> bool) -> Option<f64> {
        let table = self.0.pointer(pointer)?.as_object()?;
        let chosen = table.iter().filter(|(name, _)| choose(name));
        chosen.map(|(_, count)| count.as_f64()).try_fold(0.0, |sum, count| Some(sum + count?))
    }

    /// Returns the requests of visitors that failed, in all phases.
    pub(crate) fn failed(self) -> Option<f64> {
        let phases = ["/legit/quiet/bad", "/legit/attack/bad", "/legit/recovery/bad"];
        phases.into_iter().map(|pointer| self.number(pointer)).sum()
    }

    /// Returns the requests of visitors that were due in the attack.
    pub(crate) fn asked(self) -> Option<f64> {
        self.number("/legit/attack/due")
    }

    /// Returns the visitors' p99 in a phase, in milliseconds.
    pub(crate) fn p99_ms(self, phase: &str) -> Option<f64> {
        Some(self.number(&format!("/legit/{phase}/latency_us/p99"))? / 1_000.0)
    }

    /// Returns how late this program started the visitors: above some milliseconds a run shows
    /// little.
    pub(crate) fn late_ms(self) -> Option<f64> {
        Some(self.number("/legit/attack/late_us/p99")? / 1_000.0)
    }

    /// Returns when the last of the new clients after the attack was served, in milliseconds.
    pub(crate) fn new_client_ms(self) -> Option<f64> {
        self.number("/new_client/first_answer_ms")
    }

    /// Returns the connections of the attack.
    pub(crate) fn opened(self) -> Option<f64> {
        self.number("/attack/opened")
    }

    /// Returns the maximum of open connections.
    pub(crate) fn at_once(self) -> Option<f64> {
        self.number("/attack/open_at_most")
    }

    /// Returns the attempts to connect, with any result.
    pub(crate) fn tried(self) -> Option<f64> {
        let others = ["refused", "reset_at_open", "open_timed_out", "handshake_failed"];
        let others = others.into_iter().map(|name| self.number(&format!("/attack/{name}")));
        Some(self.opened()? + others.sum::<Option<f64>>()?)
    }

    /// Returns the longest duration of an attack's connection. `None` if the server ended none.
    pub(crate) fn longest_ms(self) -> Option<f64> {
        let held = self.number("/attack/held_ms/max")?;
        // Without connections left by the attacker there is no such figure, and that is correct.
        let left = self.number("/attack/left_by_us")?;
        let left = if left > 0.0 { self.number("/attack/left_ms/max")? } else { 0.0 };
        Some(held.max(left))
    }

    /// Returns the additional memory in the attack.
    pub(crate) fn gained_kib(self) -> Option<f64> {
        let before = self.number("/server/quiet/rss_kib_last")?;
        let most = self.number("/server/attack/rss_kib_max")?;
        // A process that is not sampled has none.
        (before > 0.0 && most > 0.0).then_some((most - before).max(0.0))
    }

    /// Returns the CPU time of the attack: that of its phase, less that of the visitors in the
    /// phase before, for as many samples.
    pub(crate) fn cpu_ms(self) -> Option<f64> {
        let all = self.number("/server/attack/cpu_ms")?;
        let looks = self.number("/server/attack/samples")?;
        // The first sample has none before it to compare with.
        let looks_before = self.number("/server/quiet/samples")? - 1.0;
        let before = self.number("/server/quiet/cpu_ms")?;
        let each = (looks_before > 0.0).then_some(before / looks_before)?;
        Some((all - each * looks).max(0.0))
    }

    /// Returns the requests that reached the origin, less the visitors', which have a path of their
    /// own.
    pub(crate) fn reached(self) -> Option<f64> {
        Some((self.number("/origin/requests")? - self.number("/origin/visits")?).max(0.0))
    }

    /// Returns the growth of the watched files, in KiB per minute.
    pub(crate) fn log_kib_per_minute(self) -> Option<f64> {
        let first = self.number("/server/attack/watched_bytes_first")?;
        let last = self.number("/server/attack/watched_bytes_last")?;
        let minutes = self.number("/attacked_ms")? / 60_000.0;
        (minutes > 0.0).then_some((last - first).max(0.0) / 1_024.0 / minutes)
    }
}

/// Returns a share; `None` of nothing.
pub(crate) fn each(of: f64, among: f64) -> Option<f64> {
    (among > 0.0).then_some(of / among)
}
