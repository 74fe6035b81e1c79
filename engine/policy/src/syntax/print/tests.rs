//! Tests of the formatter: layouts, and that no text is lost.

use proptest::prelude::*;
use regex::Regex;

use super::{LINE_CHARS_MAX, format, is_same};
use crate::diagnostic::FileId;
use crate::syntax::lex::{Kind, Punct, lex};
use crate::syntax::parse::parse;

const POLICIES: [&str; 4] = [
    include_str!("../../../../../tests/fixtures/policies/baseline.wall"),
    include_str!("../../../../../tests/fixtures/policies/under-attack.wall"),
    include_str!("../../../../../tests/fixtures/policies/members/alice.wall"),
    include_str!("../../../../../policies/baseline.wall"),
];

/// Returns the tree of a text without positions.
fn tree(text: &str) -> String {
    let (file, said) = parse(FileId::default(), text.as_bytes());
    assert_eq!(said, [], "{text}");
    let places = Regex::new(r"Span \{ start: \d+, end: \d+ \}").unwrap();
    places.replace_all(&format!("{file:?}"), "Span").into_owned()
}

/// Returns the formatted text, after checks that hold for every text.
fn sound(text: &str) -> String {
    let once = format(text).unwrap_or_else(|said| panic!("{said:#?}\n{text}"));
    assert_eq!(format(&once).as_deref(), Ok(once.as_str()), "from\n{text}");
    assert!(is_same(text, &once), "{text}\n-----\n{once}");
    assert!(tree(text) == tree(&once), "{text}\n-----\n{once}");
    assert!(once.ends_with('\n') && !once.contains('\u{feff}'));
    for line in once.lines() {
        assert_eq!(line, line.trim_end_matches([' ', '\t']), "blanks at the end");
    }
    assert!(!once.contains("\n\n\n"), "two blank lines in\n{once}");
    once
}

/// Compares the formatted text after the first line.
fn check(input: &str, expected: &str) {
    let once = sound(&format!("policy 1\n{input}"));
    assert_eq!(once.strip_prefix("policy 1\n").unwrap(), expected, "from\n{input}");
}

#[test]
fn short_things_stand_on_one_line() {
    check(
        "floor{rule a{when ua is absent\n\n then block}}",
        "floor {\n  rule a { when ua is absent then block }\n}\n",
    );
    check("floor { }", "floor {}\n");
    check("track   all\t{ count requests   over 10s }", "track all { count requests over 10s }\n");
    check(
        "level a per site {\nenter when cpu.load>90% sustained 20s\nleave after 10m }",
        "level a per site { enter when cpu.load > 90% sustained 20s leave after 10m }\n",
    );
    check(
        "site \"a\",\"b\" { adjust x {to y burst 2 hold 1m doubling to 1h} disable z note \"n\" }",
        "site \"a\", \"b\" {\n  adjust x { to y burst 2 hold 1m doubling to 1h }\n  \
         disable z note \"n\"\n}\n",
    );
    check(
        "defaults { shadow until 2036-01-01 limit a { per f(ua ,path),client to 1/s then tag \"x\",\
         score+=1 ,throttle to 2/s per ua , path } }",
        "defaults {\n  shadow until 2036-01-01 limit a {\n    per f(ua, path), client\n    to 1/s\n    \
         then tag \"x\", score += 1, throttle to 2/s per ua, path\n  }\n}\n",
    );
}

#[test]
fn a_line_holds_a_hundred_characters() {
    for (letters, lines) in [(61, 1), (62, 4)] {
        let path = "x".repeat(letters);
        let text = format!("policy 1 floor {{ rule a {{ when path == \"{path}\" then block }} }}");
        let out = sound(&text);
        assert_eq!(out.lines().count(), 3 + lines, "{out}");
        let longest = out.lines().map(|line| line.chars().count()).max().unwrap();
        assert_eq!(longest == LINE_CHARS_MAX, lines == 1, "{out}");
    }
}

#[test]
fn long_things_are_one_clause_a_line() {
    let path = "x".repeat(60);
    check(
        &format!("floor {{ rule a {{ when path == \"{path}\" then block 403 note \"n\" }} }}"),
        &format!(
            "floor {{\n  rule a {{\n    when path == \"{path}\"\n    then block 403\n    note \"n\"\n  }}\n}}\n"
        ),
    );
    check(
        &format!(
            "floor {{ rule a {{ when path == \"{path}\" and not(ua is absent or ua==\"{path}\") then block }} }}"
        ),
        &format!(
            "floor {{\n  rule a {{\n    when path == \"{path}\"\n      and not (ua is absent or ua == \"{path}\")\n    then block\n  }}\n}}\n"
        ),
    );
    check(
        &format!(
            "floor {{ rule a {{ when ua is absent and (path == \"{path}\" or ua==\"{path}\") then block }} }}"
        ),
        &format!(
            "floor {{\n  rule a {{\n    when ua is absent\n      and (\n        path == \"{path}\"\n        or ua == \"{path}\"\n      )\n    then block\n  }}\n}}\n"
        ),
    );
    check(
        &format!("list a: string = file \"{path}\" max 5k reload 30s on_error keep"),
        &format!("list a: string = file \"{path}\"\n  max 5k\n  reload 30s\n  on_error keep\n"),
    );
}

