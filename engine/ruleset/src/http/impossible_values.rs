//! Values that a field never has.
//!
//! The path is decoded and normalized and ends before the `?`. The host has no port, and an
//! extension no dot. Authors who know `$request_uri`, `http.request.uri` or `QUERY_STRING` expect
//! otherwise. The module reports only comparisons that no request, or no intended request, can
//! meet: a false warning is worse than a missing one.

mod path;
mod pieces;

use seawall_model::Prefix;
use seawall_policy::schema::{Asked, FieldId, Habits, Made, Mend, Never};
use seawall_policy::syntax::ast::OpKind;

use super::Field;
use pieces::{Pieces, is_escape, pieces};

/// Knowledge about the values of fields.
pub(super) const HABITS: Habits =
    Habits { text, name, range, len_min, values_max, network, empty_is_absent };

/// Most header fields of a request, for any configuration.
const FIELDS_MAX: i64 = 256;

/// Names of fields as CGI and nginx write them.
const UNDERSCORED: [&str; 10] = [
    "user_agent",
    "accept_language",
    "accept_encoding",
    "content_type",
    "content_length",
    "x_forwarded_for",
    "x_forwarded_proto",
    "x_real_ip",
    "x_requested_with",
    "cf_connecting_ip",
];

/// Returns a comparison that is never met.
fn never(why: &'static str, help: &'static str, mend: Mend) -> Option<Never> {
    Some(Never { why, help, mend })
}

/// Returns why no value meets a comparison.
fn text(asked: &Asked<'_>) -> Option<Never> {
    let of = pieces(asked.op, asked.text)?;
    match asked.made {
        Made::Lower => return lower(asked, &of),
        Made::Segment => return segment(asked, &of),
        Made::Plain => {}
    }
    match Field::of(asked.field)? {
        Field::Path => path::path(asked, &of),
        Field::RawPath => path::raw_path(asked, &of),
        Field::PathExt => ext(asked, &of),
        Field::Host | Field::SiteName | Field::ConnSni => host(asked, &of),
        Field::QueryString => query_string(asked, &of),
        Field::Query => decoded(&of),
        Field::Ua | Field::Referer => dash(&of),
        Field::Header if matches!(&*asked.name.to_ascii_lowercase(), "user-agent" | "referer") => {
            dash(&of)
        }
        Field::ConnTls => tls(asked, &of),
        Field::ConnJa4 => ja4(asked, &of),
        _ => None,
    }
}

/// Returns the problem of upper-case letters in a lower-case value.
fn lower(asked: &Asked<'_>, of: &Pieces<'_>) -> Option<Never> {
    if asked.op == OpKind::Matches || asked.nocase || !of.has(has_capitals) {
        return None;
    }
    never(
        "the result of `lower` has no upper-case letter",
        "write it in lower case",
        Mend::Text(asked.text.to_ascii_lowercase()),
    )
}

