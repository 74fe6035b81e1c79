//! `[[site]]`: hosts and their origins.

use std::collections::HashMap;
use std::ops::Range;

use seawall_model::HostPattern;
use toml::de::DeTable;

use super::{origins, timeouts};
use crate::config::SiteConfig;
use crate::diagnostics::Diagnostics;
use crate::document::{Part, Text};
use crate::keys;

/// Most sites: each one costs an entry in every table by site.
pub const SITES_MAX: usize = 10_000;

/// The place of each host.
type Places = HashMap<HostPattern, Range<usize>>;

pub(crate) fn read(root: &DeTable<'_>, said: &mut Diagnostics<'_>) -> Vec<SiteConfig> {
    let parts = Part::all_of_root(root, "site");
    if parts.is_empty() {
        let help = "add [[site]] with hosts and origins: nothing is served without a site";
        said.push_missing(0..0, "[[site]] is missing".into(), help);
    }
    if let Some(over) = parts.get(SITES_MAX) {
        said.push(over.at.clone(), format!("more than {SITES_MAX} sites"), None);
        return Vec::new();
    }
    let mut places = Places::new();
    parts.iter().map(|part| site(part, &mut places, said)).collect()
}

fn site(part: &Part<'_>, places: &mut Places, said: &mut Diagnostics<'_>) -> SiteConfig {
    let (name, hosts) = hosts(part, places, said);
    SiteConfig {
        name,
        hosts,
        origins: origins::read(part, said),
        health_check_path: origins::health_check_path(part, said),
        member: member(part, said),
        weight: number(part, "weight", said).unwrap_or(1),
        max_requests_per_origin: number(part, "max_requests_per_origin", said),
        timeouts: timeouts::of_site(part, said),
        scripts: origins::scripts(part, said),
    }
}

fn number(part: &Part<'_>, name: &str, said: &mut Diagnostics<'_>) -> Option<u32> {
    u32::try_from(part.number(keys::find(part.name, name)?, said)?).ok()
}

fn member(part: &Part<'_>, said: &mut Diagnostics<'_>) -> Option<Box<str>> {
    let text = part.text("member", said)?;
    if text.value.is_empty() {
        let help = "write the name of a member, or remove it".to_owned();
        said.push(text.at, "`member` is empty".into(), Some(help));
        return None;
    }
    Some(text.value.into())
}

/// Returns a host in its form for DNS: with `xn--…` for letters of other alphabets (RFC 5891).
fn in_ascii(item: &Text<'_>, said: &mut Diagnostics<'_>) -> Option<String> {
    let text = item.value;
    if text.is_ascii() {
        return Some(text.to_owned());
    }
    let (front, name) = text.strip_prefix("*.").map_or(("", text), |name| ("*.", name));
    match idna::domain_to_ascii_strict(name) {
        Ok(name) => Some(format!("{front}{name}")),
        Err(_) => {
            let help = "write the name as DNS has it, as `xn--bcher-kva.example`".to_owned();
            let message = format!("`{}` cannot be a name in DNS", text.escape_debug());
            said.push(item.at.clone(), message, Some(help));
            None
        }
    }
}

/// Returns the name of a site and its hosts.
fn hosts(
    part: &Part<'_>,
    places: &mut Places,
    said: &mut Diagnostics<'_>,
) -> (Box<str>, Vec<HostPattern>) {
    let help = "add hosts = [\"alice.example\"]";
    if part.get("hosts").is_none() {
        said.push_missing(part.at.clone(), "`hosts` is missing in [[site]]".into(), help);
    }
    let Some(list) = part.texts("hosts", said) else { return ("".into(), Vec::new()) };
    let Some(first) = list.value.first() else {
        let message = "`hosts` is empty: no request reaches the site".to_owned();
        said.push_missing(list.at, message, help);
        return ("".into(), Vec::new());
    };
    let name = first.value.into();
    let hosts = list.value.iter().filter_map(|item| host(item, places, said)).collect();
    (name, hosts)
}

fn host(item: &Text<'_>, places: &mut Places, said: &mut Diagnostics<'_>) -> Option<HostPattern> {
    let pattern = match HostPattern::parse(&in_ascii(item, said)?) {
        Ok(pattern) => pattern,
        Err(error) => {
            let message = format!("`{}`: {error}", item.value.escape_debug());
            said.push(item.at.clone(), message, None);
            return None;
        }
    };
    if let Some(before) = places.get(&pattern) {
        let message = format!("the host `{pattern}` is there twice");
        let place = said.place_text(before.clone());
        let help = format!("a host belongs to one site; remove it here or at {place}");
        said.push(item.at.clone(), message, Some(help));
        return None;
    }
    places.insert(pattern.clone(), item.at.clone());
    Some(pattern)
}