#[test]
fn a_list_may_allow_wide_networks() {
    check("list a:cidr={0.0.0.0/1}allow wide", "list a: cidr = { 0.0.0.0/1 } allow wide\n");
    check(
        "list a: cidr = file \"l.txt\" allow  wide max 5k",
        "list a: cidr = file \"l.txt\" allow wide max 5k\n",
    );
}

#[test]
fn sets_have_commas() {
    check("let a={1 2,3 , 4,}", "let a = { 1, 2, 3, 4 }\n");
    check("let a = {\n}", "let a = {}\n");
    check("let a = { # why\n}", "let a = {  # why\n}\n");
    check("let a = {\n# why\n}", "let a = {\n  # why\n}\n");
    let elements: Vec<String> = (0..12).map(|n| format!("\"/some/path/{n}\"")).collect();
    check(
        &format!("list a: string = {{ {} }}", elements.join(" ")),
        &format!(
            "list a: string = {{\n  {},\n  {}\n}}\n",
            elements[..6].join(", "),
            elements[6..].join(", ")
        ),
    );
}

#[test]
fn blocks_that_read_better_tall_are_tall() {
    check(
        "member a {hosts{\"a\"} may{allow,block} rules 5 cpu 1s}",
        "member a {\n  hosts { \"a\" }\n  may { allow, block }\n  rules 5\n  cpu 1s\n}\n",
    );
    check(
        "extern f (a:string,b :headers)->int{module \"m\" sha256 \"d\" fuel 5k memory 1MiB \
         on_failure return 0 isolate per_call}",
        "extern f(a: string, b: headers) -> int {\n  module \"m\" sha256 \"d\"\n  fuel 5k\n  \
         memory 1MiB\n  on_failure return 0\n  isolate per_call\n}\n",
    );
    check(
        "defaults { decide { when score>=8 then block 403 when score >= 4 then challenge otherwise allow } }",
        "defaults {\n  decide {\n    when score >= 8 then block 403\n    \
         when score >= 4 then challenge\n    otherwise allow\n  }\n}\n",
    );
}

#[test]
fn tests_are_one_step_a_line() {
    check(
        "test \"t\" { given level attack given @l={ 1 } given client 192.0.2.1 {asn AS1}\n\n\n\
         request GET \"/\" from 192.0.2.1 { header \"a\" \"b\", pass age 5m,answered 200 after 1s } \
         times 5 over 1s wait 5s\nexpect block 403 by floor.a expect pass }",
        "test \"t\" {\n  given level attack\n  given @l = { 1 }\n  \
         given client 192.0.2.1 { asn AS1 }\n\n  request GET \"/\" from 192.0.2.1 {\n    \
         header \"a\" \"b\"\n    pass age 5m\n    answered 200 after 1s\n  } times 5 over 1s\n  \
         wait 5s\n  expect block 403 by floor.a\n  expect pass\n}\n",
    );
}

#[test]
fn comments_stay_with_what_they_are_about() {
    check(
        "# one\n\n\n# two\ninclude \"a\"# three\n\n\n#four",
        "# one\n\n# two\ninclude \"a\"  # three\n\n#four\n",
    );
    check(
        "floor { # why\n\n# a\nrule a { when true then drop } # b\n\n# last\n\n}",
        "floor {  # why\n  # a\n  rule a { when true then drop }  # b\n\n  # last\n}\n",
    );
    check(
        "floor { rule a { when true # always\n then drop } }",
        "floor {\n  rule a {\n    when true  # always\n    then drop\n  }\n}\n",
    );
    check(
        "let a = { 1 # one\n, 2, # two\n # three\n 3 4 # end\n, }",
        "let a = {\n  1,  # one\n  2,  # two\n  # three\n  3, 4  # end\n}\n",
    );
    check(
        "floor { rule a { when ua is absent # no name\n # nor\n and path == \"/\" then block } }",
        "floor {\n  rule a {\n    when ua is absent  # no name\n      # nor\n      \
         and path == \"/\"\n    then block\n  }\n}\n",
    );
    check(
        "floor { rule a { when f( # args\n ua # first\n , path ) then tag \"a\" # b\n , block } }",
        "floor {\n  rule a {\n    when f(  # args\n      ua,  # first\n      path\n    )\n    \
         then tag \"a\",  # b\n      block\n  }\n}\n",
    );
    check("list a # why\n : cidr = {}", "list a  # why\n  : cidr = {}\n");
    check("floor {}#", "floor {}  #\n");
}

