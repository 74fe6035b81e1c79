//! Explains a decision: every rule that the evaluation reached, and the tested values.
//!
//! This module makes no decision. It observes the evaluation in `decide`: the rules through
//! [`Observer`], the tests through `Context::made`. An explanation therefore cannot differ from the
//! decision of the server for the same request and empty counters.

use std::cell::RefCell;
use std::net::IpAddr;

use seawall_model::{PassKind, Proto, Reason, RuleId, Tick};
use seawall_policy::diagnostic::FileId;
use seawall_policy::policy_test::{PolicyTest, TestClient, TestPass, TestRequest};
use seawall_policy::program::{Effect, LevelId, Step};
use seawall_policy::span::Span;

use super::display;
pub use super::display::VALUE_CHARS_MAX;
use crate::eval::decide::{Observer, RuleOutcome};
use crate::eval::trace::{EvaluatedTest, TestTrace};
use crate::http::normalize_host;
use crate::policy_tests::budget::Budget;
use crate::policy_tests::{TestRun, verdict_words};
use crate::ruleset::RuleSet;

/// A request to explain.
#[derive(Debug, Clone)]
pub struct ExplainRequest {
    /// The method as written.
    pub method: Box<str>,
    /// Whether it uses TLS.
    pub encrypted: bool,
    /// The host, with its port.
    pub authority: Box<str>,
    /// Path and query, as written.
    pub target: Box<str>,
    /// The client address.
    pub from: IpAddr,
    /// Header fields except Host, names in lower case.
    pub headers: Vec<(Box<str>, Box<[u8]>)>,
    /// The active level; `None` is `normal`.
    pub level: Option<Box<str>>,
    /// Facts about the client in addition to its address.
    pub known: ClientHints,
}

/// Facts that the text of a request does not contain.
#[derive(Debug, Clone, Default)]
pub struct ClientHints {
    /// The autonomous system.
    pub asn: Option<u32>,
    /// The country, in upper case.
    pub country: Option<[u8; 2]>,
    /// The fingerprint of the ClientHello.
    pub ja4: Option<Box<str>>,
    /// Whether it uses HTTP/2.
    pub h2: bool,
    /// The kind of its pass, and the age in milliseconds.
    pub pass: Option<(PassKind, u64)>,
}

/// The policy declares no level with this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLevel {
    /// The declared levels.
    pub known: Vec<Box<str>>,
}

/// A rule, limit or decision table that the evaluation reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTrace {
    /// Its full name.
    pub rule: Box<str>,
    /// Its result.
    pub fate: RuleOutcome,
    /// Its tests; the last one determined the result.
    pub tests: Vec<EvaluatedTest>,
    /// Its effects, as written in the policy.
    pub effects: Vec<String>,
    /// The score after it.
    pub score: i64,
}

/// The decision about a request, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The verdict, as written in a policy.
    pub verdict: String,
    /// The rule that decided, or another reason.
    pub by: String,
    /// The rules in evaluation order.
    pub considered: Vec<RuleTrace>,
    /// Number of rules that the evaluation did not reach.
    pub unreached: usize,
    /// The score at the end.
    pub score: i64,
    /// The tags at the end.
    pub tags: Vec<Box<str>>,
}

/// Records the events of the evaluation.
struct TraceRecorder<'t> {
    trace: &'t TestTrace,
    seen: RefCell<Vec<(RuleId, RuleOutcome, Vec<EvaluatedTest>)>>,
}

impl Observer for TraceRecorder<'_> {
    fn considered(&self, rule: RuleId, fate: RuleOutcome) {
        self.seen.borrow_mut().push((rule, fate, self.trace.take()));
    }
}

impl RuleSet {
    /// Evaluates one request with empty counters and returns the explanation.
    ///
    /// # Errors
    /// [`UnknownLevel`]: the requested level is not declared.
    pub fn explain(
        &self,
        question: &ExplainRequest,
        now: Tick,
    ) -> Result<Explanation, UnknownLevel> {
        let level = question.level.as_deref().map(|name| self.level_named(name)).transpose()?;
        let trace = TestTrace::default();
        let watcher = TraceRecorder { trace: &trace, seen: RefCell::default() };
        let case = bare_case(level);
        let budget = Budget::host(&|| true);
        let mut run = TestRun::new(self, &case, &watcher, &budget);
        run.now = now;
        run.trace = Some(&trace);
        let decision = run.judge(&request(question));
        let seen = watcher.seen.take();
        let steps = self.steps_of(&question.authority);
        let table = self.program.decide.as_ref().map(|table| table.rule);
        let all = steps.len().saturating_add(usize::from(table.is_some()));
        let (mut score, mut tags) = (0_i64, Vec::new());
        let unreached = all.saturating_sub(seen.len());
        let considered = seen
            .into_iter()
            .map(|(rule, fate, tests)| {
                let step =
                    steps.iter().find(|step| step.rule == rule && fate == RuleOutcome::Applied);
                let effects = step.map_or(&[][..], |step| &step.then.effects);
                let effects = effects.iter().map(|effect| told(effect, &mut score, &mut tags));
                let effects = effects.collect();
                RuleTrace {
                    rule: self.name(Reason::Rule(rule)).into(),
                    fate,
                    tests,
                    effects,
                    score,
                }
            })
            .collect();
        let verdict = verdict_words(&decision.verdict);
        let by = self.name(decision.reason).to_owned();
        Ok(Explanation { verdict, by, considered, unreached, score, tags })
    }

