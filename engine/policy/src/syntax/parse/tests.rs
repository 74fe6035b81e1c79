//! Tests of the parser: trees, diagnostics, and recovery after errors.

use proptest::prelude::*;

use super::{FILE_BYTES_MAX, NESTING_MAX, RULES_MAX, parse};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, FileId};
use crate::span::line_column;
use crate::syntax::ast::OnListError;
use crate::syntax::ast::{
    Action, Counted, Decl, Expr, File, Item, LayerKind, ListSource, Literal, OpKind, Operand, Prop,
    RateOrName, Step, Stmt,
};

const BASELINE: &str = include_str!("../../../../../tests/fixtures/policies/baseline.wall");
const ATTACK: &str = include_str!("../../../../../tests/fixtures/policies/under-attack.wall");
const ALICE: &str = include_str!("../../../../../tests/fixtures/policies/members/alice.wall");

fn read(text: &str) -> (File, Vec<Diagnostic>) {
    parse(FileId(0), text.as_bytes())
}

fn good(text: &str) -> File {
    let (file, said) = read(text);
    assert_eq!(said, [], "{text}");
    file
}

/// Returns the codes and positions of the diagnostics of a text.
fn complaints(text: &str) -> String {
    let shown: Vec<String> = read(text)
        .1
        .iter()
        .map(|said| {
            let (line, column) = line_column(text, said.span.start);
            format!("{} {line}:{column}", said.code.as_str())
        })
        .collect();
    shown.join(", ")
}

/// Checks the diagnostics of the clauses of a rule.
fn check_rule(clauses: &str, expected: &str) {
    let text = format!("policy 1\nfloor {{\nrule a {{ {clauses} }}\nrule b {{ then block }} }}");
    let shown: Vec<String> = read(&text)
        .1
        .iter()
        .map(|said| format!("{} {}", said.code.as_str(), said.message))
        .collect();
    assert_eq!(shown.join(" | "), expected, "{clauses}");
}

fn stmts(file: &File, kind: LayerKind) -> &[Stmt] {
    let layers = file.items.iter().filter_map(|item| match item {
        Item::Layer(layer) if layer.kind == kind => Some(layer.stmts.as_slice()),
        _ => None,
    });
    layers.reduce(|_, last| last).unwrap()
}

fn condition(text: &str) -> Expr {
    let file = good(&format!("policy 1 floor {{ rule a {{ when {text} then block }} }}"));
    match &stmts(&file, LayerKind::Floor)[0] {
        Stmt::Rule(rule) => rule.when.clone().unwrap().node,
        other => panic!("{other:?}"),
    }
}

/// Applies the first correction in the diagnostics of a text, and returns it with its code.
fn mended(text: &str) -> Option<(Code, String)> {
    let said = read(text).1;
    let (code, fix) = said.into_iter().find_map(|said| Some((said.code, said.fix?)))?;
    let mut text = text.to_owned();
    text.replace_range(fix.span.range(), &fix.replacement);
    Some((code, text))
}

#[test]
fn the_baseline_is_read_whole() {
    let file = good(BASELINE);
    assert_eq!(file.version.as_ref().unwrap().node, 1);
    assert_eq!(&*file.revision.as_ref().unwrap().node, "co-op baseline, revision 2026-11-22");
    assert_eq!(file.items.len(), 19);
    let floor = stmts(&file, LayerKind::Floor);
    assert_eq!(floor.len(), 4);
    let Stmt::Limit(flood) = &floor[3] else { panic!("{:?}", floor[3]) };
    assert_eq!(&*flood.name.node, "flood");
    let to = &flood.to.as_ref().unwrap().node;
    let RateOrName::Rate(rate) = to.rate.node else { panic!("{to:?}") };
    assert_eq!((rate.n, rate.window.ms()), (600, 10_000));
    assert_eq!(to.burst.as_ref().unwrap().node, 200);
    let hold = &flood.hold.as_ref().unwrap().node;
    assert_eq!(hold.doubling_to.as_ref().unwrap().node.ms(), 3_600_000);
    assert_eq!(flood.keys.as_ref().unwrap().node, 200_000);
    let Stmt::Decide(decide) = &stmts(&file, LayerKind::Defaults)[4] else { panic!() };
    assert_eq!(decide.thresholds.len(), 2);
    assert_eq!(decide.otherwise.as_ref().unwrap().node, Action::Allow);
    let lists: Vec<_> = file
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Decl(Decl::List(list)) => Some(list),
            _ => None,
        })
        .collect();
    let ListSource::File { max, reload, on_error, .. } = &lists[0].source else { panic!() };
    assert_eq!(max.as_ref().unwrap().node, 5_000);
    assert_eq!(reload.as_ref().unwrap().node.ms(), 30_000);
    assert_eq!(on_error.as_ref().unwrap().node, OnListError::Keep);
    assert!(lists.iter().all(|list| list.allow_wide.is_none()));
    let tests = file.items.iter().filter(|item| matches!(item, Item::Test(_))).count();
    assert_eq!(tests, 5);
}

