//! Time-outs that a site, a part of one, or the listed proxies have of their own.
//!
//! One value for all cannot serve many members: where one has long polls, the next has pages that
//! should fail soon.

use std::time::Duration;

use toml::Spanned;

use super::diagnostics::Diagnostics;
use super::raw::{Site, SiteRoute};
use super::spanned::SpannedString;

/// Most `[[site.route]]` of a site: each is looked at for each request.
pub const ROUTES_MAX: usize = 32;
/// Most bytes of a `path_prefix`.
pub const PATH_PREFIX_BYTES_MAX: usize = 256;

/// The shortest and the longest time that is waited for an origin.
const ORIGIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(3_600));

/// How long origins are waited for, for the paths of a site that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginTimeouts {
    /// The beginning; empty for all paths.
    pub path_prefix: Box<str>,
    /// From the end of a request to the head of its answer, where it is not that of `[limits]`.
    pub response_header: Option<Duration>,
    /// For silence within an answer, where it is not that of `[limits]`.
    pub read: Option<Duration>,
}

/// What a site says of them: its own, then those of its routes.
pub(super) fn of_site(site: &Site, faults: &mut Diagnostics<'_>) -> Option<Vec<OriginTimeouts>> {
    let own = read((&site.response_header_timeout, &site.read_timeout), faults);
    let routes = site.route.as_deref().unwrap_or_default();
    if let Some(over) = routes.get(ROUTES_MAX) {
        faults.push(over.span(), format!("more than {ROUTES_MAX} routes"), None);
        return None;
    }
    let mut all: Vec<OriginTimeouts> = Vec::with_capacity(routes.len().saturating_add(1));
    let (response_header, read) = own?;
    if response_header.is_some() || read.is_some() {
        all.push(OriginTimeouts { path_prefix: "".into(), response_header, read });
    }
    let mut are_sound = true;
    for section in routes {
        let Some(one) = of_route(section, faults) else {
            are_sound = false;
            continue;
        };
        if all.iter().any(|other| other.path_prefix == one.path_prefix) {
            let message = format!("the `path_prefix` \"{}\" is there twice", one.path_prefix);
            faults.push(section.span(), message, Some("take one of the two out".into()));
        }
        all.push(one);
    }
    are_sound.then_some(all)
}

fn of_route(section: &Spanned<SiteRoute>, faults: &mut Diagnostics<'_>) -> Option<OriginTimeouts> {
    let route = section.get_ref();
    let timeouts = read((&route.response_header_timeout, &route.read_timeout), faults);
    let Some(prefix) = &route.path_prefix else {
        let help = "add path_prefix = \"/api/\"".to_owned();
        faults.miss(
            section.span(),
            "`path_prefix` is missing in [[site.route]]".into(),
            Some(help),
        );
        return None;
    };
    let text = prefix.get_ref().as_str();
    if !text.starts_with('/')
        || text.len() > PATH_PREFIX_BYTES_MAX
        || text.contains(['?', '#', '\0'])
    {
        let message = format!(
            "`path_prefix` is the beginning of a path, of {PATH_PREFIX_BYTES_MAX} bytes at most"
        );
        faults.push(prefix.span(), message, Some("path_prefix = \"/api/\"".into()));
        return None;
    }
    let (response_header, read) = timeouts?;
    if response_header.is_none() && read.is_none() {
        let help = "add response_header_timeout = \"2m\", or read_timeout".to_owned();
        faults.miss(section.span(), "this [[site.route]] changes nothing".into(), Some(help));
    }
    Some(OriginTimeouts { path_prefix: text.into(), response_header, read })
}

type Two = (Option<Duration>, Option<Duration>);

fn read(
    (response_header, read): (&SpannedString, &SpannedString),
    faults: &mut Diagnostics<'_>,
) -> Option<Two> {
    let response_header = time(response_header, ("response_header_timeout", ORIGIN), faults);
    let read = time(read, ("read_timeout", ORIGIN), faults);
    Some((response_header?, read?))
}

/// A time as people write it, `75s` or `2m`.
pub(super) fn time(
    written: &SpannedString,
    (name, (least, most)): (&str, (Duration, Duration)),
    faults: &mut Diagnostics<'_>,
) -> Option<Option<Duration>> {
    let Some(text) = written else { return Some(None) };
    let time = humantime::parse_duration(text.get_ref()).ok();
    if let Some(time) = time.filter(|time| (least..=most).contains(time)) {
        return Some(Some(time));
    }
    let [least, most] = [least, most].map(humantime::format_duration);
    let message = format!("`{name}` is a time from {least} to {most}");
    faults.push(text.span(), message, Some(format!("{name} = \"75s\"")));
    None
}
