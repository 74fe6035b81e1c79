//! Generates hostile policies and requests from a seed, for the search for the most expensive
//! decision.
//!
//! A policy has a member's rules and rules of the operator, up to their maximum numbers. A request
//! has a header section of 32 KiB, filled with values that those rules read.

use seawall_model::{Client, ClientPrefixes, ConnectionInfo, Facts, Geo, HeaderView, OriginHealth};
use seawall_ruleset::{
    BuildOutput, MemoryStore, Purpose, RuleSet, RuleSetBuilder, Sandbox, SandboxLimits,
    ServerSettings, Sources,
};

/// Bytes of a head that is filled.
pub const HEAD_BYTES: usize = 32 << 10;

/// Numbers that look random and follow from the first (Steele et al., SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// From a number.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from(mixed >> 32).unwrap_or(0).checked_rem(n).unwrap_or(0)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let at = self.below(of.len());
        of.get(at).copied().unwrap_or_default()
    }
}

/// What values are made of; needles of the policy are made of the same.
const STUFF: [&str; 8] = ["a", "ab", "aab", "a=b&", "k=1; ", "%61", "x/", "abcdefghijklm"];

/// Returns a value to test.
fn operand(dice: &mut Dice) -> String {
    let n = dice.below(40);
    match dice.below(12) {
        0 => "path".to_owned(),
        1 => "ua".to_owned(),
        2 => "query_string".to_owned(),
        3 => format!("query(\"k{n}\")"),
        4 => format!("cookie(\"k{n}\")"),
        5 => format!("header(\"x-{n}\")"),
        6 => "header(\"x\")".to_owned(),
        7 => "lower(header(\"x\"))".to_owned(),
        8 => format!("segment(path, {})", n + 1),
        9 => "path.ext".to_owned(),
        10 => "header(\"cookie\")".to_owned(),
        _ => "raw_path".to_owned(),
    }
}

/// Returns a valid test.
fn test(dice: &mut Dice) -> String {
    let of = operand(dice);
    let stuff = dice.one(&STUFF);
    let times = dice.below(60) + 1;
    let end = dice.one(&["b", "z", "", "0"]);
    let needle = format!("{}{end}", stuff.repeat(times));
    match dice.below(14) {
        0 => format!("{of} contains \"{needle}\""),
        1 | 2 => format!("{of} contains nocase \"{needle}\""),
        3 => format!("{of} == \"{needle}\""),
        4 => format!("{of} starts_with \"{needle}\""),
        5 => format!("{of} ends_with \"{needle}\""),
        6 => format!("{of} matches r\"[a-m][a-z]{{{}}}[0-9]\"", times % 11 + 1),
        7 => format!("{of} matches r\"(?i)^{stuff}+[a-z0-9]*{end}x\""),
        8 => format!("{of} like \"*{}*{end}\"", stuff.replace(['%', ';'], "")),
        9 => format!("{of} == {}", operand(dice)),
        10 => format!("len({of}) > {}", 40_000 + times),
        11 => format!("count_of({of}) > {}", 5_000 + times),
        12 => format!("{of} in {{ \"{needle}\", \"{stuff}\", \"{times}\" }}"),
        _ => format!("not {of} is present"),
    }
}

fn condition(dice: &mut Dice, tests: usize) -> String {
    let joint = if dice.below(3) == 0 { " and not " } else { " or " };
    (0..tests).map(|_| test(dice)).collect::<Vec<_>>().join(joint)
}

/// Returns a rule or limit with so many tests.
fn rule(dice: &mut Dice, n: usize, tests: usize) -> String {
    let of = operand(dice);
    let when = condition(dice, tests);
    match dice.below(4) {
        0 => format!(
            "limit l{n} {{ per {of}, client to 1000000/10s where {when} keys 100 then block 429 }}\n"
        ),
        1 => format!("rule r{n} {{ when {when} then tag \"t{n}\", score += 1 }}\n"),
        _ => format!("rule r{n} {{ when {when} then block 404 }}\n"),
    }
}

/// Returns the files of a policy: the operator's, then the member's.
#[must_use]
pub fn policies(dice: &mut Dice) -> [String; 2] {
    let hosts = [0, 10, 100, 300].get(dice.below(4)).copied().unwrap_or(0);
    let most = dice.below(20) + 1;
    let of_host: String = (0..hosts).map(|n| rule(dice, n, most)).collect();
    let root = format!(
        "policy 1\nfloor {{ }}\ndefaults {{\n{of_host}}}\n\
         member alice {{ hosts {{ \"alice.example\" }} may {{ block, tag, score, limit }} \
         file \"members/alice.wall\" }}\n"
    );
    let rules = dice.below(50) + 1;
    let tests = (1_000 / rules).clamp(1, 1_000).min(dice.below(1_000) + 1);
    let hers: String = (0..rules).map(|n| rule(dice, n, tests)).collect();
    [root, format!("policy 1\nsite \"alice.example\" {{\n{hers}}}\n")]
}

/// Loads them; none if they are invalid, as some are.
#[must_use]
pub fn loaded(files: &[String; 2]) -> Option<RuleSet> {
    assembled(files).rules
}

/// Returns their errors.
#[must_use]
pub fn complaints(files: &[String; 2]) -> Vec<String> {
    assembled(files).diagnostics.iter().map(|of| of.one_line()).collect()
}

fn assembled([root, hers]: &[String; 2]) -> BuildOutput {
    let store = MemoryStore::default()
        .with("root.wall", root.clone())
        .with("members/alice.wall", hers.clone());
    let workshop =
        RuleSetBuilder::new(ServerSettings::default(), Sandbox::new(SandboxLimits::default()));
    workshop.build(&Sources::gather("root.wall", &store), Purpose::Check, None)
}

