//! How odd a request's headers are for the browser that its User-Agent claims.
//!
//! Browsers are all alike in what they send with every request; most attack tools set a browser's
//! User-Agent and forget the rest. Decision: only fields that a browser sends with *every* kind of
//! request count (pages, images, scripts, `fetch`), because the rule does not know which kind it
//! sees. What does not claim to be a browser is not judged: a feed reader is honest.
//!
//! Where this does not protect: whoever copies a browser's headers whole scores 0.

use rule_support::find::{after, beginning, leading_number};
use seawall_rule::Headers;

/// What is missing or contradictory, in points. The sum is capped at 100, and a policy is expected
/// to act from 50 on: one oddity alone never gets there, two usually do.
mod points {
    /// Every browser sends these with every request (a WebSocket's opening has no `accept`).
    pub(crate) const NO_ACCEPT: i64 = 35;
    pub(crate) const NO_ACCEPT_LANGUAGE: i64 = 30;
    pub(crate) const NO_ACCEPT_ENCODING: i64 = 30;
    /// Chromium 76, Firefox 90 and Safari 16.4 and later send them, over https and to localhost.
    pub(crate) const NO_FETCH_METADATA: i64 = 15;
    /// Chromium 89 and later sends it, over https and to localhost.
    pub(crate) const NO_CLIENT_HINTS: i64 = 15;
    /// Only Chromium sends client hints.
    pub(crate) const FOREIGN_CLIENT_HINTS: i64 = 40;
    /// The hints name another major version than the User-Agent.
    pub(crate) const OTHER_VERSION: i64 = 40;
    /// Two of a field that there may be only one of.
    pub(crate) const TWICE: i64 = 40;
    /// No browser sends fewer than this many fields.
    pub(crate) const FEW_FIELDS: i64 = 25;
    /// A page that was asked for by typing and by a click at once, and its kind.
    pub(crate) const CONTRADICTION: i64 = 40;
}

/// Fewer fields than any browser sends: host, user-agent, accept, accept-language, accept-encoding.
const FIELDS_MIN: usize = 5;

/// How much of a text is read: a browser's User-Agent and hints are shorter. So the most that a
/// visitor can make the rule cost is bounded, and stays inside its fuel.
const READ_BYTES_MAX: usize = 256;

/// How many fields are read: a server takes 100, and the host would hand over 10,000.
const FIELDS_READ_MAX: usize = 128;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Browser {
    /// Chrome, Edge, Opera and what else is built on Chromium, with its major version.
    Chromium(u32),
    Firefox(u32),
    /// Safari with the version that it calls itself by, and all of iOS.
    Safari(u32),
}

/// What one pass over the fields finds.
#[derive(Default)]
struct Seen<'r> {
    fields: usize,
    accept: bool,
    language: bool,
    encoding: bool,
    hints: Option<&'r [u8]>,
    site: Option<&'r [u8]>,
    mode: Option<&'r [u8]>,
    dest: Option<&'r [u8]>,
    websocket: bool,
    twice: bool,
    hosts: usize,
    agents: usize,
}

/// How odd the headers are, from 0 (nothing to see) to 100.
#[seawall_rule::export]
pub fn header_oddness(ua: &[u8], all: Headers<'_>) -> i64 {
    let Some(browser) = claimed(ua) else { return 0 };
    let seen = Seen::of(all);
    let missing = [
        (!seen.accept && !seen.websocket, points::NO_ACCEPT),
        (!seen.language, points::NO_ACCEPT_LANGUAGE),
        (!seen.encoding, points::NO_ACCEPT_ENCODING),
        (seen.fields < FIELDS_MIN, points::FEW_FIELDS),
        (seen.twice, points::TWICE),
        (lacks_fetch_metadata(browser, &seen), points::NO_FETCH_METADATA),
        (seen.contradicts_itself(), points::CONTRADICTION),
    ];
    let odd: i64 = missing.iter().filter(|(odd, _)| *odd).map(|(_, points)| points).sum();
    (odd + hint_points(browser, &seen)).min(100)
}

