//! Trusted proxies, and how they name the client.
//!
//! Only proxies that the operator lists are trusted, and only in the one way that is configured.
//! A header is read from its right end, because each proxy appends on the right. Anything left of
//! a trusted proxy's own entry may come from the client. The client is the first address from the
//! right that is not a trusted proxy. An unreadable entry ends the search; the last trusted proxy
//! reached then counts as the client.
//!
//! Limitations: in a listed network that is too wide, every machine can name any client. The same
//! holds for a trusted proxy that passes on a header which it should overwrite.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use seawall_config::{ClientHeader, TrustedProxies};
use seawall_model::{Client, ClientPrefixes, HeaderView, Scheme};

/// Whether a connection belongs to one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionOwnership {
    /// It belongs to the client, or is forwarded byte by byte.
    Own,
    /// It belongs to a trusted proxy, which may use it for any client.
    Shared,
}

/// Returns the scheme that a trusted proxy reports, if it is a known one.
fn scheme_of(word: &[u8]) -> Option<Scheme> {
    let known = [Scheme::Http, Scheme::Https].into_iter();
    known.into_iter().find(|scheme| word.eq_ignore_ascii_case(scheme.word().as_bytes()))
}

/// The client of a request, resolved once per request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResolvedClient {
    pub(crate) client: Client,
    pub(crate) scheme: Scheme,
    pub(crate) line: ConnectionOwnership,
}

/// Address and scheme of an entry.
type ForwardedEntry = (Option<IpAddr>, Option<Scheme>);

/// Returns who asks in a request that came from `direct`, whom the connection names, over `scheme`.
pub(crate) fn resolve_client(
    trusted: &TrustedProxies,
    (direct, scheme): (Client, Scheme),
    fields: &dyn HeaderView,
    units: &ClientPrefixes,
    entries_max: usize,
) -> ResolvedClient {
    if !trusted.contains(direct.ip) {
        return ResolvedClient { client: direct, scheme, line: ConnectionOwnership::Own };
    }
    let (ip, claimed) = match trusted.header {
        None => (None, None),
        Some(ClientHeader::XRealIp) => {
            (ip_of(last(&values(fields, "x-real-ip"))), forwarded_scheme(fields))
        }
        Some(ClientHeader::XForwardedFor) => {
            let values = values(fields, "x-forwarded-for");
            let entries = entries(&values).take(entries_max);
            let (ip, _) = walk(trusted, entries, |entry| (ip_of(entry), None));
            (ip, forwarded_scheme(fields))
        }
        Some(ClientHeader::Forwarded) => {
            let values = values(fields, "forwarded");
            walk(trusted, elements(&values).take(entries_max), forwarded_entry)
        }
    };
    let client = ip.map_or(direct, |ip| Client::of(ip, units));
    let line = ConnectionOwnership::Shared;
    ResolvedClient { client, scheme: claimed.unwrap_or(scheme), line }
}

/// The last entry that can be read, from the right up to the first that is no trusted proxy.
fn walk<'v>(
    trusted: &TrustedProxies,
    entries: impl Iterator<Item = &'v [u8]>,
    read: impl Fn(&[u8]) -> ForwardedEntry,
) -> ForwardedEntry {
    let mut reached = (None, None);
    for entry in entries {
        let (Some(ip), scheme) = read(entry) else { break };
        reached = (Some(ip), scheme);
        if !trusted.contains(ip) {
            break;
        }
    }
    reached
}

/// Returns the values of a header, in their order.
fn values(fields: &dyn HeaderView, name: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    fields.any_value(name, &mut |value| {
        found.push(value.to_vec());
        false
    });
    found
}

fn last(values: &[Vec<u8>]) -> &[u8] {
    values.last().map_or(&[], Vec::as_slice)
}

/// Returns the entries of all values, the last first. Empty ones have no meaning (RFC 9110 §5.6.1).
fn entries(values: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    let all = values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    all.filter(|entry| !entry.trim_ascii().is_empty())
}

/// Returns the elements of `Forwarded`, the last first.
fn elements(values: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    let all = values.iter().rev().flat_map(|value| FromRight { rest: Some(value), at: b',' });
    all.filter(|element| !element.trim_ascii().is_empty())
}

/// Parts between delimiters outside quotes (RFC 9110 §5.6.4), the last first. Because they are read
/// from the right, an unclosed quote of the client cannot hide what a proxy appended after it.
struct FromRight<'v> {
    rest: Option<&'v [u8]>,
    at: u8,
}

impl<'v> Iterator for FromRight<'v> {
    type Item = &'v [u8];

