//! A search for the addresses of clients in everything that a server wrote.
//!
//! An address is searched in every form in which programs write one: with dots and colons, as one
//! number, in hexadecimal, as a list of numbers, in reverse order as in DNS names, and as bytes in
//! both orders.

use std::net::IpAddr;
use std::path::Path;

/// Maximum bytes of a file in which the four bytes of an address are searched. A larger file
/// (machine code) contains them by chance.
const FILE_BYTES_MAX: usize = 64 << 10;

/// A file, or other output of a server.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// The content in lower case, for a search without regard to case.
    lower: Vec<u8>,
}

impl Written {
    /// Creates the record of an output.
    #[must_use]
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { name: name.into(), lower: bytes.to_ascii_lowercase(), bytes }
    }

    fn says(&self, text: &str) -> bool {
        holds(&self.lower, text.as_bytes())
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    // A search for the first byte alone is fast.
    let Some(first) = part.first() else { return false };
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| byte == first) {
        if bytes[from + at..].starts_with(part) {
            return true;
        }
        from += at + 1;
    }
    false
}

/// Returns every form of an address as text, in lower case.
fn spellings(ip: IpAddr) -> Vec<String> {
    let listed = |bytes: &[u8]| bytes.iter().map(u8::to_string).collect::<Vec<_>>();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match ip {
        IpAddr::V4(v4) => {
            let octets = v4.octets();
            let mut back = octets;
            back.reverse();
            let [a, b, c, d] = octets;
            vec![
                v4.to_string(),
                listed(&octets).join("-"),
                listed(&octets).join(", "),
                listed(&octets).join(","),
                listed(&back).join("."),
                hex(&octets),
                hex(&back),
                u32::from(v4).to_string(),
                // The form inside an IPv6 address.
                format!("{:x}:{:x}", u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
            ]
        }
        IpAddr::V6(v6) => {
            let (octets, segments) = (v6.octets(), v6.segments());
            let nibbles = hex(&octets).chars().rev().map(String::from).collect::<Vec<_>>();
            vec![
                v6.to_string(),
                segments.map(|part| format!("{part:04x}")).join(":"),
                segments.map(|part| format!("{part:x}")).join(":"),
                segments.map(|part| part.to_string()).join(", "),
                listed(&octets).join(", "),
                nibbles.join("."),
                hex(&octets),
                u128::from(v6).to_string(),
                // A client is a /56, and a household has a /64.
                segments[..3].iter().map(|part| format!("{part:x}")).collect::<Vec<_>>().join(":"),
                hex(&octets[..7]),
            ]
        }
    }
}

/// Returns the bytes of an address, in network order and in reverse order.
fn bare(ip: IpAddr) -> [Vec<u8>; 2] {
    let bytes = match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let back = bytes.iter().rev().copied().collect();
    [bytes, back]
}

/// Returns the first place and form of `ip` in the outputs.
#[must_use]
pub fn trace_of(ip: IpAddr, all: &[Written]) -> Option<String> {
    let texts = spellings(ip);
    let bare = bare(ip);
    all.iter().find_map(|written| {
        if let Some(text) = texts.iter().find(|text| written.says(text)) {
            return Some(format!("{text} in {}", written.name));
        }
        let is_looked_at = ip.is_ipv6() || written.bytes.len() <= FILE_BYTES_MAX;
        let found = is_looked_at && bare.iter().any(|bytes| holds(&written.bytes, bytes));
        found.then(|| format!("the bytes of {ip} in {}", written.name))
    })
}

/// Returns every file below `folder` that the program wrote: without the configuration, the
/// policies that the test wrote, and their copies. Files of earlier generations are stored under
/// their digest.
#[must_use]
pub fn written_below(folder: &Path) -> Vec<Written> {
    let mut found = Vec::new();
    visit(folder, &mut |path, bytes| {
        if !is_by_hand(path) {
            found.push(Written::new(path.display().to_string(), bytes));
        }
    });
    found
}

/// Returns the files that the test wrote below `folder`, which [`written_below`] omits.
#[must_use]
pub(crate) fn by_hand_below(folder: &Path) -> Vec<Written> {
    let mut found = Vec::new();
    visit(folder, &mut |path, bytes| {
        if is_by_hand(path) {
            found.push(Written::new(path.display().to_string(), bytes));
        }
    });
    found
}

fn is_by_hand(path: &Path) -> bool {
    let is_copy = path.parent().is_some_and(|folder| folder.ends_with("state/history"))
        && path.file_name().is_some_and(|name| name.len() == 64);
    let is_policy = path.components().any(|part| part.as_os_str() == "policies");
    is_copy || is_policy || path.ends_with("seawall.toml")
}

/// Calls `each` with each file. A file that is removed meanwhile is skipped.
fn visit(folder: &Path, each: &mut dyn FnMut(&Path, Vec<u8>)) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            visit(&path, each);
        } else if path.is_file()
            && let Ok(bytes) = std::fs::read(&path)
        {
            each(&path, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves that the search can find something.
    #[test]
    fn every_spelling_is_found_and_others_addresses_are_not() {
        let found = |ip: &str, bytes: &[u8]| {
            trace_of(ip.parse().unwrap(), &[Written::new("x", bytes)]).is_some()
        };
        for text in [
            "203.0.113.77",
            "::FFFF:203.0.113.77",
            "ip-203-0-113-77",
            "[203, 0, 113, 77]",
            "77.113.0.203.in-addr.arpa",
            "CB00714D",
            "3405803853",
            "::ffff:cb00:714d",
        ] {
            assert!(found("203.0.113.77", format!("a {text} b").as_bytes()), "{text}");
        }
        for text in [
            "2001:db8:12:3456:9abc::7",
            "2001:0DB8:0012:3456:9ABC:0000:0000:0007",
            "2001:db8:12:3400::/56",
            "20010db8001234569abc000000000007",
            "7.0.0.0.0.0.0.0.0.0.0.0.c.b.a.9.6.5.4.3.2.1.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
        ] {
            assert!(found("2001:db8:12:3456:9abc::7", text.as_bytes()), "{text}");
        }
        assert!(
            found("203.0.113.77", b"x\xcb\x00\x71\x4dx")
                && found("203.0.113.77", b"\x4d\x71\x00\xcb")
        );
        let v6 = "2001:db8:12:3456:9abc::7".parse::<IpAddr>().unwrap();
        assert!(bare(v6).iter().all(|bytes| found("2001:db8:12:3456:9abc::7", bytes)));
        assert!(!found("203.0.113.77", b"203.0.113.7 and 2001:db8:: and \xcb\x00\x71"));
        assert!(!found("2001:db8:12:3456:9abc::7", b"203.0.113.77 and 2001:db8:13::"));
    }
}
