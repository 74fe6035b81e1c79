//! `origin` and `health` of a `[[site]]`: where it is served from, and how it is seen to be alive.

use std::collections::HashMap;
use std::ops::Range;

use seawall_model::HostPattern;
use toml::Spanned;

use super::diagnostics::Diagnostics;
use super::parse::{at, say_unbuilt};
use super::spanned::SpannedStrings;

/// Most origins of a site: each is looked at for each request.
pub const ORIGINS_MAX: usize = 16;
/// Most bytes of the path that is asked for.
pub const HEALTH_BYTES_MAX: usize = 256;
/// Most extensions of scripts of a site.
pub const SCRIPTS_MAX: usize = 8;
/// Most bytes of one.
const SCRIPT_BYTES_MAX: usize = 16;

/// Where a site is served from: `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: Box<str>,
    /// The port; 80 where the text has none.
    pub port: u16,
}

impl std::fmt::Display for Origin {
    /// As `host:port`, an IPv6 address in its brackets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The origins of a site.
pub(super) fn meant(
    written: &SpannedStrings,
    section: Range<usize>,
    faults: &mut Diagnostics<'_>,
) -> Option<Vec<Origin>> {
    let help = "origin = [\"http://127.0.0.1:9001\"]";
    let Some(list) = written else {
        faults.miss(section, "`origin` is missing in [[site]]".into(), Some(help.into()));
        return None;
    };
    let items = list.get_ref();
    if items.is_empty() {
        faults.push(list.span(), "`origin` is empty".into(), Some(help.into()));
        return None;
    }
    if let Some(over) = items.get(ORIGINS_MAX) {
        faults.push(over.span(), format!("more than {ORIGINS_MAX} origins"), None);
        return None;
    }
    let mut places: HashMap<Origin, Range<usize>> = HashMap::new();
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        let Some(origin) = one(item, help, faults) else { continue };
        if let Some(before) = places.insert(origin.clone(), item.span()) {
            let message =
                format!("`{}` is there twice, first {}", item.get_ref(), at(before, faults));
            faults.push(item.span(), message, Some("take one of the two out".into()));
            continue;
        }
        found.push(origin);
    }
    (found.len() == items.len()).then_some(found)
}

fn one(item: &Spanned<String>, help: &str, faults: &mut Diagnostics<'_>) -> Option<Origin> {
    match origin(item.get_ref()) {
        Ok(origin) => return Some(origin),
        Err(OriginAddressError::Unbuilt(what)) => say_unbuilt(what, item.span(), faults),
        Err(OriginAddressError::Wrong(why)) => {
            let message = format!("`{}` is no origin: {why}", item.get_ref());
            faults.push(item.span(), message, Some(help.into()));
        }
    }
    None
}

/// The path of `health`, if there is one. It goes into a request as it is written.
pub(super) fn health(
    written: Option<&Spanned<String>>,
    faults: &mut Diagnostics<'_>,
) -> Option<Option<Box<str>>> {
    let Some(text) = written else { return Some(None) };
    let path = text.get_ref();
    let is_plain = path.starts_with('/')
        && path.len() <= HEALTH_BYTES_MAX
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if is_plain {
        return Some(Some(path.as_str().into()));
    }
    let message = format!("`health` is a path of at most {HEALTH_BYTES_MAX} plain characters");
    faults.push(text.span(), message, Some("health = \"/health\"".into()));
    None
}

/// The extensions of `scripts`, without a dot.
pub(super) fn scripts(
    written: &SpannedStrings,
    faults: &mut Diagnostics<'_>,
) -> Option<Vec<Box<str>>> {
    let Some(list) = written else { return Some(Vec::new()) };
    let items = list.get_ref();
    if let Some(over) = items.get(SCRIPTS_MAX) {
        faults.push(over.span(), format!("more than {SCRIPTS_MAX} extensions"), None);
        return None;
    }
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        let text = item.get_ref();
        let is_plain = !text.is_empty()
            && text.len() <= SCRIPT_BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_plain {
            found.push(text.as_str().into());
            continue;
        }
        let message = format!("`{text}` is no extension of at most {SCRIPT_BYTES_MAX} letters");
        faults.push(item.span(), message, Some("scripts = [\"php\"]: without a dot".into()));
    }
    (found.len() == items.len()).then_some(found)
}

enum OriginAddressError {
    Unbuilt(&'static str),
    Wrong(&'static str),
}

fn origin(text: &str) -> Result<Origin, OriginAddressError> {
    use OriginAddressError::{Unbuilt, Wrong};
    if text.starts_with("https://") {
        return Err(Unbuilt("an origin over https"));
    }
    let rest = text.strip_prefix("http://").ok_or(Wrong("it does not start with `http://`"))?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        return Err(Wrong("it is a host and a port, nothing before or behind"));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (host, behind) = inner.split_once(']').ok_or(Wrong("its `[` is not closed"))?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| Wrong("no IPv6 address in `[…]`"))?;
            match (behind.is_empty(), behind.strip_prefix(':')) {
                (true, _) => (host, None),
                (_, Some(port)) => (host, Some(port)),
                _ => return Err(Wrong("something stands behind its `]`")),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if !authority.starts_with('[') {
        let pattern = HostPattern::parse(host).map_err(|_| Wrong("its host is no host name"))?;
        if pattern.to_string().starts_with('*') {
            return Err(Wrong("a wildcard names no host"));
        }
    }
    let port = match port {
        None => 80,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().filter(|n| *n != 0).ok_or(Wrong("a port is 1 to 65535"))?
        }
        Some(_) => return Err(Wrong("a port is 1 to 65535")),
    };
    Ok(Origin { host: host.into(), port })
}