#[test]
fn the_playbook_is_read_whole() {
    let file = good(ATTACK);
    assert_eq!(file.items.len(), 8);
    let Stmt::Under(under) = &stmts(&file, LayerKind::Floor)[0] else { panic!() };
    assert_eq!((&*under.level.node, under.stmts.len()), ("attack", 4));
    let Stmt::Rule(botnet) = &under.stmts[3] else { panic!() };
    assert_eq!(botnet.meta.expires.as_ref().unwrap().node.unix_s, 2_111_184_000);
    let actions = &botnet.then.as_ref().unwrap().node;
    assert!(
        matches!(&actions[0].node, Action::Ban { duration, per: None } if duration.node.ms() == 600_000)
    );
}

#[test]
fn the_members_file_is_read_whole() {
    let file = good(ALICE);
    let Item::Site(site) = &file.items[0] else { panic!() };
    assert_eq!(site.hosts.len(), 2);
    assert_eq!(site.stmts.len(), 10);
    let Stmt::Limit(basket) = &site.stmts[5] else { panic!() };
    assert_eq!(basket.per.len(), 2);
    assert!(matches!(&site.stmts[8], Stmt::Disable(d) if d.note.is_some()));
    let Item::Test(test) = &file.items[2] else { panic!() };
    let Step::Request(request) = &test.steps[1].node else { panic!() };
    assert_eq!(request.times.as_ref().unwrap().node, 500);
    assert!(matches!(&request.props[0].node, Prop::Header(name, _) if &*name.node == "x-api-key"));
}

#[test]
fn every_production_is_read() {
    let file = good(EVERYTHING);
    let Item::Extern(external) = &file.items[1] else { panic!() };
    assert_eq!(external.params.len(), 2);
    assert_eq!(external.memory.as_ref().unwrap().node, 1 << 20);
    assert_eq!(external.on_failure.as_ref().unwrap().node, Literal::Bool(false));
    assert!(external.isolate.is_some() && external.sha256.is_some());
    let Item::Level(level) = &file.items[2] else { panic!() };
    assert!(level.per_site && level.sustained.is_some() && level.leave_after.is_some());
    let Item::Member(member) = &file.items[3] else { panic!() };
    assert_eq!(member.may.as_ref().unwrap().node.len(), 12);
    assert_eq!(member.cpu.as_ref().unwrap().node.us, 50_000);
    let Item::Decl(Decl::Track(track)) = &file.items[4] else { panic!() };
    assert!(track.on_response.as_ref().unwrap().node);
    assert!(
        matches!(&track.count.as_ref().unwrap().node, Counted::Bytes(f) if &*f.node == "bytes_out")
    );
    let Stmt::Rule(rule) = &stmts(&file, LayerKind::Floor)[0] else { panic!() };
    assert!(rule.shadow.as_ref().unwrap().until.is_some());
    let actions = &rule.then.as_ref().unwrap().node;
    assert_eq!(actions.len(), 5);
    assert!(matches!(&actions[2].node, Action::Score(n) if n.node == -3));
    assert!(matches!(&actions[4].node, Action::Throttle { per, .. } if per.len() == 2));
    let Item::Test(test) = file.items.last().unwrap() else { panic!() };
    assert_eq!(test.steps.len(), 12);
}

