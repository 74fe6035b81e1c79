//! Runs the tests of a policy: requests in, verdicts out, with the very code that serves.
//!
//! Each test starts with empty state at a fixed moment (LANGUAGE §3) and a fixed secret, so that it
//! gives the same result on every machine and every day.

use seawall_model::{
    Answered, Client, Conn, Decision, Facts, Geo, HeaderView, OriginHealth, Pass, PassKind, Proto,
    Reason, Tick, Verdict, VerdictKind,
};
use seawall_policy::case::{Case, CaseRequest, CaseStep, Expected, GivenClient, GivenPass};
use seawall_policy::program::LevelId;
use seawall_policy::span::Span;
use seawall_state::{CounterSpec, Seed, State};

use crate::context::{Given, Judging};
use crate::decide::Observer;
use crate::explain::Trace;
use crate::http::{fold_host, fold_path};
use crate::ruleset::RuleSet;
use crate::tick::{LEVEL_TICK_MS, Pulse};

/// The secret of all tests. Nothing depends on it: keys do not collide.
const TEST_SEED: Seed = Seed(*b"the same tests!!");

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutcome {
    /// What the test says.
    pub name: Box<str>,
    /// The file where it stands.
    pub file: Box<str>,
    /// The line: of the first expectation that failed, else of the test.
    pub line: u32,
    /// The column there.
    pub column: u32,
    /// Whether all its expectations held.
    pub passed: bool,
    /// What was expected and what happened instead.
    pub says: String,
}

/// The header fields of a request of a test.
struct CaseHeaders<'r> {
    host: &'r str,
    listed: &'r [(Box<str>, Box<[u8]>)],
}

impl HeaderView for CaseHeaders<'_> {
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
    pub fn rehearse(&self) -> Vec<TestOutcome> {
        self.rehearse_observed(&())
    }

    /// The same, and tells an observer what happens on the way.
    #[must_use]
    pub fn rehearse_observed<O: Observer>(&self, observer: &O) -> Vec<TestOutcome> {
        self.program.cases.iter().map(|case| self.rehearse_one(case, observer)).collect()
    }

    fn rehearse_one<O: Observer>(&self, case: &Case, observer: &O) -> TestOutcome {
        let mut run = Run::new(self, case, observer);
        let failure = case.steps.iter().find_map(|step| run.step(step));
        let (span, says) = failure.clone().unwrap_or((case.span, String::new()));
        let (line, column) = self.files.place(case.file, span.start);
        TestOutcome {
            name: case.name.clone(),
            file: self.files.name(case.file).into(),
            line,
            column,
            passed: failure.is_none(),
            says,
        }
    }
}

/// More slots than keys, so that a table of a test never has to give one up.
const TEST_SLOTS_SPARE: u64 = 64;

impl RuleSet {
    /// The counters with no more slots than a test has requests: the same answers, without clearing
    /// a hundred megabytes for each test at each reload.
    fn small_specs(&self, case: &Case) -> Vec<CounterSpec> {
        let requests = case.steps.iter().map(|step| match step {
            CaseStep::Request(request) => request.times,
            _ => 0,
        });
        let slots = requests.sum::<u64>().saturating_mul(2).saturating_add(TEST_SLOTS_SPARE);
        let slots = usize::try_from(slots).unwrap_or(usize::MAX);
        let small = |spec: &CounterSpec| CounterSpec { keys: spec.keys.min(slots), ..spec.clone() };
        self.counter_specs().iter().map(small).collect()
    }
}

/// A test that runs, or a request that is explained.
pub(crate) struct Run<'r, O> {
    rules: &'r RuleSet,
    case: &'r Case,
    observer: &'r O,
    /// Where tests are written down, for `explain`.
    pub(crate) trace: Option<&'r Trace>,
    state: State,
    pub(crate) now: Tick,
    /// The sites that were asked for so far: each has its levels.
    sites: Vec<String>,
    last: Option<Decision>,
}

impl<'r, O: Observer> Run<'r, O> {
    /// Empty state at the moment where every test starts.
    pub(crate) fn new(rules: &'r RuleSet, case: &'r Case, observer: &'r O) -> Self {
        Self {
            rules,
            case,
            observer,
            trace: None,
            state: State::new(TEST_SEED, &rules.small_specs(case)),
            now: Tick::TEST_START,
            sites: Vec::new(),
            last: None,
        }
    }

