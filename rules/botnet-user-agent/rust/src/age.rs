//! The age of browser and system.
//!
//! A rule has no clock, so the bounds are constants: what was old in 2026 stays old, and later
//! versions get no points until the bounds are raised.

use crate::agent::Agent;
use crate::weights;

/// The newest releases at the time of these bounds, 2026-09, and the distance that counts as
/// impossible. Chrome and Firefox release about 13 versions a year, so this is four years.
const CHROME_NEWEST: u32 = 155;
const FIREFOX_NEWEST: u32 = 156;
const AHEAD_MAX: u32 = 55;

pub(crate) fn points(agent: &Agent<'_>) -> i64 {
    if is_from_the_future(agent) {
        return weights::FROM_THE_FUTURE;
    }
    let browser = browser(agent);
    let both = browser + system(agent);
    if browser >= weights::BEFORE_TLS12 { both } else { both.min(weights::AGE_MAX) }
}

fn is_from_the_future(agent: &Agent<'_>) -> bool {
    let beyond = |version: Option<u32>, newest: u32| {
        version.is_some_and(|version| version > newest + AHEAD_MAX)
    };
    beyond(agent.chrome, CHROME_NEWEST) || beyond(agent.firefox, FIREFOX_NEWEST)
}

fn browser(agent: &Agent<'_>) -> i64 {
    let by_age = |version: Option<u32>, [no_tls12, old, aged]: [u32; 3]| match version {
        Some(version) if version < no_tls12 => weights::BEFORE_TLS12,
        Some(version) if version < old => weights::OLD_BROWSER,
        Some(version) if version < aged => weights::AGED_BROWSER,
        _ => 0,
    };
    // Browsers with Gecko counted `rv:` from 0.9 to 1.9 until Firefox 4.
    let old_gecko = !agent.gecko.is_empty() || agent.mozilla.is_some();
    let old_gecko = old_gecko && agent.rv.is_some_and(|version| version < 2);
    let old_mozilla = agent.msie.is_some() || agent.mozilla.is_some_and(|version| version < 5);
    if agent.presto || old_mozilla || old_gecko || agent.old_phone {
        return weights::BEFORE_TLS12;
    }
    if agent.trident.is_some() {
        return weights::OLD_BROWSER;
    }
    if agent.chrome.is_some() {
        // A web view of an app also sends `Version/4.0`, but is not Safari.
        return by_age(agent.chrome, [30, 70, 100]);
    }
    if agent.firefox.is_some() {
        return by_age(agent.firefox, [27, 68, 102]);
    }
    if agent.safari.is_empty() || agent.ios_browser {
        return 0;
    }
    by_age(agent.version, [7, 11, 14])
}

fn system(agent: &Agent<'_>) -> i64 {
    let by_age = |version: Option<u32>, old: u32, aged: u32| match version {
        Some(version) if version < old => weights::OLD_SYSTEM,
        Some(version) if version < aged => weights::AGED_SYSTEM,
        _ => 0,
    };
    let windows = match agent.windows {
        Some((major, minor)) if (major, minor) < (6, 1) => weights::OLD_SYSTEM,
        Some((6, _)) => weights::AGED_SYSTEM,
        _ if agent.windows_old => weights::OLD_SYSTEM,
        _ => 0,
    };
    let mac = match agent.mac {
        _ if agent.power_pc => weights::OLD_SYSTEM,
        Some(version) if version < (10, 9) => weights::OLD_SYSTEM,
        _ => 0,
    };
    windows.max(mac).max(by_age(agent.android, 5, 7)).max(by_age(agent.ios, 10, 13))
}
