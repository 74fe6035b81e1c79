//! The response to `GET /status`.
//!
//! It contains names and numbers only, and no address of a client.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    CounterReport, OriginStatus, Past, PolicyError, ProxyStatus, ReloadCause, RollbackPin,
    SiteTraffic, UpgradeOutcome,
};

/// The status of a running server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusReport {
    /// The time of this report, in milliseconds since 1970.
    pub time_ms: u64,
    /// The process.
    pub process: ProcessStatus,
    /// The policy and its reloads.
    pub policy: PolicyStatus,
    /// Sites, in the order of the configuration.
    pub sites: Vec<SiteStatus>,
    /// Origins of sites.
    pub origins: Vec<OriginStatus>,
    /// Members by the part that is active.
    pub member_parts: MemberParts,
    /// Members whose files are not active.
    pub members: Vec<MemberStatus>,
    /// Rules and limits of the active generation.
    pub rules: Vec<RuleStatus>,
    /// Lists of the active generation.
    pub lists: Vec<ListStatus>,
    /// WASM rules of the active generation.
    pub externs: Vec<ExternStatus>,
    /// Fuel of the rules.
    pub fuel: FuelStatus,
    /// Bans.
    pub bans: BanCounts,
    /// The WASM engine.
    pub wasm: WasmStatus,
    /// Storage of the policy's counters.
    pub counter_tables: Vec<CounterTableStatus>,
    /// Decisions by verdict.
    pub decisions: BTreeMap<String, u64>,
    /// The proxy.
    pub proxy: ProxyStatus,
    /// The log.
    pub log: LogStatus,
    /// Snapshots of the state.
    pub snapshot: SnapshotStatus,
    /// The last generations, the newest last.
    pub history: Vec<Past>,
}

impl StatusReport {
    /// Returns the site with this name.
    #[must_use]
    pub fn site(&self, name: &str) -> Option<&SiteStatus> {
        self.sites.iter().find(|site| site.name == name)
    }
}

/// The proxy's part of the status.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxyReport {
    /// Counters over all sites.
    pub proxy: ProxyStatus,
    /// The traffic of each site, in the order of the configuration.
    pub sites: Vec<SiteTraffic>,
    /// Origins of sites.
    pub origins: Vec<OriginStatus>,
    /// The log.
    pub log: LogStatus,
}

/// The process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessStatus {
    /// The process id.
    pub pid: u32,
    /// The version of its program.
    pub version: String,
    /// The result of the last upgrade, if there was one.
    pub last_upgrade: Option<UpgradeOutcome>,
}

/// The policy and its reloads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyStatus {
    /// The active generation.
    pub generation: u64,
    /// The root policy file.
    pub file: PathBuf,
    /// The revision that the policy names after `policy 1`.
    pub revision: Option<String>,
    /// The time at which the active generation was published, as RFC 3339.
    pub published_at: String,
    /// Milliseconds since then.
    pub age_ms: u64,
    /// The error because of which the files on the disk are not active.
    pub last_error: Option<PolicyError>,
    /// The last reload that published a generation or was rejected.
    pub last_reload: Option<LastReload>,
    /// Reloads by result.
    pub reloads: ReloadCounts,
    /// The level of the server.
    pub level: String,
    /// Levels that an operator set.
    pub manual_levels: Vec<ManualLevelStatus>,
    /// Tests in the policy.
    pub tests: usize,
    /// The rollback pin, while the files on the disk are ignored.
    pub rollback: Option<RollbackPin>,
}

/// A reload that published a generation or was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReload {
    /// Milliseconds from the first read of the files to the end.
    pub duration_ms: u64,
    /// The cause of the reload.
    pub cause: ReloadCause,
    /// The changes of the counters; none if the reload was rejected.
    pub counters: Option<CounterReport>,
}

/// Reloads since the start, by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReloadCounts {
    /// A new generation was published.
    pub published: u64,
    /// The files are those of the active generation.
    pub unchanged: u64,
    /// The files have errors; the active generation stays.
    pub rejected: u64,
}

/// A level that an operator set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualLevelStatus {
    /// The site; without it, the whole server.
    pub site: Option<String>,
    /// The level.
    pub level: String,
    /// Milliseconds until the level ends.
    pub remaining_ms: u64,
}

/// One site.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SiteStatus {
    /// Its name.
    pub name: String,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// Its origins, as URLs.
    pub origins: Vec<String>,
    /// The member that the site belongs to.
    pub member: Option<String>,
    /// Its level.
    pub level: String,
    /// The traffic of the site.
    #[serde(flatten)]
    pub traffic: SiteTraffic,
}

