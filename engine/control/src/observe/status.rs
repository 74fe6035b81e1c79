//! What `GET /status` says.
//!
//! Names and numbers only: no address of a visitor comes near it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use seawall_config::SiteConfig;
use seawall_model::{ClientPrefixes, Now, RuleId, Tick};
use seawall_ruleset::{ActiveGeneration, RuleSetHandle, Summary};
use serde_json::{Value, json};

use crate::generations::record::{MarksOfParts, Past};
use crate::level_ticker::Levels;
use crate::members::Members;
use crate::observe::decision_totals::DecisionTotals;
use crate::observe::metrics;
use crate::observe::quarantine_log::remaining_ms;
use crate::policy_source::loader::PolicyLoader;
use crate::reload::status::{ReloadStatus, ReloadStatusSnapshot};
use crate::runtime::deps::{ControlDeps, ProxyReportFn};
use crate::upgrade::LastUpgrade;
use crate::util::clock::rfc3339;

/// The most characters that are told of what a policy says of itself.
const REVISION_CHARS_MAX: usize = 200;

/// Everything that a status is made of.
pub(crate) struct StatusReporter {
    pub(crate) handle: Arc<RuleSetHandle>,
    pub(crate) board: Arc<ReloadStatus>,
    pub(crate) members: Arc<Members>,
    pub(crate) totals: Arc<DecisionTotals>,
    pub(crate) root: PathBuf,
    pub(crate) sites: Vec<SiteConfig>,
    pub(crate) outside: ControlDeps,
    pub(crate) snapshot: ProxyReportFn,
    pub(crate) units: ClientPrefixes,
    pub(crate) last_upgrade: Arc<LastUpgrade>,
    pub(crate) loader: PolicyLoader,
    pub(crate) now: Now,
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

    pub(crate) fn status(&self) -> Value {
        let live = self.handle.load();
        let posted = self.board.read();
        let summary = live.rules.summary();
        let age_ms = (self.now)().since_ms(posted.loaded);
        json!({
            // As the board has it, so that number, error and history are of one moment.
            "generation": posted.history.back().map_or(live.generation.0, |last| last.generation),
            "process": json!({
                "pid": std::process::id(),
                "version": env!("CARGO_PKG_VERSION"),
                "last_upgrade": self.last_upgrade.read(),
            }),
            "root": self.root,
            "revision": summary.revision.as_deref().map(|text| {
                text.chars().take(REVISION_CHARS_MAX).collect::<String>()
            }),
            "loaded_at": rfc3339(posted.loaded),
            "age_ms": age_ms,
            "last_error": posted.last_error,
            "last_reload": posted.last_reload,
            "reloads": posted.reloads,
            "level": live.rules.level_name(&live.state, ""),
            "level_by_hand": self.by_hand(&live),
            "sites": self.sites.iter().map(|of| site(of, &live)).collect::<Vec<_>>(),
            "member_parts": self.members.counts(),
            "members": self.members.status(),
            "rules": rules(&live),
            "lists": self.lists(&summary, age_ms),
            "externs": externs(&summary, (self.now)()),
            "fuel": fuel(&live, (self.now)()),
            "bans": json!({
                "running": live.state.bans().len(),
                "refused": live.state.bans().refused(),
            }),
            "sandbox": sandbox(&live),
            "tests": summary.tests,
            "counters": counters(&live),
            "decisions": self.totals.with(&live.tally).into_iter().collect::<BTreeMap<_, _>>(),
            "edge": (self.outside.edge)(),
            "snapshot": (self.snapshot)(),
            "aside": posted.aside,
            "history": history(&posted),
        })
    }

    /// The same as Prometheus reads it.
    pub(crate) fn metrics(&self) -> String {
        metrics::page(&self.status(), &self.outside.described)
    }

