//! Tests of the lexer: tokens and their positions.

use seawall_model::Prefix;

use super::{DIAGNOSTICS_MAX, Kind, STRING_BYTES_MAX, decode, lex};
use crate::code::Code;

/// Compares the tokens of a text, in a short form, and the codes of its diagnostics.
fn check(text: &str, expected: &str) {
    let lexed = lex(text);
    let mut shown: Vec<String> = lexed
        .tokens
        .iter()
        .filter(|token| token.kind != Kind::Eof)
        .map(|token| {
            let text = text.get(token.span.range()).unwrap();
            match token.kind {
                Kind::Word => text.to_owned(),
                Kind::Punct(sign) => sign.sign().to_owned(),
                Kind::ListRef => format!("list {text}"),
                Kind::Str | Kind::Raw => {
                    format!("str {}", String::from_utf8_lossy(&decode(text)).escape_debug())
                }
                Kind::Int(n) => format!("int {n}"),
                Kind::Percent(n) => format!("percent {n}"),
                Kind::Duration(d) => format!("us {}", d.us),
                Kind::Rate(r) => format!("rate {}/{}us", r.n, r.window.us),
                Kind::Size(n) => format!("size {n}"),
                Kind::Asn(n) => format!("asn {n}"),
                Kind::Ip(ip) => format!("ip {ip}"),
                Kind::Cidr(written, len) => {
                    let net = Prefix::new(written, len);
                    format!("net {net}{}", if net.addr() == written { "" } else { " cleared" })
                }
                Kind::Date(d) => format!("unix {}", d.unix_s),
                Kind::Stands(word) => format!("stands {word}"),
                Kind::Bad | Kind::Eof => "bad".to_owned(),
            }
        })
        .collect();
    shown.extend(lexed.diagnostics.iter().map(|said| said.code.as_str().to_owned()));
    assert_eq!(shown.join(" | "), expected, "{text}");
}

#[test]
fn one_colon_is_a_type_and_two_are_an_address() {
    check("list bad_asns: asn", "list | bad_asns | : | asn");
    check("(a:ip,fade:bool)", "( | a | : | ip | , | fade | : | bool | )");
    check("::1", "ip ::1");
    check("2001:db8:0:42ff::9", "ip 2001:db8:0:42ff::9");
    check("2001:db8:a11c::/48", "net 2001:db8:a11c::/48");
    check("x: ::1", "x | : | ip ::1");
    check("::ffff:192.0.2.1", "ip 192.0.2.1");
    check("12:34:56", "bad | P002");
    check("fe80::1%eth0", "bad | P002");
}

#[test]
fn rates_are_not_networks() {
    check("10/1m", "rate 10/60000000us");
    check("10.0.0.0/8", "net 10.0.0.0/8");
    check("10.1.2.3/8", "net 10.0.0.0/8 cleared");
    check("20k/10s", "rate 20000/10000000us");
    check("5/s", "rate 5/1000000us");
    check("1M/1h", "rate 1000000/3600000000us");
    check("10.0.0.0/33", "bad | P013");
    check("::/129", "bad | P013");
    check("10/0s", "bad | P013");
    check("10/1y", "bad | P002");
    check("1.2.3", "bad | P002");
    check("1.2.3.4.5", "bad | P002");
    check("300.1.1.1", "bad | P002");
}

#[test]
fn words_hold_hyphens_and_dots() {
    check("fake-crawlers client.ip a_b.c-9", "fake-crawlers | client.ip | a_b.c-9");
    check("a.b.c.d", "a.b.c.d");
    check("score-=5", "score- | = | int 5");
    check("score -= 5", "score | -= | int 5");
    check("f(x)->bool", "f | ( | x | ) | -> | bool");
    check("@bad_nets", "list @bad_nets");
    check("AS64496 ASx AS1-a", "asn 64496 | ASx | AS1-a");
    check("2fast", "bad | P002");
}

#[test]
fn numbers_have_their_units() {
    check("0 20k 3M", "int 0 | int 20000 | int 3000000");
    check("30% 100%", "percent 30 | percent 100");
    check(
        "1h30m 90s 5ms 7us 1d 2w",
        "us 5400000000 | us 90000000 | us 5000 | us 7 | us 86400000000 | us 1209600000000",
    );
    check("64B 2KiB 1MiB 1GiB", "size 64 | size 2048 | size 1048576 | size 1073741824");
    check("9223372036854775807", "int 9223372036854775807");
    check("9223372036854775808", "bad | P013");
    check("9223372036854775807k", "bad | P013");
    check("99999999999999w", "bad | P013");
    check("99999999999999999999/1s", "bad | P013");
    check("99999999999GiB", "bad | P013");
    check("AS4294967296", "bad | P013");
    check("-5", "bad | P002");
    check("1.5", "bad | P002");
    check("1_000", "bad | P002");
}

