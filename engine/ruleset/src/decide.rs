//! The only place that judges.
//!
//! `ban → guarantee → floor → site → defaults → decide → origin` (LANGUAGE §8). In each layer the
//! steps are taken in page order, and the first final action ends the walk. Proxy, tests and replay
//! all come through here: same facts, same state, same time, same answer.

use seawall_model::{Decision, Facts, PassKind, Prefix, Reason, RuleId, Tick, Verdict};
use seawall_policy::program::{
    Adjusted, BanUnit as Unit, Counts, Effect, Final, LevelId, LimitStep, Step, Then,
};
use seawall_policy::run::{Context, Value};
use seawall_state::{BanOrigin, BanScope, BanUnit, Hold, Outcome, Rate, State, Tally, Terms};

use crate::context::{Given, Judging};
use crate::plan::{HostLayer, HostWalk};
use crate::ruleset::RuleSet;

/// What became of a rule or limit that the walk came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stands under a level that is not reached.
    BelowLevel,
    /// Its `expires` is over.
    Expired,
    /// Its condition is false.
    Unmet,
    /// Its `unless` is true.
    Excused,
    /// A limit that is not exceeded.
    Within,
    /// In `shadow`, it would have acted.
    Shadowed,
    /// It applied, finally or not.
    Applied,
}

/// What is told of a walk while it happens. Whoever does not want to know passes `&()`.
pub trait Observer {
    /// The walk came to a rule, limit or decision table, and this became of it. Told before what it
    /// does is done.
    fn considered(&self, _rule: RuleId, _fate: Fate) {}

    /// A rule or limit in `shadow` would have acted.
    fn shadowed(&self, _rule: RuleId) {}

    /// A rule or limit applied, finally or not.
    fn applied(&self, _rule: RuleId) {}
}

impl Observer for () {}

impl Observer for Tally {
    fn shadowed(&self, rule: RuleId) {
        Self::shadowed(self, rule);
    }

    fn applied(&self, rule: RuleId) {
        Self::hit(self, rule);
    }
}

/// What the walk says of one layer.
type Walked = Option<Decision>;

/// A request on its way through the layers.
struct Layers<'l, 'j> {
    judging: &'l Judging<'j>,
    /// None where rule after rule is asked.
    indexed: Option<HostWalk<'l>>,
}

impl<'l, 'j> Layers<'l, 'j> {
    fn new(rules: &'l RuleSet, judging: &'l Judging<'j>) -> Self {
        let plain = judging.given.plain || judging.trace.is_some();
        let indexed = (!plain).then(|| rules.plan.host(judging.given.level));
        Self { judging, indexed }
    }
}

impl RuleSet {
    /// Judges one request.
    #[must_use]
    pub fn decide(&self, facts: &Facts<'_>, state: &State, now: Tick) -> Decision {
        self.decide_observed(facts, state, now, &())
    }

    /// The same, and tells an observer what happens on the way.
    pub fn decide_observed<O: Observer>(
        &self,
        facts: &Facts<'_>,
        state: &State,
        now: Tick,
        observer: &O,
    ) -> Decision {
        let given = Given::at(LevelId(state.level(facts.site)));
        self.decide_given(&mut Judging::new(self, facts, state, now, given), observer)
    }

    /// The same without an index: rule after rule, as the page reads. It is the reference that the
    /// indexed walk is held against, and tells the observer of every rule on the way.
    pub fn decide_plainly<O: Observer>(
        &self,
        facts: &Facts<'_>,
        state: &State,
        now: Tick,
        observer: &O,
    ) -> Decision {
        let given = Given { plain: true, ..Given::at(LevelId(state.level(facts.site))) };
        self.decide_given(&mut Judging::new(self, facts, state, now, given), observer)
    }

