//! The reloader's interface to a policy, and its implementation: read, build, publish.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use seawall_admin_api::{
    Back, ClearedPenalties, CounterReport, MembersRefused, Past, PolicyRejection, RollbackPin,
    TestCounts,
};
use seawall_model::{Now, Tick};
use seawall_ruleset::{ActiveGeneration, Effort, RuleSetHandle, Terms};
use seawall_state::DecisionCounters;

use crate::admin::rejection::stopped;
use crate::generations::FileBlob;
use crate::generations::GenerationStore;
use crate::generations::contents::{Known, Made};
use crate::level_ticker::Levels;
use crate::members::{Coming, Members, bounded};
use crate::observe::decision_totals::DecisionTotals;
use crate::policy_source::list_cache::PublishedLists;
use crate::policy_source::loader::{PATIENT_READS, PolicyLoader, Ready};
use crate::policy_source::rollback_pin::{Draft, Standing};
use crate::reload::counter_report;
use crate::reload::status::ReloadStatusSnapshot;
use crate::reload::watcher::PolicyWatcher;
use crate::storage::background_writer::BackgroundWriter;

/// The rule of a manual ban: no rule of a policy can have this name.
pub(crate) const MANUAL_BAN: &str = "by hand";

/// Why there is no draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotRead {
    /// The files changed while they were read.
    Unsettled,
    /// The files of a rollback are no longer stored.
    Refused(PolicyRejection),
}

/// The rollback pin, and the generation that is active instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beside<'a> {
    pub(crate) aside: &'a RollbackPin,
    pub(crate) serves: &'a Past,
}

/// Whether a member's files that change during the read are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Some,
    None,
}

impl Patience {
    /// Returns that of a read, counted from zero.
    pub(crate) const fn of(read: u32) -> Self {
        if read < PATIENT_READS { Self::Some } else { Self::None }
    }
}

/// A published generation.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) generation: u64,
    pub(crate) counters: CounterReport,
    pub(crate) warnings: Vec<String>,
    pub(crate) tests: TestCounts,
    /// Its files.
    pub(crate) made: Made,
}

/// Penalties and bans to end because they were set by mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClearPenalties {
    /// All that this rule set.
    Rule(String),
    /// All that rules of these generations set, the first of which was published then.
    Generations(BTreeSet<u64>, Tick),
}

/// Builds and publishes generations. A trait, so that the reloader is tested without a policy
/// language.
pub(crate) trait PolicyBackend: Send {
    /// What was read.
    type Draft;
    /// What may be published.
    type Ready;
    /// Reads all files that the root names, except pinned ones. Without patience, changing files of
    /// a member are left out.
    fn gather(
        &mut self,
        patience: Patience,
        beside: Option<Beside<'_>>,
    ) -> Result<Self::Draft, NotRead>;
    /// Returns which files on the disk this draft leaves out.
    fn aside(&self, draft: &Self::Draft) -> Option<RollbackPin>;
    /// Reads again and returns whether nothing changed. Without patience, a member whose files
    /// differ is left out of the draft instead.
    fn reads_as(
        &mut self,
        draft: &mut Self::Draft,
        patience: Patience,
        beside: Option<Beside<'_>>,
    ) -> bool {
        self.gather(patience, beside).is_ok_and(|again| self.digest(&again) == self.digest(draft))
    }
    /// Returns whether changing files were left out, so that another reload is due soon.
    fn is_restless(&self, _draft: &Self::Draft) -> bool {
        false
    }
    /// Returns whether files were postponed in the active generation, so that another reload is due
    /// soon.
    fn is_unfinished(&self) -> bool {
        false
    }
    /// Permits a retry of errors of the machine with the same files, after a request or some time.
    fn try_again(&mut self, _is_asked: bool) {}
    /// Reads the policy for a rollback, with the files on the disk that it pins. Files on the disk
    /// may be found changing.
    fn recall(
        &mut self,
        past: &Past,
        back: &Back,
        beside: Beside<'_>,
    ) -> Result<Self::Draft, PolicyRejection>;
    /// Returns whether files changed during the read.
    fn is_changing(&self, _draft: &Self::Draft) -> bool {
        false
    }
    /// Returns a digest that differs if a reload could have another result.
    fn digest(&self, draft: &Self::Draft) -> [u8; 32];
    /// Checks, builds and tests a draft.
    fn assemble(&mut self, draft: &Self::Draft) -> Result<Self::Ready, PolicyRejection>;
    /// Makes the result of a draft the active generation.
    fn publish(&mut self, ready: Self::Ready, draft: &Self::Draft) -> Published;
    /// Ends penalties and bans that were set by mistake.
    fn lift(&mut self, lift: &ClearPenalties) -> ClearedPenalties;
    /// Does what can wait until the generation is in the reload status.
    fn afterwards(&mut self, _posted: ReloadStatusSnapshot) {}
    /// Returns the number of the active generation.
    fn generation(&self) -> u64;
    /// Returns the members whose files are not active.
    fn members_refused(&self) -> MembersRefused {
        MembersRefused::default()
    }
}