/// A request with a full head, which the server takes.
#[derive(Debug)]
pub struct Heavy {
    path: Vec<u8>,
    raw_path: Vec<u8>,
    query: Vec<u8>,
    fields: Vec<(String, Vec<u8>)>,
}

/// What stands around the target and in the lines that every head has.
const FRAME: &str = "GET /? HTTP/1.1\r\nHost: alice.example\r\nuser-agent: a\r\n\r\n";

impl Heavy {
    /// Made up.
    #[must_use]
    pub fn new(dice: &mut Dice) -> Self {
        let count = dice.below(96) + 1;
        let names: Vec<String> = (0..count).map(|n| format!("x-{}", n % 40)).collect();
        // A colon, a space and a line end to each name.
        let around: usize = ["cookie", "x"].iter().map(|name| name.len() + 4).sum();
        let around = around + names.iter().map(|name| name.len() + 4).sum::<usize>();
        let mut parts = [0_usize; 5];
        let mut left = HEAD_BYTES.saturating_sub(FRAME.len() + around);
        while left > 0 {
            let size = (dice.below(HEAD_BYTES) + 1).min(left);
            let at = dice.below(parts.len());
            if let Some(part) = parts.get_mut(at) {
                *part += size;
            }
            left -= size;
        }
        let [path, query, cookie, x, many] = parts;
        let mut fields = vec![("user-agent".to_owned(), b"a".to_vec())];
        fields.push(("cookie".to_owned(), value(dice, cookie)));
        fields.push(("x".to_owned(), value(dice, x)));
        fields.extend(names.into_iter().map(|name| (name, value(dice, many / count))));
        let raw_path = [b"/", &*target(dice, path.min(8_191))].concat();
        let path = String::from_utf8_lossy(&raw_path).replace("%61", "a").into_bytes();
        Self { path, raw_path, query: target(dice, query), fields }
    }

    /// As it is sent: a head of HTTP/1.1 with a line `Host`.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let mut head = b"GET ".to_vec();
        head.extend_from_slice(&self.raw_path);
        head.push(b'?');
        head.extend_from_slice(&self.query);
        head.extend_from_slice(b" HTTP/1.1\r\nHost: alice.example\r\n");
        for (name, value) in &self.fields {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// Returns it as it is evaluated.
    #[must_use]
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            client: Client::of([192, 0, 2, 1].into(), &ClientPrefixes::default()),
            geo: Geo::default(),
            conn: ConnectionInfo::default(),
            method: "GET",
            host: "alice.example",
            site: "alice.example",
            path: &self.path,
            raw_path: &self.raw_path,
            script: None,
            query: Some(&self.query),
            headers: self,
            pass: None,
            pass_failures: 0,
            origin: OriginHealth::default(),
            cpu_percent: None,
        }
    }
}

/// So many bytes of one kind, or of a mixture.
fn filled(dice: &mut Dice, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 64);
    let kind = dice.below(STUFF.len() + 3);
    while out.len() < bytes {
        match STUFF.get(kind) {
            Some(stuff) => out.extend_from_slice(stuff.as_bytes()),
            None if kind == STUFF.len() => {
                out.push(b'a' + u8::try_from(dice.below(26)).unwrap_or(0))
            }
            None if kind == STUFF.len() + 1 => out.extend_from_slice(b"a&"),
            None => out.extend_from_slice(format!("k{}=1&", dice.below(60)).as_bytes()),
        }
    }
    out.truncate(bytes);
    out
}

/// So much of what may stand in a target: no space, and no escape that is cut short.
fn target(dice: &mut Dice, bytes: usize) -> Vec<u8> {
    let mut out = filled(dice, bytes);
    out.iter_mut().filter(|byte| **byte == b' ').for_each(|byte| *byte = b'+');
    let cut = out.len().saturating_sub(2);
    if let Some(at) = out.iter().skip(cut).position(|byte| *byte == b'%') {
        out.truncate(cut + at);
    }
    out
}

/// So much of what may be a field's value, without spaces at its ends.
fn value(dice: &mut Dice, bytes: usize) -> Vec<u8> {
    filled(dice, bytes).trim_ascii().to_vec()
}

impl HeaderView for Heavy {
    fn any_value<'s>(&'s self, name: &str, visit: &mut dyn FnMut(&'s [u8]) -> bool) -> bool {
        self.fields.iter().any(|(key, value)| key.eq_ignore_ascii_case(name) && visit(value))
    }

    fn first(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.fields.iter().for_each(|(key, value)| visit(key.as_bytes(), value));
    }

    fn count(&self) -> usize {
        self.fields.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_proxy::ProxyLimits;
    use seawall_proxy::fuzzing::{ParseOutcome, head};

    /// A request that the server rejects without an evaluation would show nothing about its
    /// decisions.
    #[test]
    fn the_server_takes_what_is_sent_as_what_is_judged() {
        for seed in 0..500 {
            let heavy = Heavy::new(&mut Dice::new(seed));
            let sent = heavy.head();
            let ParseOutcome::Complete(read) = head(&sent, sent.len(), &ProxyLimits::default())
            else {
                panic!("{seed}: {} bytes are refused", sent.len());
            };
            assert_eq!(read.bytes, sent.len(), "{seed}");
            assert_eq!(read.path, heavy.raw_path, "{seed}");
            assert_eq!(read.query.as_deref(), Some(&*heavy.query), "{seed}");
            assert_eq!(read.fields.get(1..), Some(&*heavy.fields), "{seed}");
        }
    }
}