const EVERYTHING: &str = r#"policy 1 "all of it"
include "more/*.wall"
extern finger-print(h: headers, from: ip) -> string {
  module "f.wasm" sha256 "ab" function "print" fuel 2M time 5ms memory 1MiB
  on_failure return false isolate per_call
}
level busy per site { enter when origin.errors > 20% sustained 30s leave after 10m note "n" }
member bob { hosts { "b.example" } cpu 50ms rules 9 keys 2k file "b.wall" expires 2036-01-01
  may { allow block drop challenge, throttle tag score log limit when then test } }
track out { on response count bytes bytes_out where status == 200 per client, host over 1m keys 10 }
track paths { count distinct segment(path, 2) per client over 5m keys 10 expires 2036-11-25T04:05Z }
let small = 5/s
let places = { FR, DE BE }
list l: string = file "l.txt" on_error empty reload 1m max 9
list w: cidr = file "w.txt" allow wide max 9
list v: ip = { 192.0.2.1 } allow wide
let wide = 5
guarantee { rule g { when path == "/" then allow } }
floor {
  shadow until 2036-01-01 rule s { when true unless false then tag "a", score += 1, score -= 3, log "x", throttle to 5/1m per client, host }
  shadow limit t { per client to small then ban 10m per client.net hold 1m }
  rule pow { when ua not matches nocase r"x" and not (a in @l or b is present) then challenge pow for 2h }
  rule page { when x < 1 or x <= 1 or x > 1 or x >= 1 or x != 1 or not not y then block 503 page "p" note "a" }
  rule tar { when count(out) > 1 and f() then tarpit 10s }
  rule low { when lower(header("x")) like "*" then challenge for 1h }
  track inner { count requests over 10s }
}
defaults {
  adjust floor.x { to 5/1m burst 3 then log, drop hold 5m unless a note "n" expires 2036-01-01 }
  disable x
  under busy { under worse { rule z { when level == attack then challenge page } } }
  decide { when score >= 5 then tag "x" otherwise allow }
}
site "a.example", "b.example" { }
test "steps" {
  given level busy
  given client 192.0.2.1 { asn AS1 country FR crawler google }
  given @l = { a "b" AS1 10.0.0.0/8 }
  request GET "/" from ::1 { header "a" "b", cookie "c" "d" ja4 "x" proto h1 pass age 5m answered 404 after 2s bytes 10 } times 3 over 1m
  request POST "/" { pass valid }
  request GET "/" { pass none } times 2
  request GET "/"
  wait 1h
  expect pass
  expect pass by a.b
  expect challenge pow for 2h by floor.pow
  expect block 403
}
"#;

#[test]
fn conditions_have_the_shape_that_they_show() {
    assert!(matches!(condition("a and b and c"), Expr::And(all) if all.len() == 3));
    assert!(matches!(condition("a or (b and c)"), Expr::Or(all) if all.len() == 2));
    assert!(matches!(condition("(a)"), Expr::Bare(Operand::Group(_))));
    assert!(
        matches!(condition("not a == 1"), Expr::Not(inner) if matches!(inner.node, Expr::Compare { .. }))
    );
    assert!(matches!(condition("header(\"x\") is absent"), Expr::Is { present: false, .. }));
    let op = |text: &str| match condition(text) {
        Expr::Compare { op, .. } => (op.node.kind, op.node.negated, op.node.nocase),
        other => panic!("{other:?}"),
    };
    assert_eq!(op("a not in { 1 }"), (OpKind::In, true, false));
    assert_eq!(op("a != 1"), (OpKind::Eq, true, false));
    assert_eq!(op("a not contains nocase \"x\""), (OpKind::Contains, true, true));
}