    fn next(&mut self) -> Option<&'v [u8]> {
        let rest = self.rest.take()?;
        let mut is_quoted = false;
        for (at, byte) in rest.iter().enumerate().rev() {
            if *byte == b'"' {
                let before = rest.get(..at).unwrap_or_default();
                let escapes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
                // Outside quotes a backslash escapes nothing; inside them only an unescaped quote
                // counts.
                if !is_quoted || escapes % 2 == 0 {
                    is_quoted = !is_quoted;
                }
            } else if *byte == self.at && !is_quoted {
                self.rest = rest.get(..at);
                return rest.get(at.saturating_add(1)..);
            }
        }
        if !is_quoted {
            return Some(rest);
        }
        // An unclosed quote: from there on the text is split as if it were unquoted.
        match rest.iter().rposition(|byte| *byte == self.at) {
            Some(at) => {
                self.rest = rest.get(..at);
                rest.get(at.saturating_add(1)..)
            }
            None => Some(rest),
        }
    }
}

/// Returns the scheme that the headers report, only if they agree on one.
fn forwarded_scheme(fields: &dyn HeaderView) -> Option<Scheme> {
    let values = values(fields, "x-forwarded-proto");
    let mut said = entries(&values);
    match (said.next(), said.next()) {
        (Some(only), None) => scheme_of(only.trim_ascii()),
        _ => None,
    }
}

/// Parses one element of `Forwarded`. A repeated parameter makes it empty (RFC 7239 §4).
fn forwarded_entry(element: &[u8]) -> ForwardedEntry {
    let mut found = (None, None);
    let mut seen = (false, false);
    for pair in (FromRight { rest: Some(element), at: b';' }) {
        let Some(at) = pair.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = pair.split_at_checked(at).unwrap_or_default();
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let value = match value.strip_prefix(b"\"") {
            Some(quoted) => quoted.strip_suffix(b"\"").unwrap_or_default(),
            None => value,
        };
        match name.trim_ascii() {
            name if name.eq_ignore_ascii_case(b"for") => {
                let again = std::mem::replace(&mut seen.0, true);
                found.0 = ip_of(value).filter(|_| !again);
            }
            name if name.eq_ignore_ascii_case(b"proto") => {
                let again = std::mem::replace(&mut seen.1, true);
                found.1 = scheme_of(value).filter(|_| !again);
            }
            _ => {}
        }
    }
    found
}

/// Parses an address with or without a port, with or without brackets.
fn ip_of(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    let bare = text.strip_prefix('[')?.strip_suffix(']')?;
    bare.parse::<Ipv6Addr>().ok().map(|ip| IpAddr::from(ip).to_canonical())
}

#[cfg(test)]
mod tests {
    use seawall_model::Prefix;

    use super::*;
    use crate::request::facts::HeaderFields;

    fn trusted(header: ClientHeader) -> TrustedProxies {
        let networks = ["10.0.0.0/8", "2001:db8:1::/48"].map(|net| Prefix::parse(net).unwrap().0);
        let (networks, header) = (networks.to_vec(), Some(header));
        TrustedProxies { networks, header, ..TrustedProxies::default() }
    }

    fn client(ip: &str) -> Client {
        Client::of(ip.parse().unwrap(), &ClientPrefixes::default())
    }

