//! Property test: the evaluations with and without an index are equal.
//!
//! Policies and requests are generated from small vocabularies, so that tests hold often and rules
//! overlap. Both evaluations get the same requests, each with counters of its own. They must agree
//! in verdict, rule and effects, and in every count.

use std::cell::RefCell;
use std::net::IpAddr;

use seawall_model::{
    Client, ClientPrefixes, ConnectionInfo, Decision, Facts, Geo, HeaderView, OriginHealth, Pass,
    PassKind, RuleId, Tick,
};
use seawall_policy::program::LevelId;
use seawall_state::{Seed, State};

use super::workshop;
use crate::eval::context::{EvalContext, EvalOptions};
use crate::{MemoryStore, Observer, Purpose, RuleSet, RuleSetBuilder, Sources};

/// Policies of a run, and requests to each: together at least 100,000 pairs.
const POLICIES: u64 = 700;
const REQUESTS: u64 = 150;

/// splitmix64 (Steele, Lea, Flood 2014): the same run every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len() as u64) as usize]
    }
}

const TESTS: [&str; 75] = [
    "path == \"/a\"",
    "path == \"/a/b\"",
    "path != \"/a\"",
    "path in { \"/a\", \"/b.php\", \"/c\" }",
    "path not in { \"/a\", \"/b.php\" }",
    "path in @paths",
    "path starts_with \"/a\"",
    "path starts_with nocase \"/A/\"",
    "path starts_with \"/\"",
    "path ends_with \".php\"",
    "path ends_with nocase \".PHP\"",
    "path contains \"b.p\"",
    "path contains \"b\"",
    "path like \"/?.php\"",
    "path.ext == \"php\"",
    "path.ext is absent",
    "segment(path, 1) == \"a\"",
    "segment(path, 2) in { \"b\", \"c\" }",
    "lower(path) == \"/a\"",
    "lower(path) starts_with \"/b\"",
    "raw_path == \"/%61\"",
    "host == \"m.example\"",
    "host ends_with \"example\"",
    "ua contains nocase \"bot\"",
    "ua contains \"bot\"",
    "ua contains nocase \"badbot-1\"",
    "ua == \"curl/8\"",
    "ua is absent",
    "ua is present",
    "lower(ua) contains \"bad\"",
    "ua matches r\"(?i)bad(bot|crawler)-\\d\"",
    "ua matches r\"^c.*8$\"",
    "ua matches r\"spider|crawl+er\"",
    "ua like \"*bot*\"",
    "ua in @agents",
    "ua not in @agents",
    "lower(ua) in @agents",
    "lower(path) in @paths",
    "ua contains nocase @agents",
    "ua contains @agents",
    "lower(ua) contains @agents",
    "ua not contains nocase @agents",
    "path starts_with @paths",
    "path ends_with nocase @paths",
    "path starts_with { \"/a\", \"/x/\" }",
    "path contains { \"/b\", \"b.p\" }",
    "lower(path) ends_with { \"b.php\", \"/b\" }",
    "header(\"accept\") contains nocase { \"HTML\", \"json\" }",
    "header(\"accept\") starts_with nocase @agents",
    "header(\"accept\") == \"*/*\"",
    "header(\"accept\") contains \"html\"",
    "header(\"accept\") is absent",
    "count_of(header(\"accept\")) > 1",
    "lower(header(\"accept\")) == \"text/html\"",
    "cookie(\"s\") == \"1\"",
    "query(\"q\") starts_with \"x\"",
    "query_string contains \"q=x\"",
    "client.ip in 192.0.2.0/25",
    "client.ip == 192.0.2.7",
    "client.ip in { 192.0.2.0/30, 2001:db8::/32 }",
    "client.ip in @nets",
    "client.ip not in 192.0.2.0/24",
    "client in 192.0.2.0/24",
    "client.net == 192.0.2.0/24",
    "net(client.ip, 30, 64) == 192.0.2.4/30",
    "client.asn == AS64500",
    "client.asn in { AS64500, AS64501 }",
    "client.country in { DE, FR }",
    "method == POST",
    "method in { GET, HEAD }",
    "conn.requests > 3",
    "conn.requests == 2",
    "pass.valid",
    "tagged(\"t\")",
    "score >= 10",
];

const COUNTED: [&str; 3] = ["rate(seen) > 3/10s", "distinct(paths) > 2", "rate(odd) > 1/1m"];