impl SiteStatus {
    /// Returns whether the site has had any traffic.
    #[must_use]
    pub fn is_visited(&self) -> bool {
        let counts = &self.traffic.counts;
        self.traffic.connections_active > 0
            || counts.requests_total > 0
            || counts.connections_closed.sum() > 0
    }
}

/// Members by the part that is active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberParts {
    /// Members with the part of their files.
    pub current: usize,
    /// Members with their last good part.
    pub kept: usize,
    /// Members without a part.
    pub absent: usize,
}

/// The active part of a member whose files are not active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartInForce {
    /// The last good part.
    Kept,
    /// No part.
    Absent,
}

/// A member whose files are not active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// The member's name.
    pub name: String,
    /// The part that is active instead.
    pub part: PartInForce,
    /// The generation since which this part is active.
    pub since_generation: Option<u64>,
    /// The time since which the files are rejected or wait, as RFC 3339.
    pub rejected_since: String,
    /// Whether the files have not been read yet.
    pub waiting: bool,
    /// Number of errors that are not in `problems`.
    pub more: usize,
    /// The first errors.
    pub problems: Vec<PolicyError>,
}

/// A rule or limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// Its full name.
    pub name: String,
    /// Number of requests to which it applied.
    pub hits: u64,
    /// Number of requests to which it would have applied, as a shadow rule.
    pub shadow_hits: u64,
}

/// The source of a list's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListSource {
    /// The policy.
    Inline,
    /// The file.
    File,
    /// The last good copy of the file.
    Cached,
    /// None: the list is empty.
    Empty,
}

/// A list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListStatus {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: Option<String>,
    /// The number of entries.
    pub entries: usize,
    /// Lines of its file that could not be read.
    pub invalid_lines: usize,
    /// The earlier number of entries, if the list lost more than half of them.
    pub shrank_from: Option<usize>,
    /// Milliseconds since its content became active.
    pub age_ms: u64,
    /// The source of its content.
    pub source: ListSource,
}

/// A WASM rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExternStatus {
    /// Its name.
    pub name: String,
    /// Calls.
    pub calls: u64,
    /// Calls that the result cache answered.
    pub cache_hits: u64,
    /// Calls whose deadline was extended.
    pub deadline_extensions: u64,
    /// Failed calls, by reason.
    pub failures: BTreeMap<String, u64>,
    /// The maximum fuel of one call.
    pub fuel_max: u64,
    /// Number of quarantines.
    pub quarantines: u64,
    /// Milliseconds until the quarantine ends; 0 without quarantine.
    pub quarantine_remaining_ms: u64,
}

/// Fuel of the rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FuelStatus {
    /// Requests for which the operator's rules ran out of fuel.
    pub out: u64,
    /// Members' rules.
    pub members: Vec<MemberFuelStatus>,
}

/// Fuel of a member's rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberFuelStatus {
    /// The member's name.
    pub name: String,
    /// Requests for which the rules were skipped because they ran out of fuel.
    pub passed_over: u64,
    /// Number of quarantines of the rules.
    pub quarantines: u64,
    /// Milliseconds until the quarantine of the rules ends; 0 without quarantine.
    pub quarantine_remaining_ms: u64,
}

/// Bans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BanCounts {
    /// Active bans.
    pub active: usize,
    /// Bans that were rejected because the table was full.
    pub rejected: u64,
}

/// The WASM engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WasmStatus {
    /// Components in memory.
    pub components: u64,
    /// Functions of components that are bound.
    pub functions: u64,
    /// Instances in memory.
    pub instances: u64,
}

/// The storage of a counter of the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CounterTableStatus {
    /// The counter's name.
    pub name: String,
    /// Keys in the table.
    pub keys: u64,
    /// Maximum number of keys.
    pub capacity: u64,
    /// Keys that were evicted.
    pub evictions: u64,
    /// Keys that were rejected because the table was full.
    pub rejected: u64,
}

/// The log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogStatus {
    /// Suppressed lines, by class.
    pub suppressed_lines: BTreeMap<String, u64>,
}

/// Snapshots of the state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SnapshotStatus {
    /// Milliseconds since the last good snapshot.
    pub age_ms: Option<u64>,
    /// The size of the last good snapshot.
    pub bytes: Option<u64>,
    /// Milliseconds that it took to write it.
    pub duration_ms: Option<u64>,
    /// Keys that did not fit into the last snapshot.
    pub omitted_keys: u64,
    /// The error because of which no snapshot can be written.
    pub last_error: Option<String>,
}