    /// Returns client and scheme of a request from `direct` with these headers.
    fn asked(header: ClientHeader, direct: &str, fields: &[(&str, &str)]) -> (String, Scheme) {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| httparse::Header { name, value: value.as_bytes() })
            .collect();
        let units = ClientPrefixes::default();
        let direct = (client(direct), Scheme::Http);
        let asker = resolve_client(&trusted(header), direct, &HeaderFields(&fields), &units, 4);
        (asker.client.ip.to_string(), asker.scheme)
    }

    #[test]
    fn a_stranger_is_believed_nothing() {
        use ClientHeader::*;
        for header in [XForwardedFor, Forwarded, XRealIp] {
            let fields = [
                ("X-Forwarded-For", "198.51.100.1"),
                ("Forwarded", "for=198.51.100.1;proto=https"),
                ("X-Real-IP", "198.51.100.1"),
                ("X-Forwarded-Proto", "https"),
            ];
            let found = asked(header, "192.0.2.7", &fields);
            assert_eq!(found, ("192.0.2.7".to_owned(), Scheme::Http));
        }
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_no_hop() {
        for (values, expected) in [
            (&["192.0.2.7"][..], "192.0.2.7"),
            (&["198.51.100.1, 192.0.2.7"], "192.0.2.7"),
            (&["198.51.100.1,192.0.2.7 , 10.0.0.2"], "192.0.2.7"),
            (&["198.51.100.1", "192.0.2.7", "10.0.0.2,10.0.0.3"], "192.0.2.7"),
            (&["198.51.100.1, 2001:db8:2::7, 2001:db8:1::1"], "2001:db8:2::7"),
            (&["::ffff:192.0.2.7"], "192.0.2.7"),
            (&["192.0.2.7:4711"], "192.0.2.7"),
            (&["[2001:db8:2::7]:4711"], "2001:db8:2::7"),
            (&["[2001:db8:2::7]"], "2001:db8:2::7"),
            // An unreadable entry ends the search, and so does the end.
            (&["192.0.2.7, unknown"], "10.0.0.1"),
            (&["192.0.2.7, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["192.0.2.7, , 10.0.0.2, ,"], "192.0.2.7"),
            (&["", "192.0.2.7", ", ,"], "192.0.2.7"),
            (&["192.0.2.7, 192.0.2.07"], "10.0.0.1"),
            (&["10.0.0.2"], "10.0.0.2"),
            (&[""], "10.0.0.1"),
            (&[], "10.0.0.1"),
            // So does the maximum of entries.
            (&["192.0.2.7, 10.0.0.5, 10.0.0.4, 10.0.0.3, 10.0.0.2"], "10.0.0.5"),
            (&["192.0.2.7, 10.0.0.6, 10.0.0.5, 10.0.0.4, 10.0.0.3, 10.0.0.2"], "10.0.0.5"),
        ] {
            let fields: Vec<_> = values.iter().map(|value| ("X-Forwarded-For", *value)).collect();
            let found = asked(ClientHeader::XForwardedFor, "10.0.0.1", &fields).0;
            assert_eq!(found, expected, "{values:?}");
        }
    }

    #[test]
    fn forwarded_is_read_from_the_right_and_a_quote_reaches_no_further_than_its_element() {
        for (value, expected, scheme) in [
            ("for=192.0.2.7", "192.0.2.7", Scheme::Http),
            ("For=\"192.0.2.7:4711\";Proto=https", "192.0.2.7", Scheme::Https),
            ("for=\"[2001:db8:2::7]:4711\"", "2001:db8:2::7", Scheme::Http),
            ("by=10.0.0.1; for = 192.0.2.7 ; proto=http", "192.0.2.7", Scheme::Http),
            ("for=192.0.2.7;proto=https, for=10.0.0.2;proto=http", "192.0.2.7", Scheme::Https),
            ("for=198.51.100.1, for=192.0.2.7, for=10.0.0.2", "192.0.2.7", Scheme::Http),
            ("for=\"198.51.100.1, for=192.0.2.7", "192.0.2.7", Scheme::Http),
            ("for=192.0.2.7;x=\"y, for=198.51.100.1;x=z\"", "192.0.2.7", Scheme::Http),
            ("for=192.0.2.7;x=\"y;for=198.51.100.1\"", "192.0.2.7", Scheme::Http),
            ("for=192.0.2.7;x=\"\\\", for=198.51.100.1\", ,", "192.0.2.7", Scheme::Http),
            (
                "for=198.51.100.1;x=\", for=192.0.2.7;by=\"[2001:db8::1]\"",
                "192.0.2.7",
                Scheme::Http,
            ),
            ("for=198.51.100.1;for=192.0.2.7", "10.0.0.1", Scheme::Http),
            ("for=192.0.2.7, for=unknown", "10.0.0.1", Scheme::Http),
            ("for=192.0.2.7, for=\"_hidden\", for=10.0.0.2", "10.0.0.2", Scheme::Http),
            ("for=192.0.2.7, proto=https", "10.0.0.1", Scheme::Http),
        ] {
            let found = asked(ClientHeader::Forwarded, "10.0.0.1", &[("Forwarded", value)]);
            assert_eq!(found, (expected.to_owned(), scheme), "{value}");
        }
    }

    #[test]
    fn the_last_x_real_ip_and_a_single_scheme_are_believed() {
        let ip = |value| ("X-Real-IP", value);
        let proto = |value| ("X-Forwarded-Proto", value);
        for (fields, expected, scheme) in [
            (&[ip("192.0.2.7"), proto("https")][..], "192.0.2.7", Scheme::Https),
            (&[ip("198.51.100.1"), ip("192.0.2.7"), proto("HTTPS ")], "192.0.2.7", Scheme::Https),
            (&[ip("192.0.2.7"), proto("https"), proto("http")], "192.0.2.7", Scheme::Http),
            (&[ip("192.0.2.7"), proto("https, http")], "192.0.2.7", Scheme::Http),
            (&[ip("192.0.2.7"), proto(", https,")], "192.0.2.7", Scheme::Https),
            (&[ip("nobody"), proto("ftp")], "10.0.0.1", Scheme::Http),
            (&[], "10.0.0.1", Scheme::Http),
        ] {
            let found = asked(ClientHeader::XRealIp, "10.0.0.1", fields);
            assert_eq!(found, (expected.to_owned(), scheme), "{fields:?}");
        }
    }
}
