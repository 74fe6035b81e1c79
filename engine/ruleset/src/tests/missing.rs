//! Tests of rules that would reject because a source is missing: no server loads them.

use super::*;
use crate::Diagnostic;

/// Rules and limits that reject because a source is missing, with the corrected condition if one is
/// offered.
const REFUSED: &[(&str, Option<&str>)] = &[
    (
        "rule x { when path == \"/wp-login.php\" and client.country not in { NL, BE } then block }",
        Some("client.country is present and client.country not in { NL, BE }"),
    ),
    (
        "rule x { when client.asn != AS64500 then drop }",
        Some("client.asn is present and client.asn != AS64500"),
    ),
    (
        "rule x { when not (client.country in { NL }) then ban 1h }",
        Some("client.country is present and not (client.country in { NL })"),
    ),
    (
        "rule x { when not client.country == NL then tarpit 1s }",
        Some("client.country is present and not client.country == NL"),
    ),
    (
        "rule x { when path == \"/a\" or client.country != NL then block }",
        Some("(client.country is present and client.country != NL)"),
    ),
    ("rule x { when not (client.crawler is present) then block }", None),
    ("rule x { when client.crawler is absent then block }", None),
    (
        "rule x { when ua contains \"google\" unless client.crawler == google then block }",
        Some("client.crawler is absent or client.crawler == google"),
    ),
    (
        "rule x { when true unless path == \"/\" and client.country == NL then block }",
        Some("(client.country is absent or client.country == NL)"),
    ),
    ("rule x { when true unless client.crawler is present then block }", None),
    ("rule x { when not pass.valid and method == POST then block }", None),
    ("rule x { when pass.failures < 3 then block }", None),
    ("rule x { when count_of(client.asn) == 0 then block }", None),
    ("rule x { when not sample(10%, client.asn) then block }", None),
    (
        "rule x { when not (path == \"/\" or client.country == NL) then block }",
        Some("client.country is present and not (path == \"/\" or client.country == NL)"),
    ),
    (
        "rule x { when client.country not in { NL } then throttle to 3/1m }",
        Some("client.country is present and client.country not in { NL }"),
    ),
    (
        "rule x { when client.country not in { NL } then score += 10 }",
        Some("client.country is present and client.country not in { NL }"),
    ),
    (
        "limit x { where client.country not in { NL } per client to 3/1m then block }",
        Some("client.country is present and client.country not in { NL }"),
    ),
    (
        "limit x { per client to 3/1m unless client.country == NL then block }",
        Some("client.country is absent or client.country == NL"),
    ),
    ("limit x { per client.asn to 100/1m then block }", None),
    ("limit x { per client.country, path to 100/1m then block }", None),
    ("rule x { when true then throttle to 3/1m per client.asn }", None),
    // Through a track, a tag, a level and the decision table.
    ("rule x { when rate(by_asn) < 5/10s then block }", None),
    ("rule x { when count(abroad) > 5 then block }", None),
    (
        "rule y { when client.country != NL then tag \"abroad\" } rule x { when tagged(\"abroad\") then block }",
        None,
    ),
    (
        "limit y { where client.country != NL per client to 5/1m then tag \"many\" } \
         rule x { when tagged(\"many\") then block }",
        None,
    ),
    (
        "rule z { when tagged(\"far\") then tag \"farther\" } rule y { when client.country != NL then tag \"far\" }\
      rule x { when tagged(\"farther\") and path == \"/\" then drop }",
        None,
    ),
    (
        "} track t { where client.country != NL count requests over 1m } \
         level x { enter when rate(t) > 5/1m leave after 1m } floor { \
         under x { rule y { when true then drop } }",
        None,
    ),
    (
        "} defaults { decide { when client.country != NL then block otherwise allow } } floor {",
        Some("client.country is present and client.country != NL"),
    ),
];

/// Valid rules: they reject no request because a source is missing.
const LOADED: &[&str] = &[
    "rule x { when client.country is present and client.country not in { NL } then block }",
    "rule x { when client.country == CN then block }",
    "rule x { when client.country in { CN, RU } and path == \"/\" then drop }",
    "rule x { when path == \"/\" or client.country == CN then block }",
    "rule x { when client.country == CN unless path == \"/\" then block }",
    "rule x { when path == \"/\" unless not (client.country == CN) then block }",
    "rule x { when true unless client.country is absent or client.country == NL then block }",
    "rule x { when not (client.country is absent or client.country == NL) then block }",
    "rule x { when client.country not in { NL } then tag \"abroad\" }",
    "rule x { when client.country not in { NL } then log \"abroad\" }",
    "rule x { when client.country not in { NL } then score -= 10 }",
    "shadow rule x { when client.country not in { NL } then block }",
    "shadow limit x { per client.asn to 100/1m then block }",
    "shadow rule y { when client.country != NL then tag \"abroad\" } rule x { when tagged(\"abroad\") then block }",
    "limit x { per client, client.asn to 100/1m then block }",
    "rule x { when pass.valid and path == \"/\" then block }",
    "rule x { when pass.failures > 3 then block }",
    "rule x { when rate(by_asn) > 5/10s then block }",
    "rule x { when count(abroad) < 5 then block }",
    "rule x { when count_of(client.asn) > 0 then block }",
    "rule x { when sample(10%, client.asn) then block }",
    "rule x { when referer not contains \"example.org\" then block }",
    "} defaults { rule x { when client.country not in { NL } then allow } } floor {",
    "} level x { enter when cpu.load > 90% leave after 1m } floor {",
];

