//! `origins`, `health_check_path` and `scripts` of a `[[site]]`.

use std::collections::HashMap;
use std::ops::Range;

use seawall_model::HostPattern;

use crate::config::Origin;
use crate::diagnostics::Diagnostics;
use crate::document::{Part, Text};
use crate::names::say_unsupported;

/// Most origins of a site: each request examines all of them.
pub const ORIGINS_MAX: usize = 16;
/// Most bytes of a health check's path.
pub const HEALTH_CHECK_PATH_BYTES_MAX: usize = 256;
/// Most script extensions of a site.
pub const SCRIPTS_MAX: usize = 8;
/// Most bytes of a script extension.
const SCRIPT_BYTES_MAX: usize = 16;

const EXAMPLE: &str = "origins = [\"http://127.0.0.1:9001\"]";

/// Returns the origins of a site.
pub(crate) fn read(site: &Part<'_>, said: &mut Diagnostics<'_>) -> Vec<Origin> {
    if site.get("origins").is_none() {
        let message = "`origins` is missing in [[site]]".to_owned();
        said.push_missing(site.at.clone(), message, &format!("add {EXAMPLE}"));
    }
    let Some(list) = site.texts("origins", said) else { return Vec::new() };
    if list.value.is_empty() {
        said.push(list.at, "`origins` is empty".into(), Some(format!("write {EXAMPLE}")));
        return Vec::new();
    }
    if let Some(over) = list.value.get(ORIGINS_MAX) {
        said.push(over.at.clone(), format!("more than {ORIGINS_MAX} origins"), None);
        return Vec::new();
    }
    let mut places: HashMap<Origin, Range<usize>> = HashMap::new();
    let mut found = Vec::with_capacity(list.value.len());
    for item in list.value {
        let Some(origin) = one(&item, said) else { continue };
        if let Some(before) = places.insert(origin.clone(), item.at.clone()) {
            let message = format!("`{}` is there twice", item.value.escape_debug());
            let help = format!("remove it here or at {}", said.place_text(before));
            said.push(item.at, message, Some(help));
            continue;
        }
        found.push(origin);
    }
    found
}

fn one(item: &Text<'_>, said: &mut Diagnostics<'_>) -> Option<Origin> {
    match origin(item.value) {
        Ok(origin) => return Some(origin),
        Err(OriginError::Unsupported(what)) => say_unsupported(what, item.at.clone(), said),
        Err(OriginError::Wrong(why)) => {
            let message = format!("`{}` is not an origin: {why}", item.value.escape_debug());
            said.push(item.at.clone(), message, Some(format!("write {EXAMPLE}")));
        }
    }
    None
}

/// Returns the path of `health_check_path`. It is sent as it is written.
pub(crate) fn health_check_path(site: &Part<'_>, said: &mut Diagnostics<'_>) -> Option<Box<str>> {
    let text = site.text("health_check_path", said)?;
    let path = text.value;
    let is_plain = path.starts_with('/')
        && path.len() <= HEALTH_CHECK_PATH_BYTES_MAX
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if is_plain {
        return Some(path.into());
    }
    let message = format!(
        "`health_check_path` must be a path of at most {HEALTH_CHECK_PATH_BYTES_MAX} plain characters"
    );
    said.push(text.at, message, Some("write health_check_path = \"/health\"".into()));
    None
}

/// Returns the extensions of `scripts`, without a dot.
pub(crate) fn scripts(site: &Part<'_>, said: &mut Diagnostics<'_>) -> Vec<Box<str>> {
    let Some(list) = site.texts("scripts", said) else { return Vec::new() };
    if let Some(over) = list.value.get(SCRIPTS_MAX) {
        said.push(over.at.clone(), format!("more than {SCRIPTS_MAX} extensions"), None);
        return Vec::new();
    }
    let mut found = Vec::with_capacity(list.value.len());
    for item in list.value {
        let text = item.value;
        let is_plain = !text.is_empty()
            && text.len() <= SCRIPT_BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_plain {
            found.push(text.into());
            continue;
        }
        let shown = text.escape_debug();
        let message =
            format!("`{shown}` is not an extension of at most {SCRIPT_BYTES_MAX} letters");
        said.push(item.at, message, Some("write scripts = [\"php\"], without a dot".into()));
    }
    found
}

enum OriginError {
    Unsupported(&'static str),
    Wrong(&'static str),
}

fn origin(text: &str) -> Result<Origin, OriginError> {
    use OriginError::{Unsupported, Wrong};
    if text.starts_with("https://") {
        return Err(Unsupported("an origin over https"));
    }
    let rest = text.strip_prefix("http://").ok_or(Wrong("it must start with `http://`"))?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        return Err(Wrong("it must be a host and a port only"));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (host, behind) = inner.split_once(']').ok_or(Wrong("its `[` is not closed"))?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| Wrong("no IPv6 address in `[…]`"))?;
            match (behind.is_empty(), behind.strip_prefix(':')) {
                (true, _) => (host, None),
                (_, Some(port)) => (host, Some(port)),
                _ => return Err(Wrong("`:` must follow its `]`")),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if !authority.starts_with('[') {
        let pattern = HostPattern::parse(host).map_err(|_| Wrong("its host is not a host name"))?;
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
