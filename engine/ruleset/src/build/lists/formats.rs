//! The formats of published lists: finds the element in a line.
//!
//! A format is accepted only if it has a single meaning. If it has two, or contains something that
//! a list cannot hold, the line is rejected with a correction.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::element_kind::Kind;
use super::line_error::Fault;
use super::lines::comment_behind;

/// The element of a line, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry<'l> {
    /// A single value.
    One(Cow<'l, str>),
    /// The first and the last address.
    Range(&'l str, &'l str),
}

/// The content of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<'l> {
    pub(super) entry: Entry<'l>,
    /// Whether text follows the element, so that it is complete even if the file ends in this line.
    pub(super) is_whole: bool,
}

/// The element of a line; `None` for a line about the list itself.
pub(super) type Read<'l> = Result<Option<Found<'l>>, Fault>;

/// Parses a line that is not a comment.
pub(super) fn read(line: &str, kind: Kind) -> Read<'_> {
    match kind {
        Kind::Texts => text(line),
        _ if line.starts_with('{') => json(line, kind),
        _ if line.starts_with('"') => quoted(line).map(|(text, _)| whole(Cow::Owned(text))),
        _ => {
            let bare = line.split(['#', ';']).next().unwrap_or_default();
            let mut found = match kind {
                Kind::Nets => network(bare.trim_ascii_end()),
                Kind::Asns => asn(bare.trim_ascii_end()),
                _ => word(bare.trim_ascii_end()),
            }?;
            if let Some(found) = &mut found {
                found.is_whole |= bare.len() < line.len();
            }
            Ok(found)
        }
    }
}

fn whole(text: Cow<'_, str>) -> Option<Found<'_>> {
    Some(Found { entry: Entry::One(text), is_whole: true })
}

fn one<'l>(text: &'l str, rest: &str) -> Option<Found<'l>> {
    Some(Found { entry: Entry::One(Cow::Borrowed(text)), is_whole: !rest.is_empty() })
}

const SEPARATORS: [char; 4] = [' ', '\t', ',', '|'];

/// Returns the first field of a line and the rest, with the separator.
fn field(line: &str) -> (&str, &str) {
    line.find(SEPARATORS).and_then(|at| line.split_at_checked(at)).unwrap_or((line, ""))
}

/// Returns whether a line looks like the heading of a table: words in place of elements.
pub(super) fn is_heading(line: &str) -> bool {
    let name = line.trim_start_matches('"');
    let name = name.split([',', ';', '\t', '|', '"']).next().unwrap_or_default();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-');
    name.len() < line.len()
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(is_name)
}

fn network(line: &str) -> Read<'_> {
    let (first, rest) = field(line);
    match first {
        "add" | "-A" => ipset(rest),
        "create" | "-N" | "flush" | "-F" | "destroy" | "swap" | "rename" | "COMMIT" => Ok(None),
        "ExitAddress" => {
            let (address, rest) = field(rest.trim_ascii_start());
            Ok(one(address, rest))
        }
        "ExitNode" | "Published" | "LastStatus" => Ok(None),
        "deny" => {
            let (net, rest) = field(rest.trim_ascii_start());
            Ok(one(net, rest))
        }
        _ => plain_network(first, rest),
    }
}

/// Parses `add NAME ENTRY …`, as written by `ipset save`.
fn ipset(rest: &str) -> Read<'_> {
    let mut words = rest.split_ascii_whitespace().filter(|word| !word.starts_with('-'));
    let (Some(_), Some(entry)) = (words.next(), words.next()) else { return Err(Fault::Address) };
    if words.any(|word| word == "nomatch") {
        return Err(Fault::Exception);
    }
    if entry.contains(',') {
        return Err(Fault::Pair);
    }
    if let Some((from, to)) = entry.split_once('-') {
        return Ok(range(from, to, ""));
    }
    Ok(one(entry, ""))
}

fn range<'l>(from: &'l str, to: &'l str, rest: &str) -> Option<Found<'l>> {
    Some(Found { entry: Entry::Range(from, to), is_whole: !rest.is_empty() })
}

fn plain_network<'l>(first: &'l str, rest: &'l str) -> Read<'l> {
    if let Some((from, to)) = first.split_once('-')
        && is_address(from)
    {
        return Ok(range(from, to, rest));
    }
    let after = rest.trim_ascii_start();
    if let Some(to) = after.strip_prefix('-') {
        let (to, rest) = field(to.trim_ascii_start());
        return Ok(range(first, to, rest));
    }
    let (second, more) = field(after);
    if is_address(second) && is_address(first) {
        let mask = second.parse().ok().and_then(mask_len);
        return match mask {
            Some(len) => {
                let is_whole = !more.is_empty();
                let entry = Entry::One(Cow::Owned(format!("{first}/{len}")));
                Ok(Some(Found { entry, is_whole }))
            }
            None => Err(Fault::TwoAddresses),
        };
    }
    if is_nowhere(first) && is_host_name(second) {
        return Err(Fault::HostsFile);
    }
    Ok(one(first, rest))
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// Returns whether a hosts file uses the address to block names.
fn is_nowhere(address: &str) -> bool {
    matches!(address, "0.0.0.0" | "127.0.0.1" | "::" | "::1")
}

fn is_host_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let has_letter = text.contains(|c: char| c.is_ascii_alphabetic());
    has_letter && text.chars().all(is_part) && (text.contains('.') || text == "localhost")
}

