//! Statements of a layer: rules, limits, tracks and others.

use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, map, opt};
use nom::sequence::preceded;

use super::action::{action, actions, one_word};
use super::block::{Head, Shape, block, keyword};
use super::clause::{fill, hold, meta, to};
use super::expr::{expr, operand, operands};
use super::input::{Input, Read, inner, name, nested, sign, word};
use super::recover::{Place, never_closed, place, report, skip_statement};
use super::value::{date, duration, int, literal, set, text};
use super::words;
use crate::code::Code;
use crate::span::{Span, Spanned};
use crate::syntax::ast::OnListError;
use crate::syntax::ast::{
    Adjust, Counted, Decide, Decl, Disable, Let, Limit, List, ListSource, Meta, Name, Operand,
    Rule, Shadow, Stmt, Threshold, Track, Under,
};
use crate::syntax::lex::Punct;

/// Most rules and limits of a file: 10,000. A larger policy is generated, and a list has the same
/// effect at a hundredth of the cost.
pub const RULES_MAX: usize = 10_000;

/// Reads `{ stmt … }`.
pub(super) fn statements(i: Input<'_>) -> Read<'_, Vec<Stmt>> {
    nested(i, |i| {
        let (mut i, open) = cut(sign(Punct::Open)).parse(i)?;
        let mut all = Vec::new();
        loop {
            match place(i, open, words::begins_item_only) {
                Place::Closed => return Ok((i.next(), all)),
                Place::Open => {
                    never_closed(i, open);
                    return Ok((i, all));
                }
                Place::Inside => {}
            }
            let (rest, stmt) = recovered(i, inside);
            all.extend(stmt);
            i = rest;
        }
    })
}

/// Reads with `read`. On failure, reports the error and continues at the next statement.
pub(super) fn recovered<'a, T>(
    i: Input<'a>,
    read: impl Fn(Input<'a>) -> Read<'a, Option<T>>,
) -> (Input<'a>, Option<T>) {
    read(i).unwrap_or_else(|error| {
        let miss = inner(error, i);
        report(i, &miss);
        (skip_statement(i, miss.at), None)
    })
}

fn inside(i: Input<'_>) -> Read<'_, Option<Stmt>> {
    if let Some(found) = i.word().filter(|found| words::begins_item_only(found)) {
        let message = format!("`{found}` is not valid inside a layer");
        let said = i.cx.error(Code::Misplaced, i.peek().span, message).label("not here");
        i.cx.say(said.help("move it to the top level of a file, outside every block"));
        return i.give_up();
    }
    match keyword(i, words::STATEMENTS) {
        Head::Known(word) => statement(i, word),
        Head::Guessed(word) => statement(i, word).or_else(|_| i.give_up()),
        Head::Unknown(_) => i.give_up(),
    }
}

/// Reads one statement after its keyword. Returns `None` for a rule beyond the limit.
pub(super) fn statement<'a>(i: Input<'a>, word: &str) -> Read<'a, Option<Stmt>> {
    let some = |stmt| Some(stmt);
    match word {
        "let" | "list" | "track" => map(|i| decl(i, word), |d| Some(Stmt::Decl(d))).parse(i.next()),
        "under" => map(under, |u| some(Stmt::Under(u))).parse(i.next()),
        "decide" => map(decide, |d| some(Stmt::Decide(d))).parse(i),
        "adjust" => map(adjust, |a| some(Stmt::Adjust(a))).parse(i.next()),
        "disable" => map(disable, |d| some(Stmt::Disable(d))).parse(i.next()),
        "shadow" => shadowed(i),
        "limit" => map(|i| limit(i, None), |l| l.map(Stmt::Limit)).parse(i.next()),
        _ => map(|i| rule(i, None), |r| r.map(Stmt::Rule)).parse(i.next()),
    }
}

