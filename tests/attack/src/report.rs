//! The result of a run, in JSON. `README.md` explains every field; numbers carry their unit in the
//! name.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;

/// Changes when a field changes its meaning or goes.
pub(crate) const SCHEMA: u32 = 1;

/// Where the middle and the ends of a distribution lie.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Spread {
    pub(crate) count: u64,
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

impl Spread {
    /// Of this histogram.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

/// One value for each phase of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Phases<T> {
    /// Before the attack.
    pub(crate) quiet: T,
    /// During it.
    pub(crate) attack: T,
    /// After it.
    pub(crate) recovery: T,
}

/// What the attack noted about itself.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AttackReport {
    pub(crate) opened: u64,
    pub(crate) open_at_most: u64,
    pub(crate) refused: u64,
    pub(crate) reset_at_open: u64,
    pub(crate) open_timed_out: u64,
    pub(crate) handshake_failed: u64,
    pub(crate) failed_here: u64,
    pub(crate) closed_by_server: u64,
    pub(crate) reset_by_server: u64,
    pub(crate) held_ms: Option<Spread>,
    pub(crate) left_by_us: u64,
    /// The age of those: with `held_ms` the whole distribution.
    pub(crate) left_ms: Option<Spread>,
    /// How long answers took, in floods that wait for each.
    pub(crate) answer_ms: Option<Spread>,
    /// Result of a fault of the origin.
    pub(crate) outage: Option<OutageReport>,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) requests: u64,
    pub(crate) answers: BTreeMap<String, u64>,
    pub(crate) events: BTreeMap<String, u64>,
}

/// A requested fault of the origin.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct OutageReport {
    /// How long it lasted.
    pub(crate) fault_ms: u64,
    /// From its end to the first answer below 400.
    pub(crate) back_ms: Option<u64>,
    /// Answers that came while it lasted, by status.
    pub(crate) answers: BTreeMap<String, u64>,
}

/// What legitimate visitors saw in one phase.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LegitPhase {
    /// Requests that were due in the phase.
    pub(crate) due: u64,
    /// Answered with less than 400.
    pub(crate) ok: u64,
    /// Everything else that was due.
    pub(crate) bad: u64,
    pub(crate) answers: BTreeMap<String, u64>,
    pub(crate) errors: BTreeMap<String, u64>,
    /// Requests sent once more because a kept connection had been closed before any of the answer.
    pub(crate) sent_again: u64,
    /// From when the request was due to its whole answer, or to giving up.
    pub(crate) latency_us: Option<Spread>,
    /// From when the request was due to when this program got round to it.
    pub(crate) late_us: Option<Spread>,
}

/// The legitimate load beside the attack.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LegitReport {
    pub(crate) rate: u32,
    pub(crate) visitors: usize,
    pub(crate) kinds: Vec<String>,
    #[serde(flatten)]
    pub(crate) phases: Phases<LegitPhase>,
    /// p99 during the attack over p99 before it.
    pub(crate) p99_ratio: Option<f64>,
}

/// Visitors from new addresses that come after the last attacker.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct NewClientReport {
    /// From then until all of them had a response below 400; none if a client got none.
    pub(crate) first_answer_ms: Option<u64>,
    /// Their tries.
    pub(crate) tries: u64,
    /// Those that failed, by how.
    pub(crate) failed: BTreeMap<String, u64>,
}

/// What `/proc` reported about the server in one phase.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ServerPhase {
    pub(crate) samples: u64,
    pub(crate) rss_kib_first: u64,
    pub(crate) rss_kib_max: u64,
    pub(crate) rss_kib_last: u64,
    pub(crate) cpu_ms: u64,
    pub(crate) threads_max: u64,
    pub(crate) fds_max: u64,
    /// Bytes under `--watch`, first and last.
    pub(crate) watched_bytes_first: u64,
    pub(crate) watched_bytes_last: u64,
}

/// What the recording origin had seen when the attack was over, minus what it had seen before.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct OriginReport {
    pub(crate) connections: u64,
    pub(crate) requests: u64,
    /// Those of them that ask for `/__visit`.
    pub(crate) visits: u64,
    pub(crate) requests_at_once_max: u64,
    pub(crate) malformed: u64,
    /// Requests whose forwarding fields name one client, once.
    pub(crate) named_once: u64,
    /// Requests with forwarding fields that name none, or several, or one more than once.
    pub(crate) named_otherwise: u64,
    /// Clients that were named since it started.
    pub(crate) clients: u64,
}

/// How the run was bounded.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Bounds {
    pub(crate) connections: usize,
    pub(crate) rate: u32,
    pub(crate) addresses: usize,
    pub(crate) quiet_s: u64,
    pub(crate) attack_s: u64,
    pub(crate) recovery_s: u64,
}

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) schema: u32,
    pub(crate) scenario: String,
    pub(crate) vector: String,
    pub(crate) target: String,
    pub(crate) tls: bool,
    pub(crate) bounds: Bounds,
    /// How long the attack really took.
    pub(crate) attacked_ms: u64,
    /// Ended by a signal: the figures are of what was done until then.
    pub(crate) interrupted: bool,
    pub(crate) open_files_max: u64,
    pub(crate) attack: Option<AttackReport>,
    pub(crate) legit: Option<LegitReport>,
    /// The clients after the attack.
    pub(crate) new_client: Option<NewClientReport>,
    pub(crate) server: Option<Phases<ServerPhase>>,
    pub(crate) origin: Option<OriginReport>,
}