#[test]
fn one_mistake_makes_one_complaint() {
    check_rule("when ua = \"x\" then block", "P010 `=` is not a comparison; use `==`");
    check_rule("wen ua == \"x\" then block", "P001 `wen` is not a keyword here");
    check_rule("when a or b and c then block", "P011 `and` and `or` are mixed without parentheses");
    check_rule("when a && b then block", "P012 `&&` is not valid in a policy; use `and`");
    check_rule("when !a then block", "P012 `!` is not valid in a policy; use `not`");
    check_rule("when a eq 1 then block", "P012 `eq` is not a comparison; use `==`");
    check_rule("when a then blok 403 page \"x\" note \"n\"", "P020 `blok` is not an action");
    check_rule(
        "when a then deny 403, reject",
        "P020 `deny` is not an action | P020 `reject` is not an action",
    );
    check_rule("when a then captcha { x } for 3m note \"n\"", "P020 `captcha` is not an action");
    check_rule("when a when b then block", "P004 `when` occurs twice in this rule");
    check_rule(
        "when a then block, drop",
        "P021 two final actions: the first one ends the evaluation",
    );
    check_rule(
        "when a then drop, log, log",
        "P021 an effect after the final action has no effect | P021 an effect after the final action has no effect",
    );
    check_rule("when a == \"x then block", "P002 the string has no closing quote");
    check_rule("when (a then block", "P001 the `(` is not closed");
    check_rule("when a == then block", "P001 found `then` where a field or a value was expected");
    check_rule("when a b then block", "P001 `b` is not valid here");
    check_rule(
        "when a is gone then block",
        "P001 found `gone` where `absent` or `present` was expected",
    );
    check_rule(
        "when a in { 1, (2) } then block",
        "P001 found `(` where a value or `}` was expected",
    );
    check_rule("when a not == 1 then block", "P001 `==` is not valid here");
    check_rule("when f (x) then block", "P001 there is a blank between `f` and its arguments");
    check_rule("then block 99999999999999999999", "P013 a number is at most 9223372036854775807");
    check_rule("then block expires 2036-02-30", "P014 `2036-02-30` is not a valid date");
    check_rule(
        "then block expires 2036",
        "P001 found `2036` where a date like `2036-11-25` was expected",
    );
    check_rule("then ban", "P001 found `}` where a duration like `10m` was expected");
    check_rule(
        "then ban 5m per house",
        "P001 found `house` where `client`, `client.ip`, `client.net` or `client.asn` was expected",
    );
    check_rule("then score 5", "P001 found `5` where `+=` or `-=` was expected");
    check_rule("then tag \"\\xff\"", "P002 the text is not valid UTF-8");
    check_rule("then tag \"\\d\"", "P002 `\\d` is not a valid escape");
    check_rule("€ when a then block", "P002 `€` has no meaning here");
}

#[test]
fn thirteen_mistakes_in_one_file_are_thirteen_complaints() {
    let text = r#"policy 1
list a: cidr = file "x" mx 5
floor {
  rule one { when ua = "x" then blok 403 page "p" }
  rule two { wen ua == "x" then block }
  rule three { when ua == "curl then block }
  rule four { when client.ip in 10.0.0.0/40 then block }
  rul five { when a && b then block }
  rule six { when a then block, tag "late" }
  limit seven { per client to 5/1m hold 5m dubling to 1h then drop }
  rule eight when a then block }
}
tset "x" { reqest GET "/" { header "a" "b" } times 3 over 5m expect pass }
"#;
    let expected = "P001 2:25, P010 4:22, P020 4:33, P001 5:14, P002 6:27, P013 7:33, P001 8:3, \
                    P012 8:21, P021 9:33, P001 10:44, P001 11:14, P001 13:1, P001 13:12";
    assert_eq!(complaints(text), expected);
}

#[test]
fn the_first_line_says_the_version() {
    assert_eq!(complaints("policy 1"), "");
    assert_eq!(complaints("\u{feff}# why\r\npolicy 1 \"r\"\r\n"), "");
    assert_eq!(complaints(""), "P005 1:1");
    assert_eq!(complaints("floor { }"), "P005 1:1");
    assert_eq!(complaints("policy \"rev\" floor { }"), "P005 1:1");
    assert_eq!(complaints("polcy 1\nfloor { }"), "P005 1:1");
    let (file, said) = read("policy 2\nthis ; is && another !language");
    assert_eq!(file, File::default());
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].code, Code::OtherVersion);
    assert_eq!(said[0].message, "the file needs language version 2; this program supports 1");
}

