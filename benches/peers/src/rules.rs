//! The rules as data, in no engine's language.
//!
//! They are like an operator's rules after a long attack: paths, agents, networks, some countries,
//! AS numbers and regular expressions. Each rule is one test or two, and blocks. The strings of one
//! rule are never part of another's, so a request made for one rule only matches that rule.

use crate::peer::Verdict;
use crate::requests::Request;

/// The condition of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    /// The whole path.
    PathIs(String),
    /// The beginning of the path.
    PathStartsWith(String),
    /// Somewhere in the agent.
    UaContains(String),
    /// The network `10.a.b.0/24`.
    ClientIn(u8, u8),
    /// POST to this path.
    PostTo(String),
    /// The country, and the beginning of the path.
    CountryAndPath(&'static str, String),
    /// The AS number.
    Asn(u32),
    /// The path begins with `/shop/` and ends with this: `^/shop/.*END$` for engines with regular
    /// expressions, `/shop/*END` for those with globs.
    ShopRegex(String),
}

/// Names of the tests, in the order of `kind`.
pub(crate) const KINDS: [&str; 8] =
    ["path", "prefix", "agent", "network", "method", "country", "asn", "regex"];

impl Test {
    /// Returns which of `KINDS` it is.
    pub(crate) fn kind(&self) -> usize {
        match self {
            Self::PathIs(_) => 0,
            Self::PathStartsWith(_) => 1,
            Self::UaContains(_) => 2,
            Self::ClientIn(..) => 3,
            Self::PostTo(_) => 4,
            Self::CountryAndPath(..) => 5,
            Self::Asn(_) => 6,
            Self::ShopRegex(_) => 7,
        }
    }
}

impl Test {
    /// Evaluates it in plain Rust, for comparison: every engine must agree.
    fn holds(&self, request: &Request) -> bool {
        let path = request.path.as_str();
        match self {
            Self::PathIs(whole) => path == whole,
            Self::PathStartsWith(prefix) => path.starts_with(prefix),
            Self::UaContains(part) => request.ua.contains(part),
            Self::ClientIn(a, b) => request.ip.octets()[..3] == [10, *a, *b],
            Self::PostTo(whole) => request.method == "POST" && path == whole,
            Self::CountryAndPath(country, prefix) => {
                request.country == *country && path.starts_with(prefix)
            }
            Self::Asn(asn) => request.asn == *asn,
            Self::ShopRegex(end) => path.strip_prefix("/shop/").is_some_and(|p| p.ends_with(end)),
        }
    }
}

/// Returns the regular expression of `Test::ShopRegex`, the same in every dialect.
pub(crate) fn shop_regex(end: &str) -> String {
    format!("^/shop/.*{}$", end.replace('.', "[.]"))
}

/// Whether the rules have regular expressions among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Regexes {
    /// One rule in twenty.
    Some,
    /// None: one engine compiles a pattern in each evaluation, which hides all other costs.
    None,
}

/// A rule set: its name in the report, and its rules in page order.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// As the report has it.
    pub(crate) name: String,
    /// The tests, each of which blocks.
    pub(crate) tests: Vec<Test>,
}

impl Rules {
    /// The first `n` rules.
    pub(crate) fn of(n: usize, regexes: Regexes) -> Self {
        let without = if regexes == Regexes::None && n > 0 { ", no regex" } else { "" };
        Self {
            name: format!("{n} rules{without}"),
            tests: (0..n).map(|i| test(i, regexes)).collect(),
        }
    }
}

impl Rules {
    /// Returns the verdict that is right.
    pub(crate) fn verdict(&self, request: &Request) -> Verdict {
        let hit = self.tests.iter().position(|test| test.holds(request));
        hit.map_or(Verdict::Pass, Verdict::Block)
    }
}

/// Returns the i-th rule: as in the other benches, with the last four of each twenty made richer.
fn test(i: usize, regexes: Regexes) -> Test {
    const COUNTRIES: [&str; 6] = ["BR", "VN", "ID", "UA", "TR", "MX"];
    match (i % 20, i % 5) {
        (16, _) => {
            Test::CountryAndPath(COUNTRIES[i / 20 % COUNTRIES.len()], format!("/members/{i}/"))
        }
        (17, _) => Test::Asn(64_512 + i as u32),
        (18, _) if regexes == Regexes::Some => Test::ShopRegex(format!("/{i}.asp")),
        (_, 0) => Test::PathIs(format!("/old/{i}.php")),
        (_, 1) => Test::PathStartsWith(format!("/scan/{i}/")),
        (_, 2) => Test::UaContains(format!("badbot-{i}/")),
        (_, 3) => Test::ClientIn((i / 250) as u8, (i % 250) as u8),
        _ => Test::PostTo(format!("/api/{i}")),
    }
}
