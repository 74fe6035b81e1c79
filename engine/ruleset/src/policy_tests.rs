//! Runs the tests of a policy with the code that evaluates real requests.
//!
//! Each test starts with empty state, at a fixed time and with a fixed secret, so that it gives the
//! same result on every machine and every day.

pub(crate) mod budget;
pub(crate) mod result;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use seawall_model::{
    Client, ClientKey, ConnectionInfo, Decision, Facts, Gauges, Geo, HeaderView, OriginHealth,
    Pass, PassKind, Reason, ResponseInfo, Scheme, Tick, Verdict, VerdictKind,
};
use seawall_policy::policy_test::{
    Expected, PolicyTest, TestClient, TestPass, TestRequest, TestStep,
};
use seawall_policy::program::{Level, LevelId, Scope};
use seawall_policy::schema::Type;
use seawall_policy::span::Span;
use seawall_state::{CounterSpec, Seed, State};

use crate::eval::context::{EvalContext, EvalOptions, GivenList, Units};
use crate::eval::decide::{Judged, Observer};
use crate::eval::level_inputs::{LEVEL_TICK_MS, LevelInputs};
use crate::eval::trace::TestTrace;
use crate::http::{normalize_host, normalize_path, script_of};
use crate::policy_tests::budget::{Budget, MEMBER_TEST_LOOKS_MAX, Stop, Whose};
use crate::policy_tests::result::{PolicyTestResult, Rehearsed};
use crate::ruleset::RuleSet;

/// The secret of all tests. Results do not depend on it, because keys do not collide.
const TEST_SEED: Seed = Seed(*b"the same tests!!");

/// The header fields of a test request.
struct TestHeaders<'r> {
    host: &'r str,
    listed: &'r [(Box<str>, Box<[u8]>)],
}

impl HeaderView for TestHeaders<'_> {
    fn any_value<'s>(&'s self, name: &str, visit: &mut dyn FnMut(&'s [u8]) -> bool) -> bool {
        (name == "host" && visit(self.host.as_bytes()))
            || self.listed.iter().any(|(key, value)| **key == *name && visit(value))
    }

    fn first(&self, name: &str) -> Option<&[u8]> {
        if name == "host" {
            return Some(self.host.as_bytes());
        }
        self.listed.iter().find(|(key, _)| **key == *name).map(|(_, value)| &**value)
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        visit(b"host", self.host.as_bytes());
        for (name, value) in self.listed {
            visit(name.as_bytes(), value);
        }
    }
}

impl RuleSet {
    /// Runs all tests of the policy.
    #[must_use]
    pub fn run_tests(&self) -> Vec<PolicyTestResult> {
        self.run_tests_observed(&())
    }

    /// Runs all tests and reports events to an observer.
    #[must_use]
    pub fn run_tests_observed<O: Observer>(&self, observer: &O) -> Vec<PolicyTestResult> {
        self.rehearse_cases(Whose::EVERYBODY, &|| true, observer).outcomes
    }

    /// Runs the tests of the selected owners while `go_on` returns true. It is called before each
    /// request.
    #[must_use]
    pub fn rehearse_within(&self, whose: Whose<'_>, go_on: &dyn Fn() -> bool) -> Rehearsed {
        self.rehearse_cases(whose, go_on, &())
    }

    fn rehearse_cases<O: Observer>(
        &self,
        whose: Whose<'_>,
        go_on: &dyn Fn() -> bool,
        observer: &O,
    ) -> Rehearsed {
        let mut groups: BTreeMap<Option<&str>, Vec<(usize, &PolicyTest)>> = BTreeMap::new();
        for (at, case) in self.program.cases.iter().enumerate() {
            if whose.means(case.member.as_deref()) {
                groups.entry(case.member.as_deref()).or_default().push((at, case));
            }
        }
        let mut ended: Vec<(usize, PolicyTestResult)> = Vec::new();
        let mut unfinished = Vec::new();
        for (member, cases) in groups {
            if !self.rehearse_group(member, &cases, (go_on, observer), &mut ended) {
                unfinished.push(member.map(Box::from));
            }
        }
        ended.sort_by_key(|(at, _)| *at);
        Rehearsed { outcomes: ended.into_iter().map(|(_, outcome)| outcome).collect(), unfinished }
    }