fn has_capitals(part: &str) -> bool {
    part.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn segment(asked: &Asked<'_>, of: &Pieces<'_>) -> Option<Never> {
    if of.is_whole("") {
        return never(
            "a segment is never empty",
            "to test whether there is one, use `is absent`",
            Mend::Absent,
        );
    }
    let mended = asked.text.trim_matches('/');
    let mend = match mended.is_empty() || mended.contains('/') {
        true => Mend::Nothing,
        false => Mend::Text(mended.to_owned()),
    };
    of.has(|part| part.contains('/')).then_some(Never {
        why: "a segment is the text between two `/`",
        help: "write it without the `/`, or test the whole `path`",
        mend,
    })
}

/// Returns the problem for `path.ext`, the text after the last dot.
fn ext(asked: &Asked<'_>, of: &Pieces<'_>) -> Option<Never> {
    if of.is_whole("") {
        return never(
            "an extension is never empty",
            "to test whether there is one, use `is absent`",
            Mend::Absent,
        );
    }
    if of.has(|part| part.contains('/')) {
        return never(
            "an extension is a part of the last segment and has no `/`",
            "test the whole path: `path ends_with \"…\"`",
            Mend::Nothing,
        );
    }
    if !of.has(|part| part.contains('.')) {
        return None;
    }
    let text = asked.text;
    let rest = text.trim_start_matches('.');
    let mend = match asked.op {
        OpKind::Matches => Mend::Text(text.replacen(r"\.", "", 1)),
        OpKind::Eq if rest.contains('.') => {
            Mend::Whole(format!("path ends_with \".{}\"", escaped(rest)))
        }
        _ if rest.is_empty() || rest.contains('.') => Mend::Nothing,
        _ => Mend::Text(rest.to_owned()),
    };
    let mend = match mend {
        Mend::Text(text) if text.contains(r"\.") => Mend::Nothing,
        other => other,
    };
    never(
        "`path.ext` is the text after the last dot, without the dot",
        "write it without the dot: `path.ext == \"php\"`",
        mend,
    )
}

fn host(asked: &Asked<'_>, of: &Pieces<'_>) -> Option<Never> {
    let name = super::SCHEMA.spec(asked.field).map_or("host", |spec| spec.name);
    let text = asked.text;
    let plain =
        matches!(asked.op, OpKind::Eq | OpKind::StartsWith | OpKind::EndsWith | OpKind::Contains);
    if let Some(after) = text.split_once("://").map(|(_, after)| after).filter(|_| plain) {
        let host = after.split(['/', ':', '?']).next().unwrap_or_default();
        let mend = if asked.op == OpKind::Eq { Mend::Text(host.to_owned()) } else { Mend::Nothing };
        return never("a host has no scheme", "write only the name of the host", mend);
    }
    if of.has(|part| part.contains('/')) {
        return never(
            "a host has no path",
            "test both: `host == \"…\" and path starts_with \"/…\"`",
            host_and_path(asked, name),
        );
    }
    if of.has(|part| part.contains(':') && !text.contains('[')) {
        let port = text.rsplit_once(':').map(|(host, _)| host).unwrap_or_default();
        let mend = match plain && !port.is_empty() && !port.contains(':') {
            true => Mend::Text(port.to_owned()),
            false => Mend::Nothing,
        };
        return never("a host has no port", "write it without the port", mend);
    }
    if of.tail.as_deref().is_some_and(|tail| tail.ends_with('.')) {
        let mended = text.trim_end_matches('.');
        let mend = match plain && !mended.is_empty() {
            true => Mend::Text(mended.to_owned()),
            false => Mend::Nothing,
        };
        return never("the dot at the end is removed", "write it without the last dot", mend);
    }
    host_as_pattern(asked, of, name)
}

/// Returns `alice.example/admin` as two comparisons.
fn host_and_path(asked: &Asked<'_>, name: &str) -> Mend {
    match (asked.op, asked.text.split_once('/')) {
        (OpKind::Eq, Some((host, path))) if !host.is_empty() => Mend::Whole(format!(
            "{name} == \"{}\" and path == \"/{}\"",
            escaped(host),
            escaped(path)
        )),
        _ => Mend::Nothing,
    }
}

/// Returns the problem of `*.example.org` and `.example.org`, which are patterns in other tools,
/// and of upper-case letters, which no host has.
fn host_as_pattern(asked: &Asked<'_>, of: &Pieces<'_>, name: &str) -> Option<Never> {
    let text = asked.text;
    let shown = escaped(text);
    match asked.op {
        OpKind::Eq if text.is_empty() => never(
            "a request without a host reaches no rule: the response is 421",
            "remove the rule",
            Mend::Nothing,
        ),
        OpKind::Eq if text.contains('*') => never(
            "`==` compares the whole name, and no name contains `*`",
            "use `like` for `*`, or `ends_with \".example.org\"`",
            Mend::Whole(format!("{name} like \"{shown}\"")),
        ),
        OpKind::Eq if text.starts_with('.') => never(
            "no name begins with a dot",
            "use `ends_with` for all hosts below it",
            Mend::Whole(format!("{name} ends_with \"{shown}\"")),
        ),
        OpKind::Eq | OpKind::Matches => None,
        _ if asked.nocase || !of.has(has_capitals) => None,
        _ => never(
            "a host is in lower case",
            "write it in lower case",
            Mend::Text(text.to_ascii_lowercase()),
        ),
    }
}

fn query_string(asked: &Asked<'_>, of: &Pieces<'_>) -> Option<Never> {
    let text = asked.text;
    if of.head.as_deref().is_some_and(|head| head.starts_with('?')) {
        let mend = match asked.op {
            OpKind::Eq | OpKind::StartsWith => match text.trim_start_matches('?') {
                // `is present` matches many more requests, so its author must decide.
                "" => Mend::Nothing,
                rest => Mend::Text(rest.to_owned()),
            },
            OpKind::Matches => Mend::Text(text.replacen(r"\?", "", 1)),
            _ => Mend::Nothing,
        };
        return never(
            "`query_string` begins after the `?`",
            "write it without the `?`, or use `query_string is present`",
            mend,
        );
    }
    of.has(|part| part.contains(['<', '>', '"', ' ', '#'])).then_some(Never {
        why: "these characters must be escaped: the response to an unescaped one is 400",
        help: "write it escaped, as in `%3Cscript`, or use `query(\"NAME\")`, which is decoded",
        mend: Mend::Nothing,
    })
}

/// Returns the problem of an escape: parameters are decoded.
fn decoded(of: &Pieces<'_>) -> Option<Never> {
    of.has(|part| is_escape(part).is_some()).then_some(Never {
        why: "a parameter is decoded: an escape occurs only if it was escaped twice",
        help: "write the character itself, or use `query_string`, which is as received",
        mend: Mend::Left("query_string".to_owned()),
    })
}

/// Returns the problem of `-`, which logs write for an absent value.
fn dash(of: &Pieces<'_>) -> Option<Never> {
    of.is_whole("-").then_some(Never {
        why: "logs write `-` for an absent value, but here the value is absent",
        help: "to test whether the value is missing, use `is absent`",
        mend: Mend::Absent,
    })
}

fn tls(asked: &Asked<'_>, of: &Pieces<'_>) -> Option<Never> {
    const KNOWN: [&str; 2] = ["TLSv1.2", "TLSv1.3"];
    let found = match of.whole {
        Some(whole) => KNOWN.contains(&whole),
        None => KNOWN.iter().any(|known| of.parts.iter().all(|part| known.contains(&**part))),
    };
    if found || asked.nocase || asked.op == OpKind::Matches {
        return None;
    }
    let meant = KNOWN.iter().find(|known| asked.text.ends_with(known.trim_start_matches("TLSv")));
    never(
        "`conn.tls` is `TLSv1.2` or `TLSv1.3`; older versions are not supported",
        "use one of the two",
        match meant {
            Some(meant) if asked.op == OpKind::Eq => Mend::Text((*meant).to_owned()),
            _ => Mend::Nothing,
        },
    )
}

fn ja4(asked: &Asked<'_>, of: &Pieces<'_>) -> Option<Never> {
    let is_hex = |text: &str| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if of.whole.is_some_and(is_hex) {
        return never(
            "the value is a JA3 digest; a JA4 fingerprint looks like \
             `t13d1516h2_8daaf6152771_02713d6af862`",
            "find the JA4 of a client with `seawall explain`, or in access logs of other tools",
            Mend::Nothing,
        );
    }
    if asked.op == OpKind::Matches || asked.nocase || !of.has(has_capitals) {
        return None;
    }
    never(
        "a JA4 is in lower case",
        "write it in lower case",
        Mend::Text(asked.text.to_ascii_lowercase()),
    )
}

/// Returns why no request has a field with this name.
fn name(field: FieldId, name: &str) -> Option<Never> {
    match Field::of(field)? {
        Field::Header => header_name(name),
        Field::Cookie => {
            let bare = name.split(['=', ';']).next().unwrap_or_default().trim();
            (bare != name || name.is_empty()).then(|| Never {
                why: "the name of a cookie ends before the `=`",
                help: "write only the name, and compare the value: `cookie(\"session\") == \"…\"`",
                mend: if bare.is_empty() { Mend::Nothing } else { Mend::Text(bare.to_owned()) },
            })
        }
        Field::Query => {
            let bare = name.trim_start_matches(['?', '&']).trim_end_matches('=');
            (bare != name || name.is_empty()).then(|| Never {
                why: "the name of a parameter is the text between `?` or `&` and `=`",
                help: "write only the name, and compare the value: `query(\"id\") == \"…\"`",
                mend: if bare.is_empty() { Mend::Nothing } else { Mend::Text(bare.to_owned()) },
            })
        }
        _ => None,
    }
}

fn header_name(name: &str) -> Option<Never> {
    let bare = name.trim().trim_end_matches(':').trim();
    if bare != name || name.is_empty() {
        let is_name = !bare.is_empty() && !bare.contains([':', ' ']);
        return never(
            "the name of a header ends before the `:`",
            "write only the name: `header(\"accept-language\")`",
            if is_name { Mend::Text(bare.to_owned()) } else { Mend::Nothing },
        );
    }
    let low = name.to_ascii_lowercase();
    let cgi = low.strip_prefix("http_").filter(|_| name.starts_with("HTTP_"));
    let field = cgi.or(UNDERSCORED.contains(&&*low).then_some(&*low))?;
    never(
        "the names of headers have hyphens",
        "write it as sent: `header(\"x-forwarded-for\")`",
        Mend::Text(field.replace('_', "-")),
    )
}

/// Returns the least and the greatest value of a number.
fn range(field: FieldId) -> Option<(i64, i64)> {
    Some(match Field::of(field)? {
        Field::Status => (100, 599),
        Field::ClientPort => (0, 65_535),
        Field::ConnRequests => (1, i64::MAX),
        Field::OriginErrors | Field::CpuLoad => (0, 100),
        Field::ConnAge
        | Field::ConnStreams
        | Field::ConnGlitches
        | Field::ConnResets
        | Field::ContentLength
        | Field::PassAge
        | Field::PassFailures
        | Field::OriginLatency
        | Field::OriginInflight
        | Field::BytesOut
        | Field::Latency => (0, i64::MAX),
        _ => return None,
    })
}

/// Returns the fewest bytes of a text.
fn len_min(field: FieldId) -> i64 {
    let has_one = matches!(
        Field::of(field),
        Some(Field::Path | Field::RawPath | Field::Host | Field::PathExt | Field::SiteName)
    );
    i64::from(has_one)
}

/// Returns the most values of a named field.
fn values_max(field: FieldId) -> i64 {
    match Field::of(field) {
        Some(Field::Header) => FIELDS_MAX,
        _ => i64::MAX,
    }
}

/// Returns the problem of a network for an IPv4 client, which is always one address.
fn network(field: FieldId, net: &Prefix) -> Option<Never> {
    let is_wide = net.addr().is_ipv4() && net.len() < 32;
    (Field::of(field)? == Field::Client && is_wide).then_some(Never {
        why: "an IPv4 client is one address",
        help: "to test whether it is in the network, use `in`",
        mend: Mend::Nothing,
    })
}

/// Returns whether an empty value means the same as an absent one.
fn empty_is_absent(field: FieldId) -> bool {
    matches!(
        Field::of(field),
        Some(Field::Ua | Field::Referer | Field::ContentType | Field::Header)
    )
}

/// Returns a text as written between quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