fn condition(dice: &mut Dice, depth: u32) -> String {
    match dice.roll(if depth == 0 { 6 } else { 12 }) {
        0..=4 => dice.one(&TESTS).to_owned(),
        5 => dice.one(&COUNTED).to_owned(),
        6 | 7 => joined(dice, depth, " and "),
        8..=10 => joined(dice, depth, " or "),
        _ => format!("not ({})", condition(dice, depth - 1)),
    }
}

fn joined(dice: &mut Dice, depth: u32, word: &str) -> String {
    let parts: Vec<String> =
        (0..2 + dice.roll(2)).map(|_| format!("({})", condition(dice, depth - 1))).collect();
    parts.join(word)
}

/// Returns a rule or a limit. Its own negated test prevents that an earlier rule hides it, which
/// would be an error.
fn step(dice: &mut Dice, name: &str, actions: &[&str]) -> String {
    let condition = format!("({}) and raw_path != \"/-{name}\"", condition(dice, 3));
    let shadow = if dice.roll(8) == 0 { "shadow " } else { "" };
    let unless = match dice.roll(5) {
        0 => format!("unless {}", condition_of_one(dice)),
        _ => String::new(),
    };
    let action = dice.one(actions);
    match dice.roll(5) {
        0 => format!(
            "{shadow}limit {name} {{ where {condition} {unless} per client to 3/10s then {action} hold 5s keys 64 }}\n"
        ),
        _ => format!("{shadow}rule {name} {{ when {condition} {unless} then {action} }}\n"),
    }
}

fn condition_of_one(dice: &mut Dice) -> String {
    dice.one(&TESTS).to_owned()
}

fn layer(dice: &mut Dice, name: &str, most: u64, actions: &[&str]) -> String {
    let mut text = String::new();
    for at in 0..dice.roll(most) {
        let step = step(dice, &format!("{name}{at}"), actions);
        match dice.roll(5) {
            0 => text.push_str(&format!("under {} {{ {step} }}\n", dice.one(&["warm", "hot"]))),
            _ => text.push_str(&step),
        }
    }
    text
}

fn policy(dice: &mut Dice) -> String {
    let most = dice.one(&[4, 12, 30]);
    let all = ["allow", "block 404", "drop", "score += 5", "tag \"t\", score += 3", "challenge"];
    let refusals = ["block 403", "score += 7", "tag \"t\"", "throttle to 4/10s", "tarpit 1s"];
    let adjusted = match dice.roll(3) {
        0 => "disable always\n",
        1 => "adjust often { to 2/10s }\n",
        _ => "",
    };
    format!(
        "policy 1\n\
         list paths: string = {{ \"/a\", \"/A/b\" }}\n\
         list agents: string = {{ \"curl/8\", \"badbot-1\", \"html\" }}\n\
         list nets: cidr = {{ 192.0.2.0/29, 192.0.2.4/31, 2001:db8:0:1::/64 }}\n\
         track seen {{ count requests per client over 10s keys 64 }}\n\
         track paths {{ count distinct path per client over 1m keys 64 }}\n\
         track odd {{ where path != \"/a\" count requests per client.asn over 1m keys 64 }}\n\
         track all {{ count requests over 10s }}\n\
         level warm {{ enter when rate(all) > 100k/10s sustained 10s leave after 1m }}\n\
         level hot {{ enter when rate(all) > 200k/10s sustained 10s leave after 1m }}\n\
         guarantee {{ {} }}\nfloor {{ {} }}\nsite \"m.example\" {{ {adjusted} {} }}\n\
         defaults {{ rule always {{ when true then score += 1 }}\n\
         limit often {{ per client to 9/10s then block 429 hold 5s keys 64 }}\n {} \
         decide {{ when score >= 20 then block 403 when score >= 9 then block 404 otherwise allow }} }}\n",
        layer(dice, "g", 2, &["allow"]).replace("where", "where path != \"\" and"),
        layer(dice, "f", most, &refusals),
        layer(dice, "s", most, &all),
        layer(dice, "d", most, &all),
    )
}

/// Records the events of an evaluation.
#[derive(Default)]
struct Told(RefCell<Vec<(RuleId, bool)>>);

impl Observer for Told {
    fn shadowed(&self, rule: RuleId) {
        self.0.borrow_mut().push((rule, false));
    }

    fn applied(&self, rule: RuleId) {
        self.0.borrow_mut().push((rule, true));
    }
}

struct Fields(Vec<(&'static str, &'static str)>);

impl HeaderView for Fields {
    fn any_value<'s>(&'s self, name: &str, visit: &mut dyn FnMut(&'s [u8]) -> bool) -> bool {
        self.0.iter().any(|(key, value)| *key == name && visit(value.as_bytes()))
    }

    fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_bytes())
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.0.iter().for_each(|(key, value)| visit(key.as_bytes(), value.as_bytes()));
    }
}

const AGENTS: [&str; 9] = [
    "curl/8",
    "BadBot-1",
    "badbot-1",
    "Mozilla/5.0 (spider)",
    "bad crawler-7",
    "BADCRAWLER-7",
    "crawllller",
    "",
    "c 8",
];

fn fields(dice: &mut Dice) -> Fields {
    let mut all = Vec::new();
    if dice.roll(6) > 0 {
        all.push(("user-agent", dice.one(&AGENTS)));
    }
    for _ in 0..dice.roll(3) {
        all.push(("accept", dice.one(&["*/*", "text/html", "TEXT/HTML", "html"])));
    }
    if dice.roll(3) == 0 {
        all.push(("cookie", dice.one(&["s=1", "s=2; s=1", "t=1"])));
    }
    Fields(all)
}

fn judge(
    rules: &RuleSet,
    facts: &Facts<'_>,
    state: &State,
    now: Tick,
    given: EvalOptions<'_>,
) -> (Decision, Vec<(RuleId, bool)>) {
    let told = Told::default();
    let decision =
        rules.decide_given(&mut EvalContext::new(rules, facts, state, now, given), &told);
    (decision, told.0.take())
}

fn request<'r>(dice: &mut Dice, fields: &'r Fields) -> Facts<'r> {
    let ips = [
        "192.0.2.1",
        "192.0.2.5",
        "192.0.2.7",
        "192.0.2.200",
        "198.51.100.1",
        "2001:db8:0:1::1",
        "2001:db9::1",
    ];
    let ip: IpAddr = dice.one(&ips).parse().unwrap();
    let path = dice.one(&["/a", "/a/b", "/A/b", "/b.php", "/x/B.PHP", "/c", "/", "/a/c"]);
    let pass = Pass { kind: PassKind::Pow, issued: Tick(1) };
    Facts {
        client: Client::of(ip, &ClientPrefixes::default()),
        geo: Geo {
            asn: dice.one(&[None, Some(64_500), Some(64_501), Some(7)]),
            country: dice.one(&[None, Some(*b"DE"), Some(*b"US")]),
            crawler: None,
        },
        conn: ConnectionInfo { requests: dice.roll(6) as u32, ..ConnectionInfo::default() },
        method: dice.one(&["GET", "POST", "HEAD", "BREW"]),
        host: dice.one(&["m.example", "o.example"]),
        site: "any",
        path: path.as_bytes(),
        raw_path: dice.one(&["/a", "/%61", "/b"]).as_bytes(),
        script: None,
        query: dice.one(&[None, Some(&b"q=x1"[..]), Some(b"q=y&q=x"), Some(b"")]),
        headers: fields,
        pass: dice.one(&[None, None, Some(pass)]),
        pass_failures: 0,
        origin: OriginHealth::default(),
        cpu_percent: None,
    }
}

fn assembled(workshop: &RuleSetBuilder, text: &str) -> RuleSet {
    let store = MemoryStore::default().with("root.wall", text);
    let assembly = workshop.build(&Sources::gather("root.wall", &store), Purpose::Check, None);
    assembly.rules.unwrap_or_else(|| panic!("{:#?}\n{text}", assembly.diagnostics))
}

#[test]
fn the_indexed_walk_is_the_plain_one() {
    let workshop = workshop();
    let (mut pairs, mut refused) = (0_u64, 0_u64);
    for seed in 0..POLICIES {
        let mut dice = Dice(seed);
        let text = policy(&mut dice);
        let rules = assembled(&workshop, &text);
        let states = [(); 2].map(|()| State::new(Seed([9; 16]), rules.counter_specs()));
        let mut now = Tick(1_000_000);
        for _ in 0..REQUESTS {
            now = now.plus_ms(dice.roll(3_000));
            let fields = fields(&mut dice);
            let facts = request(&mut dice, &fields);
            let given = EvalOptions::at(LevelId(dice.roll(3) as u16));
            let indexed = judge(&rules, &facts, &states[0], now, given);
            let plain =
                judge(&rules, &facts, &states[1], now, EvalOptions { plain: true, ..given });
            assert_eq!(
                indexed,
                plain,
                "policy {seed}: {} {:?} {:?} {:?}\n{text}",
                facts.host,
                String::from_utf8_lossy(facts.path),
                fields.0,
                facts.client.ip,
            );
            pairs += 1;
            refused += u64::from(indexed.0.verdict.kind() > seawall_model::VerdictKind::Allow);
        }
    }
    assert!(pairs >= 100_000);
    assert!(refused > pairs / 10 && refused < pairs * 9 / 10, "{refused} of {pairs} refused");
}

