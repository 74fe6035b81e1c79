//! A rule returns the same result in every way of calling it.
//!
//! Recorded calls are made to every shipped rule in three ways: on a fresh instance each, which is
//! the reference; like a server (instances are reused and replaced, results are cached, with
//! several threads); and like `seawall rule test`. Decisions, policy tests and replays are
//! comparable only because these agree.
//!
//! The calls are made from a seed and from the synthetic access log: agents, paths, queries and
//! whole sets of headers. `SEAWALL_PURE_CALLS=100000` makes that many calls of all rules together.

use std::collections::BTreeSet;
use std::path::Path;

use seawall_model::Tick;
use seawall_rulekit::{Case, Kind, Limits, TestRunner, parse_cases, sandbox};
use seawall_tests::{component, read_log};
use seawall_wasm::{
    Arg, CallStats, CallValue, Failure, Function, Isolation, Sandbox, SandboxLimits,
};

use crate::shipped_rules::{Rule, rules};

/// Calls over all rules together: four seconds of a processor. 100,000 take four times as long.
const CALLS: usize = 25_000;

/// Threads that ask as a server does.
const THREADS: usize = 4;

/// Differences that are worth reading.
const SHOWN_MAX: usize = 5;

/// An argument before it is handed over.
#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Fields(Vec<(String, String)>),
}