#[test]
fn what_is_no_text_is_refused_with_its_place() {
    let said = |bytes: &[u8]| {
        let (file, said) = parse(FileId(7), bytes);
        assert_eq!((file, said.len()), (File::default(), 1));
        assert_eq!(said[0].file, FileId(7));
        (said[0].code, said[0].span.start)
    };
    assert_eq!(said(b"policy 1 \xff"), (Code::NotText, 9));
    assert_eq!(said(b"policy 1\n# \0"), (Code::NotText, 11));
}

#[test]
fn a_file_ends_at_its_limit() {
    let text = |n: usize| format!("policy 1{}", " ".repeat(n - 8));
    assert_eq!(complaints(&text(FILE_BYTES_MAX)), "");
    assert_eq!(complaints(&text(FILE_BYTES_MAX + 1)), "P008 1:1");
}

#[test]
fn nesting_ends_at_its_limit() {
    // The layer and the rule are two levels.
    let most = NESTING_MAX - 2;
    let rule = |condition: String| {
        complaints(&format!("policy 1 floor {{\nrule a {{ when {condition} then block }} }}"))
    };
    let nested = |open: &str, close: &str, n| format!("{}a{}", open.repeat(n), close.repeat(n));
    for (open, close) in [("(", ")"), ("f(", ")"), ("not ", "")] {
        assert_eq!(rule(nested(open, close, most)), "", "{open}");
        assert!(rule(nested(open, close, most + 1)).starts_with("P008 2:"), "{open}");
        assert!(rule(nested(open, close, 100_000)).starts_with("P008 2:"), "{open}");
    }
    let under = |n| complaints(&format!("policy 1 floor {{\n{}\n}}", nested("under a {", "}", n)));
    assert!(under(NESTING_MAX + 1).starts_with("P008 2:"));
    let blocks = |n: usize| {
        complaints(&format!("policy 1\nfloor {{ {} {} }}", "under a {".repeat(n), "}".repeat(n)))
    };
    assert_eq!(blocks(NESTING_MAX - 1), "");
    assert!(blocks(NESTING_MAX).starts_with("P008 2:"));
    assert!(blocks(50_000).starts_with("P008 2:"));
}

#[test]
fn the_deepest_file_fits_into_a_small_stack() {
    let n = NESTING_MAX / 2;
    let condition = format!("{}a{}", "not (f(".repeat(n), "))".repeat(n));
    let under = "under a { ".repeat(n);
    let text = format!("policy 1 floor {{ {under} rule a {{ when {condition} then block }}");
    let parsed =
        std::thread::Builder::new().stack_size(1 << 20).spawn(move || read(&text).1.len()).unwrap();
    assert!(parsed.join().unwrap() > 0);
}

#[test]
fn rules_end_at_their_limit() {
    let text = |n: usize| {
        let half =
            "rule a { then block }\n".repeat(n / 2) + &"limit a { to 1/s }\n".repeat(n - n / 2);
        format!("policy 1\nfloor {{\n{half}}}")
    };
    let (file, said) = read(&text(RULES_MAX));
    assert_eq!((said.len(), stmts(&file, LayerKind::Floor).len()), (0, RULES_MAX));
    let (file, said) = read(&text(RULES_MAX + 5));
    assert_eq!(said.len(), 1, "one complaint for all that are too many");
    assert_eq!(said[0].code, Code::TooMany);
    assert_eq!(stmts(&file, LayerKind::Floor).len(), RULES_MAX);
}

#[test]
fn an_open_block_is_said_at_its_brace() {
    assert_eq!(
        complaints("policy 1\nfloor {\nrule a { when b then block\nrule c { then drop }\n}"),
        "P003 3:8"
    );
    assert_eq!(
        complaints("policy 1\nfloor {\n  rule a { when b then block\n}\ntest \"x\" { wait 1s }"),
        "P003 3:10"
    );
    assert_eq!(
        complaints("policy 1\nfloor {\n  rule a { then block }\ntest \"x\" { wait 1s }"),
        "P003 2:7"
    );
    assert_eq!(complaints("policy 1\nfloor { rule a { when"), "P003 2:16");
    assert_eq!(complaints("policy 1\nlist a: ip = { ::1"), "P003 2:14");
    assert_eq!(
        complaints(
            "policy 1\nfloor {\nrule a { when b in { 1, 2 then block }\nrule c { then drop }\n}"
        ),
        "P003 3:20"
    );
    assert_eq!(
        complaints("policy 1\ntest \"a\" {\n expect pass\ntest \"b\" { expect pass }"),
        "P003 2:10"
    );
}

