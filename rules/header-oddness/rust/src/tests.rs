//! Tests: real browsers get 0 points, imitations get many, and no input is expensive.

use super::*;
use seawall_rule::pack;

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
                      (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";
const SAFARI: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 \
                      (KHTML, like Gecko) Version/17.5 Safari/605.1.15";
const HINTS: (&str, &str) = ("sec-ch-ua", "\"Not/A)Brand\";v=\"8\", \"Chromium\";v=\"126\"");

fn score(ua: &str, fields: &[(&str, &str)]) -> i64 {
    header_oddness(ua.as_bytes(), Headers::new(&pack(fields)))
}

/// Returns the fields of every browser, then `more`.
fn page<'t>(ua: &'t str, more: &[(&'t str, &'t str)]) -> Vec<(&'t str, &'t str)> {
    let mut fields = vec![
        ("host", "a.example"),
        ("user-agent", ua),
        ("accept", "text/html"),
        ("accept-language", "en"),
        ("accept-encoding", "gzip"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    fields.extend_from_slice(more);
    fields
}

fn without<'t>(fields: &[(&'t str, &'t str)], name: &str) -> Vec<(&'t str, &'t str)> {
    fields.iter().filter(|(have, _)| *have != name).copied().collect()
}

#[test]
fn browsers_are_not_odd() {
    assert_eq!(score(CHROME, &page(CHROME, &[HINTS])), 0);
    assert_eq!(score(FIREFOX, &page(FIREFOX, &[])), 0);
    assert_eq!(score(SAFARI, &page(SAFARI, &[])), 0);
}

#[test]
fn a_tool_in_a_browsers_clothes_is_odd() {
    let bare = [("host", "a.example"), ("user-agent", CHROME), ("accept", "*/*")];
    assert_eq!(score(CHROME, &bare), 100);
    assert!(score(FIREFOX, &[("host", "a.example"), ("user-agent", FIREFOX)]) >= 90);
}

#[test]
fn what_does_not_claim_to_be_a_browser_is_not_judged() {
    for ua in ["", "curl/8.5.0", "Mozilla/5.0 (compatible; SomeBot/2.1; +http://bot.example)"] {
        assert_eq!(score(ua, &[]), 0, "{ua}");
    }
}

#[test]
fn one_oddity_alone_stays_below_fifty() {
    let chrome = page(CHROME, &[HINTS]);
    for name in ["accept", "accept-language", "accept-encoding", "sec-fetch-site", "sec-ch-ua"] {
        let score = score(CHROME, &without(&chrome, name));
        assert!((1..50).contains(&score), "{name}: {score}");
    }
}

#[test]
fn contradictions_count() {
    let old = ("sec-ch-ua", "\"Chromium\";v=\"96\"");
    assert_eq!(score(CHROME, &page(CHROME, &[old])), points::OTHER_VERSION);
    assert_eq!(score(FIREFOX, &page(FIREFOX, &[HINTS])), points::FOREIGN_CLIENT_HINTS);
    let twice = page(FIREFOX, &[("accept-language", "de")]);
    assert_eq!(score(FIREFOX, &twice), points::TWICE);
    assert_eq!(score(FIREFOX, &page(FIREFOX, &[("host", "b.example")])), points::TWICE);
    let mut image = page(FIREFOX, &[]);
    image[7] = ("sec-fetch-dest", "image");
    assert_eq!(score(FIREFOX, &image), points::CONTRADICTION);
    image[7] = ("sec-fetch-dest", "iframe");
    assert_eq!(score(FIREFOX, &image), 0);
}

#[test]
fn plain_http_where_browsers_hold_back_stays_below_fifty() {
    let mut http = page(CHROME, &[]);
    http.retain(|(name, _)| !name.starts_with("sec-"));
    assert_eq!(score(CHROME, &http), points::NO_FETCH_METADATA + points::NO_CLIENT_HINTS);
}

#[test]
fn the_opening_of_a_websocket_is_not_odd() {
    let open = [
        ("host", "a.example"),
        ("user-agent", CHROME),
        ("accept-language", "en"),
        ("accept-encoding", "gzip"),
        ("upgrade", "websocket"),
    ];
    assert_eq!(score(CHROME, &open), 0);
}

#[test]
fn what_a_visitor_makes_long_is_not_read() {
    let long = format!("Mozilla/5.0 ({}) Chrome/126.0", "x".repeat(300));
    assert_eq!(score(&long, &[]), 0);
    let cut = format!("Mozilla/5.0 ({} Firefox/", "x".repeat(READ_BYTES_MAX - 22));
    assert_eq!(cut.len(), READ_BYTES_MAX);
    assert_eq!(score(&format!("{cut}127"), &[]), 0);
    assert_eq!(leading_number(b"99999999999"), Some(999_999));
}