/// Maximum of readings in a row that each find folders without a watch.
const FOLLOWS_MAX: u32 = 3;

/// The implementation for real policies.
pub(crate) struct LivePolicyBackend {
    pub(crate) loader: PolicyLoader,
    pub(crate) handle: Arc<RuleSetHandle>,
    pub(crate) totals: Arc<DecisionTotals>,
    pub(crate) levels: Levels,
    pub(crate) now: Now,
    /// Files in place of pinned ones.
    pub(crate) standing: Standing,
    /// The rows of the active generation.
    pub(crate) known: Known,
    pub(crate) archive: GenerationStore,
    pub(crate) scribe: BackgroundWriter,
    /// Lists and files of the last published generation that are not stored yet.
    pub(crate) stock: Option<(PublishedLists, Vec<FileBlob>)>,
    pub(crate) watch: Arc<Mutex<PolicyWatcher>>,
    /// Members whose files were changing in the last reading: the next does not wait for them.
    pub(crate) restless: Vec<Box<str>>,
    pub(crate) members: Arc<Members>,
    /// Digest of the operator's files in the last reading.
    pub(crate) hosts: Option<[u8; 32]>,
}

impl LivePolicyBackend {
    /// Reads, and watches the folders of the reading. Files that were saved before their folder was
    /// watched are read again.
    fn read(
        &self,
        how: impl Fn(&PolicyLoader, &Standing) -> Result<Draft, PolicyRejection>,
    ) -> Result<Draft, PolicyRejection> {
        let mut draft = how(&self.loader, &self.standing)?;
        for _ in 1..FOLLOWS_MAX {
            let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
            if !watch.follow(&self.loader.folders()) {
                break;
            }
            drop(watch);
            draft = how(&self.loader, &self.standing)?;
        }
        Ok(draft)
    }

    fn read_beside(&self, beside: Option<Beside<'_>>) -> Result<Draft, PolicyRejection> {
        self.read(|loader, standing| match beside {
            Some(Beside { aside, serves }) => loader.gather_beside(standing, aside, serves),
            None => Ok(Draft::of(loader.gather())),
        })
    }
}

impl PolicyBackend for LivePolicyBackend {
    type Draft = Draft;
    type Ready = Ready;

    fn gather(&mut self, patience: Patience, beside: Option<Beside<'_>>) -> Result<Draft, NotRead> {
        let mut draft = self.read_beside(beside).map_err(NotRead::Refused)?;
        if self.loader.is_stopped() {
            return Err(NotRead::Unsettled);
        }
        match patience {
            Patience::None => draft.sources.unsettle_changing(),
            Patience::Some => {
                for name in &self.restless {
                    let member = draft.sources.member(name);
                    if member.is_some_and(|member| member.reached().changing()) {
                        draft.sources.unsettle(name);
                    }
                }
            }
        }
        if self.is_changing(&draft) { Err(NotRead::Unsettled) } else { Ok(draft) }
    }

    fn aside(&self, draft: &Draft) -> Option<RollbackPin> {
        draft.aside.clone()
    }

    fn reads_as(
        &mut self,
        draft: &mut Draft,
        patience: Patience,
        beside: Option<Beside<'_>>,
    ) -> bool {
        let Ok(again) = self.read_beside(beside) else { return false };
        if self.loader.is_stopped() {
            return false;
        }
        let mut settled = draft.sources.clone();
        if again.aside != draft.aside || !settled.unsettle_differing(&again.sources) {
            return false;
        }
        let unsettled: Vec<Box<str>> = settled.unsettled().map(Box::from).collect();
        if patience == Patience::Some && unsettled.iter().any(|name| !self.restless.contains(name))
        {
            return false;
        }
        self.restless = unsettled;
        draft.sources = settled;
        true
    }

    fn is_restless(&self, draft: &Draft) -> bool {
        draft.sources.unsettled().next().is_some()
    }

    fn is_unfinished(&self) -> bool {
        !self.handle.load().rules.postponed().is_empty()
    }

    fn digest(&self, draft: &Draft) -> [u8; 32] {
        self.loader.digest(&draft.sources)
    }