#[test]
fn a_brace_too_many_is_said_once() {
    assert_eq!(complaints("policy 1\nfloor { } }\n}"), "P001 2:11");
    assert_eq!(
        complaints("policy 1\nfloor {\nrule a { then drop } }\nrule b { then drop }\n}"),
        "C002 4:1"
    );
}

#[test]
fn what_stands_in_the_wrong_place_is_said() {
    assert_eq!(
        complaints("policy 1\nrule a { then drop }\nlimit b { to 1/s }\nfloor { }"),
        "C002 2:1"
    );
    assert_eq!(
        complaints("policy 1\nfloor {\ntest \"a\" { wait 1s }\nrule a { then drop }\n}"),
        "C002 3:1"
    );
    assert_eq!(
        complaints("policy 1\nfloor {\nrule a {\nrule b { then drop }\nthen drop }\n}"),
        "P001 4:1"
    );
    assert_eq!(complaints("policy 1\nnonsense { rule a { then drop } }\nfloor { }"), "P001 2:1");
    assert_eq!(
        complaints("policy 1\nflor { rule a { then blok } }\nfloor { }"),
        "P001 2:1, P020 2:22"
    );
}

#[test]
fn a_broken_block_says_so_and_a_whole_one_does_not() {
    let broken = |clauses: &str| {
        let (file, _) = read(&format!("policy 1 floor {{ rule a {{ {clauses} }} }}"));
        match &stmts(&file, LayerKind::Floor)[0] {
            Stmt::Rule(rule) => rule.meta.broken,
            other => panic!("{other:?}"),
        }
    };
    assert!(!broken("when a then block"));
    assert!(!broken("then block"), "a clause that nobody wrote is missing, not broken");
    assert!(broken("when a == then block"));
    assert!(broken("whenever"));
}

#[test]
fn words_of_the_language_are_names_and_elements_where_they_can_be() {
    let file = good(
        "policy 1 let l = { when, then, or rule test } floor { rule limit { when rule == 1 then block } }",
    );
    assert!(
        matches!(&file.items[0], Item::Decl(Decl::Let(l)) if matches!(&l.value.node, Operand::Set(s) if s.len() == 5))
    );
}

#[test]
fn every_fix_mends_what_it_is_proposed_for() {
    let wrongs = [
        "floor { }",
        "polcy 1 floor { }",
        "policy floor { }",
        "policy 1 flor { }",
        "policy 1 floor { } }",
        "policy 1 floor { rul a { then drop } }",
        "policy 1 floor { rule a then drop } }",
        "policy 1 floor { rule a { wen b then drop } }",
        "policy 1 floor { rule a { when b = 1 then drop } }",
        "policy 1 floor { rule a { when b eq 1 then drop } }",
        "policy 1 floor { rule a { when b startsWith \"x\" then drop } }",
        "policy 1 floor { rule a { when b&&!c then drop; } } // x",
        "policy 1 floor { rule a { when b =~ 'x' then drop } }",
        "policy 1 floor { rule a { when b !~ \"\\d\" then drop } }",
        "policy 1 floor { rule a { when b in [1, 2] then drop } }",
        "policy 1 floor { rule a { when b == /x then deny 403 } }",
        "policy 1 floor { rule a { when f (b) then captcha } }",
        "policy 1 floor { limit a { per b to 1/1s hold 5m dubling to 1h then drop } }",
        "policy 1 test \"a\" { reqest GET \"/\" expect pss }",
        "policy 1 extern a() -> int { memory 10MB }",
    ];
    for wrong in wrongs {
        let mut text = wrong.to_owned();
        let mut rounds = 0;
        while let Some((code, better)) = mended(&text) {
            let count = |text: &str| read(text).1.iter().filter(|said| said.code == code).count();
            assert!(count(&better) < count(&text), "{text} -> {better}");
            text = better;
            rounds += 1;
        }
        assert!(rounds > 0, "{wrong} has a fix");
        assert_eq!(complaints(&text), "", "{wrong} -> {text}");
    }
}

