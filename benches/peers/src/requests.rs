//! Requests, in no engine's types: ordinary ones, hits of each rule, and near misses.

use crate::rules::{Rules, Test};
use std::fmt::Write;
use std::net::Ipv4Addr;

/// The parts of a request that the engines get.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The method.
    pub(crate) method: &'static str,
    /// The path, folded already.
    pub(crate) path: String,
    /// The agent.
    pub(crate) ua: String,
    /// The client. IPv4 alone: `cel` has no addresses, and gets them as numbers.
    pub(crate) ip: Ipv4Addr,
    /// The client's country.
    pub(crate) country: &'static str,
    /// The client's AS number.
    pub(crate) asn: u32,
}

/// Chance with a seed: splitmix64.
#[derive(Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Agents that a site sees again and again.
pub(crate) const AGENTS: u64 = 16;

/// A browser's agent, a different one for each `n`.
pub(crate) fn write_agent(n: u64, out: &mut String) {
    let (a, b, c) = (100 + n % 40, n / 40 % 9_973, n / 398_920);
    out.clear();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/{a}.0.{b}.{c} Safari/537.36"
    );
}

/// Returns the request of the n-th visitor; no rule matches it.
pub(crate) fn benign(n: u64) -> Request {
    const PATHS: [&str; 8] = [
        "/",
        "/blog/2026/a-post",
        "/shop/cart",
        "/static/app.9f2c.css",
        "/images/2026/07/a-photo.jpg",
        "/api/v2/items",
        "/members/sign-in",
        "/search",
    ];
    let mut ua = String::new();
    write_agent(n % AGENTS, &mut ua);
    Request {
        method: if n % 8 == 5 { "POST" } else { "GET" },
        path: PATHS[(n % 8) as usize].to_owned(),
        ua,
        ip: Ipv4Addr::from(0xC612_0000 | (n as u32 & 0xFFFF)),
        country: ["DE", "FR", "BR", "US"][(n / 8 % 4) as usize],
        asn: [3_320, 3_215, 7_738, 701][(n / 8 % 4) as usize],
    }
}

/// Returns the n-th visitor's request, changed so that `test` hits it.
pub(crate) fn hit(test: &Test, n: u64) -> Request {
    let mut request = benign(n);
    match test {
        Test::PathIs(path) => request.path.clone_from(path),
        Test::PathStartsWith(prefix) => request.path = format!("{prefix}x/{n}"),
        Test::UaContains(part) => request.ua = format!("Mozilla/5.0 (compatible; {part}2.1)"),
        Test::ClientIn(a, b) => request.ip = Ipv4Addr::new(10, *a, *b, n as u8),
        Test::PostTo(path) => {
            request.method = "POST";
            request.path.clone_from(path);
        }
        Test::CountryAndPath(country, prefix) => {
            request.country = country;
            request.path = format!("{prefix}{n}");
        }
        Test::Asn(asn) => request.asn = *asn,
        Test::ShopRegex(end) => request.path = format!("/shop/{n}{end}"),
    }
    request
}

/// Almost a hit of `test`, in a way that chance picks. It may hit the rule beside it.
fn near_miss(test: &Test, chance: &mut Chance) -> Request {
    let mut request = hit(test, chance.below(1_000) as u64);
    let way = chance.below(3);
    match test {
        Test::PathIs(_) | Test::PathStartsWith(_) | Test::ShopRegex(_) => match way {
            0 => request.path = request.path.replacen('/', "/x", 1),
            1 => request.path = request.path.to_uppercase(),
            _ => request.path = request.path.trim_end_matches(|c| c != '/').replace('.', "x"),
        },
        Test::UaContains(part) => match way {
            0 => request.ua = request.ua.replace(part, part.trim_end_matches('/')),
            1 => request.ua = request.ua.to_uppercase(),
            _ => request.ua = request.ua.replace("badbot", "badrobot"),
        },
        Test::ClientIn(a, b) => match way {
            0 => request.ip = Ipv4Addr::new(11, *a, *b, 1),
            1 => request.ip = Ipv4Addr::new(10, *a, b.wrapping_add(1), 0),
            _ => request.ip = Ipv4Addr::new(10, *a, b.wrapping_sub(1), 255),
        },
        Test::PostTo(path) => match way {
            0 => request.method = "GET",
            1 => request.path = format!("{path}/"),
            _ => request.method = "PUT",
        },
        Test::CountryAndPath(..) => match way {
            0 => request.country = "DE",
            1 => request.path = request.path.replacen("/m", "/n", 1),
            _ => request.path = format!("/x{}", request.path),
        },
        Test::Asn(asn) => request.asn = if way == 0 { asn - 1 } else { asn + 1 },
    }
    request
}

/// Returns a mixture for comparing verdicts: a third of each sort, every rule in turn.
pub(crate) fn mixture(rules: &Rules, count: usize, chance: &mut Chance) -> Vec<Request> {
    (0..count)
        .map(|i| match rules.tests.get(i / 3 % rules.tests.len().max(1)) {
            Some(test) if i % 3 == 0 => hit(test, chance.below(1_000) as u64),
            Some(test) if i % 3 == 1 => near_miss(test, chance),
            _ => benign(chance.below(100_000) as u64),
        })
        .collect()
}
