//! What the benches share: policies of any size, and requests to judge.

use seawall_model::{Client, ClientUnits, Conn, Facts, Geo, HeaderView, OriginHealth};
use seawall_ruleset::{
    HostSettings, MemoryStore, Purpose, RuleSet, Sandbox, SandboxLimits, Sources, Workshop,
};

/// The header fields of a browser's request.
#[derive(Debug, Clone)]
pub struct Browser(Vec<(&'static str, String)>);

impl Browser {
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
    fn any_value(&self, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.iter().any(|(key, value)| *key == name && visit(value.as_bytes()))
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.0.iter().for_each(|(key, value)| visit(key.as_bytes(), value.as_bytes()));
    }
}

/// A GET of `path` by the n-th client.
#[must_use]
pub fn request<'r>(headers: &'r Browser, path: &'r str, n: u32) -> Facts<'r> {
    let ip = std::net::Ipv4Addr::from(0xC612_0000 | (n & 0xFFFF));
    Facts {
        client: Client::of(ip.into(), &ClientUnits::default()),
        geo: Geo::default(),
        conn: Conn { requests: 1, ..Conn::default() },
        method: "GET",
        host: "www.example.org",
        site: "www.example.org",
        path: path.as_bytes(),
        raw_path: path.as_bytes(),
        query: None,
        headers,
        pass: None,
        pass_failures: 0,
        origin: OriginHealth::default(),
        cpu_percent: None,
    }
}

/// A policy of `n` rules as a host has them after a long attack: paths, agents, networks, headers.
#[must_use]
pub fn policy(n: usize) -> String {
    let mut text = String::from("policy 1\nfloor {\n");
    for i in 0..n {
        let (a, b) = (i / 250 % 250, i % 250);
        let condition = match i % 5 {
            0 => format!("path == \"/old/{i}.php\""),
            1 => format!("path starts_with \"/scan/{i}/\""),
            2 => format!("ua contains \"badbot-{i}\""),
            3 => format!("client.ip in 10.{a}.{b}.0/24"),
            _ => format!("method == POST and path == \"/api/{i}\""),
        };
        text.push_str(&format!("  rule r{i} {{ when {condition} then block 403 }}\n"));
    }
    text.push_str("}\n");
    text
}

/// A ruleset of a policy text.
///
/// # Panics
/// The text is no good policy.
#[must_use]
pub fn rules(text: &str) -> RuleSet {
    let store = MemoryStore::default().with("root.wall", text);
    let sandbox = Sandbox::new(SandboxLimits::default());
    let sandbox = sandbox.unwrap_or_else(|why| missing(&format!("a sandbox: {why}")));
    let workshop = Workshop::new(HostSettings::default(), sandbox);
    let assembly = workshop.assemble(&Sources::gather("root.wall", &store), Purpose::Check, None);
    assembly.rules.unwrap_or_else(|| missing(&format!("{:?}", assembly.diagnostics)))
}

#[expect(clippy::panic, reason = "a bench of nothing would measure nothing")]
fn missing(what: &str) -> ! {
    panic!("no {what}")
}