#[test]
fn messages_are_lower_case_without_a_stop() {
    let text = format!(
        "{}\n floor {{ rule x {{ when a = b $ 5x \"q }} € rule tag {{ }} }}",
        "rule a { then deny }"
    );
    for said in read(&text).1 {
        let first = said.message.chars().next().unwrap();
        assert!(!first.is_uppercase() && !said.message.ends_with('.'), "{}", said.message);
        assert!(!said.label.is_empty(), "{}", said.message);
    }
}

/// Large inputs that would take minutes in quadratic time.
#[test]
fn large_nonsense_is_read_to_its_end() {
    let parts = [
        "[a",
        "(",
        ")",
        "{",
        "}",
        "a{",
        "floor {\n",
        "rule a {\n",
        "rule a { when (\n",
        "'",
        "\"\n",
        "a ",
        "a:",
        "when ",
        "tag \"x\", ",
        "€ ",
        "// \n",
        "/*",
        "not ",
        "test \"a\" { given ",
        "policy 1\n",
        "1.",
        "@a ",
        "@",
        "{ a, ",
    ];
    for part in parts {
        for head in ["", "policy 1\nfloor { rule a { then ", "policy 1\nfloor { rule a { when "] {
            let text = head.to_owned() + &part.repeat(40_000 / part.len());
            let (_, said) = read(&text);
            assert!(!said.is_empty(), "{part}");
        }
    }
}

const SOUP: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    ",",
    ":",
    "=",
    "==",
    "!=",
    "<",
    "+=",
    "->",
    "\n",
    " ",
    "rule",
    "limit",
    "when",
    "then",
    "floor",
    "site",
    "test",
    "given",
    "request",
    "expect",
    "under",
    "list",
    "@x",
    "\"a\"",
    "\"",
    "r\"b\"",
    "10",
    "5m",
    "10/1m",
    "10.0.0.0/8",
    "::1",
    "AS1",
    "2026-02-30",
    "and",
    "or",
    "not",
    "in",
    "is",
    "absent",
    "block",
    "allow",
    "challenge",
    "tag",
    "score",
    "decide",
    "otherwise",
    "&&",
    "!",
    ";",
    "//",
    "€",
    "\\",
    "track",
    "count",
    "per",
    "to",
    "hold",
    "adjust",
    "extern",
    "member",
    "level",
    "enter",
    "shadow",
    "until",
    "include",
    "let",
    "file",
    "max",
    "deny",
    "x",
    "f(",
    "99999999999999999999",
    "[",
    "'",
    "\u{feff}",
    "\t",
];

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(SOUP), 0..200).prop_map(|words| words.join(" "))
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let base = prop::sample::select(vec![BASELINE, ATTACK, ALICE, EVERYTHING]);
    let edit = (any::<prop::sample::Index>(), 0..12_usize, prop::sample::select(SOUP));
    (base, prop::collection::vec(edit, 1..8)).prop_map(|(base, edits)| {
        let mut bytes = base.as_bytes().to_vec();
        for (at, cut, word) in edits {
            let at = at.index(bytes.len());
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, word.bytes());
        }
        bytes
    })
}

proptest! {
    #[test]
    fn no_bytes_stop_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_, said) = parse(FileId(0), &bytes);
        prop_assert!(said.len() <= bytes.len() + 2);
    }

    #[test]
    fn no_words_stop_the_parser(text in soup()) {
        sane(text.as_bytes());
    }

    #[test]
    fn no_edit_stops_the_parser(bytes in mutated()) {
        sane(&bytes);
    }
}

fn sane(bytes: &[u8]) {
    let (file, said) = parse(FileId(0), bytes);
    assert_eq!((file, said.clone()), parse(FileId(0), bytes), "twice the same");
    assert!(said.is_sorted_by_key(|said| said.span.start));
    let text = String::from_utf8_lossy(bytes);
    for one in &said {
        assert!(one.span.end as usize <= bytes.len() + 1 && one.is_error());
        if let Some(fix) = &one.fix {
            assert!(text.get(fix.span.range()).is_some(), "a fix cuts between characters");
        }
    }
}
