//! The only place that judges.
//!
//! `ban → guarantee → floor → site → defaults → decide → origin` (LANGUAGE §8). In each layer the
//! steps are taken in page order, and the first final action ends the walk. Proxy, tests and replay
//! all come through here: same facts, same state, same time, same answer. Each part of the policy
//! runs on fuel of its own (`fuel`): where a member's is empty the walk goes on as if she had no part,
//! where the host's is the request is answered 503.

use seawall_model::{CounterId, Decision, Facts, PassKind, Prefix, Reason, RuleId, Tick, Verdict};
use seawall_policy::eval::{Context, Value};
use seawall_policy::fuel::price;
use seawall_policy::program::{
    Adjusted, BanUnit as Unit, CondId, Counter, Counts, Effect, Feed, Final, LevelId, LimitStep,
    LimitTerms, RateTerms, RuleEffect, Step,
};
use seawall_state::{
    BanOrigin, BanScope, BanTarget, DecisionCounters, Entered, Key, Penalty, Rate, RateLimitConfig,
    RateLimitOutcome, State,
};

use crate::eval::context::{EvalContext, EvalOptions, Units};
use crate::eval::index_plan::{HostIndexWalk, ServerLayer};
use crate::ruleset::RuleSet;

/// What became of a rule or limit that the walk came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleOutcome {
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
    fn considered(&self, _rule: RuleId, _fate: RuleOutcome) {}

    /// A rule or limit in `shadow` would have acted.
    fn shadowed(&self, _rule: RuleId) {}

    /// A rule or limit applied, finally or not.
    fn applied(&self, _rule: RuleId) {}

    /// A rule or limit that applied asks for a line in the log.
    fn logged(&self, _rule: RuleId, _text: Option<&str>) {}
}

impl Observer for () {}

impl Observer for DecisionCounters {
    fn shadowed(&self, rule: RuleId) {
        Self::shadowed(self, rule);
    }

    fn applied(&self, rule: RuleId) {
        Self::hit(self, rule);
    }
}

/// What a decision cost, in fuel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// The host's rules.
    pub host: u64,
    /// The member's rules.
    pub member: u64,
    /// Whether the member's were passed over since theirs was empty.
    pub is_passed_over: bool,
}

/// What the walk says of one layer.
type LayerResult = Option<Decision>;

/// A decision, and what counts as under way until its request has ended.
#[derive(Debug)]
pub struct Judged {
    /// The decision.
    pub decision: Decision,
    /// Of limits that say `concurrent`; empty unless the request goes to its origin.
    pub units: Units,
}

/// After so long a request that found a limit of requests under way full is told to try again: when
/// one of them will end is not known.
const CONCURRENT_RETRY_MS: u64 = 1_000;

/// What is said where the host's fuel is empty.
const OUT_OF_FUEL: Decision = Decision {
    verdict: Verdict::Block { status: 503, retry_after_ms: None },
    reason: Reason::OutOfFuel,
};

/// A request on its way through the layers.
struct LayerWalk<'l, 'j> {
    judging: &'l EvalContext<'j>,
    /// None where rule after rule is asked.
    indexed: Option<HostIndexWalk<'l>>,
}

impl<'l, 'j> LayerWalk<'l, 'j> {
    fn new(rules: &'l RuleSet, judging: &'l EvalContext<'j>) -> Self {
        let plain = judging.given.plain || judging.trace.is_some();
        let indexed = (!plain).then(|| rules.plan.host(judging.given.level));
        Self { judging, indexed }
    }
}

impl RuleSet {
    /// Judges one request, as if it had ended at once: it takes no part in limits that say
    /// `concurrent` from then on.
    #[must_use]
    pub fn decide(&self, facts: &Facts<'_>, state: &State, now: Tick) -> Decision {
        self.judge(facts, state, now, &()).decision
    }

