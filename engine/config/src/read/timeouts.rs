//! Timeouts of a site and of its `[[site.route]]`.
//!
//! Members need different values: one has long polls, another has pages that should fail soon.

use std::time::Duration;

use crate::config::OriginTimeouts;
use crate::diagnostics::Diagnostics;
use crate::document::Part;
use crate::keys;

/// Most `[[site.route]]` of a site: each request examines all of them.
pub const ROUTES_MAX: usize = 32;
/// Most bytes of a `path_prefix`.
pub const PATH_PREFIX_BYTES_MAX: usize = 256;

/// Returns the timeouts of a site: its own, then those of its routes.
pub(crate) fn of_site(site: &Part<'_>, said: &mut Diagnostics<'_>) -> Vec<OriginTimeouts> {
    let routes = site.parts("route", "site.route");
    if let Some(over) = routes.get(ROUTES_MAX) {
        said.push(over.at.clone(), format!("more than {ROUTES_MAX} routes"), None);
        return Vec::new();
    }
    let own = both(site, "", said);
    let mut all = Vec::with_capacity(routes.len().saturating_add(1));
    all.extend(Some(own).filter(changes_something));
    for route in &routes {
        let Some(one) = of_route(route, said) else { continue };
        if all.iter().any(|other: &OriginTimeouts| other.path_prefix == one.path_prefix) {
            let message = format!("the `path_prefix` \"{}\" is there twice", one.path_prefix);
            said.push(route.at.clone(), message, Some("remove one of the two".into()));
        }
        all.push(one);
    }
    all
}

const fn changes_something(of: &OriginTimeouts) -> bool {
    of.response_header.is_some() || of.read.is_some()
}

fn of_route(route: &Part<'_>, said: &mut Diagnostics<'_>) -> Option<OriginTimeouts> {
    if route.get("path_prefix").is_none() {
        let message = "`path_prefix` is missing in [[site.route]]".to_owned();
        said.push_missing(route.at.clone(), message, "add path_prefix = \"/api/\"");
    }
    let prefix = route.text("path_prefix", said)?;
    let text = prefix.value;
    let is_prefix = text.starts_with('/')
        && text.len() <= PATH_PREFIX_BYTES_MAX
        && !text.contains(['?', '#', '\0']);
    if !is_prefix {
        let message = format!(
            "`path_prefix` must be the beginning of a path of at most {PATH_PREFIX_BYTES_MAX} bytes"
        );
        said.push(prefix.at, message, Some("write path_prefix = \"/api/\"".into()));
        return None;
    }
    let before = said.count();
    let timeouts = both(route, text, said);
    if !changes_something(&timeouts) && said.count() == before {
        let help = "add response_header_timeout = \"2m\", or read_timeout";
        said.push_missing(route.at.clone(), "this [[site.route]] changes nothing".into(), help);
    }
    Some(timeouts)
}

fn both(part: &Part<'_>, path_prefix: &str, said: &mut Diagnostics<'_>) -> OriginTimeouts {
    let mut time = |name| {
        let number = part.number(keys::find(part.name, name)?, said)?;
        Some(Duration::from_millis(number))
    };
    let response_header = time("response_header_timeout");
    OriginTimeouts { path_prefix: path_prefix.into(), response_header, read: time("read_timeout") }
}
