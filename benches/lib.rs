//! Parts that the benches share: policies of any size, and requests to evaluate.

pub mod worst;

use seawall_model::{Client, ClientPrefixes, ConnectionInfo, Facts, Geo, HeaderView, OriginHealth};
use seawall_ruleset::{
    MemoryStore, Purpose, RuleSet, RuleSetBuilder, Sandbox, SandboxLimits, ServerSettings, Sources,
};

/// The header fields of a browser's request.
#[derive(Debug, Clone)]
pub struct Browser(Vec<(&'static str, String)>);

impl Browser {
    /// One that sends these.
    #[must_use]
    pub fn sending(fields: &[(&'static str, &str)]) -> Self {
        Self(fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
    }

    /// One of many browsers that differ in their agent string.
    #[must_use]
    pub fn new(n: u64) -> Self {
        let agent = format!(
            "Mozilla/5.0 (X11; Linux x86_64; rv:{}.0) Gecko/20100101 Firefox/{}.0",
            n % 97,
            n % 89
        );
        Self(vec![
            ("host", "www.example.org".to_owned()),
            ("user-agent", agent),
            ("accept", "text/html,application/xhtml+xml,*/*;q=0.8".to_owned()),
            ("accept-language", "en-GB,en;q=0.5".to_owned()),
            ("accept-encoding", "gzip, deflate, br".to_owned()),
            ("cookie", "session=0123456789abcdef".to_owned()),
        ])
    }
}

impl HeaderView for Browser {
    fn any_value<'s>(&'s self, name: &str, visit: &mut dyn FnMut(&'s [u8]) -> bool) -> bool {
        self.0.iter().any(|(key, value)| *key == name && visit(value.as_bytes()))
    }

    fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_bytes())
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.0.iter().for_each(|(key, value)| visit(key.as_bytes(), value.as_bytes()));
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

impl Browser {
    /// One of very many whose agent strings all differ.
    #[must_use]
    pub fn never_seen(n: u64) -> Self {
        let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut browser = Self::new(n);
        if let Some((_, agent)) = browser.0.get_mut(1) {
            *agent = format!(
                "Mozilla/5.0 (X11; Linux x86_64; rv:{mixed}.0) Gecko/20100101 Firefox/{mixed:x}"
            );
        }
        browser
    }
}

/// Returns a GET of `path` by the n-th client.
#[must_use]
pub fn request<'r>(headers: &'r Browser, path: &'r str, n: u32) -> Facts<'r> {
    let ip = std::net::Ipv4Addr::from(0xC612_0000 | (n & 0xFFFF));
    Facts {
        client: Client::of(ip.into(), &ClientPrefixes::default()),
        geo: Geo::default(),
        conn: ConnectionInfo { requests: 1, ..ConnectionInfo::default() },
        method: "GET",
        host: "www.example.org",
        site: "www.example.org",
        path: path.as_bytes(),
        raw_path: path.as_bytes(),
        script: None,
        query: None,
        headers,
        pass: None,
        pass_failures: 0,
        origin: OriginHealth::default(),
        cpu_percent: None,
    }
}

/// Returns the condition of the i-th rule: paths, agents, networks, methods.
fn condition(i: usize) -> String {
    let (a, b) = (i / 250 % 250, i % 250);
    match i % 5 {
        0 => format!("path == \"/old/{i}.php\""),
        1 => format!("path starts_with \"/scan/{i}/\""),
        2 => format!("ua contains nocase \"badbot-{i}\""),
        3 => format!("client.ip in 10.{a}.{b}.0/24"),
        _ => format!("method == POST and path == \"/api/{i}\""),
    }
}

fn rule(i: usize) -> String {
    format!("  rule r{i} {{ when {} then block 403 }}\n", condition(i))
}

/// Returns a policy of `n` rules, like an operator's after a long attack.
#[must_use]
pub fn policy(n: usize) -> String {
    let rules: String = (0..n).map(rule).collect();
    format!("policy 1\nfloor {{\n{rules}}}\n")
}

/// Returns the same with a tenth of the rules as regular expressions.
#[must_use]
pub fn regex_policy(n: usize) -> String {
    let regex =
        |i| format!("  rule r{i} {{ when ua matches r\"(?i)scraper-{i}/\\d+\" then block 403 }}\n");
    let rules: String = (0..n).map(|i| if i % 10 == 9 { regex(i) } else { rule(i) }).collect();
    format!("policy 1\nfloor {{\n{rules}}}\n")
}

/// Returns a policy of many sites with `n` rules between them, a tenth of them the operator's.
#[must_use]
pub fn site_policy(sites: usize, n: usize) -> String {
    let own = n / 10;
    let mut text = policy(own);
    let each = n.saturating_sub(own).div_ceil(sites.max(1));
    for site in 0..sites {
        let first = own + site * each;
        let rules: String = (first..(first + each).min(n)).map(rule).collect();
        text.push_str(&format!("site \"s{site}.example\" {{\n{rules}}}\n"));
    }
    text
}

/// Returns a rule that is shipped, where it is built.
#[must_use]
pub fn shipped_component(rule: &str) -> Option<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/wasm");
    std::fs::read(folder.join(format!("{rule}.wasm"))).ok()
}

/// Returns the policies that are shipped; without their rule in WASM, or with it where it is built.
#[must_use]
pub fn shipped(with_wasm: bool) -> Option<RuleSet> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let read = |name: &str| std::fs::read(folder.join(name)).ok();
    let root = String::from_utf8(read("baseline.wall")?).ok()?;
    let root = if with_wasm { root } else { without_wasm(&root) };
    let mut store = MemoryStore::default().with("baseline.wall", root);
    for name in
        ["under-attack.wall", "members/alice.wall", "members/partner-keys.txt", "lists/drop.txt"]
    {
        store = store.with(name, read(name)?);
    }
    if with_wasm {
        let name = "wasm/header-oddness.wasm";
        store = store.with(name, read(name)?);
    }
    Some(of_store(&Sources::gather("baseline.wall", &store)))
}

/// Returns the policy without its extern and the rule that asks it.
fn without_wasm(text: &str) -> String {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        inside |= line.starts_with("extern header_oddness");
        let drop = inside || line.trim_start().starts_with("rule odd-headers");
        inside &= *line != "}";
        !drop
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// Returns the ruleset of a policy text.
///
/// # Panics
/// The text is not a valid policy.
#[must_use]
pub fn rules(text: &str) -> RuleSet {
    let store = MemoryStore::default().with("root.wall", text);
    of_store(&Sources::gather("root.wall", &store))
}

/// Returns the ruleset of a policy text with a component `guest.wasm` beside it.
///
/// # Panics
/// The text is not a valid policy.
#[must_use]
pub fn rules_beside(text: &str, guest: Vec<u8>) -> RuleSet {
    let store = MemoryStore::default().with("root.wall", text).with("guest.wasm", guest);
    of_store(&Sources::gather("root.wall", &store))
}

thread_local! {
    static WORKSHOP: RuleSetBuilder = {
        RuleSetBuilder::new(ServerSettings::default(), Sandbox::new(SandboxLimits::default()))
    };
}

fn of_store(sources: &Sources) -> RuleSet {
    let assembly = WORKSHOP.with(|workshop| workshop.build(sources, Purpose::Check, None));
    assembly.rules.unwrap_or_else(|| missing(&format!("{:?}", assembly.diagnostics)))
}

#[expect(clippy::panic, reason = "a bench of nothing would measure nothing")]
fn missing(what: &str) -> ! {
    panic!("no {what}")
}