    fn level_named(&self, name: &str) -> Result<LevelId, UnknownLevel> {
        let words =
            || std::iter::once("normal").chain(self.program.levels.iter().map(|l| &*l.name));
        words()
            .position(|word| word == name)
            .and_then(|at| u16::try_from(at).ok())
            .map(LevelId)
            .ok_or_else(|| UnknownLevel { known: words().map(Into::into).collect() })
    }

    /// Returns the steps that a request for this host can reach, in order.
    fn steps_of(&self, authority: &str) -> Vec<&Step> {
        let host = normalize_host(authority.as_bytes()).ok();
        let at = host.and_then(|host| self.sites.find(&host).copied());
        let site = at.and_then(|at| self.program.sites.get(at));
        let shared = &self.program.defaults;
        let defaults: Vec<&Step> = match site.and_then(|site| site.defaults.as_ref()) {
            None => shared.iter().collect(),
            Some(adjusted) => adjusted.steps(shared).collect(),
        };
        self.program
            .guarantee
            .iter()
            .chain(&self.program.floor)
            .chain(site.map(|site| &site.steps).into_iter().flatten())
            .chain(defaults)
            .collect()
    }
}

/// Returns an effect as written in the policy, and applies it to the score and the tags.
fn told(effect: &Effect, score: &mut i64, tags: &mut Vec<Box<str>>) -> String {
    match effect {
        Effect::Tag(tag) => {
            let text = format!("tag {}", display::text(tag.as_bytes()));
            tags.push(tag.clone());
            text
        }
        Effect::Score(n) => {
            *score = score.saturating_add(*n);
            let sign = if *n < 0 { '-' } else { '+' };
            format!("score {sign}= {}", n.unsigned_abs())
        }
        Effect::Log(None) => "log".to_owned(),
        Effect::Log(Some(words)) => format!("log {}", display::text(words.as_bytes())),
    }
}

/// Returns a test of one request, with nothing but a level.
fn bare_case(level: Option<LevelId>) -> PolicyTest {
    PolicyTest {
        name: "explain".into(),
        file: FileId::default(),
        span: Span::default(),
        member: None,
        level,
        lists: Vec::new(),
        clients: Vec::new(),
        steps: Vec::new(),
    }
}