    /// Runs the tests of one owner. Returns whether all of them were completed.
    fn rehearse_group<O: Observer>(
        &self,
        member: Option<&str>,
        cases: &[(usize, &PolicyTest)],
        (go_on, observer): (&dyn Fn() -> bool, &O),
        ended: &mut Vec<(usize, PolicyTestResult)>,
    ) -> bool {
        let budget = member.map_or_else(|| Budget::host(go_on), |_| Budget::member(go_on));
        let withheld = member.map(|member| self.withheld(member)).unwrap_or_default();
        for (at, case) in cases {
            let mut run = TestRun::new(self, case, observer, &budget);
            run.withheld = &withheld;
            match self.rehearse_one(case, run) {
                Some(outcome) => ended.push((*at, outcome)),
                None => return false,
            }
        }
        true
    }

    /// Returns the lists that are empty in a member's tests unless the test replaces them: those of
    /// addresses, networks and countries of other owners. Lists of texts are not hidden, because a
    /// request to the member's hosts can read them anyway. A member cannot send requests from a
    /// foreign address.
    fn withheld(&self, member: &str) -> Vec<bool> {
        let own = |name: &str| name.strip_prefix(member).is_some_and(|rest| rest.starts_with('.'));
        self.program
            .lists
            .iter()
            .map(|list| list.element != Type::Str && !own(&list.name))
            .collect()
    }

    /// Returns the result of a test; `None` if it was stopped.
    fn rehearse_one<O: Observer>(
        &self,
        case: &PolicyTest,
        mut run: TestRun<'_, O>,
    ) -> Option<PolicyTestResult> {
        let failure = case.steps.iter().find_map(|step| run.step(step));
        let failure = match run.budget.stopped() {
            None => failure,
            Some(Stop::Unwanted) => return None,
            Some(Stop::Looks) => Some((
                case.span,
                format!(
                    "the tests of one member look at levels at most {MEMBER_TEST_LOOKS_MAX} \
                     times while they wait: wait less, or begin with `given level`"
                ),
            )),
        };
        let (span, says) = failure.clone().unwrap_or((case.span, String::new()));
        let (line, column) = self.files.place(case.file, span.start);
        Some(PolicyTestResult {
            name: case.name.clone(),
            file: self.files.name(case.file).into(),
            line,
            column,
            passed: failure.is_none(),
            says,
            member: case.member.clone(),
        })
    }
}

/// Additional slots, so that the table of a test never needs an eviction.
const TEST_SLOTS_SPARE: u64 = 64;

impl RuleSet {
    /// Returns the counters with no more slots than a test has requests. The results are the same,
    /// without clearing a hundred megabytes for each test. A counter that a member's test cannot
    /// reach has one.
    fn small_specs(&self, case: &PolicyTest) -> Vec<CounterSpec> {
        let slots = case.requests().saturating_mul(2).saturating_add(TEST_SLOTS_SPARE);
        let slots = usize::try_from(slots).unwrap_or(usize::MAX);
        let out_of_reach = |scope| match (&case.member, scope) {
            (Some(member), Scope::SiteBlock(site)) => {
                let site = self.program.sites.get(site as usize);
                site.is_none_or(|site| site.member.as_ref() != Some(member))
            }
            (Some(member), Scope::Member(_)) => {
                let mut hers = self.program.sites.iter();
                !hers.any(|site| {
                    site.member.as_ref() == Some(member)
                        && site.number.map(Scope::Member) == Some(scope)
                })
            }
            _ => false,
        };
        let specs = self.counter_specs().iter().zip(&self.program.counters);
        specs
            .map(|(spec, counter)| {
                let most = if out_of_reach(counter.scope) { 1 } else { slots };
                CounterSpec { keys: spec.keys.min(most), ..spec.clone() }
            })
            .collect()
    }

    /// Returns the milliseconds after which no level changes by itself: all counts have left their
    /// windows, and every level had time to be entered and left.
    fn calm_after_ms(&self) -> u64 {
        let window = self.program.counters.iter().map(|counter| counter.window_ms).max();
        let levels = self.program.levels.iter();
        let of = |level: &Level| level.sustained_ms.saturating_add(level.leave_after_ms);
        levels
            .map(|level| of(level).saturating_add(2 * LEVEL_TICK_MS))
            .fold(window.unwrap_or(0).saturating_mul(2), u64::saturating_add)
    }
}

