//! Compares the other header fields with the browser in the User-Agent.

use crate::READ_BYTES_MAX;
use crate::agent::Agent;
use crate::weights;
use rule_support::find::{after, beginning, leading_number};
use seawall_rule::Headers;

/// Most fields that are read.
const FIELDS_MAX: usize = 128;

/// Most bytes of a Client Hint that are read.
const HINT_BYTES_MAX: usize = 256;

/// Browsers from these versions on send neither `accept-charset` nor `keep-alive`.
const CHROME_MODERN: u32 = 30;
const FIREFOX_MODERN: u32 = 30;

#[derive(Default)]
struct Seen<'r> {
    brands: Option<&'r [u8]>,
    mobile: Option<&'r [u8]>,
    platform: Option<&'r [u8]>,
    forgotten: bool,
    agents: usize,
    other_agent: bool,
}

pub(crate) fn points(ua: &[u8], agent: &Agent<'_>, all: Headers<'_>) -> i64 {
    let mut seen = Seen::default();
    for (name, value) in all.take(FIELDS_MAX) {
        match name {
            b"sec-ch-ua" => seen.brands = Some(value),
            b"sec-ch-ua-mobile" => seen.mobile = Some(value),
            b"sec-ch-ua-platform" => seen.platform = Some(value),
            b"accept-charset" | b"keep-alive" => seen.forgotten = true,
            b"user-agent" => {
                seen.agents += 1;
                // A second field is an error, whatever its value.
                seen.other_agent |= seen.agents == 1
                    && beginning(value, READ_BYTES_MAX) != beginning(ua, READ_BYTES_MAX);
            }
            _ => {}
        }
    }
    let modern = agent.chrome.is_some_and(|version| version >= CHROME_MODERN)
        || agent.firefox.is_some_and(|version| version >= FIREFOX_MODERN);
    let signs = [
        (names_another_system(agent, &seen), weights::HINTS_SYSTEM),
        (is_mobile_elsewhere(agent, &seen), weights::HINTS_MOBILE),
        (names_another_browser(agent, &seen), weights::HINTS_BROWSER),
        (modern && seen.forgotten, weights::FORGOTTEN_FIELD),
        (seen.agents > 1 || seen.other_agent, weights::TWO_AGENTS),
    ];
    signs.iter().filter(|(holds, _)| *holds).map(|(_, weight)| weight).sum()
}

fn names_another_system(agent: &Agent<'_>, seen: &Seen<'_>) -> bool {
    let Some(named) = seen.platform else { return false };
    let says = |system: &[u8]| named.trim_ascii() == system;
    if agent.windows.is_some() {
        !says(b"\"Windows\"")
    } else if agent.mac.is_some() {
        !says(b"\"macOS\"")
    } else if agent.android.is_some() {
        !says(b"\"Android\"")
    } else {
        says(b"\"Windows\"") || says(b"\"macOS\"") || says(b"\"iOS\"")
    }
}

fn is_mobile_elsewhere(agent: &Agent<'_>, seen: &Seen<'_>) -> bool {
    match seen.mobile {
        Some(b"?1") => agent.is_desktop() && !agent.is_phone(),
        Some(b"?0") => agent.is_phone() && agent.chrome.is_some(),
        _ => false,
    }
}

/// Returns whether the hints name another browser: only Chromium has hints, with its version.
fn names_another_browser(agent: &Agent<'_>, seen: &Seen<'_>) -> bool {
    let Some(brands) = seen.brands else { return false };
    let Some(version) = agent.chrome else {
        return agent.firefox.is_some() || agent.version.is_some() || agent.ios_browser;
    };
    let mut left = brands.get(..HINT_BYTES_MAX).unwrap_or(brands);
    while let Some(rest) = after(left, b";v=\"") {
        if leading_number(rest) == Some(version) {
            return false;
        }
        left = rest;
    }
    true
}