fn request(question: &ExplainRequest) -> TestRequest {
    let known = &question.known;
    TestRequest {
        method: question.method.clone(),
        encrypted: question.encrypted,
        authority: question.authority.clone(),
        target: question.target.clone(),
        from: question.from.to_canonical(),
        headers: question.headers.clone(),
        client: TestClient { asn: known.asn, country: known.country, crawler: None },
        ja4: known.ja4.clone(),
        proto: if known.h2 { Proto::H2 } else { Proto::H1 },
        connections: None,
        in_flight: None,
        pass: known.pass.map_or(TestPass::None, |(kind, ms)| TestPass::Of(kind, ms)),
        status: 200,
        answered_after_ms: 0,
        answer_bytes: 0,
        times: 1,
        over_ms: None,
        span: Span::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        MemoryStore, Purpose, RuleSetBuilder, Sandbox, SandboxLimits, ServerSettings, Sources,
    };

    const POLICY: &str = r#"policy 1
list bad_nets: cidr = { 192.0.2.128/25 }
level attack { enter when cpu.load > 90% leave after 10m }
track seen { count requests per client over 10s keys 100 }
guarantee { rule acme { when path starts_with "/.well-known/" then allow } }
floor {
  rule drop-list { when client.ip in @bad_nets then drop }
  rule old       { when true then drop expires 2020-01-01 }
  limit flood    { per client to 5/10s then block 429 }
  under attack { rule closed { when method != GET then block } }
}
site "alice.example" { rule own { when path == "/own" then block 404 } }
defaults {
  rule ua     { when ua contains nocase "curl" and not (path == "/ok") then tag "tool", score += 50 }
  rule empty  { when header("accept") is absent unless path == "/feed" then score += 5 }
  shadow rule quiet { when rate(seen) >= 1/10s then block }
  rule twice  { when cookie("a") != "x" then score -= 10 }
  rule tagged { when tagged("tool") then block 418 }
  rule last   { when path == "/never" then drop }
  decide { when score >= 80 then block otherwise allow }
}
"#;

    fn rules(text: &str) -> RuleSet {
        let sandbox = Sandbox::new(SandboxLimits::default());
        let workshop = RuleSetBuilder::new(ServerSettings::default(), sandbox);
        let store = MemoryStore::default().with("root.wall", text);
        let made = workshop.build(&Sources::gather("root.wall", &store), Purpose::Check, None);
        made.rules.unwrap_or_else(|| panic!("{:#?}", made.diagnostics))
    }

    fn get(target: &str, headers: &[(&str, &str)]) -> ExplainRequest {
        ExplainRequest {
            method: "GET".into(),
            encrypted: false,
            authority: "x.example".into(),
            target: target.into(),
            from: "203.0.113.7".parse().unwrap(),
            headers: headers.iter().map(|(k, v)| ((*k).into(), v.as_bytes().into())).collect(),
            level: None,
            known: ClientHints::default(),
        }
    }

    fn explain(question: &ExplainRequest) -> Explanation {
        rules(POLICY).explain(question, Tick::TEST_START).unwrap()
    }

    /// Returns `rule result` for each rule, with the last test and its value.
    fn lines(of: &Explanation) -> Vec<String> {
        let line = |c: &RuleTrace| {
            let last = c.tests.last();
            let last = last.map(|t| format!(" | {} | {} | {}", t.text, t.holds, t.value));
            format!("{} {:?}{}", c.rule, c.fate, last.unwrap_or_default())
        };
        of.considered.iter().map(line).collect()
    }

    #[test]
    fn every_rule_is_told_with_the_value_that_settled_it() {
        let told = explain(&get("/a", &[("user-agent", "Curl/8"), ("cookie", "a=1; a=2")]));
        assert_eq!(
            lines(&told),
            [
                r#"guarantee.acme Unmet | path starts_with "/.well-known/" | false | it is "/a""#,
                "floor.drop-list Unmet | client.ip in @bad_nets | false | 203.0.113.7 is not in it",
                "floor.old Expired",
                "floor.flood Within",
                "floor.closed BelowLevel",
                r#"defaults.ua Applied | path == "/ok" | false | it is "/a""#,
                r#"defaults.empty Applied | path == "/feed" | false | it is "/a""#,
                "defaults.quiet Shadowed | rate(seen) >= 1/10s | true | it is 1",
                r#"defaults.twice Applied | cookie("a") != "x" | true | it is "1", "2""#,
                r#"defaults.tagged Applied | tagged("tool") | true | it is true"#,
            ]
        );
        assert_eq!((told.verdict.as_str(), told.by.as_str()), ("block 418", "defaults.tagged"));
        assert_eq!((told.score, told.unreached), (45, 2));
        assert_eq!(told.tags, ["tool".into()]);
        let scores: Vec<i64> = told.considered.iter().map(|c| c.score).collect();
        assert_eq!(scores, [0, 0, 0, 0, 0, 50, 55, 55, 45, 45]);
        assert_eq!(told.considered[5].effects, ["tag \"tool\"", "score += 50"]);
        assert_eq!(told.considered[8].effects, ["score -= 10"]);
    }

    #[test]
    fn the_table_the_site_and_the_excuse_are_told() {
        let mut question = get("/feed", &[]);
        question.authority = "alice.example:80".into();
        let told = explain(&question);
        let all = lines(&told);
        let own = r#"own Unmet | path == "/own" | false | it is "/feed""#;
        assert!(all.iter().any(|line| line.ends_with(own)), "{all:#?}");
        let excused = r#"defaults.empty Excused | path == "/feed" | true | it is "/feed""#;
        assert!(all.iter().any(|line| line == excused), "{all:#?}");
        let table = "defaults.decide Applied | score >= 80 | false | it is -10";
        assert_eq!(all.last().map(String::as_str), Some(table));
        assert_eq!((told.verdict.as_str(), told.unreached), ("allow", 0));
    }

    #[test]
    fn a_level_can_be_asked_for_and_an_unknown_one_is_refused() {
        let mut question = get("/", &[]);
        question.method = "POST".into();
        question.level = Some("attack".into());
        let told = explain(&question);
        assert_eq!((told.verdict.as_str(), told.by.as_str()), ("block 403", "floor.closed"));
        let last = told.considered.last().unwrap().tests.last().unwrap();
        assert_eq!(last.value, "it is POST");
        question.level = Some("panic".into());
        let refused = rules(POLICY).explain(&question, Tick::TEST_START);
        assert_eq!(refused, Err(UnknownLevel { known: vec!["normal".into(), "attack".into()] }));
    }

    #[test]
    fn what_cannot_be_read_comes_to_no_rule() {
        let told = explain(&get("/../..", &[]));
        assert_eq!((told.verdict.as_str(), told.by.as_str()), ("block 400", "malformed"));
        assert!(told.considered.is_empty() && told.unreached > 0);
    }

    #[test]
    fn a_hostile_value_is_spelt_out_and_bounded() {
        let long = format!("curl\u{1b}]0;x\u{7}{}", "a".repeat(10_000));
        let told = explain(&get("/ok", &[("user-agent", &long)]));
        let tests = told.considered.iter().flat_map(|c| &c.tests);
        let ua = tests.clone().find(|test| test.text.starts_with("ua ")).unwrap();
        assert!(ua.value.starts_with(r#"it is "curl\u{1b}]0;x\u{7}aaa"#), "{}", ua.value);
        assert!(tests.clone().all(|t| t.value.chars().count() <= VALUE_CHARS_MAX));
        assert!(tests.clone().all(|t| !t.value.contains(char::is_control)));
    }
}