impl Value {
    /// As the host hands it over.
    fn packed(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Fields(fields) => fields.iter().fold(Vec::new(), |mut out, (name, value)| {
                out.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
                out.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
                out.extend(name.bytes().chain(value.bytes()));
                out
            }),
        }
    }

    /// As a case has it.
    fn written(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Fields(fields) => {
                let pair = |(name, value): &(String, String)| {
                    format!("[{}, {}]", quoted(name), quoted(value))
                };
                format!("[{}]", fields.iter().map(pair).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A string of TOML, whose escapes for what is made up here are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// What is asked: the arguments by their names.
type Call = Vec<(&'static str, Value)>;

/// Numbers that look like chance and are the same each time (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub(crate) fn of<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.below(from.len())]
    }

    /// Letters and digits.
    fn text(&mut self, len: usize) -> String {
        const FROM: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        (0..len).map(|_| char::from(FROM[self.below(FROM.len())])).collect()
    }

    /// `#` becomes a number, `*` letters and digits.
    fn filled(&mut self, pattern: &str) -> String {
        let mut out = String::new();
        for letter in pattern.chars() {
            match letter {
                '#' => out.push_str(&(self.next() % 160).to_string()),
                '*' => {
                    let len = 3 + self.below(12);
                    out.push_str(&self.text(len));
                }
                _ => out.push(letter),
            }
        }
        out
    }
}

const AGENTS: [&str; 12] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/#.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/#.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:#.0) Gecko/20100101 Firefox/#.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_# like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.# Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 1#; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/#.0.0.0 Mobile Safari/537.36",
    "Mozilla/4.0 (compatible; MSIE #.0; Windows NT 5.1; SV1; *)",
    "Opera/9.# (Windows NT 5.2; U; ru) Presto/2.5.# Version/10.#",
    "Mozilla/5.0 (compatible; *bot/#.#; +http://*.example/bot)",
    "curl/8.#.#",
    "python-requests/2.#.#",
    "*/#.# (*)",
    "",
];

const PATHS: [&str; 10] = [
    "/",
    "/blog/2026/#/how-we-moved-the-archive",
    "/user/#/orders/#",
    "/static/app.*.js",
    "/s/*",
    "/api/v#/items/6f9619ff-8b86-d011-b42d-00c04fc964ff",
    "/wp-login.php",
    "/wiki/Übersicht/#",
    "/img/IMG_#.JPG",
    "/*/*/#/*",
];

const QUERIES: [&str; 10] = [
    "",
    "page=#&sort=price_asc",
    "q=how+to+cook+rice+#",
    "utm_source=*&utm_medium=email",
    "*=*&*=*",
    "*",
    "v=*",
    "id=#",
    "q=%D0%BF%D0%BE%D0%B3%D0%BE%D0%B4%D0%B0+#",
    "token=*&next=%2Fa%3Fb%3D#",
];

/// The fields of a request by this agent: some browser's, more or fewer, in some order.
fn fields(chance: &mut Chance, agent: &str) -> Vec<(String, String)> {
    let languages = ["en-US,en;q=0.9", "de,en;q=0.5", "fr-FR", "*"];
    let accepts = ["*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "image/avif,image/webp,*/*"];
    let patterns = [
        ("host", "*.example"),
        ("connection", chance.of(&["keep-alive", "close"])),
        ("sec-ch-ua", "\"Chromium\";v=\"#\", \"Not?A_Brand\";v=\"24\""),
        ("sec-ch-ua-mobile", "?0"),
        ("sec-ch-ua-platform", chance.of(&["\"Windows\"", "\"Linux\"", "\"Android\""])),
        ("user-agent", agent),
        ("accept", chance.of(&accepts)),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", chance.of(&["navigate", "no-cors"])),
        ("sec-fetch-dest", chance.of(&["document", "image"])),
        ("accept-encoding", chance.of(&["gzip, deflate, br, zstd", "gzip", "identity"])),
        ("accept-language", chance.of(&languages)),
        ("cookie", "session=*; theme=dark"),
        ("referer", "https://*.example/"),
        ("keep-alive", "#"),
        ("x-*", "*"),
    ];
    let keep = chance.next();
    let mut kept = Vec::new();
    for (at, (name, pattern)) in patterns.iter().enumerate() {
        // The first twelve mostly, the last four seldom.
        let wanted = if at < 12 {
            keep >> at & 1 == 1 || keep >> 20 & 3 > 0
        } else {
            keep >> (24 + 2 * at) & 3 == 0
        };
        if wanted {
            let value =
                if *name == "user-agent" { (*pattern).to_owned() } else { chance.filled(pattern) };
            kept.push((chance.filled(name).to_ascii_lowercase(), value));
        }
    }
    if chance.below(8) == 0 && kept.len() > 1 {
        let (a, b) = (chance.below(kept.len()), chance.below(kept.len()));
        kept.swap(a, b);
    }
    kept
}

/// What the shipped rules take, `count` times. Some of it comes again, as in life.
fn recorded(count: usize) -> Vec<Call> {
    let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/traffic/synthetic.log");
    let lines = read_log(&log);
    let mut chance = Chance(26);
    let call = |at: usize| {
        let line = &lines[at % lines.len()];
        let (path, query) = line.target.split_once('?').unwrap_or((&line.target, ""));
        let mut or = |logged: &str, patterns: &[&str]| match chance.below(4) {
            0 => logged.to_owned(),
            _ => {
                let pattern = chance.of(patterns);
                chance.filled(pattern)
            }
        };
        let ua = or(line.user_agent.as_deref().unwrap_or(""), &AGENTS);
        let (path, query) = (or(path, &PATHS), or(query, &QUERIES));
        let all = fields(&mut chance, &ua);
        vec![
            ("ua", Value::Text(ua)),
            ("all", Value::Fields(all)),
            ("path", Value::Text(path)),
            ("query", Value::Text(query)),
        ]
    };
    (0..count).map(call).collect()
}

/// An answer, or why there was none.
type Told = Result<CallValue, Failure>;

/// A component, and what it is asked.
struct Asked<'a> {
    bind: &'a dyn Fn(&Sandbox, Isolation) -> Function,
    wasm: &'a [u8],
    limits: Limits,
    function: String,
    calls: Vec<Call>,
}

impl Asked<'_> {
    fn packed(&self) -> Vec<Vec<Vec<u8>>> {
        let packed = |call: &Call| call.iter().map(|(_, value)| value.packed()).collect();
        self.calls.iter().map(packed).collect()
    }

    /// Each on an instance of its own.
    fn fresh(&self) -> Vec<Told> {
        let function = (self.bind)(&sandbox(), Isolation::PerCall);
        self.packed().iter().map(|args| ask(&function, args)).collect()
    }

    /// As a server does: every thread asks all of it, each beginning elsewhere, twice.
    fn live(&self, fresh: &[Told]) -> (Vec<String>, CallStats) {
        let function = (self.bind)(&Sandbox::new(SandboxLimits::default()), Isolation::Reused);
        let packed = self.packed();
        let one = |thread: usize| {
            let start = packed.len() * thread / THREADS;
            let order = (start..packed.len()).chain(0..start).flat_map(|at| [at, at]);
            let differs = |at: &usize| ask(&function, &packed[*at]) != fresh[*at];
            order.filter(differs).map(|at| format!("live: call {at}")).collect::<Vec<_>>()
        };
        let mut found = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || one(n))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let stats = function.stats();
        let impure = stats.failed(Failure::Impure);
        found.extend((impure > 0).then(|| format!("live: {impure} answers were not repeated")));
        (found, stats)
    }

    /// As `seawall rule test` does, where the answers on fresh instances are what is expected.
    fn trial(&self, fresh: &[Told]) -> Vec<String> {
        let case = |(at, (call, told)): (usize, (&Call, &Told))| self.case(at, call, told);
        let cases: Vec<Case> = self.calls.iter().zip(fresh).enumerate().map(case).collect();
        let trial = TestRunner::new(self.wasm, &cases, |_| self.limits.clone()).unwrap();
        let findings = trial.run().unwrap();
        findings.into_iter().map(|finding| format!("trial: {}", finding.place)).collect()
    }

    fn case(&self, at: usize, call: &Call, told: &Told) -> Case {
        let expect = match told {
            Ok(CallValue::Bool(answer)) => answer.to_string(),
            Ok(CallValue::Int(answer)) => answer.to_string(),
            Ok(CallValue::Text(answer)) => quoted(std::str::from_utf8(answer).unwrap()),
            Err(failure) => panic!("{}: call {at}: {failure}", self.function),
        };
        let arg = |(name, value): &(&str, Value)| format!("{name} = {}", value.written());
        let args: Vec<String> = call.iter().map(arg).collect();
        let text = format!(
            "[[case]]\nname = \"{at}\"\nfunction = {}\nexpect = {expect}\nargs = {{ {} }}\n",
            quoted(&self.function),
            args.join(", ")
        );
        parse_cases("recorded", &text).unwrap().remove(0)
    }

    fn compare(&self) -> Compared {
        let fresh = self.fresh();
        let (mut found, live) = self.live(&fresh);
        found.extend(self.trial(&fresh));
        let answers: BTreeSet<String> = fresh.iter().map(|told| format!("{told:?}")).collect();
        Compared { found, live, answers: answers.len() }
    }
}

/// What came of asking in three ways.
struct Compared {
    /// Where they differ.
    found: Vec<String>,
    /// What the function that was asked as a server does counted.
    live: CallStats,
    /// How many different answers there are.
    answers: usize,
}

fn ask(function: &Function, args: &[Vec<u8>]) -> Told {
    let args: Vec<Arg<'_>> = args.iter().map(|arg| Arg::Bytes(arg)).collect();
    function.call(&args, Tick::TEST_START)
}

/// Of a recorded request, what this rule takes.
fn taken(call: &Call, params: &[(String, Kind)]) -> Call {
    let arg = |(name, _): &(String, Kind)| {
        call.iter().find(|(have, _)| have == name).unwrap_or_else(|| panic!("`{name}`")).clone()
    };
    params.iter().map(arg).collect()
}

#[test]
fn every_shipped_rule_answers_the_same_however_it_is_asked() {
    let rules = rules();
    let calls = std::env::var("SEAWALL_PURE_CALLS").map_or(CALLS, |calls| calls.parse().unwrap());
    let requests = recorded(calls.div_ceil(rules.len()));
    let mut remembered = 0;
    for rule in &rules {
        let (function, params) = rule.function();
        let bind = |sandbox: &Sandbox, isolation: Isolation| {
            Rule::bind(rule, &sandbox.compile(&rule.wasm).unwrap(), isolation, None)
        };
        let asked = Asked {
            bind: &bind,
            wasm: &rule.wasm,
            limits: rule.limits(),
            calls: requests.iter().map(|call| taken(call, &params)).collect(),
            function,
        };
        let Compared { found, live, answers } = asked.compare();
        let shown = &found[..found.len().min(SHOWN_MAX)];
        assert!(found.is_empty(), "{}: {} differ: {shown:#?}", asked.function, found.len());
        assert!(answers > 5, "{}: {answers} different answers prove little", asked.function);
        // Each was asked twice by each thread, and instances were replaced meanwhile.
        let times = u64::try_from(2 * THREADS * asked.calls.len()).unwrap();
        assert_eq!(live.calls, times, "{}", asked.function);
        assert!(live.instances > u64::try_from(THREADS).unwrap(), "{}: {live:?}", asked.function);
        remembered += live.memo_hits;
    }
    assert!(remembered > 0, "no answer came from memory");
}

/// Answers how long its text is, and one more with every call on the same instance.
const COUNTS: &str = r#"(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "f") (param i32 i32) (result i64)
      (i64.store (i32.const 8) (i64.add (i64.load (i32.const 8)) (i64.const 1)))
      (i64.add (i64.load (i32.const 8)) (i64.extend_i32_u (local.get 1)))))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (alias core export $i "realloc" (core func $realloc))
  (func (export "f") (param "text" (list u8)) (result s64)
    (canon lift (core func $i "f") (memory (core memory $memory)) (realloc (core func $realloc)))))"#;

#[test]
fn a_rule_that_counts_its_calls_is_found_both_ways() {
    let wasm = component(COUNTS);
    let bind = |sandbox: &Sandbox, isolation: Isolation| {
        let component = sandbox.compile(&wasm).unwrap();
        let limits = seawall_wasm::CallLimits { isolation, ..Default::default() };
        component.bind("f", &component.exports()[0], limits).unwrap()
    };
    let text = |at: usize| vec![("text", Value::Text("x".repeat(at)))];
    let asked = Asked {
        bind: &bind,
        wasm: &wasm,
        limits: Limits::default(),
        function: "f".to_owned(),
        calls: (0..100).map(text).collect(),
    };
    let Compared { found, answers, .. } = asked.compare();
    assert_eq!(answers, 100);
    for way in ["live: ", "trial: "] {
        let count = found.iter().filter(|found| found.starts_with(way)).count();
        assert!(count > 90, "{way}{count} of {}", found.len());
    }
}