/// Reads `let`, `list` or `track` after the keyword.
pub(super) fn decl<'a>(i: Input<'a>, word: &str) -> Read<'a, Decl> {
    match word {
        "let" => map(let_, Decl::Let).parse(i),
        "list" => map(list, Decl::List).parse(i),
        _ => map(track, |track| Decl::Track(Box::new(track))).parse(i),
    }
}

fn let_(i: Input<'_>) -> Read<'_, Let> {
    let value = alt((
        map(set, |set| Spanned::new(Operand::Set(set.node), set.span)),
        map(literal, |literal| Spanned::new(Operand::Literal(literal.node), literal.span)),
        map(name("a value"), |word| Spanned::new(Operand::Word(word.node), word.span)),
    ));
    let (i, (name, _, value)) = cut((name("a name"), sign(Punct::Assign), value)).parse(i)?;
    Ok((i, Let { name, value }))
}

fn list(i: Input<'_>) -> Read<'_, List> {
    let words = ["cidr", "ip", "asn", "country", "string"].map(|word| (word, word));
    let element = |i| map(|i| one_word(i, &words), |word| word.node).parse(i);
    let head = (name("a name"), sign(Punct::Colon), element, sign(Punct::Assign));
    let (i, (name, _, element, _)) = cut(head).parse(i)?;
    // The name is declared nevertheless; otherwise every rule that uses it would be reported.
    let (i, (source, allow_wide)) = list_source(i).unwrap_or_else(|error| {
        let miss = inner(error, i);
        report(i, &miss);
        (skip_statement(i, miss.at), (ListSource::Error, None))
    });
    Ok((i, List { name, element, source, allow_wide }))
}

fn list_source(i: Input<'_>) -> Read<'_, (ListSource, Option<Span>)> {
    let path = preceded(word("file"), cut(text("a path in quotes")));
    let (i, named) = cut(alt((map(set, Err), map(path, Ok)))).parse(i)?;
    match named {
        Ok(path) => file(i, path),
        Err(elements) => {
            let (i, allow_wide) = opt(wide).parse(i)?;
            Ok((i, (ListSource::Set(elements), allow_wide)))
        }
    }
}

/// Reads `allow wide`.
fn wide(i: Input<'_>) -> Read<'_, Span> {
    let start = i.peek().span;
    let (i, _) = word("allow")(i)?;
    let (i, _) = cut(word("wide")).parse(i)?;
    Ok((i, start.to(i.behind())))
}

const ON_ERROR: [(&str, OnListError); 3] =
    [("keep", OnListError::Keep), ("reject", OnListError::Reject), ("empty", OnListError::Empty)];

/// Reads `max n reload d on_error word allow wide` after a path, in any order.
fn file(mut i: Input<'_>, path: Spanned<Box<str>>) -> Read<'_, (ListSource, Option<Span>)> {
    let (mut max, mut reload, mut on_error, mut allow_wide) = (None, None, None, None);
    let mut seen: Vec<(&str, Span)> = Vec::new();
    loop {
        let (span, at) = (i.peek().span, i);
        if let Ok((rest, _)) = word("max")(i) {
            (i, _) = fill(rest, &mut max, int)?;
        } else if let Ok((rest, _)) = word("reload")(i) {
            (i, _) = fill(rest, &mut reload, duration)?;
        } else if let Ok((rest, _)) = word("on_error")(i) {
            (i, _) = fill(rest, &mut on_error, |i| one_word(i, &ON_ERROR))?;
        } else if word("allow")(i).is_ok() {
            (i, _) = fill(i, &mut allow_wide, wide)?;
        } else {
            return Ok((i, (ListSource::File { path, max, reload, on_error }, allow_wide)));
        }
        let clause = at.word().unwrap_or_default();
        if let Some((_, first)) = seen.iter().find(|(known, _)| *known == clause) {
            let message = format!("`{clause}` occurs twice in this list");
            let said = i.cx.error(Code::ClauseTwice, span, message).label("the second one");
            i.cx.say(said.related(i.cx.file, *first, "the first one"));
        }
        seen.push((clause, span));
    }
}

const TRACK: Shape = Shape {
    of: "this track",
    words: &["count", "on", "where", "per", "over", "keys", "note", "expires"],
    many: &[],
};

fn track(i: Input<'_>) -> Read<'_, Track> {
    let (i, name) = cut(name("a name")).parse(i)?;
    let mut track = Track {
        name,
        count: None,
        on_response: None,
        condition: None,
        per: Vec::new(),
        over: None,
        keys: None,
        meta: Meta::default(),
    };
    let (i, broken) = block(i, &TRACK, &mut |i, word| match word {
        "count" => fill(i, &mut track.count, counted),
        "on" => fill(i, &mut track.on_response, side),
        "where" => fill(i, &mut track.condition, expr),
        "per" => keys(i, &mut track.per),
        "over" => fill(i, &mut track.over, duration),
        "keys" => fill(i, &mut track.keys, int),
        _ => meta(i, word, &mut track.meta),
    })?;
    track.meta.broken = broken;
    Ok((i, track))
}

fn counted(i: Input<'_>) -> Read<'_, Spanned<Counted>> {
    let start = i.peek().span;
    let bytes = preceded(word("bytes"), cut(name("a field that holds bytes")));
    let distinct = preceded(word("distinct"), cut(operand));
    let (i, node) = alt((
        map(word("requests"), |_| Counted::Requests),
        map(bytes, Counted::Bytes),
        map(distinct, |operand| Counted::Distinct(Box::new(operand))),
    ))
    .parse(i)?;
    Ok((i, Spanned::new(node, start.to(i.behind()))))
}

fn side(i: Input<'_>) -> Read<'_, Spanned<bool>> {
    one_word(i, &[("request", false), ("response", true)])
}

fn keys<'a>(i: Input<'a>, slot: &mut Vec<Spanned<Operand>>) -> Read<'a, ()> {
    let (i, all) = cut(operands).parse(i)?;
    *slot = all;
    Ok((i, ()))
}

fn shadowed(i: Input<'_>) -> Read<'_, Option<Stmt>> {
    let span = i.peek().span;
    let (i, until) = opt(preceded(word("until"), cut(date))).parse(i.next())?;
    let shadow = Some(Shadow { span, until });
    match i.word() {
        Some("rule") => map(|i| rule(i, shadow.clone()), |r| r.map(Stmt::Rule)).parse(i.next()),
        Some("limit") => map(|i| limit(i, shadow.clone()), |l| l.map(Stmt::Limit)).parse(i.next()),
        _ => map(|i| one_word(i, &[("rule", ()), ("limit", ())]), |_| None).parse(i),
    }
}

/// Returns whether one more rule or limit is allowed. Reports the first one beyond the limit.
fn counts(i: Input<'_>, name: &Name) -> bool {
    let read = i.cx.rules.get().saturating_add(1);
    i.cx.rules.set(read);
    if read == RULES_MAX.saturating_add(1) {
        let message = format!("a file can have at most {RULES_MAX} rules and limits");
        let said = i.cx.error(Code::TooMany, name.span, message).label("one too many");
        i.cx.say(said.help("use a list for the values that differ: `client.ip in @list`"));
    }
    read <= RULES_MAX
}

const RULE: Shape =
    Shape { of: "this rule", words: &["when", "unless", "then", "note", "expires"], many: &[] };

fn rule(i: Input<'_>, shadow: Option<Shadow>) -> Read<'_, Option<Rule>> {
    let (i, name) = cut(name("a name")).parse(i)?;
    let keep = counts(i, &name);
    let mut rule =
        Rule { shadow, name, when: None, unless: None, then: None, meta: Meta::default() };
    let (i, broken) = block(i, &RULE, &mut |i, word| match word {
        "when" => fill(i, &mut rule.when, expr),
        "unless" => fill(i, &mut rule.unless, expr),
        "then" => fill(i, &mut rule.then, actions),
        _ => meta(i, word, &mut rule.meta),
    })?;
    rule.meta.broken = broken;
    Ok((i, keep.then_some(rule)))
}

const LIMIT: Shape = Shape {
    of: "this limit",
    words: &[
        "where",
        "unless",
        "per",
        "to",
        "concurrent",
        "then",
        "hold",
        "keys",
        "note",
        "expires",
    ],
    many: &[],
};

fn limit(i: Input<'_>, shadow: Option<Shadow>) -> Read<'_, Option<Limit>> {
    let (i, name) = cut(name("a name")).parse(i)?;
    let keep = counts(i, &name);
    let mut limit = Limit {
        shadow,
        name,
        condition: None,
        unless: None,
        per: Vec::new(),
        to: None,
        concurrent: None,
        then: None,
        hold: None,
        keys: None,
        meta: Meta::default(),
    };
    let (i, broken) = block(i, &LIMIT, &mut |i, word| match word {
        "where" => fill(i, &mut limit.condition, expr),
        "unless" => fill(i, &mut limit.unless, expr),
        "per" => keys(i, &mut limit.per),
        "to" => fill(i, &mut limit.to, to),
        "concurrent" => fill(i, &mut limit.concurrent, int),
        "then" => fill(i, &mut limit.then, actions),
        "hold" => fill(i, &mut limit.hold, hold),
        "keys" => fill(i, &mut limit.keys, int),
        _ => meta(i, word, &mut limit.meta),
    })?;
    limit.meta.broken = broken;
    Ok((i, keep.then_some(limit)))
}

fn under(i: Input<'_>) -> Read<'_, Under> {
    let (i, level) = cut(name("the name of a level")).parse(i)?;
    let (i, stmts) = statements(i)?;
    Ok((i, Under { level, stmts }))
}

const DECIDE: Shape = Shape { of: "this `decide`", words: &["when", "otherwise"], many: &["when"] };

fn decide(i: Input<'_>) -> Read<'_, Decide> {
    let span = i.peek().span;
    let (mut thresholds, mut otherwise) = (Vec::new(), None);
    let (i, broken) = block(i.next(), &DECIDE, &mut |i, word| match word {
        "otherwise" => fill(i, &mut otherwise, action),
        _ => {
            let (i, threshold) = cut(threshold).parse(i)?;
            thresholds.push(threshold);
            Ok((i, ()))
        }
    })?;
    Ok((i, Decide { span, thresholds, otherwise, broken }))
}

fn threshold(i: Input<'_>) -> Read<'_, Threshold> {
    let (i, (when, _, then)) = (expr, word("then"), cut(action)).parse(i)?;
    Ok((i, Threshold { when, then }))
}

const ADJUST: Shape = Shape {
    of: "this `adjust`",
    words: &["to", "concurrent", "then", "hold", "unless", "note", "expires"],
    many: &[],
};

fn adjust(i: Input<'_>) -> Read<'_, Adjust> {
    let (i, name) = cut(name("the name of a rule or limit")).parse(i)?;
    let mut adjust = Adjust {
        name,
        to: None,
        concurrent: None,
        then: None,
        hold: None,
        unless: None,
        meta: Meta::default(),
    };
    let (i, broken) = block(i, &ADJUST, &mut |i, word| match word {
        "to" => fill(i, &mut adjust.to, to),
        "concurrent" => fill(i, &mut adjust.concurrent, int),
        "then" => fill(i, &mut adjust.then, actions),
        "hold" => fill(i, &mut adjust.hold, hold),
        "unless" => fill(i, &mut adjust.unless, expr),
        _ => meta(i, word, &mut adjust.meta),
    })?;
    adjust.meta.broken = broken;
    Ok((i, adjust))
}

fn disable(i: Input<'_>) -> Read<'_, Disable> {
    let note = preceded(word("note"), cut(text("text in quotes")));
    let (i, (name, note)) = (cut(name("the name of a rule or limit")), opt(note)).parse(i)?;
    Ok((i, Disable { name, note }))
}
