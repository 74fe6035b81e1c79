//! The answer to `GET /status`.
//!
//! Names and numbers only: no address of a client comes near it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    CounterReport, OriginStatus, Past, PolicyError, ProxyStatus, ReloadCause, RollbackPin,
    SiteTraffic, UpgradeOutcome,
};

/// What a running server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusReport {
    /// When this was said, in milliseconds since 1970.
    pub time_ms: u64,
    /// The process.
    pub process: ProcessStatus,
    /// The policy and its reloads.
    pub policy: PolicyStatus,
    /// Sites, in the order of the configuration.
    pub sites: Vec<SiteStatus>,
    /// Origins of sites.
    pub origins: Vec<OriginStatus>,
    /// Members by the part that is in force.
    pub member_parts: MemberParts,
    /// Members whose files are not in force.
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
    /// The site with this name.
    #[must_use]
    pub fn site(&self, name: &str) -> Option<&SiteStatus> {
        self.sites.iter().find(|site| site.name == name)
    }
}

/// What the proxy adds to a report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxyReport {
    /// What is counted over all sites.
    pub proxy: ProxyStatus,
    /// What each site does, in the order of the configuration.
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
    /// Its number.
    pub pid: u32,
    /// The version of its program.
    pub version: String,
    /// How the last upgrade ended, if one was tried.
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
    /// What the policy says of itself behind `policy 1`.
    pub revision: Option<String>,
    /// When the active generation was published, as RFC 3339.
    pub published_at: String,
    /// Milliseconds since then.
    pub age_ms: u64,
    /// Why the files on the disk are not in force.
    pub last_error: Option<PolicyError>,
    /// The last reload that published a generation or was rejected.
    pub last_reload: Option<LastReload>,
    /// Reloads by how they ended.
    pub reloads: ReloadCounts,
    /// The level of the server.
    pub level: String,
    /// Levels that an operator set.
    pub manual_levels: Vec<ManualLevelStatus>,
    /// Tests in the policy.
    pub tests: usize,
    /// The generation in force after a rollback, while the files on the disk are ignored.
    pub rollback: Option<RollbackPin>,
}

/// A reload that published a generation or was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReload {
    /// Milliseconds from the first read of the files to the end.
    pub duration_ms: u64,
    /// What led to it.
    pub cause: ReloadCause,
    /// What became of the counters; none where the reload was rejected.
    pub counters: Option<CounterReport>,
}

/// How reloads ended since the start.
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
    /// The site; the whole server if absent.
    pub site: Option<String>,
    /// The level.
    pub level: String,
    /// Milliseconds until it ends.
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
    /// The member that it belongs to.
    pub member: Option<String>,
    /// Its level.
    pub level: String,
    /// What it does.
    #[serde(flatten)]
    pub traffic: SiteTraffic,
}

impl SiteStatus {
    /// Whether anything has happened at it.
    #[must_use]
    pub fn is_visited(&self) -> bool {
        let counts = &self.traffic.counts;
        self.traffic.connections_active > 0
            || counts.requests_total > 0
            || counts.connections_closed.sum() > 0
    }
}

/// Members by the part that is in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberParts {
    /// That of their files.
    pub current: usize,
    /// Their last good part.
    pub kept: usize,
    /// None.
    pub absent: usize,
}

/// What is in force of a member whose files are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartInForce {
    /// The last good part.
    Kept,
    /// Nothing.
    Absent,
}

/// A member whose files are not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// The member's name.
    pub name: String,
    /// What is in force instead.
    pub part: PartInForce,
    /// The generation since which it is.
    pub since_generation: Option<u64>,
    /// Since when the files are rejected, or wait, as RFC 3339.
    pub rejected_since: String,
    /// Whether the files have not been read yet.
    pub waiting: bool,
    /// Errors that are not in `problems`.
    pub more: usize,
    /// The first errors.
    pub problems: Vec<PolicyError>,
}

/// A rule or limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// Its full name.
    pub name: String,
    /// Times that it applied.
    pub hits: u64,
    /// Times that it would have applied, in shadow.
    pub shadow_hits: u64,
}

/// Where the content of a list comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListSource {
    /// It is written in the policy.
    Inline,
    /// Its file.
    File,
    /// The last good copy of its file.
    Cached,
    /// Nowhere: the list is empty.
    Empty,
}

/// A list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListStatus {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: Option<String>,
    /// How many entries it has.
    pub entries: usize,
    /// Lines of its file that could not be read.
    pub invalid_lines: usize,
    /// How many entries it had, where it lost more than half of them.
    pub shrank_from: Option<usize>,
    /// Milliseconds since its content came into force.
    pub age_ms: u64,
    /// Where its content comes from.
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
    /// Calls that got their time once more.
    pub deadline_extensions: u64,
    /// Failed calls, by reason.
    pub failures: BTreeMap<String, u64>,
    /// The most fuel that one call took.
    pub fuel_max: u64,
    /// Times that it was quarantined.
    pub quarantines: u64,
    /// Milliseconds until its quarantine ends; 0 where it has none.
    pub quarantine_remaining_ms: u64,
}

/// Fuel of the rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FuelStatus {
    /// Requests for which the server's rules ran out of fuel.
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
    /// Requests for which the rules ran out of fuel and were passed over.
    pub passed_over: u64,
    /// Times that the rules were quarantined.
    pub quarantines: u64,
    /// Milliseconds until the quarantine ends; 0 where there is none.
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
    /// Functions of them that are bound.
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
    /// Keys that it holds.
    pub keys: u64,
    /// Keys that it can hold.
    pub capacity: u64,
    /// Keys that were removed for others.
    pub evictions: u64,
    /// Keys that were rejected because the table was full.
    pub rejected: u64,
}

/// The log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogStatus {
    /// Lines that were not written, by class.
    pub suppressed_lines: BTreeMap<String, u64>,
}

/// Snapshots of the state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SnapshotStatus {
    /// Milliseconds since the last good snapshot.
    pub age_ms: Option<u64>,
    /// Its size.
    pub bytes: Option<u64>,
    /// How long it took to write.
    pub duration_ms: Option<u64>,
    /// Keys that did not fit into it.
    pub omitted_keys: u64,
    /// Why no snapshot can be written.
    pub last_error: Option<String>,
}