/// Returns the prefix length of a netmask.
pub(super) fn mask_len(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let len = bits.leading_ones();
    (bits.count_ones() == len && len > 0).then(|| u8::try_from(len).unwrap_or(32))
}

fn asn(line: &str) -> Read<'_> {
    let (first, rest) = field(line);
    let is_number = first.starts_with(|c: char| c.is_ascii_digit());
    let after = rest.trim_ascii_start();
    // A line of an error page can begin with a number: `429 Too Many Requests`.
    if is_number && !after.is_empty() && !after.starts_with([',', '|']) {
        return Err(Fault::AsnWords);
    }
    Ok(one(first, rest))
}

fn word(line: &str) -> Read<'_> {
    let (first, rest) = field(line);
    let after = rest.trim_ascii_start();
    if !after.is_empty() && !after.starts_with([',', '|']) {
        return Err(Fault::Words);
    }
    Ok(one(first, rest))
}

fn text(line: &str) -> Read<'_> {
    if line.starts_with('"') {
        let (text, rest) = quoted(line)?;
        let rest = rest.trim_ascii_start();
        return match rest.chars().next() {
            _ if text.is_empty() => Err(Fault::Empty),
            // A second quote can be missing after the last one.
            None => Ok(Some(Found { entry: Entry::One(Cow::Owned(text)), is_whole: false })),
            Some(',' | ';' | '#') => Ok(whole(Cow::Owned(text))),
            Some(_) => Err(Fault::Quote),
        };
    }
    if line.starts_with('{') && serde_json::from_str::<Value>(line).is_ok() {
        return Err(Fault::JsonText);
    }
    let (first, rest) = field(line);
    let (second, _) = field(rest.trim_ascii_start());
    if is_nowhere(first) && is_host_name(second) {
        return Err(Fault::HostsFile);
    }
    let end = comment_behind(line.as_bytes()).unwrap_or(line.len());
    let (text, rest) = line.split_at_checked(end).unwrap_or((line, ""));
    Ok(one(text.trim_ascii_end(), rest))
}

/// Returns the text in quotes, as in tables: a quote inside is doubled. Also returns the rest.
fn quoted(line: &str) -> Result<(String, &str), Fault> {
    let mut text = String::new();
    let mut rest = line.strip_prefix('"').ok_or(Fault::Quote)?;
    loop {
        let (part, behind) = rest.split_once('"').ok_or(Fault::Quote)?;
        text.push_str(part);
        let Some(more) = behind.strip_prefix('"') else {
            return Ok((text.trim_ascii().to_owned(), behind));
        };
        text.push('"');
        rest = more;
    }
}

/// The keys of networks in published lists.
const NET_KEYS: [&str; 10] = [
    "cidr",
    "prefix",
    "network",
    "net",
    "ip_prefix",
    "ipv4Prefix",
    "ipv6Prefix",
    "ipv6_prefix",
    "ip",
    "address",
];
const ASN_KEYS: [&str; 2] = ["asn", "as"];
const WORD_KEYS: [&str; 3] = ["country", "country_code", "cc"];

/// Parses a line of JSON lines: an object with the element under one of the usual keys.
fn json(line: &str, kind: Kind) -> Read<'_> {
    let Ok(Value::Object(object)) = serde_json::from_str(line) else { return Err(Fault::Json) };
    let (keys, fault) = match kind {
        Kind::Nets => (&NET_KEYS[..], Fault::JsonNetKey),
        Kind::Asns => (&ASN_KEYS[..], Fault::JsonAsnKey),
        _ => (&WORD_KEYS[..], Fault::JsonWordKey),
    };
    match keys.iter().find_map(|key| object.get(*key)) {
        Some(Value::String(text)) => Ok(whole(Cow::Owned(text.trim_ascii().to_owned()))),
        Some(Value::Number(number)) => Ok(whole(Cow::Owned(number.to_string()))),
        Some(_) => Err(fault),
        // The last line of Spamhaus lists.
        None if object.get("type").is_some_and(|is| is == "metadata") => Ok(None),
        None => Err(fault),
    }
}