/// Returns the script extensions in tests, because tests have no site configuration.
fn case_scripts() -> &'static [Box<str>] {
    static PHP: OnceLock<[Box<str>; 1]> = OnceLock::new();
    PHP.get_or_init(|| ["php".into()])
}

/// The requests of a test in flight, with the ends of their responses.
#[derive(Debug, Default)]
struct UnderWay {
    clients: Vec<(ClientKey, Tick)>,
    /// Their counts in `concurrent` limits, by the end of the response.
    units: BTreeMap<Tick, Units>,
}

impl UnderWay {
    fn note(&mut self, client: ClientKey, now: Tick, until: Tick) {
        // Before it would grow, so that a test with many requests does not scan all of them for
        // each.
        if self.clients.len() == self.clients.capacity() {
            self.clients.retain(|(_, until)| *until > now);
            self.clients.reserve(self.clients.len().saturating_add(1));
        }
        self.clients.push((client, until));
    }

    fn hold(&mut self, units: Units, until: Tick) {
        if !units.is_empty() {
            self.units.entry(until).or_default().extend(units);
        }
    }

    /// Releases the counts of responses that have ended at `now`.
    fn end(&mut self, now: Tick) {
        while let Some(first) = self.units.first_entry().filter(|first| *first.key() <= now) {
            first.remove();
        }
    }
}

/// The site and target of a test request.
struct Target<'c> {
    host: String,
    path: Vec<u8>,
    raw_path: &'c [u8],
    query: Option<&'c [u8]>,
}

/// The number of connections and requests of a client in a test.
#[derive(Debug)]
struct CaseGauges<'c> {
    request: &'c TestRequest,
    under_way: &'c UnderWay,
    client: ClientKey,
    now: Tick,
}

impl Gauges for CaseGauges<'_> {
    fn connections(&self) -> Option<u32> {
        Some(self.request.connections.unwrap_or(1))
    }

    fn in_flight(&self) -> u32 {
        self.request.in_flight.unwrap_or_else(|| {
            let still =
                |(client, until): &&(ClientKey, Tick)| *client == self.client && *until > self.now;
            let others = self.under_way.clients.iter().filter(still).count();
            u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1)
        })
    }
}

/// A running test, or a request to explain.
pub(crate) struct TestRun<'r, O> {
    rules: &'r RuleSet,
    case: &'r PolicyTest,
    /// The lists that it replaces.
    lists: Vec<GivenList<'r>>,
    observer: &'r O,
    /// The record of tests for `explain`.
    pub(crate) trace: Option<&'r TestTrace>,
    state: State,
    pub(crate) now: Tick,
    /// The sites requested so far; each has its own levels.
    sites: Vec<String>,
    under_way: UnderWay,
    last: Option<Decision>,
    budget: &'r Budget<'r>,
    /// Lists that are empty in this test unless it replaces them.
    withheld: &'r [bool],
}

impl<'r, O: Observer> TestRun<'r, O> {
    /// Creates empty state at the start time of every test.
    pub(crate) fn new(
        rules: &'r RuleSet,
        case: &'r PolicyTest,
        observer: &'r O,
        budget: &'r Budget<'r>,
    ) -> Self {
        Self {
            rules,
            case,
            lists: case.lists.iter().map(GivenList::new).collect(),
            observer,
            trace: None,
            state: State::new(TEST_SEED, &rules.small_specs(case)),
            now: Tick::TEST_START,
            sites: Vec::new(),
            under_way: UnderWay::default(),
            last: None,
            budget,
            withheld: &[],
        }
    }

    /// Runs one step. Returns the position and the message of a failed expectation.
    fn step(&mut self, step: &TestStep) -> Option<(Span, String)> {
        if self.budget.stopped().is_some() {
            return None;
        }
        match step {
            TestStep::Wait { ms } => self.go_to(self.now.plus_ms(*ms)),
            TestStep::Request(request) => self.request(request),
            TestStep::Expect { expected, by, span } => {
                let Some(decision) = self.last else {
                    return Some((*span, "there was no request to judge".to_owned()));
                };
                let right = meets(&decision, expected)
                    && by.is_none_or(|by| decision.reason == Reason::Rule(by));
                if !right {
                    let wanted = by.map(|by| format!(" by {}", self.rules.name(Reason::Rule(by))));
                    let wanted = format!("{}{}", words(expected), wanted.unwrap_or_default());
                    return Some((
                        *span,
                        format!("expected {wanted}, got {}", self.got(&decision)),
                    ));
                }
            }
        }
        None
    }