fn policy(inside: &str) -> String {
    format!(
        "policy 1\n\
         track by_asn {{ count requests per client.asn over 10s keys 100 }}\n\
         track abroad {{ where client.country != NL count requests per client over 10s keys 100 }}\n\
         floor {{ {inside} }}\n"
    )
}

fn said(inside: &str, purpose: Purpose) -> Vec<Diagnostic> {
    let made =
        assemble_all(&MemoryStore::default().with("root.wall", policy(inside)), purpose, None);
    let is_refused = made.rules.is_none();
    let said: Vec<Diagnostic> = made
        .diagnostics
        .into_iter()
        .filter(|d| d.code == "C021" || d.severity == Severity::Error)
        .collect();
    let has_error = said.iter().any(|d| d.severity == Severity::Error);
    assert_eq!(is_refused, has_error, "{inside}: {said:?}");
    said
}

#[test]
fn a_rule_that_refuses_because_a_source_is_missing_is_in_no_server() {
    let mut wrong = Vec::new();
    for (inside, fix) in REFUSED {
        let noted = said(inside, Purpose::Check);
        let [note] = noted.as_slice() else {
            wrong.push(format!("{inside}: {noted:?}"));
            continue;
        };
        if note.severity != Severity::Note || note.code != "C021" {
            wrong.push(format!("{inside}: a look says {}", note.one_line()));
        }
        let refused = said(inside, Purpose::Run);
        if !refused.iter().any(|d| d.code == "C021" && d.severity == Severity::Error) {
            wrong.push(format!("{inside}: loads"));
        }
        let offered = note.fixes.first().map(|fix| fix.replacement.as_str());
        if offered != *fix {
            wrong.push(format!("{inside}: offers {offered:?} instead of {fix:?}"));
        }
        if let Some(fix) = note.fixes.first() {
            let mut text = policy(inside);
            text.replace_range(fix.bytes.clone(), &fix.replacement);
            let made =
                assemble_all(&MemoryStore::default().with("root.wall", text), Purpose::Run, None);
            if made.rules.is_none() {
                let after: Vec<String> =
                    made.diagnostics.iter().map(Diagnostic::one_line).collect();
                wrong.push(format!("{inside}: after the change {after:?}"));
            }
        }
        if note.help.is_none() {
            wrong.push(format!("{inside}: no help"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_rule_that_waits_for_its_source_loads() {
    let wrong: Vec<String> = LOADED
        .iter()
        .flat_map(|inside| said(inside, Purpose::Run).into_iter().map(move |d| (inside, d)))
        .map(|(inside, d)| format!("{inside}: {}", d.one_line()))
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn of_a_member_her_own_part_is_refused() {
    let policy = "policy 1\n\
        member ann { hosts { \"a.example\" } may { block, test } file \"ann/a.wall\" }\n\
        defaults { rule old { when path == \"/old\" then block 410 } rule login { when path == \"/login\" then block } }\n";
    let part = |rule: &str| {
        let hers = format!("policy 1\nsite \"a.example\" {{ {rule} }}\n");
        let store = MemoryStore::default().with("root.wall", policy).with("ann/a.wall", hers);
        let made = assemble_all(&store, Purpose::Run, None);
        assert!(made.rules.is_some(), "the host's part is in force");
        made.everything()
            .iter()
            .map(|d| format!("{}:{} {}", d.file, d.line, d.code))
            .collect::<Vec<_>>()
    };
    assert_eq!(part("rule x { when client.country != NL then block }"), ["ann/a.wall:2 C021"]);
    assert_eq!(part("adjust login { unless client.country == NL }"), ["ann/a.wall:2 C021"]);
    assert_eq!(part("adjust login { unless client.ip == 192.0.2.1 }"), Vec::<String>::new());
}

#[test]
fn the_culprit_is_told_with_its_place_and_source() {
    let inside =
        "rule x {\n when path == \"/a\"\n  and client.country not in { NL }\n then block }";
    let said = said(inside, Purpose::Run);
    let said = &said[0];
    assert_eq!((said.line, said.column), (6, 7));
    assert!(
        said.message.contains("`x` rejects because no source `geo.country`"),
        "{}",
        said.message
    );
}