    /// Judges one request that counts as under way for as long as what is returned is kept, and tells
    /// an observer what happens on the way.
    pub fn judge<O: Observer>(
        &self,
        facts: &Facts<'_>,
        state: &State,
        now: Tick,
        observer: &O,
    ) -> Judged {
        let given = EvalOptions::at(LevelId(state.level(facts.site)));
        let mut judging = EvalContext::new(self, facts, state, now, given);
        let decision = self.decide_given(&mut judging, observer);
        Judged { decision, units: judging.units.into_inner() }
    }

    /// The same, and says how much fuel the host's rules took, and the member's.
    #[must_use]
    pub fn decide_metered(&self, facts: &Facts<'_>, state: &State, now: Tick) -> (Decision, Spent) {
        let given = EvalOptions::at(LevelId(state.level(facts.site)));
        let mut judging = EvalContext::new(self, facts, state, now, given);
        let decision = self.decide_given(&mut judging, &());
        let (host, member) = (&judging.fuel, &judging.others_fuel);
        let spent = Spent {
            host: self.fuel.decision.saturating_sub(host.left()),
            member: self.fuel.member.saturating_sub(member.left()),
            is_passed_over: member.is_empty(),
        };
        (decision, spent)
    }

    /// The same without an index: rule after rule, as the page reads. It is the reference that the
    /// indexed walk is held against, and tells the observer of every rule on the way.
    pub fn decide_without_index<O: Observer>(
        &self,
        facts: &Facts<'_>,
        state: &State,
        now: Tick,
        observer: &O,
    ) -> Decision {
        let given =
            EvalOptions { plain: true, ..EvalOptions::at(LevelId(state.level(facts.site))) };
        self.decide_given(&mut EvalContext::new(self, facts, state, now, given), observer)
    }