#[test]
fn an_index_that_would_grow_without_bound_is_refused_by_the_rule_that_was_too_much() {
    let file = |n: u64| {
        let values: Vec<String> = (0..110_000).map(|i| (n * 1_000_000 + i).to_string()).collect();
        format!(
            "policy 1\nfloor {{ rule r{n} {{ when conn.requests in {{ {} }} then drop }} }}\n",
            values.join(",")
        )
    };
    let mut store = MemoryStore::default().with("root.wall", "policy 1\ninclude \"more/*.wall\"\n");
    for n in 0..4 {
        store = store.with(&format!("more/{n}.wall"), file(n));
    }
    let assemble = |store: &MemoryStore| {
        workshop().build(&Sources::gather("root.wall", store), Purpose::Check, None)
    };
    assert!(assemble(&store).rules.is_some(), "440,000 are fewer than may be");
    store = store.with("more/4.wall", file(4));
    let refused = assemble(&store);
    assert!(refused.rules.is_none());
    let [why] = &*refused.diagnostics else { panic!("{:?}", refused.diagnostics) };
    assert_eq!((why.code, &*why.file, why.line), ("C020", "more/4.wall", 2));
    assert!(why.message.contains("550000 values"), "{}", why.message);
}

#[test]
fn a_member_that_disables_and_adjusts_walks_his_own_copy_of_the_defaults() {
    let rules = super::rules(
        "defaults {\n\
         rule a { when path == \"/a\" then block 410 }\n\
         limit b { where path == \"/b\" per client to 2/10s then block 429 keys 64 }\n\
         rule c { when path == \"/c\" then block 404 }\n}\n\
         site \"m.example\" { disable a  adjust b { to 1/10s } }\n",
    );
    let state = State::new(Seed([9; 16]), rules.counter_specs());
    let ask = |host, path| {
        let decision = rules.decide(&super::get("192.0.2.1", host, path), &state, Tick(5));
        rules.name(decision.reason).to_owned()
    };
    assert_eq!(ask("m.example", "/a"), "unopposed");
    assert_eq!(ask("m.example", "/c"), "defaults.c");
    assert_eq!(ask("o.example", "/a"), "defaults.a");
    assert_eq!(ask("m.example", "/b"), "unopposed");
    assert_eq!(ask("m.example", "/b"), "defaults.b");
}

/// Returns a policy of `n` expressions with 400 repetitions each.
fn expressions(n: u32) -> String {
    let rule =
        |i| format!("rule r{i} {{ when ua matches r\"^x{i}[a-z0-9]{{400}}y\" then drop }}\n");
    (0..n).map(rule).collect()
}

#[test]
fn a_thousand_long_expressions_are_refused_at_the_one_that_was_too_much() {
    assert!(
        super::assemble(&format!("policy 1\nfloor {{\n{}}}\n", expressions(50))).rules.is_some()
    );
    let refused = super::assemble(&format!("policy 1\nfloor {{\n{}}}\n", expressions(5_000)));
    let errors: Vec<_> =
        refused.diagnostics.iter().filter(|d| d.severity == crate::Severity::Error).collect();
    let [why] = *errors else { panic!("{errors:?}") };
    assert_eq!(why.code, "C006");
    assert!(why.message.contains("16 MiB") && why.line > 50, "{why:?}");
}

#[test]
fn one_members_expressions_take_nothing_from_the_next_one() {
    let member =
        |n, rules| format!("policy 1\nsite \"m{n}.example\" {{\n{}}}\n", expressions(rules));
    let root = "policy 1\n\
        member m1 { hosts { \"m1.example\" } may { drop } rules 5000 file \"m1/a.wall\" }\n\
        member m2 { hosts { \"m2.example\" } may { drop } rules 5000 file \"m2/a.wall\" }\n";
    let store = MemoryStore::default()
        .with("root.wall", root)
        .with("m1/a.wall", member(1, 2_000))
        .with("m2/a.wall", member(2, 30));
    let assembly = workshop().build(&Sources::gather("root.wall", &store), Purpose::Check, None);
    let everything = assembly.everything();
    let errors: Vec<_> =
        everything.iter().filter(|d| d.severity == crate::Severity::Error).collect();
    let [why] = *errors else { panic!("{errors:?}") };
    assert_eq!((why.code, &*why.file), ("C006", "m1/a.wall"));
    assert!(assembly.rules.is_some_and(|rules| rules.member("m2").is_some()));
}