    fn got(&self, decision: &Decision) -> String {
        format!("{} by {}", verdict_words(&decision.verdict), self.rules.name(decision.reason))
    }

    /// Sends the requests of one line, evenly spread: the first immediately, the last at the end.
    fn request(&mut self, request: &TestRequest) {
        let start = self.now;
        let gaps = request.times.saturating_sub(1);
        for n in 0..request.times {
            let offset = match request.over_ms {
                None => n,
                Some(over) => {
                    let spread = u128::from(over) * u128::from(n);
                    let offset = spread.checked_div(u128::from(gaps)).unwrap_or(0);
                    u64::try_from(offset).unwrap_or(u64::MAX)
                }
            };
            self.go_to(start.plus_ms(offset));
            if !self.budget.request() {
                return;
            }
            self.last = Some(self.judge(request));
        }
        if let (Some(over), true) = (request.over_ms, request.times == 1) {
            self.go_to(start.plus_ms(over));
        }
    }

    /// Advances the clock. Evaluates the levels at every full second, as long as they can change by
    /// themselves.
    fn go_to(&mut self, then: Tick) {
        let rules = self.rules;
        if self.case.level.is_none() && !rules.program.levels.is_empty() {
            let last = then.0.min(self.now.0.saturating_add(rules.calm_after_ms()));
            let sites: Vec<&str> = self.sites.iter().map(String::as_str).collect();
            let looks = u64::try_from(sites.len()).unwrap_or(u64::MAX).saturating_add(1);
            let (first, last) = (self.now.0 / LEVEL_TICK_MS + 1, last / LEVEL_TICK_MS);
            for second in first..=last {
                if !self.budget.look(looks) {
                    return;
                }
                let at = Tick(second.saturating_mul(LEVEL_TICK_MS));
                rules.tick(&self.state, &sites, &|_| LevelInputs::default(), at);
            }
        }
        self.now = then;
    }

    pub(crate) fn judge(&mut self, request: &TestRequest) -> Decision {
        let malformed = Decision {
            verdict: Verdict::Block { status: 400, retry_after_ms: None },
            reason: Reason::Malformed,
        };
        let target = request.target.split('#').next().unwrap_or_default();
        let (raw_path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.as_bytes())),
            None => (target, None),
        };
        let mut path = Vec::new();
        let (Ok(host), Ok(())) = (
            normalize_host(request.authority.as_bytes()),
            normalize_path(raw_path.as_bytes(), &mut path),
        ) else {
            return malformed;
        };
        if !self.sites.contains(&host) {
            self.sites.push(host.clone());
        }
        let target = Target { host, path, raw_path: raw_path.as_bytes(), query };
        self.under_way.end(self.now);
        let (Judged { decision, units }, ended) = self.decided(request, &target);
        if let Some(ended) = ended {
            self.under_way.hold(units, ended);
            let client = Client::of(request.from, &self.rules.units);
            self.under_way.note(client.key, self.now, ended);
        }
        decision
    }

    /// Returns the decision about a valid request, and the end of its response if it takes time.
    fn decided(&self, request: &TestRequest, target: &Target<'_>) -> (Judged, Option<Tick>) {
        let Target { host, path, raw_path, query } = target;
        let headers = TestHeaders { host: &request.authority, listed: &request.headers };
        let given = self.case.clients.iter().find(|(ip, _)| *ip == request.from);
        let client = Client::of(request.from, &self.rules.units);
        let (under_way, now) = (&self.under_way, self.now);
        let gauges = CaseGauges { request, under_way, client: client.key, now };
        let facts = Facts {
            client,
            geo: geo(&request.client, given.map(|(_, client)| client)),
            conn: self.conn(request, host, &gauges),
            method: &request.method,
            host,
            site: host,
            path,
            raw_path,
            script: script_of(path, case_scripts()),
            query: *query,
            headers: &headers,
            pass: self.pass(request),
            pass_failures: 0,
            origin: OriginHealth::default(),
            cpu_percent: None,
        };
        let level = self.case.level.unwrap_or(LevelId(self.state.level(host)));
        let (lists, withheld) = (&*self.lists, self.withheld);
        let plain = self.trace.is_some();
        let given =
            EvalOptions { lists, withheld, plain, rehearsed: true, ..EvalOptions::at(level) };
        let mut judging = EvalContext::new(self.rules, &facts, &self.state, self.now, given);
        judging.trace = self.trace;
        let decision = self.rules.decide_given(&mut judging, self.observer);
        let judged = Judged { decision, units: judging.units.take() };
        let Some(answered) = answered(&decision, request) else { return (judged, None) };
        let ended = now.plus_ms(answered.latency_ms);
        let judging = EvalContext::new(self.rules, &facts, &self.state, ended, given);
        self.rules.answered_given(judging, answered);
        (judged, (ended > now).then_some(ended))
    }

    fn conn<'c>(
        &self,
        request: &'c TestRequest,
        host: &'c str,
        gauges: &'c CaseGauges<'c>,
    ) -> ConnectionInfo<'c> {
        ConnectionInfo {
            proto: request.proto,
            scheme: if request.encrypted { Scheme::Https } else { Scheme::Http },
            gauges: Some(gauges),
            requests: 1,
            ja4: request.ja4.as_deref(),
            sni: request.encrypted.then_some(host),
            tls: request.encrypted.then_some("TLSv1.3"),
            ..ConnectionInfo::default()
        }
    }

    fn pass(&self, request: &TestRequest) -> Option<Pass> {
        let (kind, age_ms) = match request.pass {
            TestPass::None => return None,
            TestPass::Fresh => (PassKind::Page, 0),
            TestPass::Aged(ms) => (PassKind::Page, ms),
            TestPass::Of(kind, ms) => (kind, ms),
        };
        Some(Pass { kind, issued: Tick(self.now.0.saturating_sub(age_ms)) })
    }
}

