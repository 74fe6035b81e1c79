//! Returns how unusual a request's headers are for the browser in its User-Agent.
//!
//! Browsers send the same fields with every request; most attack tools set only the User-Agent.
//! Decision: only fields that a browser sends with *every* kind of request count (pages, images,
//! scripts, `fetch`), because the rule does not know the kind. Other clients, such as feed readers,
//! get no points.
//!
//! Limitation: a complete copy of a browser's headers gets 0 points.

use rule_support::find::{after, beginning, leading_number};
use seawall_rule::Headers;

/// Points for missing or contradictory fields. The sum is at most 100, and a policy should act from
/// 50 on: one sign alone never has as many, two usually do.
mod points {
    /// Every browser sends these with every request (a WebSocket handshake has no `accept`).
    pub(crate) const NO_ACCEPT: i64 = 35;
    pub(crate) const NO_ACCEPT_LANGUAGE: i64 = 30;
    pub(crate) const NO_ACCEPT_ENCODING: i64 = 30;
    /// Chromium 76, Firefox 90 and Safari 16.4 and later send them, over https and to localhost.
    pub(crate) const NO_FETCH_METADATA: i64 = 15;
    /// Chromium 89 and later sends them, over https and to localhost.
    pub(crate) const NO_CLIENT_HINTS: i64 = 15;
    /// Only Chromium sends client hints.
    pub(crate) const FOREIGN_CLIENT_HINTS: i64 = 40;
    /// The hints name another major version than the User-Agent.
    pub(crate) const OTHER_VERSION: i64 = 40;
    /// Two fields with a name that can occur once.
    pub(crate) const TWICE: i64 = 40;
    /// No browser sends fewer fields than this.
    pub(crate) const FEW_FIELDS: i64 = 25;
    /// Contradictory metadata about the kind of a request.
    pub(crate) const CONTRADICTION: i64 = 40;
}

/// Fewest fields of any browser: host, user-agent, accept, accept-language, accept-encoding.
const FIELDS_MIN: usize = 5;

/// Most bytes of a text that are read; those of a browser are shorter. It limits the cost of the
/// rule for any request, so that it stays within its fuel.
const READ_BYTES_MAX: usize = 256;

/// Most fields that are read. The server accepts 100, and could pass 10,000.
const FIELDS_READ_MAX: usize = 128;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Browser {
    /// Chrome, Edge, Opera and others based on Chromium, with the major version.
    Chromium(u32),
    Firefox(u32),
    /// Safari with its own version, and all browsers on iOS.
    Safari(u32),
}

/// The result of one pass over the fields.
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

/// Returns how unusual the headers are, from 0 (normal) to 100.
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

    /// Returns whether the metadata contradict each other: only a navigation requests a page.
    fn contradicts_itself(&self) -> bool {
        match (self.mode, self.dest) {
            (Some(mode), Some(dest)) => {
                (dest == b"document") != (mode == b"navigate") && !is_frame(dest)
            }
            _ => false,
        }
    }
}

/// Returns whether the destination is a frame, which is a navigation too.
fn is_frame(dest: &[u8]) -> bool {
    matches!(dest, b"iframe" | b"frame" | b"object" | b"embed" | b"fencedframe")
}

/// Returns whether fetch metadata are missing. The three fields come together, so an incomplete set
/// counts too.
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

/// Returns whether one of the brands in `sec-ch-ua` has this major version, as
/// `"Chromium";v="126"`.
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

/// Returns the browser in a User-Agent. The order matters: Chromium also contains `Safari`, and a
/// bot beside a browser name is a declared bot.
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
    // On iOS every browser uses Safari's engine. Those without a version of Safari are web views of
    // apps, whose fields vary.
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
