//! Seawall: the whole decision, as the proxy asks for it.
//!
//! It looks for bans, feeds tracks (there are none) and walks all layers, which is more than the
//! others do; and it finds the agent among six header fields.

use crate::peer::{Peer, Verdict};
use crate::requests::Request;
use crate::rules::{Rules, Test, shop_regex};
use seawall_model::{
    Client, ClientPrefixes, ConnectionInfo, Facts, Geo, HeaderView, OriginHealth, Reason, Tick,
};
use seawall_ruleset::RuleSet;
use seawall_state::{Seed, State};

/// The header fields of a request, the agent among them.
struct Fields<'r>(&'r str);

impl<'r> Fields<'r> {
    fn pairs(&self) -> [(&'static str, &'r str); 6] {
        [
            ("host", "www.example.org"),
            ("user-agent", self.0),
            ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
            ("accept-language", "en-GB,en;q=0.5"),
            ("accept-encoding", "gzip, deflate, br"),
            ("cookie", "session=0123456789abcdef"),
        ]
    }
}

impl HeaderView for Fields<'_> {
    fn any_value<'s>(&'s self, name: &str, visit: &mut dyn FnMut(&'s [u8]) -> bool) -> bool {
        self.pairs().iter().any(|(key, value)| *key == name && visit(value.as_bytes()))
    }

    fn first(&self, name: &str) -> Option<&[u8]> {
        let pair = self.pairs().into_iter().find(|(key, _)| *key == name);
        pair.map(|(_, value)| value.as_bytes())
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.pairs().iter().for_each(|(key, value)| visit(key.as_bytes(), value.as_bytes()));
    }
}

/// The ruleset, and an empty state.
pub(crate) struct Seawall {
    rules: RuleSet,
    state: State,
    units: ClientPrefixes,
    /// The number of the rule that each `RuleId` stands for.
    numbers: Vec<usize>,
}

impl Seawall {
    /// Assembles the policy.
    pub(crate) fn load(rules: &Rules) -> Self {
        let lines: String = rules.tests.iter().enumerate().map(line).collect();
        let rules = seawall_benches::rules(&format!("policy 1\nfloor {{\n{lines}}}\n"));
        // `floor.r7` is rule 7.
        let number = |name: &str| name.rsplit('r').next().and_then(|digits| digits.parse().ok());
        let numbers =
            rules.rule_names().iter().map(|name| number(name).unwrap_or(usize::MAX)).collect();
        let state = State::new(Seed([7; 16]), rules.counter_specs());
        Self { rules, state, units: ClientPrefixes::default(), numbers }
    }
}

fn line((i, test): (usize, &Test)) -> String {
    let condition = match test {
        Test::PathIs(path) => format!("path == \"{path}\""),
        Test::PathStartsWith(prefix) => format!("path starts_with \"{prefix}\""),
        Test::UaContains(part) => format!("ua contains \"{part}\""),
        Test::ClientIn(a, b) => format!("client.ip in 10.{a}.{b}.0/24"),
        Test::PostTo(path) => format!("method == POST and path == \"{path}\""),
        Test::CountryAndPath(country, prefix) => {
            format!("client.country == {country} and path starts_with \"{prefix}\"")
        }
        Test::Asn(asn) => format!("client.asn == AS{asn}"),
        Test::ShopRegex(end) => format!("path matches r\"{}\"", shop_regex(end)),
    };
    format!("  rule r{i} {{ when {condition} then block 403 }}\n")
}

impl Peer for Seawall {
    fn name(&self) -> &'static str {
        "Seawall"
    }

    fn judge(&mut self, request: &Request) -> Verdict {
        let country = request.country.as_bytes().try_into().ok();
        let facts = Facts {
            client: Client::of(request.ip.into(), &self.units),
            geo: Geo { asn: Some(request.asn), country, crawler: None },
            conn: ConnectionInfo { requests: 1, ..ConnectionInfo::default() },
            method: request.method,
            host: "www.example.org",
            site: "www.example.org",
            path: request.path.as_bytes(),
            raw_path: request.path.as_bytes(),
            script: None,
            query: None,
            headers: &Fields(&request.ua),
            pass: None,
            pass_failures: 0,
            origin: OriginHealth::default(),
            cpu_percent: None,
        };
        match self.rules.decide(&facts, &self.state, Tick(1)).reason {
            Reason::Rule(id) => Verdict::Block(self.numbers[id.0 as usize]),
            _ => Verdict::Pass,
        }
    }
}
