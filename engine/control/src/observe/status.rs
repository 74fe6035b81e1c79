//! How a status report is put together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use seawall_admin_api::{
    BanCounts, CounterTableStatus, ExternStatus, FuelStatus, ListSource, ListStatus,
    ManualLevelStatus, MarksOfParts, MemberFuelStatus, Past, PolicyStatus, ProcessStatus,
    ProxyReport, RuleStatus, SiteStatus, SiteTraffic, SnapshotStatus, StatusReport, WasmStatus,
};
use seawall_config::SiteConfig;
use seawall_model::{ClientPrefixes, Now, RuleId, Tick};
use seawall_ruleset::{ActiveGeneration, PartSummary, RuleSetHandle, Summary};
use seawall_state::TableStats;
use seawall_wasm::Failure;

use crate::level_ticker::Levels;
use crate::members::Members;
use crate::observe::decision_totals::DecisionTotals;
use crate::observe::metrics::{self, BusiestSites, ProcessSample, Scrape};
use crate::observe::quarantine_log::remaining_ms;
use crate::policy_source::loader::PolicyLoader;
use crate::reload::status::{ReloadStatus, ReloadStatusSnapshot};
use crate::runtime::deps::ControlDeps;
use crate::upgrade::LastUpgrade;
use crate::util::clock::rfc3339;

/// The most characters that are told of what a policy says of itself.
const REVISION_CHARS_MAX: usize = 200;

/// Where the state of snapshots comes from.
pub(crate) type SnapshotStatusFn = Arc<dyn Fn() -> SnapshotStatus + Send + Sync>;

/// Everything that a status is made of.
pub(crate) struct StatusReporter {
    pub(crate) handle: Arc<RuleSetHandle>,
    pub(crate) board: Arc<ReloadStatus>,
    pub(crate) members: Arc<Members>,
    pub(crate) totals: Arc<DecisionTotals>,
    pub(crate) root: PathBuf,
    pub(crate) sites: Vec<SiteConfig>,
    pub(crate) outside: ControlDeps,
    pub(crate) snapshot: SnapshotStatusFn,
    pub(crate) units: ClientPrefixes,
    pub(crate) last_upgrade: Arc<LastUpgrade>,
    pub(crate) loader: PolicyLoader,
    pub(crate) now: Now,
    /// The sites that have histograms of their own.
    pub(crate) busiest: Mutex<BusiestSites>,
}

impl StatusReporter {
    /// What is looked at for levels.
    pub(crate) fn levels(&self) -> Levels {
        Levels {
            sites: self.sites.iter().map(|site| site.name.clone()).collect(),
            inputs: self.outside.level_inputs.clone(),
            now: self.now.clone(),
        }
    }