    pub(crate) fn decide_given<'j, O: Observer>(
        &'j self,
        judging: &mut EvalContext<'j>,
        observer: &O,
    ) -> Decision {
        let banned = Decision { verdict: Verdict::Drop, reason: Reason::Banned };
        if self.banned(judging, BanScope::Host) {
            return banned;
        }
        judging.find_site();
        let judging = &*judging;
        self.feed_when(judging, false);
        if let Some(trace) = judging.trace {
            // Tests of tracks belong to no rule.
            trace.forget();
        }
        let decision = self.layers(judging, observer);
        if decision.verdict != Verdict::Allow || judging.fuel.is_empty() {
            // What is refused is under way no longer.
            judging.units.borrow_mut().clear();
        }
        if !judging.fuel.is_empty() {
            return decision;
        }
        if !judging.given.rehearsed {
            self.parts.note_refused();
        }
        OUT_OF_FUEL
    }

    fn layers<'j, O: Observer>(&'j self, judging: &EvalContext<'j>, observer: &O) -> Decision {
        let banned = Decision { verdict: Verdict::Drop, reason: Reason::Banned };
        let site = judging.site.and_then(|at| self.program.sites.get(at));
        let own = site.map_or(&[][..], |site| &site.steps);
        let mut layers = LayerWalk::new(self, judging);
        self.walk(&self.program.guarantee, ServerLayer::Guarantee, &mut layers, observer)
            .or_else(|| self.walk(&self.program.floor, ServerLayer::Floor, &mut layers, observer))
            .or_else(|| {
                let member = BanScope::Member(&site?.space);
                self.banned(judging, member).then_some(banned)
            })
            .or_else(|| self.walk_own(own, &layers, observer))
            .or_else(|| self.walk_defaults(&mut layers, observer))
            .unwrap_or_else(|| self.table(judging, observer))
    }

    fn banned(&self, judging: &EvalContext<'_>, scope: BanScope<'_>) -> bool {
        let facts = judging.facts;
        judging.state.bans().covers(&facts.client, facts.geo.asn, scope, judging.now).is_some()
    }

    /// Feeds tracks: before the layers run with every request that no ban refused, and when an
    /// answer has ended.
    pub(crate) fn feed_when(&self, judging: &EvalContext<'_>, on_response: bool) {
        let site = judging.site.and_then(|at| self.program.sites.get(at));
        let counted = |feed: &&Feed| feed.on_response == on_response;
        for feed in self.program.feeds.iter().filter(counted) {
            let _fed = self.feed(feed, judging);
        }
        // A member's tracks see the member's hosts only.
        for feed in site.iter().flat_map(|site| &site.feeds).filter(counted) {
            let _fed = judging.for_site(|| self.feed(feed, judging));
        }
    }

    /// Feeds one track; `None` where there is nothing to feed it, or no fuel left.
    #[inline]
    fn feed(&self, feed: &Feed, judging: &EvalContext<'_>) -> Option<()> {
        let counter: &Counter = self.program.counters.get(feed.counter.0 as usize)?;
        let price = match counter.counts {
            Counts::Distinct(_) => price::COUNTER_HEAVY,
            _ if counter.heavy => price::COUNTER_HEAVY,
            _ => price::COUNTER,
        };
        if !judging.fuel().take(price) || !self.program.holds(feed.condition, judging) {
            return None;
        }
        let key = judging.key(feed.counter, false)?;
        let table = judging.state.track(feed.counter)?;
        let distinct = match counter.counts {
            Counts::Distinct(operand) => match self.program.value(operand, judging) {
                Value::Absent => return None,
                value => Some(judging.value_key(&value)),
            },
            _ => None,
        };
        let amount = match counter.counts {
            Counts::Bytes(field) => match judging.field(field) {
                Value::Int(bytes) => u64::try_from(bytes).unwrap_or(0),
                _ => return None,
            },
            _ => 1,
        };
        if judging.has_stopped() {
            return None;
        }
        table.feed(key, amount, distinct, counter.window_ms, judging.now);
        Some(())
    }

    /// One layer of the host.
    fn walk<'j, O: Observer>(
        &'j self,
        steps: &'j [Step],
        layer: ServerLayer,
        layers: &mut LayerWalk<'_, 'j>,
        observer: &O,
    ) -> LayerResult {
        let judging = layers.judging;
        let Some(walk) = &mut layers.indexed else {
            return self.first_of(steps.iter(), judging, observer);
        };
        let found = || steps.get(walk.next(layer, &self.program, judging)?);
        self.first_of(std::iter::from_fn(found), judging, observer)
    }

    /// The steps that there are for one site alone.
    fn walk_own<'j, O: Observer>(
        &'j self,
        steps: &'j [Step],
        layers: &LayerWalk<'_, 'j>,
        observer: &O,
    ) -> LayerResult {
        let judging = layers.judging;
        if steps.is_empty() || judging.fuel.is_empty() {
            return None;
        }
        let said = judging.said();
        let walked = judging.for_site(|| {
            if layers.indexed.is_none() {
                return self.first_of(steps.iter(), judging, observer);
            }
            let mut walk = self.plan.site(judging.site?, judging.given.level)?;
            let found = || steps.get(walk.next(u32::MAX, &self.program, judging)? as usize);
            self.first_of(std::iter::from_fn(found), judging, observer)
        });
        walked.unwrap_or_else(|| {
            // What she tagged and scored would speak for her further on.
            judging.forget(said);
            None
        })
    }

    /// The host's defaults, as the site has adjusted them.
    fn walk_defaults<'j, O: Observer>(
        &'j self,
        layers: &mut LayerWalk<'_, 'j>,
        observer: &O,
    ) -> LayerResult {
        let judging = layers.judging;
        let steps = &self.program.defaults;
        let site = judging.site.and_then(|at| self.program.sites.get(at));
        let adjusted = site.and_then(|site| site.defaults.as_ref());
        let mut at = 0_usize;
        loop {
            let found = match &mut layers.indexed {
                Some(walk) => walk.next(ServerLayer::Defaults, &self.program, judging)?,
                None => at,
            };
            let hosts = steps.get(found)?;
            at = found.saturating_add(1);
            let walked = match adjusted {
                None => self.step(hosts, None, judging, observer),
                Some(adjusted) => self.default_step((adjusted, found), hosts, judging, observer),
            };
            if walked.is_some() {
                return walked;
            }
        }
    }

    /// The host's default at `at`, as the site has adjusted it. Where the member's own exception from
    /// it costs more than she may spend, it holds as the host wrote it.
    fn default_step<'j, O: Observer>(
        &'j self,
        (adjusted, at): (&'j Adjusted, usize),
        hosts: &'j Step,
        judging: &EvalContext<'j>,
        observer: &O,
    ) -> LayerResult {
        if !judging.hears_site() {
            return self.step(hosts, None, judging, observer);
        }
        let own = match adjusted.own(at) {
            None => return self.step(hosts, None, judging, observer),
            Some(None) => return None,
            Some(Some(own)) => own,
        };
        let walked = self.step(own, Some(hosts), judging, observer);
        if judging.hears_site() {
            return walked;
        }
        self.step(hosts, None, judging, observer)
    }

    /// What the first of these steps that decides says. All steps of a layer are what the indexed
    /// walk is held against, and what `explain` tells of.
    fn first_of<'j, O: Observer>(
        &'j self,
        mut steps: impl Iterator<Item = &'j Step>,
        judging: &EvalContext<'j>,
        observer: &O,
    ) -> LayerResult {
        steps.find_map(|step| self.step(step, None, judging, observer))
    }

    /// What one step says; `hosts` is what a member has adjusted it from.
    fn step<'j, O: Observer>(
        &'j self,
        step: &'j Step,
        hosts: Option<&'j Step>,
        judging: &EvalContext<'j>,
        observer: &O,
    ) -> LayerResult {
        if !judging.fuel().take(price::STEP) {
            return None;
        }
        let (fate, retry_after_ms) = self.fate(step, hosts, judging)?;
        observer.considered(step.rule, fate);
        match fate {
            RuleOutcome::Applied => {}
            RuleOutcome::Shadowed => {
                observer.shadowed(step.rule);
                return None;
            }
            _ => return None,
        }
        for effect in &step.then.effects {
            if !judging.fuel().take(price::TEST) {
                return None;
            }
            match effect {
                Effect::Tag(tag) => judging.add_tag(tag),
                Effect::Score(n) => judging.add_score(*n),
                Effect::Log(text) => observer.logged(step.rule, text.as_deref()),
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
    fn ban(&self, rule: RuleId, for_ms: u64, unit: Unit, judging: &EvalContext<'_>) {
        let client = &judging.facts.client;
        let unit = match unit {
            Unit::Client => BanTarget::Net(client.key.0),
            Unit::Ip => BanTarget::Net(Prefix::host(client.ip)),
            Unit::Net => BanTarget::Net(client.net),
            Unit::Asn => match judging.facts.geo.asn {
                Some(asn) => BanTarget::Asn(asn),
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

    /// Whether a step applies; beyond a limit, the milliseconds until it may be tried again. `None`
    /// where that would cost more fuel than there is.
    fn fate(
        &self,
        step: &Step,
        hosts: Option<&Step>,
        judging: &EvalContext<'_>,
    ) -> Option<(RuleOutcome, Option<u64>)> {
        if judging.given.level < step.level {
            return Some((RuleOutcome::BelowLevel, None));
        }
        if step.expires.is_some_and(|end| end <= judging.now) {
            return Some((RuleOutcome::Expired, None));
        }
        if !self.program.holds(step.when, judging) {
            return Some((RuleOutcome::Unmet, None));
        }
        if step.unless.is_some() && self.is_excused(step, hosts, judging)? {
            return Some((RuleOutcome::Excused, None));
        }
        // What could not be paid for is not true.
        if judging.has_stopped() {
            return None;
        }
        let retry_after_ms = match &step.limit {
            None => None,
            Some(limit) => match self.admit(limit, &step.then, judging) {
                _ if judging.has_stopped() => return None,
                Some(retry_after_ms) => Some(retry_after_ms),
                None => return Some((RuleOutcome::Within, None)),
            },
        };
        Some((
            if step.shadow { RuleOutcome::Shadowed } else { RuleOutcome::Applied },
            retry_after_ms,
        ))
    }

    /// Whether an `unless` holds; `None` where it costs more than there is. What a member has added
    /// to the host's runs on her fuel.
    fn is_excused(
        &self,
        step: &Step,
        hosts: Option<&Step>,
        judging: &EvalContext<'_>,
    ) -> Option<bool> {
        let holds =
            |unless: Option<CondId>| unless.is_some() && self.program.holds(unless, judging);
        let by_host = hosts.map_or(step.unless, |hosts| hosts.unless);
        let excused = holds(by_host);
        if judging.has_stopped() {
            return None;
        }
        if excused || step.unless == by_host {
            return Some(excused);
        }
        judging.for_site(|| holds(step.unless))
    }

    /// Asks a limit; beyond it, the milliseconds until it may be tried again. `None` also where the
    /// state has no such limit, which a state made for this ruleset never has.
    fn admit(
        &self,
        limit: &LimitStep,
        then: &RuleEffect,
        judging: &EvalContext<'_>,
    ) -> Option<u64> {
        if !judging.fuel().take(price::COUNTER) {
            return None;
        }
        let key = judging.key(limit.counter, true)?;
        match &limit.terms {
            LimitTerms::Rate(rate) => {
                match self.within_rate(limit.counter, (key, rate), then, judging)? {
                    RateLimitOutcome::Exceeded { retry_after_ms, .. } => Some(retry_after_ms),
                    RateLimitOutcome::Allowed => None,
                }
            }
            LimitTerms::Concurrent { n } => {
                match judging.state.concurrent(limit.counter)?.enter(key, *n) {
                    Entered::Over => Some(CONCURRENT_RETRY_MS),
                    Entered::Within(unit) => {
                        judging.units.borrow_mut().extend(unit);
                        None
                    }
                }
            }
        }
    }

    fn within_rate(
        &self,
        counter: CounterId,
        (key, terms): (Key, &RateTerms),
        then: &RuleEffect,
        judging: &EvalContext<'_>,
    ) -> Option<RateLimitOutcome> {
        let rate = Rate { n: terms.n, window_ms: terms.window_ms, burst: terms.burst };
        let hold =
            terms.hold_ms.map(|for_ms| Penalty { for_ms, doubling_to_ms: terms.doubling_to_ms });
        let pass = match (&then.last, judging.facts.pass) {
            (Some(Final::Challenge { kind, .. }), Some(pass)) if pass.kind >= *kind => {
                Some(pass.issued)
            }
            _ => None,
        };
        let terms = RateLimitConfig { rate: &rate, hold: hold.as_ref(), pass };
        Some(judging.state.limit(counter)?.admit_on(key, &terms, judging.now))
    }

    /// A final action as a verdict; `None` where the request satisfies it and the walk goes on.
    fn verdict(
        &self,
        last: &Final,
        retry_after_ms: Option<u64>,
        judging: &EvalContext<'_>,
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
                if !judging.fuel().take(price::COUNTER) {
                    return None;
                }
                let key = judging.key(*counter, true)?;
                let rate = Rate { n: *n, window_ms: *window_ms, burst: 0 };
                match judging.state.limit(*counter)?.admit(key, &rate, None, judging.now) {
                    RateLimitOutcome::Allowed => return None,
                    RateLimitOutcome::Exceeded { retry_after_ms, .. } => {
                        Verdict::Throttle { retry_after_ms }
                    }
                }
            }
            Final::Tarpit { hold_ms } => Verdict::Tarpit { hold_ms: *hold_ms },
        })
    }

    /// The decision table: the first line that holds, else `otherwise`, else the origin.
    fn table<O: Observer>(&self, judging: &EvalContext<'_>, observer: &O) -> Decision {
        let unopposed = Decision { verdict: Verdict::Allow, reason: Reason::Unopposed };
        let Some(table) = &self.program.decide else { return unopposed };
        let lines = table.thresholds.iter();
        let line = lines.filter(|(when, _)| self.program.holds(Some(*when), judging));
        let verdict = line
            .map(|(_, last)| last)
            .chain(std::iter::once(&table.otherwise))
            .find_map(|last| self.verdict(last, None, judging));
        observer.considered(table.rule, RuleOutcome::Applied);
        observer.applied(table.rule);
        match verdict {
            Some(verdict) => Decision { verdict, reason: Reason::Rule(table.rule) },
            None => unopposed,
        }
    }
}