/// Returns a verdict as written in a policy, with its status.
pub(crate) fn verdict_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Block { status, .. } => format!("block {status}"),
        other => other.kind().word().to_owned(),
    }
}

/// Returns the response to a test request; `None` after a `drop`.
fn answered(decision: &Decision, request: &TestRequest) -> Option<ResponseInfo> {
    let refused = |status| Some(ResponseInfo { status, bytes_out: 0, latency_ms: 0 });
    match decision.verdict {
        Verdict::Allow => Some(ResponseInfo {
            status: request.status,
            bytes_out: request.answer_bytes,
            latency_ms: request.answered_after_ms,
        }),
        Verdict::Block { status, .. } => refused(status),
        Verdict::Throttle { .. } => refused(429),
        Verdict::Challenge { .. } => refused(200),
        Verdict::Tarpit { .. } | Verdict::Drop | Verdict::Ban { .. } => None,
    }
}

fn geo<'g>(own: &'g TestClient, given: Option<&'g TestClient>) -> Geo<'g> {
    let crawler = own.crawler.as_deref().or(given.and_then(|client| client.crawler.as_deref()));
    Geo {
        asn: own.asn.or(given.and_then(|client| client.asn)),
        country: own.country.or(given.and_then(|client| client.country)),
        crawler,
    }
}

/// Returns whether a decision is the expected one; omitted arguments match any value.
fn meets(decision: &Decision, expected: &Expected) -> bool {
    let Expected::Verdict { kind, status, proof, for_ms } = expected else {
        return decision.verdict == Verdict::Allow;
    };
    // A banned client's connection is dropped, but its verdict counts as a ban.
    if decision.reason == Reason::Banned {
        return matches!(kind, VerdictKind::Ban | VerdictKind::Drop);
    }
    let fits_ms = |ms: u64| for_ms.is_none_or(|wanted| wanted == ms);
    decision.verdict.kind() == *kind
        && match decision.verdict {
            Verdict::Block { status: got, .. } => status.is_none_or(|wanted| wanted == got),
            Verdict::Challenge { kind: got, valid_ms } => {
                proof.is_none_or(|wanted| wanted == got) && fits_ms(valid_ms)
            }
            Verdict::Tarpit { hold_ms } => fits_ms(hold_ms),
            Verdict::Ban { for_ms: ms } => fits_ms(ms),
            Verdict::Allow | Verdict::Throttle { .. } | Verdict::Drop => true,
        }
}

fn words(expected: &Expected) -> String {
    match expected {
        Expected::Pass => "pass".to_owned(),
        Expected::Verdict { kind, status: Some(status), .. } => format!("{} {status}", kind.word()),
        Expected::Verdict { kind, .. } => kind.word().to_owned(),
    }
}
