//! The header fields that distinguish programs.

use rule_support::find::Marks;

/// The use of a field in the fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// Its name, its position and its value.
    Value,
    /// The same, with all digits equal.
    Folded,
    /// Its name and its position.
    Name,
    /// Not used: it differs between the requests of one client, or proxies set it.
    Passing,
    /// An unknown field: only its presence counts, not the number or the position.
    Unknown,
}

/// Returns the use of the field with this name (lower case).
pub(crate) fn field(name: &[u8]) -> Field {
    match name {
        b"accept"
        | b"accept-encoding"
        | b"accept-charset"
        | b"connection"
        | b"keep-alive"
        | b"proxy-connection"
        | b"te"
        | b"dnt"
        | b"sec-gpc"
        | b"save-data"
        | b"sec-ch-ua"
        | b"sec-ch-ua-mobile"
        | b"sec-ch-ua-platform"
        | b"upgrade-insecure-requests"
        | b"x-requested-with"
        | b"expect"
        | b"trailer" => Field::Value,
        b"user-agent" | b"accept-language" => Field::Folded,
        b"host" | b"sec-fetch-site" | b"sec-fetch-mode" | b"sec-fetch-dest" | b"upgrade"
        | b"from" => Field::Name,
        _ if passes(name) || is_asked_for(name) => Field::Passing,
        _ => Field::Unknown,
    }
}

/// Returns whether a field differs between the requests of one client, or is added by proxies.
fn passes(name: &[u8]) -> bool {
    matches!(
        name,
        b"cookie"
            | b"cookie2"
            | b"referer"
            | b"origin"
            | b"authorization"
            | b"proxy-authorization"
            | b"content-length"
            | b"content-type"
            | b"content-encoding"
            | b"transfer-encoding"
            | b"if-none-match"
            | b"if-modified-since"
            | b"if-match"
            | b"if-range"
            | b"if-unmodified-since"
            | b"range"
            | b"cache-control"
            | b"pragma"
            | b"priority"
            | b"purpose"
            | b"sec-purpose"
            | b"sec-fetch-user"
            | b"sec-fetch-storage-access"
            | b"service-worker"
            | b"last-event-id"
            | b"max-forwards"
            | b"via"
            | b"forwarded"
            | b"x-forwarded-for"
            | b"x-forwarded-proto"
            | b"x-forwarded-host"
            | b"x-forwarded-port"
            | b"x-real-ip"
            | b"x-request-id"
            | b"cf-connecting-ip"
            | b"true-client-ip"
            | b"traceparent"
            | b"tracestate"
            | b"x-csrf-token"
            | b"x-xsrf-token"
            | b"access-control-request-method"
            | b"access-control-request-headers"
            | b"sec-websocket-key"
            | b"sec-websocket-version"
            | b"sec-websocket-extensions"
            | b"sec-websocket-protocol"
    )
}

/// Returns whether Chromium sends the field only after a site has requested it.
fn is_asked_for(name: &[u8]) -> bool {
    matches!(
        name,
        b"sec-ch-ua-arch"
            | b"sec-ch-ua-bitness"
            | b"sec-ch-ua-full-version"
            | b"sec-ch-ua-full-version-list"
            | b"sec-ch-ua-model"
            | b"sec-ch-ua-platform-version"
            | b"sec-ch-ua-wow64"
            | b"sec-ch-ua-form-factors"
            | b"sec-ch-prefers-color-scheme"
            | b"sec-ch-device-memory"
            | b"device-memory"
            | b"dpr"
            | b"viewport-width"
            | b"width"
            | b"rtt"
            | b"downlink"
            | b"ect"
    )
}

static MACHINES: Marks = Marks::new(&[b"bot", b"Bot", b"spider", b"crawl", b"+http"]);
static CHROMIUM: Marks = Marks::new(&[b"Chrome/", b"CriOS/"]);
static FIREFOX: Marks = Marks::new(&[b"Firefox/", b"FxiOS/"]);
static SAFARI: Marks = Marks::new(&[b"Safari/"]);

/// Returns the claim of the User-Agent, as a letter.
pub(crate) fn claim(ua: &[u8]) -> char {
    // The order matters: Chromium also contains `Safari`.
    let claims = [(&MACHINES, 'm'), (&CHROMIUM, 'c'), (&FIREFOX, 'f'), (&SAFARI, 's')];
    let found = claims.iter().find(|(marks, _)| marks.any_in(ua));
    found.map_or(if ua.is_empty() { 'n' } else { 'o' }, |(_, letter)| *letter)
}