impl<'r> Seen<'r> {
    fn of(all: Headers<'r>) -> Self {
        let mut seen = Self::default();
        for (name, value) in all.take(FIELDS_READ_MAX) {
            seen.fields += 1;
            match name {
                b"accept" => seen.accept = true,
                b"accept-language" => seen.note_single(value, |seen| &mut seen.language),
                b"accept-encoding" => seen.encoding = true,
                b"sec-ch-ua" => seen.hints = Some(value),
                b"sec-fetch-site" => seen.site = Some(value),
                b"sec-fetch-mode" => seen.mode = Some(value),
                b"sec-fetch-dest" => seen.dest = Some(value),
                b"upgrade" => seen.websocket = value.eq_ignore_ascii_case(b"websocket"),
                b"host" => seen.hosts += 1,
                b"user-agent" => seen.agents += 1,
                _ => {}
            }
        }
        seen.twice |= seen.hosts > 1 || seen.agents > 1;
        seen
    }

    fn note_single(&mut self, value: &[u8], field: fn(&mut Self) -> &mut bool) {
        let before = std::mem::replace(field(self), !value.is_empty());
        self.twice |= before;
    }

    /// A page is asked for by navigating and by nothing else.
    fn contradicts_itself(&self) -> bool {
        match (self.mode, self.dest) {
            (Some(mode), Some(dest)) => {
                (dest == b"document") != (mode == b"navigate") && !is_frame(dest)
            }
            _ => false,
        }
    }
}

/// What is shown inside a page is navigated to as well.
fn is_frame(dest: &[u8]) -> bool {
    matches!(dest, b"iframe" | b"frame" | b"object" | b"embed" | b"fencedframe")
}

/// The three fields come together or not at all, so some of them is as odd as none.
fn lacks_fetch_metadata(browser: Browser, seen: &Seen<'_>) -> bool {
    let sends = match browser {
        Browser::Chromium(version) => version >= 80,
        Browser::Firefox(version) => version >= 90,
        Browser::Safari(version) => version >= 17,
    };
    sends && !seen.websocket && (seen.site.is_none() || seen.mode.is_none() || seen.dest.is_none())
}

fn hint_points(browser: Browser, seen: &Seen<'_>) -> i64 {
    match (browser, seen.hints) {
        (Browser::Chromium(version), None) if version >= 89 && !seen.websocket => {
            points::NO_CLIENT_HINTS
        }
        (Browser::Chromium(version), Some(hints)) if !names_version(hints, version) => {
            points::OTHER_VERSION
        }
        (Browser::Firefox(_) | Browser::Safari(_), Some(_)) => points::FOREIGN_CLIENT_HINTS,
        _ => 0,
    }
}

/// Whether one of the brands in `sec-ch-ua` has this major version, as `"Chromium";v="126"`.
fn names_version(hints: &[u8], version: u32) -> bool {
    let mut left = beginning(hints, READ_BYTES_MAX);
    while let Some(rest) = after(left, b";v=\"") {
        if leading_number(rest) == Some(version) {
            return true;
        }
        left = rest;
    }
    false
}

/// The browser that a User-Agent claims. Order matters: Chromium also says Safari, and what calls
/// itself a bot beside a browser's name is a bot that says so.
fn claimed(ua: &[u8]) -> Option<Browser> {
    let ua = beginning(ua, READ_BYTES_MAX);
    if !ua.starts_with(b"Mozilla/5.0 (") || is_honest_machine(ua) {
        return None;
    }
    let version = |mark: &[u8]| after(ua, mark).and_then(leading_number);
    if let Some(version) = version(b"Chrome/") {
        return Some(Browser::Chromium(version));
    }
    if let Some(version) = version(b"Firefox/") {
        return Some(Browser::Firefox(version));
    }
    // On iOS every browser is Safari underneath, whatever its name; those without a version of
    // Safari are apps that show pages, and what they send varies.
    after(ua, b"Safari/")?;
    version(b"Version/").map(Browser::Safari)
}

fn is_honest_machine(ua: &[u8]) -> bool {
    [&b"bot"[..], b"Bot", b"spider", b"crawl", b"+http"]
        .iter()
        .any(|mark| after(ua, mark).is_some())
}

#[cfg(test)]
mod tests;
