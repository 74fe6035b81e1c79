//! The evaluation of a request: the only code that makes a decision.
//!
//! The order is `ban → guarantee → floor → site → defaults → decide → origin`. In each layer the
//! steps run in source order, and the first final action ends the evaluation. The proxy, tests and
//! replay use this code: the same facts, state and time give the same decision. Each part of the
//! policy has its own fuel (`fuel`). If a member's fuel is exhausted, the member's part is skipped.
//! If the operator's is exhausted, the response is 503.

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

/// The result of a rule or limit that the evaluation reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleOutcome {
    /// The current level is below its level.
    BelowLevel,
    /// Its `expires` date has passed.
    Expired,
    /// Its condition is false.
    Unmet,
    /// Its `unless` is true.
    Excused,
    /// The limit is not exceeded.
    Within,
    /// A shadow rule that would have acted.
    Shadowed,
    /// It applied, with a final action or without.
    Applied,
}

/// Receives the events of an evaluation. `&()` ignores them.
pub trait Observer {
    /// The evaluation reached a rule, limit or decision table, with this result. Called before its
    /// actions.
    fn considered(&self, _rule: RuleId, _fate: RuleOutcome) {}

    /// A shadow rule or limit would have acted.
    fn shadowed(&self, _rule: RuleId) {}

    /// A rule or limit applied, with a final action or without.
    fn applied(&self, _rule: RuleId) {}

    /// A rule or limit that applied requests a log line.
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

/// The cost of a decision in fuel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Fuel of the operator's rules.
    pub host: u64,
    /// Fuel of the member's rules.
    pub member: u64,
    /// Whether the member's rules were skipped because their fuel was exhausted.
    pub is_passed_over: bool,
}

/// The result of one layer.
type LayerResult = Option<Decision>;

/// A decision, and the counts of the request in flight until its end.
#[derive(Debug)]
pub struct Judged {
    /// The decision.
    pub decision: Decision,
    /// Counts of `concurrent` limits; empty unless the request goes to its origin.
    pub units: Units,
}

/// The retry time after a full limit on requests in flight. The end of those requests is not known.
const CONCURRENT_RETRY_MS: u64 = 1_000;

/// The decision if the operator's fuel is exhausted.
const OUT_OF_FUEL: Decision = Decision {
    verdict: Verdict::Block { status: 503, retry_after_ms: None },
    reason: Reason::OutOfFuel,
};

/// A request on its way through the layers.
struct LayerWalk<'l, 'j> {
    judging: &'l EvalContext<'j>,
    /// `None` if all rules are evaluated without an index.
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
    /// Decides about one request as if it had ended immediately: it does not count for `concurrent`
    /// limits.
    #[must_use]
    pub fn decide(&self, facts: &Facts<'_>, state: &State, now: Tick) -> Decision {
        self.judge(facts, state, now, &()).decision
    }

    /// Decides about one request and reports events to an observer. The request counts as in flight
    /// as long as the returned value exists.
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

    /// Returns the decision and the fuel of the operator's and of the member's rules.
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

    /// Decides without an index, rule by rule. It is the reference for the evaluation with an
    /// index, and reports every rule to the observer.
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
            // A rejected request is no longer in flight.
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

    /// Feeds tracks: before the layers with every request without an active ban, and at the end of
    /// a response.
    pub(crate) fn feed_when(&self, judging: &EvalContext<'_>, on_response: bool) {
        let site = judging.site.and_then(|at| self.program.sites.get(at));
        let counted = |feed: &&Feed| feed.on_response == on_response;
        for feed in self.program.feeds.iter().filter(counted) {
            let _fed = self.feed(feed, judging);
        }
        // A member's tracks count requests to the member's hosts only.
        for feed in site.iter().flat_map(|site| &site.feeds).filter(counted) {
            let _fed = judging.for_site(|| self.feed(feed, judging));
        }
    }

    /// Feeds one track. Returns `None` without a key, or if the fuel is exhausted.
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

    /// Evaluates one layer of the operator.
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

    /// Evaluates the steps of the site's layer.
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
            // Tags and scores of the skipped part must not affect later layers.
            judging.forget(said);
            None
        })
    }

    /// Evaluates the operator's defaults with the changes of the site.
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

    /// Evaluates the operator's default at `at` with the change of the site. If the member's own
    /// exception needs more fuel than remains, the default applies unchanged.
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

    /// Returns the result of the first step that decides. The evaluation of all steps is the
    /// reference for the index and the base of `explain`.
    fn first_of<'j, O: Observer>(
        &'j self,
        mut steps: impl Iterator<Item = &'j Step>,
        judging: &EvalContext<'j>,
        observer: &O,
    ) -> LayerResult {
        steps.find_map(|step| self.step(step, None, judging, observer))
    }

    /// Returns the result of one step. `hosts` is the operator's step that a member has adjusted.
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

    /// Adds a ban: on all hosts from `floor`, on the member's hosts from a `site` block.
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
        // The ban table itself counts a full table and an exempted client.
        let _added = judging.state.bans().add(unit, for_ms, why, scope, judging.now);
    }

    /// Returns whether a step applies; for an exceeded limit, the milliseconds until the next
    /// attempt. Returns `None` if the fuel is exhausted.
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
        // A result without fuel is not valid.
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

    /// Returns whether an `unless` holds; `None` if the fuel is exhausted. A member's addition to
    /// the operator's step uses the member's fuel.
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

    /// Checks a limit. If it is exceeded, returns the milliseconds until the next attempt. Returns
    /// `None` also if the state has no such limit, which never occurs with a state for this rule
    /// set.
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

    /// Returns a final action as a verdict; `None` if the request satisfies it and the evaluation
    /// continues.
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
            // For an exceeded limit, the limit checked the pass: a pass older than the hold is not
            // valid.
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

    /// Returns the result of the decision table: the first matching line, else `otherwise`, else
    /// the origin.
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