    pub(crate) fn decide_given<'j, O: Observer>(
        &'j self,
        judging: &mut Judging<'j>,
        observer: &O,
    ) -> Decision {
        let banned = Decision { verdict: Verdict::Drop, reason: Reason::Banned };
        if self.banned(judging, BanScope::Host) {
            return banned;
        }
        judging.site = self.sites.find(judging.facts.host).copied();
        let site = judging.site.and_then(|at| self.program.sites.get(at));
        judging.tenant = site.and_then(|site| site.tenant.as_deref());
        let judging = &*judging;
        self.feed_when(judging, false);
        if let Some(trace) = judging.trace {
            // Tests of tracks belong to no rule.
            trace.forget();
        }
        let own = site.map_or(&[][..], |site| &site.steps);
        let adjusted = site.and_then(|site| site.defaults.as_ref());
        let mut layers = Layers::new(self, judging);
        self.walk(&self.program.guarantee, HostLayer::Guarantee, &mut layers, observer)
            .or_else(|| self.walk(&self.program.floor, HostLayer::Floor, &mut layers, observer))
            .or_else(|| {
                let member = BanScope::Member(&site?.space);
                self.banned(judging, member).then_some(banned)
            })
            .or_else(|| self.walk_own(own, &layers, observer))
            .or_else(|| match adjusted {
                None => {
                    self.walk(&self.program.defaults, HostLayer::Defaults, &mut layers, observer)
                }
                Some(adjusted) => self.walk_adjusted(adjusted, &mut layers, observer),
            })
            .unwrap_or_else(|| self.table(judging, observer))
    }

    fn banned(&self, judging: &Judging<'_>, scope: BanScope<'_>) -> bool {
        let facts = judging.facts;
        judging.state.bans().covers(&facts.client, facts.geo.asn, scope, judging.now).is_some()
    }

    /// Feeds tracks: before the layers run with every request that no ban refused, and when an
    /// answer has ended.
    pub(crate) fn feed_when(&self, judging: &Judging<'_>, on_response: bool) {
        // A member's tracks see the member's hosts only.
        let site = judging.site.and_then(|at| self.program.sites.get(at));
        let feeds = self.program.feeds.iter().chain(site.iter().flat_map(|site| &site.feeds));
        for feed in feeds.filter(|feed| feed.on_response == on_response) {
            let Some(counter) = self.program.counters.get(feed.counter.0 as usize) else {
                continue;
            };
            if !self.program.holds(feed.condition, judging) {
                continue;
            }
            let Some(key) = judging.key(feed.counter, false) else { continue };
            let Some(table) = judging.state.track(feed.counter) else { continue };
            let distinct = match counter.counts {
                Counts::Distinct(operand) => match self.program.value(operand, judging) {
                    Value::Absent => continue,
                    value => Some(judging.value_key(&value)),
                },
                _ => None,
            };
            let amount = match counter.counts {
                Counts::Bytes(field) => match judging.field(field) {
                    Value::Int(bytes) => u64::try_from(bytes).unwrap_or(0),
                    _ => continue,
                },
                _ => 1,
            };
            table.feed(key, amount, distinct, counter.window_ms, judging.now);
        }
    }

    /// One layer of the host.
    fn walk<'j, O: Observer>(
        &'j self,
        steps: &'j [Step],
        layer: HostLayer,
        layers: &mut Layers<'_, 'j>,
        observer: &O,
    ) -> Walked {
        let judging = layers.judging;
        let Some(walk) = &mut layers.indexed else {
            return self.first_of(steps.iter(), judging, observer);
        };
        let found = || steps.get(walk.next(layer, &self.program, judging)?);
        self.first_of(std::iter::from_fn(found), judging, observer)
    }

    /// `defaults`, as a site has adjusted them: what it has disabled is passed over.
    fn walk_adjusted<'j, O: Observer>(
        &'j self,
        adjusted: &'j Adjusted,
        layers: &mut Layers<'_, 'j>,
        observer: &O,
    ) -> Walked {
        let judging = layers.judging;
        let steps = &self.program.defaults;
        let Some(walk) = &mut layers.indexed else {
            return self.first_of(adjusted.steps(steps), judging, observer);
        };
        let places = || walk.next(HostLayer::Defaults, &self.program, judging);
        let found = std::iter::from_fn(places).filter_map(|at| adjusted.step(steps, at));
        self.first_of(found, judging, observer)
    }

    /// A member's own steps.
    fn walk_own<'j, O: Observer>(
        &'j self,
        steps: &'j [Step],
        layers: &Layers<'_, 'j>,
        observer: &O,
    ) -> Walked {
        let judging = layers.judging;
        if layers.indexed.is_none() {
            return self.first_of(steps.iter(), judging, observer);
        }
        let mut walk = self.plan.site(judging.site?, judging.given.level)?;
        let found = || steps.get(walk.next(u32::MAX, &self.program, judging)? as usize);
        self.first_of(std::iter::from_fn(found), judging, observer)
    }

    /// What the first of these steps that decides says. All steps of a layer are what the indexed
    /// walk is held against, and what `explain` tells of.
    fn first_of<'j, O: Observer>(
        &'j self,
        mut steps: impl Iterator<Item = &'j Step>,
        judging: &Judging<'j>,
        observer: &O,
    ) -> Walked {
        steps.find_map(|step| self.step(step, judging, observer))
    }

    fn step<'j, O: Observer>(
        &'j self,
        step: &'j Step,
        judging: &Judging<'j>,
        observer: &O,
    ) -> Walked {
        let (fate, retry_after_ms) = self.fate(step, judging);
        observer.considered(step.rule, fate);
        match fate {
            Fate::Applied => {}
            Fate::Shadowed => {
                observer.shadowed(step.rule);
                return None;
            }
            _ => return None,
        }
        for effect in &step.then.effects {
            match effect {
                Effect::Tag(tag) => judging.add_tag(tag),
                Effect::Score(n) => judging.add_score(*n),
                // What is logged is a count: whatever a request holds stays out of logs.
                Effect::Log(_) => {}
            }
        }
        observer.applied(step.rule);
        let last = step.then.last.as_ref()?;
        let verdict = self.verdict(last, retry_after_ms, judging)?;
        if let Final::Ban { for_ms, unit } = last {
            self.ban(step.rule, *for_ms, *unit, judging);
        }
        Some(Decision { verdict, reason: Reason::Rule(step.rule) })
    }

    /// Sets a ban: host-wide from `floor`, on the member's hosts from a `site`.
    fn ban(&self, rule: RuleId, for_ms: u64, unit: Unit, judging: &Judging<'_>) {
        let client = &judging.facts.client;
        let unit = match unit {
            Unit::Client => BanUnit::Net(client.key.0),
            Unit::Ip => BanUnit::Net(Prefix::host(client.ip)),
            Unit::Net => BanUnit::Net(client.net),
            Unit::Asn => match judging.facts.geo.asn {
                Some(asn) => BanUnit::Asn(asn),
                None => return,
            },
        };
        let name = self.name(Reason::Rule(rule));
        let site = judging.site.and_then(|at| self.program.sites.get(at));
        let scope = match site {
            Some(site) if !name.starts_with("floor.") => BanScope::Member(&site.space),
            _ => BanScope::Host,
        };
        let why = BanOrigin { rule: name.into(), generation: judging.state.generation() };
        // A table without room, and a client that is never banned, are told by the table.
        let _added = judging.state.bans().add(unit, for_ms, why, scope, judging.now);
    }

    /// Whether a step applies; beyond a limit, the milliseconds until it may be tried again.
    fn fate(&self, step: &Step, judging: &Judging<'_>) -> (Fate, Option<u64>) {
        if judging.given.level < step.level {
            return (Fate::BelowLevel, None);
        }
        if step.expires.is_some_and(|end| end <= judging.now) {
            return (Fate::Expired, None);
        }
        if !self.program.holds(step.when, judging) {
            return (Fate::Unmet, None);
        }
        if step.unless.is_some() && self.program.holds(step.unless, judging) {
            return (Fate::Excused, None);
        }
        let retry_after_ms = match &step.limit {
            None => None,
            Some(limit) => match self.admit(limit, &step.then, judging) {
                Some(Outcome::Over { retry_after_ms, .. }) => Some(retry_after_ms),
                Some(Outcome::Within) | None => return (Fate::Within, None),
            },
        };
        (if step.shadow { Fate::Shadowed } else { Fate::Applied }, retry_after_ms)
    }

    /// Asks a limit. `None` where the state has no such limit, which a state made for this ruleset
    /// never has.
    fn admit(&self, limit: &LimitStep, then: &Then, judging: &Judging<'_>) -> Option<Outcome> {
        let table = judging.state.limit(limit.counter)?;
        let key = judging.key(limit.counter, true)?;
        let rate = Rate { n: limit.n, window_ms: limit.window_ms, burst: limit.burst };
        let hold =
            limit.hold_ms.map(|for_ms| Hold { for_ms, doubling_to_ms: limit.doubling_to_ms });
        let pass = match (&then.last, judging.facts.pass) {
            (Some(Final::Challenge { kind, .. }), Some(pass)) if pass.kind >= *kind => {
                Some(pass.issued)
            }
            _ => None,
        };
        let terms = Terms { rate: &rate, hold: hold.as_ref(), pass };
        Some(table.admit_on(key, &terms, judging.now))
    }

    /// A final action as a verdict; `None` where the request satisfies it and the walk goes on.
    fn verdict(
        &self,
        last: &Final,
        retry_after_ms: Option<u64>,
        judging: &Judging<'_>,
    ) -> Option<Verdict> {
        let satisfied = |kind: PassKind| judging.facts.pass.is_some_and(|pass| pass.kind >= kind);
        Some(match last {
            Final::Allow => Verdict::Allow,
            Final::Block { status, .. } => Verdict::Block { status: *status, retry_after_ms },
            Final::Drop => Verdict::Drop,
            Final::Ban { for_ms, .. } => Verdict::Ban { for_ms: *for_ms },
            // Beyond a limit the pass was weighed by the limit: one older than the hold is none.
            Final::Challenge { kind, .. } if retry_after_ms.is_none() && satisfied(*kind) => {
                return None;
            }
            Final::Challenge { kind, valid_ms } => {
                Verdict::Challenge { kind: *kind, valid_ms: *valid_ms }
            }
            Final::Throttle { counter, n, window_ms } => {
                let key = judging.key(*counter, true)?;
                let rate = Rate { n: *n, window_ms: *window_ms, burst: 0 };
                match judging.state.limit(*counter)?.admit(key, &rate, None, judging.now) {
                    Outcome::Within => return None,
                    Outcome::Over { retry_after_ms, .. } => Verdict::Throttle { retry_after_ms },
                }
            }
            Final::Tarpit { hold_ms } => Verdict::Tarpit { hold_ms: *hold_ms },
        })
    }

    /// The decision table: the first line that holds, else `otherwise`, else the origin.
    fn table<O: Observer>(&self, judging: &Judging<'_>, observer: &O) -> Decision {
        let unopposed = Decision { verdict: Verdict::Allow, reason: Reason::Unopposed };
        let Some(table) = &self.program.decide else { return unopposed };
        let lines = table.thresholds.iter();
        let line = lines.filter(|(when, _)| self.program.holds(Some(*when), judging));
        let verdict = line
            .map(|(_, last)| last)
            .chain(std::iter::once(&table.otherwise))
            .find_map(|last| self.verdict(last, None, judging));
        observer.considered(table.rule, Fate::Applied);
        observer.applied(table.rule);
        match verdict {
            Some(verdict) => Decision { verdict, reason: Reason::Rule(table.rule) },
            None => unopposed,
        }
    }
}
