//! The shipped rules: their component tests pass in the sandbox, no request makes one expensive,
//! and the policies that use them pass their tests.

use std::path::{Path, PathBuf};

use seawall_model::Tick;
use seawall_rulekit::{Kind, Limits, Project, TestRunner, describe, read_cases, sandbox};
use seawall_tests::seawall;

use crate::rule_determinism::Chance;
use seawall_wasm::{Arg, CallLimits, Component, Function, Isolation};

/// Bytes of one argument: the most that the host hands over.
const ARG_BYTES_MAX: usize = 64 << 10;

/// A rule that is shipped.
pub(crate) struct Rule {
    pub(crate) project: Project,
    pub(crate) wasm: Vec<u8>,
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All of `rules/`, in the order of their names.
pub(crate) fn rules() -> Vec<Rule> {
    let entries = std::fs::read_dir(repository().join("rules")).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("rule.toml").is_file());
    folders.sort();
    let read = |folder: &PathBuf| {
        let project = Project::open(folder).unwrap();
        let path = repository().join(format!("policies/wasm/{}.wasm", project.name));
        let wasm = std::fs::read(&path)
            .unwrap_or_else(|_| panic!("{} is missing: `cargo xtask rules`", path.display()));
        Rule { project, wasm }
    };
    let rules: Vec<Rule> = folders.iter().map(read).collect();
    assert!(rules.len() >= 5, "{} rules", rules.len());
    rules
}

impl Rule {
    /// Its one function, bound with the memory that it asks for, and with as much fuel or with this.
    pub(crate) fn bind(
        &self,
        component: &Component,
        isolation: Isolation,
        fuel: Option<u64>,
    ) -> Function {
        let asked = self.limits();
        // All the time there is, so that a busy machine changes no answer: fuel decides.
        let limits = CallLimits {
            fuel: fuel.unwrap_or(asked.fuel),
            memory_bytes: asked.memory_bytes,
            time_ms: 100,
            isolation,
        };
        let [signature] = component.exports() else { panic!("{}", self.project.name) };
        component.bind(&signature.name, signature, limits).unwrap()
    }

    /// What its one function asks for.
    pub(crate) fn limits(&self) -> Limits {
        self.project.limits(&describe(&self.wasm).unwrap().functions[0])
    }

    /// The name of its one function in a policy, and those of its parameters with their kinds.
    pub(crate) fn function(&self) -> (String, Vec<(String, Kind)>) {
        let described = describe(&self.wasm).unwrap();
        let function = &described.functions[0];
        (function.name(), function.params.clone())
    }
}

#[test]
fn the_cases_of_every_shipped_rule_hold_in_the_sandbox() {
    for Rule { project, wasm } in rules() {
        let described = describe(&wasm).unwrap();
        project.hold_against(&described.functions).unwrap();
        let cases = read_cases(&project.folder).unwrap();
        let trial = TestRunner::new(&wasm, &cases, |function| project.limits(function)).unwrap();
        assert_eq!(trial.run().unwrap(), [], "{}", project.name);
    }
}

/// `unit` again and again, to the last byte that fits.
fn full_of(unit: &str) -> Vec<u8> {
    let mut text = unit.as_bytes().repeat(ARG_BYTES_MAX / unit.len() + 1);
    text.truncate(ARG_BYTES_MAX);
    text
}

/// What the rules look for.
const UNITS: [&str; 31] = [
    "a",
    "0",
    "%",
    "%61",
    "&",
    "=",
    "/",
    "a/",
    "a=b&",
    "aB3",
    "qx",
    "q%5",
    "-",
    "aB3=xQ9&",
    "(",
    ")",
    "; ",
    "Chrome/1 ",
    "Windows NT ",
    "Mozilla/5.0 (",
    "C",
    "M",
    "h",
    "b",
    "\u{fffd}",
    "6f9619ff-8b86-d011-b42d-00c04fc964ff/",
    "x7Kq2Lp9Rw.",
    "%s",
    "$",
    "@",
    "Mozilla/5.0 (Windows NT 10.0; Android 9; MSIE 6.0; rv:1.9; Mac OS X 10_1) Chrome/9 Firefox/8 ",
];

/// Texts that are put together of several units.
const MIXED: u64 = 40;

/// Texts as long as they may be: one unit again and again, or several by chance.
fn long_texts() -> Vec<Vec<u8>> {
    let mixed = (0..MIXED).map(|seed| {
        let mut chance = Chance(seed);
        let units: Vec<&str> = (0..60).map(|_| chance.of(&UNITS)).collect();
        full_of(&units.concat())
    });
    UNITS.iter().map(|unit| full_of(unit)).chain(mixed).collect()
}

