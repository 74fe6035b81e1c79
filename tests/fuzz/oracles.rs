//! What must hold for any bytes: the oracles of the fuzz targets, and of the test that replays their
//! seeds in every run.

use seawall_model::{
    Client, ClientPrefixes, ConnectionInfo, Facts, Geo, HeaderView, OriginHealth, Tick,
};
use seawall_policy::diagnostic::{Diagnostic, FileId};
use seawall_policy::syntax::lex::lex as tokens;
use seawall_policy::syntax::parse::parse as tree;
use seawall_policy::syntax::print::{format as pretty, is_same};
use seawall_ruleset::http::{normalize_host, normalize_path};
use seawall_ruleset::{
    MemoryStore, Purpose, RuleSetBuilder, Sandbox, SandboxLimits, ServerSettings, Sources, Style,
    render,
};
use seawall_state::{CounterShape, CounterSpec, RestoreClock, Seed, State, StateLimits, TrackKind};

/// Tokens lie inside the text, in order, between characters.
pub(crate) fn lex(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lexed = tokens(text);
    let mut last = 0;
    for token in &lexed.tokens {
        let span = token.span.range();
        assert!(last <= span.start && span.end <= text.len(), "{span:?} after {last}");
        assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end), "{span:?}");
        last = span.end;
    }
}

/// Reading ends, says the same twice, and complains inside the file.
pub(crate) fn parse(bytes: &[u8]) {
    let (first, complaints) = tree(FileId::default(), bytes);
    let (second, again) = tree(FileId::default(), bytes);
    assert!(first == second && complaints == again, "two readings differ");
    for complaint in &complaints {
        assert!(complaint.span.end as usize <= bytes.len(), "{complaint:?}");
    }
}

/// A policy is refused with complaints or loads, and complaints can be drawn.
pub(crate) fn check(bytes: &[u8]) {
    let store = MemoryStore::default().with("root.wall", bytes);
    let sources = Sources::gather("root.wall", &store);
    let assembly = workshop(|workshop| workshop.build(&sources, Purpose::Check, None));
    let failed =
        assembly.diagnostics.iter().any(|d| d.severity == seawall_ruleset::Severity::Error);
    assert!(failed != assembly.rules.is_some(), "an error and a ruleset, or neither");
    let drawn = render(&assembly.diagnostics, &sources, Style::Plain);
    assert!(drawn.is_empty() == assembly.diagnostics.is_empty());
}

/// A workshop for each thread.
fn workshop<T>(work: impl FnOnce(&RuleSetBuilder) -> T) -> T {
    thread_local! {
        static WORKSHOP: RuleSetBuilder =
            RuleSetBuilder::new(ServerSettings::default(), Sandbox::new(SandboxLimits::default()));
    }
    WORKSHOP.with(work)
}

/// What is formatted says the same, needs no formatting again, and can be read.
pub(crate) fn format(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(once) = pretty(text) else { return };
    assert!(is_same(text, &once), "formatting changed what is said");
    let (_, complaints) = tree(FileId::default(), once.as_bytes());
    assert!(!complaints.iter().any(Diagnostic::is_error), "formatting broke it: {complaints:?}");
    assert!(pretty(&once).as_ref() == Ok(&once), "formatting twice is not formatting once");
}

/// A request target and a host are folded or refused, and a folded path has no way up.
pub(crate) fn target(bytes: &[u8]) {
    let mut out = Vec::new();
    if normalize_path(bytes, &mut out).is_ok() {
        assert!(out.first() == Some(&b'/') && !out.contains(&0));
        assert!(!out.split(|b| *b == b'/').any(|part| part == b".."), "a way up is left");
        assert!(!out.windows(2).any(|pair| pair == b"//"));
    }
    if let Ok(host) = normalize_host(bytes) {
        assert!(normalize_host(host.as_bytes()).as_ref() == Ok(&host), "folding a host twice");
    }
}