    fn recall(
        &mut self,
        past: &Past,
        back: &Back,
        beside: Beside<'_>,
    ) -> Result<Draft, PolicyRejection> {
        let Beside { aside, serves } = beside;
        self.read(|loader, standing| loader.gather_back(standing, (past, back), (aside, serves)))
    }

    fn try_again(&mut self, is_asked: bool) {
        self.loader.try_again(is_asked);
    }

    fn is_changing(&self, draft: &Draft) -> bool {
        draft.changing || draft.sources.changing()
    }

    fn assemble(&mut self, read: &Draft) -> Result<Ready, PolicyRejection> {
        let Draft { sources: draft, must, .. } = read;
        let live = self.handle.load();
        // A part that did not fit the operator's policy may fit another one.
        let hosts = Some(draft.host_digest());
        let is_other = self.hosts.replace(draft.host_digest()) != hosts;
        let good = self.members.good(&self.loader, draft);
        let waits = |name: &str| live.rules.postponed().iter().any(|waits| **waits == *name);
        let good = |name: &str| match &read.back {
            Some(_) => self.loader.had(&self.standing, read, name),
            None if is_other || waits(name) => good(name),
            None => None,
        };
        let terms = Terms { good: &good, ..Terms::new(Some(&live.rules), Effort::Reload) };
        let judged = self.loader.build_to_run(draft, terms).judged(draft);
        let judged = judged.and_then(|ready| match must {
            Some(name) => ready.with(name),
            None => Ok(ready),
        });
        if judged.is_err() {
            self.loader.running(&[&live.rules]);
        }
        if self.loader.is_stopped() { Err(stopped()) } else { judged }
    }

    fn publish(&mut self, ready: Ready, Draft { sources: draft, aside, .. }: &Draft) -> Published {
        let Ready { rules, mut warnings, tests, stock, members } = ready;
        let old = self.handle.load();
        let (made, blobs) = self.known.made(draft, &rules);
        if aside.as_ref().is_none_or(|aside| aside.host.is_none()) {
            self.standing.release();
        }
        let (state, report) = old.state.carry(rules.counter_specs());
        let generation = old.generation.next();
        let tally = Arc::new(DecisionCounters::new(rules.rule_names().len()));
        let (rules, state) = (Arc::new(rules), Arc::new(state));
        // Before new calls can begin, and while old ones end; an additional tick costs nothing.
        self.loader.running(&[&rules, &old.rules]);
        let live = ActiveGeneration { generation, rules, state: state.clone(), tally };
        // Levels are numbers within one generation: they must be known before its first request.
        self.levels.evaluate(&live);
        self.handle.publish(live);
        state.settle(&old.state);
        self.totals.retire(old.tally.clone());
        self.stock = Some((stock, blobs));
        let counters =
            counter_report::of(report, old.rules.outline(), self.handle.load().rules.outline());
        warnings.extend(bounded(self.members.came(Coming {
            rules: &self.handle.load().rules,
            sources: draft,
            states: &members,
            generation: generation.0,
            now: (self.now)(),
        })));
        Published { generation: generation.0, counters, warnings, tests, made }
    }

    fn lift(&mut self, lift: &ClearPenalties) -> ClearedPenalties {
        let (live, now) = (self.handle.load(), (self.now)());
        let (bans, state) = (live.state.bans(), &live.state);
        match lift {
            ClearPenalties::Rule(rule) => ClearedPenalties {
                bans: bans.remove_matching(|why| *why.rule == **rule, now),
                holds: state.clear_penalties(Some(rule), Tick::default(), now),
            },
            // A manual ban is not the mistake of a rule.
            ClearPenalties::Generations(numbers, since) => ClearedPenalties {
                bans: bans.remove_matching(
                    |why| *why.rule != *MANUAL_BAN && numbers.contains(&why.generation.0),
                    now,
                ),
                holds: state.clear_penalties(None, *since, now),
            },
        }
    }

    fn afterwards(&mut self, posted: ReloadStatusSnapshot) {
        if let Some((stock, blobs)) = self.stock.take() {
            self.archive.hold(&blobs);
            let archive = self.archive.clone();
            self.scribe.enqueue(move || archive.remember(posted, &blobs));
            let members = self.members.clone();
            self.scribe.enqueue(move || members.write());
            // The next read of a list may need its copy, so this is waited for.
            self.loader.put_away(&stock);
        }
    }

    fn generation(&self) -> u64 {
        self.handle.load().generation.0
    }

    fn members_refused(&self) -> MembersRefused {
        self.members.refused()
    }
}