/// Packed fields as many or as long as fit.
fn long_headers() -> Vec<Vec<u8>> {
    let field = |name: &str, value: &[u8]| {
        let mut field = Vec::new();
        field.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        field.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        field.extend(name.as_bytes());
        field.extend(value);
        field
    };
    let names = [
        "a",
        "",
        "accept",
        "user-agent",
        "accept-language",
        "sec-ch-ua",
        "cookie",
        "keep-alive",
        "sec-ch-ua-full-version-list",
        "x-forwarded-for",
        "upgrade-insecure-requests",
    ];
    let values: [&[u8]; 6] =
        [b"", b"1", b"a1 a1 a1 a1", &[b'"'; 300], &[b'0'; 4_000], &[b';'; 60_000]];
    let mut all = vec![full_of("\0"), full_of("\u{7f}")];
    // Long ones first, then as many as fit.
    let mut both = field("user-agent", &[b'"'; 300]).repeat(20);
    let short = field("upgrade-insecure-requests", b"1");
    both.extend(short.repeat((ARG_BYTES_MAX - both.len()) / short.len()));
    all.push(both);
    for (name, value) in names.iter().flat_map(|name| values.map(|value| (name, value))) {
        let one = field(name, value);
        all.push(one.repeat(ARG_BYTES_MAX / one.len()));
    }
    all
}

/// What a rule is asked at the worst: a text and fields, of which it takes what it has parameters for.
struct Worst {
    fuel: u64,
    text: Vec<u8>,
    all: Vec<u8>,
}

impl Worst {
    /// The dearer of this and the other.
    fn or(self, other: Self) -> Self {
        if other.fuel > self.fuel { other } else { self }
    }

    /// How its arguments begin.
    fn begins(&self) -> String {
        let start = |bytes: &[u8]| bytes.get(..30).unwrap_or_default().escape_ascii().to_string();
        format!("{}, {}", start(&self.text), start(&self.all))
    }
}

/// The most fuel that the rule takes with what is as long as it may be. Texts and fields are looked
/// for in turn, since what one costs hardly depends on the other.
fn worst(rule: &Rule) -> Worst {
    let sandbox = sandbox();
    let component = sandbox.compile(&rule.wasm).unwrap();
    let kinds: Vec<Kind> = rule.function().1.into_iter().map(|(_, kind)| kind).collect();
    let ask = |text: &[u8], all: &[u8]| {
        let arg = |kind: &Kind| Arg::Bytes(if *kind == Kind::Text { text } else { all });
        let args: Vec<Arg<'_>> = kinds.iter().map(arg).collect();
        // Bound anew, so that the peak is this call's.
        let all_there_is = Some(sandbox.limits().fuel_max);
        let function = rule.bind(&component, Isolation::Reused, all_there_is);
        let answer = function.call(&args, Tick::TEST_START);
        let fuel = function.stats().fuel_peak;
        let worst = Worst { fuel, text: text.to_vec(), all: all.to_vec() };
        assert!(answer.is_ok(), "{}: {answer:?}: {}", rule.project.name, worst.begins());
        worst
    };
    let (texts, headers) = (long_texts(), long_headers());
    let mut most = ask(&texts[0], &headers[0]);
    for _ in 0..2 {
        let all = most.all.clone();
        most = texts.iter().fold(most, |most, text| most.or(ask(text, &all)));
        let text = most.text.clone();
        most = headers.iter().fold(most, |most, all| most.or(ask(&text, all)));
    }
    most
}

#[test]
fn no_visitor_makes_a_shipped_rule_dear() {
    for rule in rules() {
        let asked = rule.limits().fuel;
        let worst = worst(&rule);
        let (most, begins) = (worst.fuel, worst.begins());
        println!("{}: {most} of {asked} fuel, for {begins}", rule.project.name);
        assert!(most > 1_000, "{}: nothing was measured", rule.project.name);
        assert!(most * 4 <= asked * 3, "{}: {most} of {asked} for {begins}", rule.project.name);
    }
}

