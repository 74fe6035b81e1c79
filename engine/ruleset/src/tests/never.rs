//! Tests of conditions that no request meets, with their messages and corrections. Beside each kind
//! there is a similar condition that is valid.

use super::*;

/// The kind of correction.
enum Mended {
    /// An offered change.
    Offered(&'static str),
    /// A manual change.
    ByHand(&'static str),
}

use Mended::{ByHand, Offered};

/// The condition, a part of the message, and the intended condition.
const NEVER: &[(&str, &str, Mended)] = &[
    // An extension has no dot.
    (r#"path.ext == ".php""#, "without the dot", Offered(r#"path.ext == "php""#)),
    (
        r#"path.ext in { "php", ".phtml" }"#,
        "without the dot",
        Offered(r#"path.ext in { "php", "phtml" }"#),
    ),
    (r#"path.ext ends_with ".php""#, "without the dot", Offered(r#"path.ext ends_with "php""#)),
    (
        r#"path.ext matches r"^\.php[0-9]$""#,
        "without the dot",
        Offered(r#"path.ext matches r"^php[0-9]$""#),
    ),
    (r#"path.ext == "tar.gz""#, "without the dot", Offered(r#"path ends_with ".tar.gz""#)),
    (r#"path.ext == """#, "never empty", Offered("path.ext is absent")),
    (r#"path.ext == "a/b""#, "has no `/`", ByHand(r#"path ends_with "a/b""#)),
    // A path has no query.
    (
        r#"path == "/search?q=x""#,
        "ends before the `?`",
        Offered(r#"(path == "/search" and query_string == "q=x")"#),
    ),
    (
        r#"path starts_with "/search?q=""#,
        "ends before the `?`",
        Offered(r#"(path == "/search" and query_string starts_with "q=")"#),
    ),
    (
        r#"path ends_with ".php?""#,
        "ends before the `?`",
        Offered(r#"(path ends_with ".php" and query_string is present)"#),
    ),
    (r#"path contains "?""#, "ends before the `?`", ByHand("query_string is present")),
    (
        r#"path contains "?debug""#,
        "ends before the `?`",
        Offered(r#"query_string starts_with "debug""#),
    ),
    (
        r#"path matches r"^/search\?q=""#,
        "ends before the `?`",
        ByHand(r#"path == "/search" and query_string starts_with "q=""#),
    ),
    (
        r#"raw_path == "/a?b=1""#,
        "ends before the `?`",
        Offered(r#"(path == "/a" and query_string == "b=1")"#),
    ),
    // Neither scheme nor host.
    (
        r#"path starts_with "https://alice.example/""#,
        "neither scheme nor host",
        Offered(r#"host == "alice.example""#),
    ),
    (
        r#"path == "http://alice.example:8080/a""#,
        "neither scheme nor host",
        Offered(r#"(host == "alice.example" and path == "/a")"#),
    ),
    (r#"path contains "://""#, "neither scheme nor host", ByHand(r#"query_string contains "://""#)),
    (
        r#"path == "alice.example/admin""#,
        "begins with a `/`",
        Offered(r#"(host == "alice.example" and path == "/admin")"#),
    ),
    (r#"path == "wp-login.php""#, "begins with a `/`", Offered(r#"path == "/wp-login.php""#)),
    (r#"path starts_with "wp-""#, "begins with a `/`", Offered(r#"path starts_with "/wp-""#)),
    (r#"path like "wp-*""#, "begins with a `/`", Offered(r#"path like "/wp-*""#)),
    (
        r#"path matches r"^wp-[a-z]+""#,
        "begins with a `/`",
        Offered(r#"path matches r"^/wp-[a-z]+""#),
    ),
    (r#"path in { "/a", "b" }"#, "begins with a `/`", Offered(r#"path in { "/a", "/b" }"#)),
    (r#"path == """#, "begins with a `/`", Offered(r#"path == "/""#)),
    // Normalized and decoded.
    (r#"path contains "//""#, "is merged before", Offered(r#"raw_path contains "//""#)),
    (r#"path == "/a/../b""#, "resolved before", Offered(r#"raw_path == "/a/../b""#)),
    (r#"path contains "../""#, "resolved before", Offered(r#"raw_path contains "../""#)),
    (r#"path ends_with "/..""#, "resolved before", Offered(r#"raw_path ends_with "/..""#)),
    (r#"path contains "/./""#, "resolved before", Offered(r#"raw_path contains "/./""#)),
    (r#"path contains "%41""#, "is decoded", Offered(r#"raw_path contains "%41""#)),
    (r#"path contains "%2e%2e""#, "is decoded", Offered(r#"raw_path contains "%2e%2e""#)),
    (r#"path contains "%2f""#, "upper case", Offered(r#"path contains "%2F""#)),
    (r#"query("q") contains "%27""#, "is decoded", Offered(r#"query_string contains "%27""#)),
    (r#"raw_path contains "<script""#, "must be escaped", Offered(r#"path contains "<script""#)),
    // A host is a name in lower case.
    (r#"host == "alice.example:8080""#, "no port", Offered(r#"host == "alice.example""#)),
    (r#"conn.sni == "alice.example:443""#, "no port", Offered(r#"conn.sni == "alice.example""#)),
    (r#"host == "alice.example.""#, "dot at the end", Offered(r#"host == "alice.example""#)),
    (r#"host == "https://alice.example/""#, "no scheme", Offered(r#"host == "alice.example""#)),
    (
        r#"host == "alice.example/admin""#,
        "no path",
        Offered(r#"(host == "alice.example" and path == "/admin")"#),
    ),
    (r#"host like "*.Example.org""#, "lower case", Offered(r#"host like "*.example.org""#)),
    (r#"host ends_with ".Example""#, "lower case", Offered(r#"host ends_with ".example""#)),
    (r#"host == "*.alice.example""#, "contains `*`", Offered(r#"host like "*.alice.example""#)),
    (
        r#"host == ".alice.example""#,
        "begins with a dot",
        Offered(r#"host ends_with ".alice.example""#),
    ),
    (r#"host == """#, "response is 421", ByHand("true")),
    // The query begins after the `?`.
    (r#"query_string starts_with "?""#, "after the `?`", ByHand("query_string is present")),
    (r#"query_string == "?a=1""#, "after the `?`", Offered(r#"query_string == "a=1""#)),
    (r#"query_string matches r"^\?a""#, "after the `?`", Offered(r#"query_string matches r"^a""#)),
    (
        r#"query_string contains "<script""#,
        "must be escaped",
        ByHand(r#"query("q") contains "<script""#),
    ),
    // Names end before their separator.
    (r#"header("host:") == "a""#, "before the `:`", Offered(r#"header("host") == "a""#)),
    (r#"header("User_Agent") == "a""#, "have hyphens", Offered(r#"header("user-agent") == "a""#)),
    (r#"header("HTTP_X_KEY") == "a""#, "have hyphens", Offered(r#"header("x-key") == "a""#)),
    (
        r#"cookie("session=") is present"#,
        "before the `=`",
        Offered(r#"cookie("session") is present"#),
    ),
    (r#"query("?id=") == "1""#, "between `?` or `&` and `=`", Offered(r#"query("id") == "1""#)),
    // Logs write `-`, and an absent value equals nothing.
    (r#"ua == "-""#, "logs write `-`", Offered("ua is absent")),
    (r#"referer != "-""#, "logs write `-`", Offered("referer is present")),
    (
        r#"header("user-agent") == "-""#,
        "logs write `-`",
        Offered(r#"header("user-agent") is absent"#),
    ),
    (r#"ua == """#, "equals nothing", Offered(r#"(ua is absent or ua == "")"#)),
    (r#"ua matches r"^$""#, "equals nothing", Offered(r#"(ua is absent or ua matches r"^$")"#)),
    (
        r#"header("accept-language") == """#,
        "equals nothing",
        Offered(r#"(header("accept-language") is absent or header("accept-language") == "")"#),
    ),
    // Numbers out of their range.
    ("len(path) < 1", "is at least 1", ByHand(r#"path == "/""#)),
    ("len(path) == 0", "is at least 1", ByHand(r#"path == "/""#)),
    ("conn.requests < 1", "is at least 1", ByHand("conn.requests == 1")),
    (
        r#"count_of(header("x")) > 256"#,
        "between 0 and 256",
        ByHand(r#"count_of(header("x")) > 100"#),
    ),
    ("count_of(ua) > 1", "between 0 and 1", ByHand(r#"count_of(header("user-agent")) > 1"#)),
    ("client.port > 65535", "between 0 and 65535", ByHand("client.port > 60000")),
    ("share(t) > 100%", "between 0 and 100", ByHand("share(t) > 90%")),
    ("content_length < 0", "is at least 0", ByHand("content_length is absent")),
    // An IPv4 client is one address.
    ("client == 192.0.2.0/24", "one address", Offered("client in 192.0.2.0/24")),
    ("client != 192.0.2.0/24", "one address", Offered("client not in 192.0.2.0/24")),
    // Words with another spelling in other tools.
    (r#"conn.tls == "1.3""#, "`TLSv1.2` or `TLSv1.3`", Offered(r#"conn.tls == "TLSv1.3""#)),
    (r#"conn.tls == "TLSv1.1""#, "`TLSv1.2` or `TLSv1.3`", ByHand(r#"conn.tls == "TLSv1.2""#)),
    (
        r#"conn.ja4 == "e7d705a3286e19ea42f587b344ee6865""#,
        "a JA3",
        ByHand(r#"conn.ja4 == "t13d1516h2_8daaf6152771_02713d6af862""#),
    ),
    (r#"conn.ja4 starts_with "T13D""#, "lower case", Offered(r#"conn.ja4 starts_with "t13d""#)),
    // The results of functions.
    (r#"lower(ua) contains "Bot""#, "no upper-case letter", Offered(r#"lower(ua) contains "bot""#)),
    (
        r#"segment(path, 1) == "/admin""#,
        "between two `/`",
        Offered(r#"segment(path, 1) == "admin""#),
    ),
    (r#"segment(path, 1) == """#, "never empty", Offered("segment(path, 1) is absent")),
    // A tag that no rule sets.
    (r#"tagged("knwon")"#, "no rule sets", Offered(r#"tagged("known")"#)),
    (r#"tagged("nosuch")"#, "no rule sets", ByHand(r#"tagged("known")"#)),
];

/// Similar conditions that are valid.
const RIGHT: &[&str] = &[
    r#"path.ext == "php""#,
    r#"path.ext matches r"^php.?$""#,
    r#"path.ext matches r"^\.?php$""#,
    r#"path like "/a?c""#,
    r#"path matches r"^/search/?$""#,
    r#"path matches r"/(a|b\?)""#,
    r#"path matches r"[?]""#,
    r#"path == "*""#,
    r#"path starts_with "/a""#,
    r#"path matches r"wp-""#,
    r#"path matches r"^(/a|/b)""#,
    r#"path like "*wp-*""#,
    r#"path contains "a../""#,
    r#"path contains "/..;/""#,
    r#"path contains "..""#,
    r#"path == "/...""#,
    r#"path contains "%2F""#,
    r#"path contains nocase "%2f""#,
    r#"path contains "100%""#,
    r#"path contains "%zz""#,
    r#"path contains "'""#,
    r#"raw_path contains "%2e""#,
    r#"raw_path contains "//""#,
    r#"query("q") contains "50%""#,
    r#"query("a[]") == "1""#,
    r#"host == "Alice.Example""#,
    r#"host contains nocase "Alice""#,
    r#"host == "[::1]""#,
    r#"host ends_with ".example""#,
    r#"host matches r"(?i)Alice""#,
    r#"query_string starts_with "a?""#,
    r#"query_string contains "?""#,
    r#"query_string like "?a=*""#,
    r#"query_string == """#,
    r#"query_string contains "%3Cscript""#,
    r#"header("x-key") == "a:b""#,
    r#"header("my_own") == "a""#,
    r#"header("x") == "-""#,
    r#"cookie("a") == "b=c""#,
    r#"cookie("a") == """#,
    r#"query("s") == """#,
    r#"query("q") == "-""#,
    r#"ua is absent or ua == """#,
    r#"ua != """#,
    r#"ua contains "-""#,
    "len(path) > 0 and len(path) <= 1",
    "len(query_string) < 1",
    "len(ua) == 0",
    "conn.requests >= 1",
    r#"count_of(header("x")) > 255"#,
    "count_of(ua) == 1",
    "share(t) >= 100%",
    "content_length == 0",
    "client == 192.0.2.1",
    "client == 2001:db8::/56",
    "client in { 192.0.2.0/24 }",
    r#"conn.tls == "TLSv1.2""#,
    r#"conn.tls starts_with "TLSv1""#,
    r#"conn.ja4 starts_with "t13d""#,
    r#"lower(ua) contains "bot""#,
    r#"lower(ua) matches r"\Wbot""#,
    r#"segment(path, 1) == "admin""#,
    r#"tagged("known")"#,
    r#"referer starts_with "https://example.org/""#,
    r#"referer contains "?""#,
];

fn policy(condition: &str) -> String {
    format!(
        "policy 1\n\
         track t {{ count requests per client over 10s keys 100 }}\n\
         floor {{ rule first {{ when path == \"/t\" then tag \"known\" }}\n\
         rule x {{ when {condition} then block }} }}\n"
    )
}

/// Returns the diagnostics of a condition: errors, and warnings with its code.
fn said(condition: &str) -> Vec<crate::Diagnostic> {
    let made = assemble(&policy(condition));
    let all = made.diagnostics.into_iter();
    all.filter(|d| d.code == "C022" || d.severity == crate::Severity::Error).collect()
}

/// Returns the policy after the offered changes, from its start to the condition.
fn mended(condition: &str, said: &crate::Diagnostic) -> Option<String> {
    let mut text = policy(condition);
    let fix = said.fixes.first()?;
    text.replace_range(fix.bytes.clone(), &fix.replacement);
    let (_, rest) = text.split_once("rule x { when ")?;
    Some(rest.split_once(" then block")?.0.to_owned())
}

#[test]
fn a_condition_that_no_request_meets_is_warned_about_and_mended() {
    let mut wrong = Vec::new();
    for (condition, part, meant) in NEVER {
        let all = said(condition);
        let [one] = all.as_slice() else {
            wrong.push(format!(
                "{condition}: said {:?}",
                all.iter().map(|d| d.one_line()).collect::<Vec<_>>()
            ));
            continue;
        };
        let offered = mended(condition, one);
        let (Offered(meant) | ByHand(meant)) = meant;
        let is_right = one.code == "C022"
            && one.severity == crate::Severity::Warning
            && one.message.contains(part)
            && one.help.is_some() | !one.fixes.is_empty();
        if !is_right {
            wrong.push(format!("{condition}: says {}", one.one_line()));
        }
        if matches!(NEVER.iter().find(|row| row.0 == *condition), Some((.., Offered(_))))
            && offered.as_deref() != Some(meant)
        {
            wrong.push(format!("{condition}: offers {offered:?} instead of {meant}"));
        }
        let after = said(meant);
        if !after.is_empty() {
            wrong.push(format!("{condition}: {meant} says {}", after[0].one_line()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_can_hold_is_not_warned_about() {
    let warned = |condition: &&&str| !said(condition).is_empty();
    let wrong: Vec<String> = RIGHT
        .iter()
        .filter(warned)
        .map(|condition| format!("{condition}: {}", said(condition)[0].one_line()))
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_negated_one_always_holds() {
    let all = said(r#"path not contains "//""#);
    assert!(all[0].message.contains("always holds"), "{}", all[0].message);
    let all = said("client.port <= 65535 and not client.port > 65535");
    assert_eq!(all.len(), 1, "{all:?}");
}

#[test]
fn a_tag_of_a_member_may_be_given_where_the_host_cannot_see_it() {
    let policy = "policy 1\n\
        member ann { hosts { \"a.example\" } may { tag, block } file \"ann/a.wall\" }\n\
        defaults { rule x { when tagged(\"hers\") then block } }\n";
    let hers = "policy 1\nsite \"a.example\" { rule y { when path == \"/y\" then tag \"hers\" }\n\
        rule z { when tagged(\"none\") then block } }\n";
    let store = crate::MemoryStore::default().with("root.wall", policy).with("ann/a.wall", hers);
    let made = workshop().build(&Sources::gather("root.wall", &store), Purpose::Check, None);
    let everything = made.everything();
    let told: Vec<String> =
        everything.iter().map(|d| format!("{}:{} {}", d.file, d.line, d.code)).collect();
    assert_eq!(told, ["ann/a.wall:3 C022"]);
}

#[test]
fn a_status_that_no_answer_has_is_warned_about_where_it_may_be_asked() {
    let said = |condition: &str| {
        complaints(&format!(
            "track t {{ on response where {condition} count requests per client over 1m keys 9 }}"
        ))
    };
    assert_eq!(said("status == 999"), ["2:29 C022"]);
    assert_eq!(said("status < 100"), ["2:29 C022"]);
    assert_eq!(said("status >= 500 or status == 404"), Vec::<String>::new());
}
