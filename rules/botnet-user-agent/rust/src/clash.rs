//! Signs that no browser has: parts that exclude each other, and unintended text.

use crate::agent::Agent;
use crate::weights;
use rule_support::find::Marks;

/// From these versions on, browsers send Mac OS X 10.15 on every later system.
const CHROME_FREEZES_MAC: u32 = 95;
const SAFARI_FREEZES_MAC: u32 = 15;

/// Chromium's engine since 28, and Safari's since 11.1.
const CHROME_WEBKIT: &[u8] = b"537.36";
const SAFARI_WEBKIT: &[u8] = b"605.1.15";

/// Remains of a template without its values.
static TEMPLATES: Marks = Marks::new(&[b"${", b"{{", b"%s", b"%d", b"<script"]);

/// Returns the sum of the weights of all true signs.
fn sum(signs: &[(bool, i64)]) -> i64 {
    signs.iter().filter(|(holds, _)| *holds).map(|(_, weight)| weight).sum()
}

/// Returns the points for errors in the text, for any agent.
pub(crate) fn writing(text: &[u8], agent: &Agent<'_>) -> i64 {
    let depth = text.iter().try_fold(0_i32, |depth, byte| match byte {
        b'(' => Some(depth + 1),
        b')' if depth == 0 => None,
        b')' => Some(depth - 1),
        _ => Some(depth),
    });
    // A text that is cut at the limit can lack its end.
    let unmatched = depth.is_none_or(|depth| depth > 0 && text.len() < crate::READ_BYTES_MAX);
    let control = text.iter().any(|byte| byte.is_ascii_control());
    let quoted =
        text.starts_with(b"\"") || text.starts_with(b"'") || text.starts_with(b"User-Agent");
    let template = TEMPLATES.any_in(text) || text.starts_with(b"{");
    let bare = agent.mozilla.is_some() && !agent.platform;
    sum(&[
        (template, weights::TEMPLATE),
        (control || quoted, weights::DIRT),
        (unmatched, weights::PARENTHESES),
        (bare, weights::NO_PLATFORM),
    ])
}

/// Returns the points for a declared tool.
pub(crate) fn tool(agent: &Agent<'_>) -> i64 {
    sum(&[(agent.library, weights::LIBRARY)])
}

/// Returns the points for parts that exclude each other.
pub(crate) fn points(agent: &Agent<'_>) -> i64 {
    sum(&[
        (is_on_two_systems(agent), weights::TWO_SYSTEMS),
        (is_two_browsers(agent), weights::TWO_BROWSERS),
        (is_no_system(agent), weights::NO_SUCH_SYSTEM),
        (cannot_run(agent), weights::CANNOT_RUN),
        (lacks_a_part(agent), weights::PART_MISSING),
        (has_another_engine(agent), weights::OTHER_ENGINE),
        (has_another_revision(agent), weights::OTHER_REVISION),
        (has_build_numbers(agent), weights::BUILD_NUMBERS),
        (agent.twice, weights::TWICE),
        (agent.by_chance, weights::BY_CHANCE),
    ])
}

fn is_on_two_systems(agent: &Agent<'_>) -> bool {
    let windows = agent.windows.is_some() || agent.windows_old;
    let mac = agent.mac.is_some() || agent.power_pc;
    let android = agent.android.is_some() && !agent.windows_phone;
    let ios = agent.iphone && !agent.windows_phone;
    let systems = [windows, mac, android, ios].iter().filter(|says| **says).count();
    systems > 1 || (agent.is_desktop() && agent.mobile && systems == 1 && !agent.windows_phone)
}

fn is_two_browsers(agent: &Agent<'_>) -> bool {
    let browsers = [
        agent.chrome.is_some() || agent.ios_browser,
        agent.firefox.is_some(),
        agent.msie.is_some() || agent.trident.is_some(),
        agent.presto,
    ];
    browsers.iter().filter(|says| **says).count() > 1
}

fn is_no_system(agent: &Agent<'_>) -> bool {
    let windows = agent.windows.is_some_and(|version| version > (10, 0))
        || agent.windows.is_some_and(|(major, _)| major > 6 && major < 10);
    let freezes = |version: Option<u32>, from: u32| version.is_some_and(|version| version >= from);
    let frozen = freezes(agent.chrome, CHROME_FREEZES_MAC)
        || (agent.chrome.is_none() && freezes(agent.version, SAFARI_FREEZES_MAC))
        || freezes(agent.firefox, CHROME_FREEZES_MAC);
    windows || (frozen && agent.mac.is_some_and(|version| version > (10, 15)))
}

/// Returns whether the browser cannot run on the system: Chrome 110 and Firefox 116 need Windows
/// 10, Safari needs Apple, and Chromium does not exist on iOS.
fn cannot_run(agent: &Agent<'_>) -> bool {
    let old_windows = agent.windows.is_some_and(|version| version < (10, 0));
    let needs_ten = agent.chrome.is_some_and(|version| version >= 110)
        || agent.firefox.is_some_and(|version| version >= 116);
    let safari = agent.chrome.is_none()
        && !agent.safari.is_empty()
        && agent.version.is_some_and(|version| version >= 6);
    (old_windows && needs_ten)
        || (safari && agent.windows.is_some())
        || (agent.iphone && !agent.windows_phone && agent.chrome.is_some())
}

fn lacks_a_part(agent: &Agent<'_>) -> bool {
    let chrome = agent.chrome.is_some() && (agent.webkit.is_empty() || agent.safari.is_empty());
    let firefox = agent.firefox.is_some() && !agent.ios_browser && agent.gecko.is_empty();
    let safari = !agent.safari.is_empty() && agent.webkit.is_empty();
    (chrome && !agent.derived && !agent.webview) || firefox || safari
}

fn has_another_engine(agent: &Agent<'_>) -> bool {
    if let Some(chrome) = agent.chrome {
        let frozen = chrome >= 28 && !agent.webkit.is_empty() && agent.webkit != CHROME_WEBKIT;
        return frozen || agent.webkit != agent.safari && !agent.safari.is_empty();
    }
    let modern_safari = agent.version.is_some_and(|version| version >= 13);
    let safari = modern_safari && !agent.webkit.is_empty() && agent.webkit != SAFARI_WEBKIT;
    // Firefox froze the date of its engine on desktops, and sends its own version on phones.
    let firefox = agent.firefox.is_some_and(|version| version >= 5 && !agent.gecko.is_empty())
        && agent.gecko != b"20100101"
        && rule_support::find::leading_number(agent.gecko) != agent.firefox;
    safari || firefox
}

/// Returns whether `rv:` is of another version. Firefox 110 to 119 sent `rv:109.0`.
fn has_another_revision(agent: &Agent<'_>) -> bool {
    match (agent.firefox, agent.rv) {
        (Some(firefox), Some(rv)) if firefox >= 5 => {
            rv != firefox && !(rv == 109 && (110..120).contains(&firefox))
        }
        _ => false,
    }
}

/// Returns whether Chrome sends build numbers. Since 110 it sends `.0.0.0` on every system; web
/// views of apps, and browsers based on it, can still send more.
fn has_build_numbers(agent: &Agent<'_>) -> bool {
    let reduced = agent.chrome.is_some_and(|version| version >= 110);
    reduced && !agent.derived && !agent.webview && !agent.chrome_build.ends_with(b".0.0.0")
}