    pub(crate) fn status(&self) -> StatusReport {
        let live = self.handle.load();
        let posted = self.board.read();
        let summary = live.rules.summary();
        let now = (self.now)();
        let age_ms = now.since_ms(posted.loaded);
        let ProxyReport { proxy, sites, origins, log } = (self.outside.proxy)();
        StatusReport {
            time_ms: now.0,
            process: ProcessStatus {
                pid: std::process::id(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                last_upgrade: self.last_upgrade.read(),
            },
            history: history(&posted),
            sites: self.sites(&live, sites),
            origins,
            member_parts: self.members.counts(),
            members: self.members.status(),
            rules: rules(&live),
            lists: self.lists(&summary, age_ms),
            externs: externs(&summary, now),
            fuel: fuel(&live, now),
            bans: BanCounts {
                active: live.state.bans().len(),
                rejected: live.state.bans().refused(),
            },
            wasm: wasm(&live),
            counter_tables: live.state.fill().into_iter().map(counter_table).collect(),
            decisions: self.decisions(&live),
            proxy,
            log,
            snapshot: (self.snapshot)(),
            policy: self.policy(&live, &summary, posted),
        }
    }

    /// The same as Prometheus reads it.
    pub(crate) fn metrics(&self) -> String {
        let status = self.status();
        let mut busiest = self.busiest.lock().unwrap_or_else(PoisonError::into_inner);
        let latencies = busiest.scrape(&status.sites, status.time_ms);
        drop(busiest);
        metrics::page(Scrape::new(&status, &latencies, ProcessSample::read()))
    }

    fn policy(
        &self,
        live: &ActiveGeneration,
        summary: &Summary,
        posted: ReloadStatusSnapshot,
    ) -> PolicyStatus {
        PolicyStatus {
            // As the history has it, so that number, error and history are of one moment.
            generation: posted.history.back().map_or(live.generation.0, |last| last.generation),
            file: self.root.clone(),
            revision: summary
                .revision
                .as_deref()
                .map(|text| text.chars().take(REVISION_CHARS_MAX).collect::<String>()),
            published_at: rfc3339(posted.loaded),
            age_ms: (self.now)().since_ms(posted.loaded),
            last_error: posted.last_error,
            last_reload: posted.last_reload,
            reloads: posted.reloads,
            level: live.rules.level_name(&live.state, "").to_owned(),
            manual_levels: self.manual_levels(live),
            tests: summary.tests,
            rollback: posted.aside,
        }
    }

    /// The levels that an operator set.
    fn manual_levels(&self, live: &ActiveGeneration) -> Vec<ManualLevelStatus> {
        let now = (self.now)();
        let sites = live.state.sites_with_held_levels();
        let whose = std::iter::once(None).chain(sites.iter().map(|site| Some(&**site)));
        let held = whose.filter_map(|site| Some((site, live.state.manual_level(site, now)?)));
        held.map(|(site, held)| ManualLevelStatus {
            site: site.map(str::to_owned),
            level: held.level.to_string(),
            remaining_ms: held.until.since_ms(now),
        })
        .collect()
    }

    /// What is configured of each site, with what the proxy says of it: both in the order of the
    /// configuration.
    fn sites(&self, live: &ActiveGeneration, traffic: Vec<SiteTraffic>) -> Vec<SiteStatus> {
        let traffic = traffic.into_iter().map(Some).chain(std::iter::repeat(None));
        let site = |(of, traffic): (&SiteConfig, Option<SiteTraffic>)| SiteStatus {
            name: of.name.to_string(),
            hosts: of.hosts.iter().map(ToString::to_string).collect(),
            origins: of.origins.iter().map(|at| format!("http://{at}")).collect(),
            member: of.member.as_ref().map(ToString::to_string),
            level: live.rules.level_name(&live.state, &of.name).to_owned(),
            traffic: traffic.unwrap_or_default(),
        };
        self.sites.iter().zip(traffic).map(site).collect()
    }

    fn decisions(&self, live: &ActiveGeneration) -> BTreeMap<String, u64> {
        let counts = self.totals.with(&live.tally);
        counts.into_iter().map(|(verdict, count)| (verdict.to_owned(), count)).collect()
    }

    /// The lists; the age of one that is written out is that of the generation.
    fn lists(&self, summary: &Summary, age_ms: u64) -> Vec<ListStatus> {
        let list = |list: &seawall_ruleset::ListSummary| {
            let path = list.file.as_ref().map(|file| &*file.path);
            let age = path.and_then(|path| self.loader.list_age(&list.name, path));
            ListStatus {
                name: list.name.to_string(),
                file: path.map(str::to_owned),
                entries: list.entries,
                invalid_lines: list.bad_lines,
                shrank_from: list.shrank_from,
                age_ms: age.map_or(age_ms, |age| age.age_ms),
                source: age.map_or(ListSource::Inline, |age| age.from),
            }
        };
        summary.lists.iter().map(list).collect()
    }
}

/// The rules of this generation with how often each applied, and would have applied.
fn rules(live: &ActiveGeneration) -> Vec<RuleStatus> {
    let named = (0..).map(RuleId).zip(live.rules.rule_names().iter().map(|name| &**name));
    let rule = |(id, name): (RuleId, &str)| RuleStatus {
        name: name.to_owned(),
        hits: live.tally.hits(id),
        shadow_hits: live.tally.shadows(id),
    };
    named.map(rule).collect()
}

fn externs(summary: &Summary, now: Tick) -> Vec<ExternStatus> {
    let function = |function: &seawall_ruleset::ExternSummary| {
        let none = Failure::ALL.iter().map(|kind| (kind.word(), 0));
        let failures = none.chain(function.failures.iter().copied());
        ExternStatus {
            name: function.name.to_string(),
            calls: function.calls,
            cache_hits: function.memo_hits,
            deadline_extensions: function.extended,
            failures: failures.map(|(kind, count)| (kind.to_owned(), count)).collect(),
            fuel_max: function.fuel_peak,
            quarantines: function.quarantines,
            quarantine_remaining_ms: remaining_ms(function, now),
        }
    };
    summary.externs.iter().map(function).collect()
}

/// How often requests cost more than they may, the server's rules and each member's.
fn fuel(live: &ActiveGeneration, now: Tick) -> FuelStatus {
    let member = |of: PartSummary| MemberFuelStatus {
        name: of.name.to_string(),
        passed_over: of.passed_over,
        quarantines: of.quarantines,
        quarantine_remaining_ms: of.quarantined_until.map_or(0, |until| until.since_ms(now)),
    };
    FuelStatus {
        out: live.rules.out_of_fuel(),
        members: live.rules.part_summaries().into_iter().map(member).collect(),
    }
}

/// What is in memory of components, of this generation and of those that still end.
fn wasm(live: &ActiveGeneration) -> WasmStatus {
    let alive = live.rules.sandbox_alive();
    WasmStatus {
        components: alive.components,
        functions: alive.functions,
        instances: alive.instances,
    }
}

fn counter_table(table: TableStats) -> CounterTableStatus {
    CounterTableStatus {
        name: table.name.to_string(),
        keys: table.keys as u64,
        capacity: table.capacity as u64,
        evictions: table.evictions,
        rejected: table.refused,
    }
}

fn history(posted: &ReloadStatusSnapshot) -> Vec<Past> {
    // What each member's part was made of is asked for by generation.
    let line = |past: &Arc<Past>| Past { parts: MarksOfParts::default(), ..Past::clone(past) };
    posted.history.iter().map(line).collect()
}