    /// Does one line; what it says where an expectation failed.
    fn step(&mut self, step: &CaseStep) -> Option<(Span, String)> {
        match step {
            CaseStep::Wait { ms } => self.go_to(self.now.plus_ms(*ms)),
            CaseStep::Request(request) => self.request(request),
            CaseStep::Expect { expected, by, span } => {
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

    /// Sends the requests of one line, evenly spread, the first at once and the last at the end.
    fn request(&mut self, request: &CaseRequest) {
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
            self.last = Some(self.judge(request));
        }
        if let (Some(over), true) = (request.over_ms, request.times == 1) {
            self.go_to(start.plus_ms(over));
        }
    }

    /// Moves the clock, looking at the levels at every full second on the way.
    fn go_to(&mut self, then: Tick) {
        let mut second = self.now.0 / LEVEL_TICK_MS + 1;
        while self.case.level.is_none() && second.saturating_mul(LEVEL_TICK_MS) <= then.0 {
            let at = Tick(second.saturating_mul(LEVEL_TICK_MS));
            let sites: Vec<&str> = self.sites.iter().map(String::as_str).collect();
            self.rules.tick(&self.state, &sites, &|_| Pulse::default(), at);
            if self.rules.program.levels.is_empty() {
                break;
            }
            second += 1;
        }
        self.now = then;
    }

    pub(crate) fn judge(&mut self, request: &CaseRequest) -> Decision {
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
        let (Ok(host), Ok(())) =
            (fold_host(request.authority.as_bytes()), fold_path(raw_path.as_bytes(), &mut path))
        else {
            return malformed;
        };
        if !self.sites.contains(&host) {
            self.sites.push(host.clone());
        }
        let headers = CaseHeaders { host: &request.authority, listed: &request.headers };
        let given = self.case.clients.iter().find(|(ip, _)| *ip == request.from);
        let facts = Facts {
            client: Client::of(request.from, &self.rules.units),
            geo: geo(&request.client, given.map(|(_, client)| client)),
            conn: self.conn(request, &host),
            method: &request.method,
            host: &host,
            site: &host,
            path: &path,
            raw_path: raw_path.as_bytes(),
            query,
            headers: &headers,
            pass: self.pass(request),
            pass_failures: 0,
            origin: OriginHealth::default(),
            cpu_percent: None,
        };
        let level = self.case.level.unwrap_or(LevelId(self.state.level(&host)));
        let (lists, plain) = (&*self.case.lists, self.trace.is_some());
        let given = Given { lists, plain, rehearsed: true, ..Given::at(level) };
        let mut judging = Judging::new(self.rules, &facts, &self.state, self.now, given);
        judging.trace = self.trace;
        let decision = self.rules.decide_given(&mut judging, self.observer);
        if let Some(answered) = answered(&decision, request) {
            let ended = self.now.plus_ms(answered.latency_ms);
            let judging = Judging::new(self.rules, &facts, &self.state, ended, given);
            self.rules.answered_given(judging, answered);
        }
        decision
    }

    fn conn<'c>(&self, request: &'c CaseRequest, host: &'c str) -> Conn<'c> {
        Conn {
            proto: if request.h2 { Proto::H2 } else { Proto::H1 },
            requests: 1,
            ja4: request.ja4.as_deref(),
            sni: request.encrypted.then_some(host),
            tls: request.encrypted.then_some("TLSv1.3"),
            ..Conn::default()
        }
    }

    fn pass(&self, request: &CaseRequest) -> Option<Pass> {
        let (kind, age_ms) = match request.pass {
            GivenPass::None => return None,
            GivenPass::Fresh => (PassKind::Page, 0),
            GivenPass::Aged(ms) => (PassKind::Page, ms),
            GivenPass::Of(kind, ms) => (kind, ms),
        };
        Some(Pass { kind, issued: Tick(self.now.0.saturating_sub(age_ms)) })
    }
}

/// A verdict as a policy writes it, status and all.
pub(crate) fn verdict_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Block { status, .. } => format!("block {status}"),
        other => other.kind().word().to_owned(),
    }
}

/// How a request of a test is answered; what is dropped is not.
fn answered(decision: &Decision, request: &CaseRequest) -> Option<Answered> {
    let refused = |status| Some(Answered { status, bytes_out: 0, latency_ms: 0 });
    match decision.verdict {
        Verdict::Allow => Some(Answered {
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

fn geo<'g>(own: &'g GivenClient, given: Option<&'g GivenClient>) -> Geo<'g> {
    let crawler = own.crawler.as_deref().or(given.and_then(|client| client.crawler.as_deref()));
    Geo {
        asn: own.asn.or(given.and_then(|client| client.asn)),
        country: own.country.or(given.and_then(|client| client.country)),
        crawler,
    }
}

/// Whether a decision is what was expected; arguments left out match anything.
fn meets(decision: &Decision, expected: &Expected) -> bool {
    let Expected::Verdict { kind, status, proof, for_ms } = expected else {
        return decision.verdict == Verdict::Allow;
    };
    // Whom a ban refuses is dropped, and banned all the same.
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