/// Files of `policies/` that can stand alone, by their names.
fn policies() -> Vec<String> {
    let entries = std::fs::read_dir(repository().join("policies")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // It says so itself: its levels are those of `baseline.wall`.
    let mut names: Vec<String> =
        names.filter(|name| name.ends_with(".wall") && name != "under-attack.wall").collect();
    names.sort();
    assert!(names.len() >= 5, "{names:?}");
    names
}

#[test]
fn every_shipped_policy_passes_its_tests_and_opens_with_what_it_is_for() {
    for name in policies() {
        let path = format!("policies/{name}");
        let ran = seawall(repository(), &["test", &path]);
        assert_eq!(ran.code, Some(0), "{path}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(" 0 failed") && !ran.out.starts_with("0 passed"), "{}", ran.out);
        let checked = seawall(repository(), &["check", "--strict", &path]);
        assert_eq!(checked.code, Some(0), "{path}: {}{}", checked.out, checked.err);
        let text = std::fs::read_to_string(repository().join(&path)).unwrap();
        assert!(text.starts_with("# What it is for: "), "{path}");
        assert!(text.contains("# When not to use it: "), "{path}");
    }
}

/// A shipped policy alone in a folder, with this test behind its own.
#[track_caller]
fn passes_with(policy: &str, rule: &str, expect: &str, requests: impl Iterator<Item = String>) {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(repository().join("policies").join(policy)).unwrap();
    let requests: String = requests.map(|request| format!("  request {request}\n")).collect();
    let test = format!("test \"added\" {{\n{requests}  expect {expect}\n}}\n");
    std::fs::write(folder.path().join("root.wall"), format!("{text}{test}")).unwrap();
    copy_component(folder.path(), rule);
    let ran = seawall(folder.path(), &["test", "root.wall"]);
    assert_eq!(ran.code, Some(0), "{policy}: {}{}", ran.out, ran.err);
}

fn copy_component(folder: &Path, rule: &str) {
    let name = format!("wasm/{rule}.wasm");
    std::fs::create_dir_all(folder.join("wasm")).unwrap();
    std::fs::copy(repository().join("policies").join(&name), folder.join(&name)).unwrap();
}

#[test]
fn a_client_that_walks_through_ids_is_slowed_down() {
    let walk = |shape: &'static str| {
        (1..=340).map(move |n| {
            format!("GET \"https://a.example/{}\"", shape.replace('#', &n.to_string()))
        })
    };
    passes_with("path-shape.wall", "path-shape", "throttle by enumerates", walk("user/#/mail"));
    // As many pages, of a hundred shapes.
    let spread = walk("user/#/mail").enumerate().map(|(at, request)| {
        let section = ["news", "shop", "help", "team"][at % 4];
        request.replace("user", section)
    });
    passes_with("path-shape.wall", "path-shape", "pass", spread);
}

#[test]
fn a_client_with_hundreds_of_prints_is_slowed_down() {
    let letters = || (b'a'..=b'z').map(char::from);
    let pairs = letters().flat_map(move |a| letters().map(move |b| format!("{a}{b}"))).take(250);
    let asks = |language: String| {
        format!("GET \"https://a.example/\" {{ header \"accept-language\" \"{language}\" }}")
    };
    let policy = ("fingerprint.wall", "fingerprint");
    passes_with(policy.0, policy.1, "throttle by many-prints", pairs.map(asks));
    // What is free to vary makes no print.
    let versions = (0..250).map(|n| {
        format!("GET \"https://a.example/?{n}\" {{ header \"user-agent\" \"Tool/{n}.0\" cookie \"c\" \"{n}\" header \"x-{n}\" \"1\" }}")
    });
    passes_with(policy.0, policy.1, "pass", versions);
}

#[test]
fn many_clients_with_made_up_queries_are_bounded_together() {
    let each = |n: usize, query: &str| {
        format!("GET \"https://a.example/?{query}\" from 198.51.100.{n} times 10")
    };
    let policy = ("query-entropy.wall", "query-entropy");
    let by_chance = (1..=70).map(|n| each(n, "x7Kq2Lp9=aB3xQ9kZ2"));
    passes_with(policy.0, policy.1, "block 429 by defaults.busting", by_chance);
    passes_with(policy.0, policy.1, "pass", (1..=70).map(|n| each(n, "page=2&q=rice")));
}

#[test]
fn a_client_that_changes_odd_agents_is_refused() {
    let agents = |first: usize| {
        (first..first + 55).map(|n| {
            format!(
                "GET \"https://a.example/\" {{ header \"user-agent\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{n}.0.0.0 Safari/537.36\" }}"
            )
        })
    };
    let policy = ("botnet-user-agent.wall", "botnet-user-agent");
    // Chrome 30 to 69 are old, and those before 30 are older.
    passes_with(policy.0, policy.1, "block 403 by takes-turns", agents(15));
    // A crowd of browsers behind one address.
    passes_with(policy.0, policy.1, "pass", agents(100));
}

#[test]
fn the_shipped_policies_go_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut root = "policy 1\n".to_owned();
    for name in policies().iter().filter(|name| *name != "baseline.wall") {
        std::fs::copy(repository().join("policies").join(name), folder.path().join(name)).unwrap();
        copy_component(folder.path(), name.strip_suffix(".wall").unwrap());
        root.push_str(&format!("include \"{name}\"\n"));
    }
    std::fs::write(folder.path().join("root.wall"), root).unwrap();
    let ran = seawall(folder.path(), &["check", "--strict", "root.wall"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
}