/// A policy, NUL, and the lines of a request: path, agent, accept, query. Both walks judge it three
/// times alike.
pub(crate) fn walk(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (Some(policy), Some(request)) = (parts.next(), parts.next()) else { return };
    let store = MemoryStore::default().with("root.wall", policy);
    let sources = Sources::gather("root.wall", &store);
    let assembly = workshop(|workshop| workshop.build(&sources, Purpose::Check, None));
    let Some(rules) = assembly.rules else { return };
    // A policy may ask for hundreds of megabytes of counters, rightly; not here.
    if rules.counter_specs().iter().map(|spec| spec.keys).sum::<usize>() > 1 << 16 {
        return;
    }
    let mut lines = request.split(|byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (path, headers) = (line(), Lines { agent: line(), accept: line() });
    let facts = facts(path, line(), &headers);
    let states = [(); 2].map(|()| State::new(Seed([5; 16]), rules.counter_specs()));
    for second in 0..3 {
        let now = Tick(1_000 * second);
        let indexed = rules.decide(&facts, &states[0], now);
        assert_eq!(indexed, rules.decide_without_index(&facts, &states[1], now, &()));
    }
}

/// The types of lists.
const ELEMENTS: [&str; 4] = ["cidr", "asn", "country", "string"];

/// A byte for the type, and a list file: it is read to its end, what is said stands in its lines, no
/// line is two elements, and a half of it is read as well.
pub(crate) fn list(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let element = ELEMENTS[usize::from(kind % 4)];
    let wide = if element == "cidr" && kind & 4 > 0 { "allow wide" } else { "" };
    let root =
        format!("policy 1\nlist l: {element} = file \"l.txt\" max 10M on_error empty {wide}\n");
    let read = |bytes: &[u8]| {
        let store = MemoryStore::default().with("root.wall", &*root).with("l.txt", bytes);
        let sources = Sources::gather("root.wall", &store);
        workshop(|workshop| workshop.build(&sources, Purpose::Check, None))
    };
    let whole = read(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    for said in whole.diagnostics.iter().filter(|said| &*said.file == "l.txt") {
        assert!((1..=lines).contains(&(said.line as usize)), "{said:?}");
    }
    // An error would take the list out of force, but it is not to be one: it is empty instead.
    let rules = whole.rules.unwrap_or_else(|| panic!("{:?}", whole.diagnostics));
    let list = &rules.summary().lists[0];
    assert!(list.entries + list.bad_lines <= lines, "{list:?} of {lines}");
    assert!(read(&bytes[..bytes.len() / 2]).rules.is_some(), "a half of it is refused");
}

/// A limit and a track of each kind, as small as tables are.
pub(crate) fn counters() -> Vec<CounterSpec> {
    let track = |counted| CounterShape::Track { counted, keyed: true, heavy: true };
    let tracks = [TrackKind::Requests, TrackKind::Bytes, TrackKind::Distinct].map(track);
    let shapes = [CounterShape::Limit].into_iter().chain(tracks).zip(["l", "r", "b", "d"]);
    let spec = |(shape, name): (CounterShape, &str)| {
        let (identity, name) = (name.into(), name.into());
        CounterSpec { identity, name, shape, window_ms: 10_000, keys: 20 }
    };
    shapes.map(spec).collect()
}

/// Bytes are no snapshot, or a state that can be written and comes back as it is.
pub(crate) fn snapshot(bytes: &[u8]) {
    let now = Tick::TEST_START;
    let when = RestoreClock { now, elapsed_ms: 5_000 };
    let read =
        |bytes: &[u8], when| State::restore(bytes, &counters(), StateLimits::default(), when);
    let Ok((state, _)) = read(bytes, when) else { return };
    let written = state.snapshot(now);
    assert!(written.left_out == 0 && written.bytes.len() < bytes.len() * 16 + 4_096);
    let (again, _) = read(&written.bytes, RestoreClock { now, elapsed_ms: 0 }).unwrap();
    assert_eq!(again.bans().list(now), state.bans().list(now));
    assert_eq!(again.snapshot(now).entries, written.entries);
}

/// The header fields of a request of the fuzzer.
struct Lines<'r> {
    agent: &'r [u8],
    accept: &'r [u8],
}

impl HeaderView for Lines<'_> {
    fn any_value<'s>(&'s self, name: &str, visit: &mut dyn FnMut(&'s [u8]) -> bool) -> bool {
        self.first(name).is_some_and(visit)
    }

    fn first(&self, name: &str) -> Option<&[u8]> {
        match name {
            "user-agent" => Some(self.agent),
            "accept" => Some(self.accept),
            _ => None,
        }
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        visit(b"user-agent", self.agent);
        visit(b"accept", self.accept);
    }
}

fn facts<'r>(path: &'r [u8], query: &'r [u8], headers: &'r Lines<'r>) -> Facts<'r> {
    Facts {
        client: Client::of([192, 0, 2, 7].into(), &ClientPrefixes::default()),
        geo: Geo { asn: Some(64_500), country: Some(*b"DE"), crawler: None },
        conn: ConnectionInfo { requests: 1, ..ConnectionInfo::default() },
        method: "GET",
        host: "alice.example",
        site: "alice.example",
        path,
        raw_path: path,
        script: None,
        query: Some(query),
        headers,
        pass: None,
        pass_failures: 0,
        origin: OriginHealth::default(),
        cpu_percent: None,
    }
}