#[test]
fn dates_are_in_the_calendar() {
    check("1970-01-01", "unix 0");
    check("2036-11-25", "unix 2111184000");
    check("2026-11-22T03:12Z", "unix 1795317120");
    check("2024-02-29", "unix 1709164800");
    check("2000-02-29", "unix 951782400");
    check("2026-02-29", "bad | P014");
    check("1900-02-29", "bad | P014");
    check("2026-13-01", "bad | P014");
    check("2026-11-00", "bad | P014");
    check("2026-11-22T24:00Z", "bad | P014");
    check("2026-11-22T03:12", "bad | P002");
}

#[test]
fn strings_stand_for_bytes() {
    check(r#""a\"b\\c\n\t\r\x41""#, r#"str a\"b\\c\n\t\rA"#);
    check(r#"r"(?i)^a\.b""#, r"str (?i)^a\\.b");
    assert_eq!(decode(r#""\xff\x00""#), [0xff, 0]);
    check(r#""\d" x"#, "bad | x | P002");
    check(r#""\x4" x"#, "bad | x | P002");
    check("\"open\nnext", "bad | next | P002");
    check("{ \"open }\nnext", "{ | bad | } | next | P002");
    check("r\"open\r\nnext", "bad | next | P002");
    check("\"ends with a backslash\\", "bad | P002");
}

#[test]
fn a_string_ends_at_its_limit() {
    let text = |n| format!("\"{}\"", "a".repeat(n));
    assert_eq!(lex(&text(STRING_BYTES_MAX)).diagnostics, []);
    let over = lex(&text(STRING_BYTES_MAX + 1)).diagnostics;
    assert_eq!(over.len(), 1);
    assert_eq!(over[0].code, Code::TooLarge);
    let escaped = format!("\"{}\"", "\\x41".repeat(STRING_BYTES_MAX));
    assert_eq!(lex(&escaped).diagnostics, [], "what counts is what it stands for");
}

#[test]
fn blanks_and_comments_are_no_tokens() {
    check("\u{feff}a\r\n\tb # c } \"\r\nd", "a | b | d");
    assert_eq!(lex("a # why\r\n#\n").comments.len(), 2);
    let lexed = lex("a # why\r\n");
    assert_eq!(lexed.comments[0].range(), 2..7, "the end of the line is no part of it");
}

#[test]
fn signs_of_other_languages_say_what_they_mean() {
    check("a && b || !c", "a | stands and | b | stands or | stands not | c | P012 | P012 | P012");
    check("a === b <> c !== d", "a | == | b | != | c | != | d | P012 | P012 | P012");
    check(
        "a =~ b ~ c !~ d",
        "a | stands matches | b | stands matches | c | bad | d | P012 | P012 | P012",
    );
    check("a; // b } \n c /* d \n e */ f", "a | c | f | P012 | P012 | P012");
    check("'x' `y` “z”", "bad | bad | bad | P012 | P012 | P012");
    check("in [1, 2] x", "in | bad | x | P012");
    check("path == /a/b then", "path | == | bad | then | P002");
}

#[test]
fn stray_characters_are_said_once_for_a_run() {
    check("a $$ ?? € b", "a | bad | b | P002");
    check("a $b ?", "a | bad | P002");
    check("a $x { %% }", "a | bad | { | bad | } | P002 | P002");
    check("\u{1}\u{2}", "bad | P002");
}

#[test]
fn complaints_have_an_end() {
    let said = |n: usize| lex(&";".repeat(n)).diagnostics.len();
    assert_eq!(said(DIAGNOSTICS_MAX), DIAGNOSTICS_MAX);
    assert_eq!(said(DIAGNOSTICS_MAX + 1), DIAGNOSTICS_MAX);
}

#[test]
fn a_fix_of_a_sign_keeps_words_apart() {
    let fixed = |text: &str| {
        let fix = lex(text).diagnostics[0].fix.clone().unwrap();
        let mut out = text.to_owned();
        out.replace_range(fix.span.range(), &fix.replacement);
        out
    };
    assert_eq!(fixed("a&&b"), "a and b");
    assert_eq!(fixed("a && b"), "a and b");
    assert_eq!(fixed("(!b)"), "( not b)");
    assert_eq!(fixed("x 10MB y"), "x 10MiB y");
    assert_eq!(fixed("\"a\\d\\n\\.\""), "\"a\\\\d\\n\\\\.\"");
    assert_eq!(fixed("// a // b"), "# a // b");
    assert_eq!(fixed("2026-11-22T03:12"), "2026-11-22T03:12Z");
}