    /// The levels that a person set.
    fn by_hand(&self, live: &ActiveGeneration) -> Vec<Value> {
        let now = (self.now)();
        let sites = live.state.sites_with_held_levels();
        let whose = std::iter::once(None).chain(sites.iter().map(|site| Some(&**site)));
        let held = whose.filter_map(|site| Some((site, live.state.manual_level(site, now)?)));
        held.map(|(site, held)| {
            json!({ "site": site, "level": held.level, "left_ms": held.until.since_ms(now) })
        })
        .collect()
    }

    /// The lists; the age of one that is written out is that of the generation.
    fn lists(&self, summary: &Summary, age_ms: u64) -> Vec<Value> {
        let list = |list: &seawall_ruleset::ListSummary| {
            let path = list.file.as_ref().map(|file| &*file.path);
            let age = path.and_then(|path| self.loader.list_age(&list.name, path));
            json!({
                "name": list.name,
                "file": path,
                "entries": list.entries,
                "bad_lines": list.bad_lines,
                "shrank_from": list.shrank_from,
                "age_ms": age.map_or(age_ms, |age| age.age_ms),
                "from": age.map_or("policy", |age| age.from.word()),
            })
        };
        summary.lists.iter().map(list).collect()
    }
}

fn site(of: &SiteConfig, live: &ActiveGeneration) -> Value {
    json!({
        "name": of.name,
        "hosts": of.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "origins": of.origins.iter().map(|at| format!("http://{at}")).collect::<Vec<_>>(),
        "member": of.member,
        "level": live.rules.level_name(&live.state, &of.name),
    })
}

/// The rules of this generation with how often each applied, and would have applied.
fn rules(live: &ActiveGeneration) -> Vec<Value> {
    let named = (0..).map(RuleId).zip(live.rules.rule_names());
    let rule = |(id, name)| json!({ "name": name, "hits": live.tally.hits(id), "shadow_hits": live.tally.shadows(id) });
    named.map(rule).collect()
}

fn externs(summary: &Summary, now: Tick) -> Vec<Value> {
    let function = |function: &seawall_ruleset::ExternSummary| {
        json!({
            "name": function.name,
            "calls": function.calls,
            "memo_hits": function.memo_hits,
            "extended": function.extended,
            "failures": function.failures.iter().copied().collect::<BTreeMap<_, _>>(),
            "fuel_peak": function.fuel_peak,
            "quarantines": function.quarantines,
            "quarantine_left_ms": remaining_ms(function, now),
        })
    };
    summary.externs.iter().map(function).collect()
}

/// How often requests cost more than they may, the host's rules' and each member's.
fn fuel(live: &ActiveGeneration, now: Tick) -> Value {
    let member = |of: seawall_ruleset::PartSummary| {
        json!({
            "name": of.name,
            "passed_over": of.passed_over,
            "quarantines": of.quarantines,
            "quarantine_left_ms": of.quarantined_until.map_or(0, |until| until.since_ms(now)),
        })
    };
    json!({
        "out": live.rules.out_of_fuel(),
        "members": live.rules.part_summaries().into_iter().map(member).collect::<Vec<_>>(),
    })
}

/// What is alive in the sandbox, of this generation and of those that still end.
fn sandbox(live: &ActiveGeneration) -> Value {
    let alive = live.rules.sandbox_alive();
    json!({
        "components": alive.components,
        "functions": alive.functions,
        "instances": alive.instances,
    })
}

fn counters(live: &ActiveGeneration) -> Vec<Value> {
    let counter = |table: seawall_state::TableStats| {
        json!({
            "name": table.name,
            "keys": table.keys,
            "capacity": table.capacity,
            "evictions": table.evictions,
            "refused": table.refused,
        })
    };
    live.state.fill().into_iter().map(counter).collect()
}

fn history(posted: &ReloadStatusSnapshot) -> Vec<Value> {
    // What each member's part was made of is asked for by generation.
    let line =
        |past: &Arc<Past>| json!(Past { parts: MarksOfParts::default(), ..Past::clone(past) });
    posted.history.iter().map(line).collect()
}