#[test]
fn spelling_is_kept() {
    check(
        r#"let a = r"\d" let b = "\x41\"" let c = 20k let d = 1h30m let e = 90m let f = 10/60s"#,
        "let a = r\"\\d\"\nlet b = \"\\x41\\\"\"\nlet c = 20k\nlet d = 1h30m\nlet e = 90m\n\
         let f = 10/60s\n",
    );
}

#[test]
fn line_ends_and_marks_of_other_systems_go() {
    let text = "\u{feff}policy 1\r\n\r\n\r\n# why \t\r\nfloor {\r\n\trule a { when true\r\n then drop }\r\n}";
    assert_eq!(sound(text), "policy 1\n\n# why\nfloor {\n  rule a { when true then drop }\n}\n");
    assert_eq!(sound("# first\rpolicy 1"), "# first\npolicy 1\n");
}

#[test]
fn words_in_odd_places_are_names() {
    check(
        "floor { limit to { to x then throttle to 1/s per per(ua) } \
         rule then { when keys(ua) in { then, per } unless(true) then ban 1m per client } }",
        "floor {\n  limit to { to x then throttle to 1/s per per(ua) }\n  \
         rule then { when keys(ua) in { then, per } unless (true) then ban 1m per client }\n}\n",
    );
    check("let let = list list x: ip = {}", "let let = list\nlist x: ip = {}\n");
}

#[test]
fn a_file_with_errors_is_refused() {
    let said = format("policy 1\nfloor { rule a { when then block } }").unwrap_err();
    assert_eq!(said.len(), 1);
    assert!(format("").is_err());
    assert!(format("policy 1\nfloor {").is_err());
    assert!(format("policy 1 \0").is_err());
}

#[test]
fn commas_that_mean_something_and_comments_are_compared() {
    assert!(is_same("let a = { 1 2 }", "let a={1,2}"));
    assert!(!is_same("let a = 20k", "let a = 20000"));
    assert!(!is_same("a # b", "a"));
    assert!(!is_same("a # b", "a # c"));
}

#[test]
fn shipped_policies_are_sound() {
    for text in POLICIES {
        let out = sound(text);
        let long: Vec<&str> =
            out.lines().filter(|line| line.chars().count() > LINE_CHARS_MAX).collect();
        assert!(long.iter().all(|line| line.contains(['"', '#'])), "{long:#?}");
    }
}

#[test]
fn a_long_set_and_a_deep_condition_take_no_long_time() {
    let numbers: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    sound(&format!("policy 1 let a = {{ {} }}", numbers.join(" ")));
    let (open, close) = ("(".repeat(50), ")".repeat(50));
    let path = "x".repeat(90);
    sound(&format!(
        "policy 1 floor {{ rule a {{ when {open}path == \"{path}\"{close} then drop }} }}"
    ));
}

/// Returns texts that can separate two tokens.
fn gap() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        8 => Just(" "),
        2 => Just("\n"),
        1 => Just("\t \n\n\n"),
        1 => Just("\r\n"),
        1 => Just("\r\n\r\n"),
        1 => Just(" # a\n"),
        1 => Just("\n# b\n"),
        1 => Just("#c \n\n# d\r\n\t#\n\n"),
    ]
}

/// Returns a text with other separators, taken in turn from `gaps`.
fn mutated(text: &str, gaps: &[&str]) -> String {
    let tokens = lex(text).tokens;
    let mut out = String::new();
    let mut gaps = gaps.iter().cycle();
    for pair in tokens.windows(2) {
        out.push_str(text.get(pair[0].span.range()).unwrap());
        let call = pair[0].kind == Kind::Word
            && pair[1].kind == Kind::Punct(Punct::ParenOpen)
            && pair[0].span.end == pair[1].span.start;
        // Between a name and its arguments no separator is allowed.
        out.push_str(if call { "" } else { gaps.next().unwrap() });
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn blanks_and_comments_anywhere_lose_nothing(
        which in 0..POLICIES.len(),
        gaps in prop::collection::vec(gap(), 1..400),
    ) {
        sound(&mutated(POLICIES[which], &gaps));
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_never_a_panic(
        which in 0..POLICIES.len(),
        cut in any::<prop::sample::Index>(),
        junk in "[ {}(),#\"a\n]{0,6}",
    ) {
        let mut text = POLICIES[which].to_owned();
        let mut at = cut.index(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.insert_str(at, &junk);
        if let Ok(once) = format(&text) {
            prop_assert!(is_same(&text, &once));
            prop_assert_eq!(format(&once), Ok(once.clone()));
        }
    }
}
