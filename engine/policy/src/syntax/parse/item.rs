//! Items at the top level of a file.

use nom::Parser;
use nom::combinator::{cut, map, opt};
use nom::sequence::preceded;

use super::block::{Head, Shape, block, keyword};
use super::clause::{fill, meta};
use super::expr::expr;
use super::input::{Input, Read, name, sign, word};
use super::statement::{decl, statement, statements};
use super::test::test;
use super::value::{duration, int, literal_or_word, set, size, text};
use super::words;
use crate::code::Code;
use crate::span::Spanned;
use crate::syntax::ast::{Extern, Item, Layer, LayerKind, Level, Member, Meta, Param, Site};
use crate::syntax::lex::Punct;

/// Reads one item. Returns `None` for a statement that is not valid here.
pub(super) fn item(i: Input<'_>) -> Read<'_, Option<Item>> {
    if let Some(found) = i.word().filter(|found| is_statement_only(found)) {
        return outside(i, found);
    }
    let (word, guessed) = match keyword(i, words::ITEMS) {
        Head::Known(word) => (word, false),
        Head::Guessed(word) => (word, true),
        Head::Unknown(_) => return i.give_up(),
    };
    match known(i, word) {
        Ok((rest, item)) => {
            i.cx.outside_said.set(false);
            Ok((rest, Some(item)))
        }
        Err(_) if guessed => i.give_up(),
        Err(error) => Err(error),
    }
}

fn is_statement_only(word: &str) -> bool {
    words::STATEMENTS.contains(&word) && !words::ITEMS.contains(&word)
}

/// Reads a statement outside every layer, to report errors inside it. One diagnostic covers several
/// such statements in a row.
fn outside<'a>(i: Input<'a>, found: &'a str) -> Read<'a, Option<Item>> {
    if !i.cx.outside_said.replace(true) {
        let message = format!("`{found}` is not valid outside a layer");
        let said = i.cx.error(Code::Misplaced, i.peek().span, message).label("not here");
        i.cx.say(said.help("move it into `guarantee`, `floor`, `defaults` or `site`"));
    }
    let (i, _) = statement(i, found)?;
    Ok((i, None))
}

fn known<'a>(i: Input<'a>, word: &str) -> Read<'a, Item> {
    let span = i.peek().span;
    let after = i.next();
    let layer =
        |kind| map(statements, move |stmts| Item::Layer(Layer { kind, span, stmts })).parse(after);
    match word {
        "include" => map(cut(text("a path in quotes")), Item::Include).parse(after),
        "member" => map(member, Item::Member).parse(after),
        "level" => map(level, Item::Level).parse(after),
        "extern" => map(external, Item::Extern).parse(after),
        "guarantee" => layer(LayerKind::Guarantee),
        "floor" => layer(LayerKind::Floor),
        "defaults" => layer(LayerKind::Defaults),
        "site" => map(site, Item::Site).parse(i),
        "test" => map(test, Item::Test).parse(after),
        _ => map(|i| decl(i, word), Item::Decl).parse(after),
    }
}

fn site(i: Input<'_>) -> Read<'_, Site> {
    let span = i.peek().span;
    let (mut i, first) = cut(text("a host in quotes")).parse(i.next())?;
    let mut hosts = vec![first];
    while let (rest, Some(_)) = opt(sign(Punct::Comma)).parse(i)? {
        let (rest, host) = cut(text("a host in quotes")).parse(rest)?;
        hosts.push(host);
        i = rest;
    }
    let (i, stmts) = statements(i)?;
    Ok((i, Site { hosts, span, stmts }))
}

const MEMBER: Shape = Shape {
    of: "this member",
    words: &["hosts", "may", "rules", "keys", "cpu", "file", "note", "expires"],
    many: &[],
};

fn member(i: Input<'_>) -> Read<'_, Member> {
    let (i, name) = cut(name("a name")).parse(i)?;
    let mut member = Member {
        name,
        hosts: None,
        may: None,
        rules: None,
        keys: None,
        cpu: None,
        file: None,
        meta: Meta::default(),
    };
    let (i, broken) = block(i, &MEMBER, &mut |i, word| match word {
        "hosts" => fill(i, &mut member.hosts, set),
        "may" => fill(i, &mut member.may, set),
        "rules" => fill(i, &mut member.rules, int),
        "keys" => fill(i, &mut member.keys, int),
        "cpu" => fill(i, &mut member.cpu, duration),
        "file" => fill(i, &mut member.file, text("a path in quotes")),
        _ => meta(i, word, &mut member.meta),
    })?;
    member.meta.broken = broken;
    Ok((i, member))
}

const LEVEL: Shape =
    Shape { of: "this level", words: &["enter", "leave", "note", "expires"], many: &[] };

fn level(i: Input<'_>) -> Read<'_, Level> {
    let per = opt(preceded(word("per"), cut(word("site"))));
    let (i, (name, per)) = (cut(name("a name")), per).parse(i)?;
    let mut level = Level {
        name,
        per_site: per.is_some(),
        enter: None,
        sustained: None,
        leave_after: None,
        meta: Meta::default(),
    };
    let (i, broken) = block(i, &LEVEL, &mut |i, word| match word {
        "enter" => {
            let sustained = opt(preceded(super::input::word("sustained"), cut(duration)));
            let when = preceded(cut(super::input::word("when")), expr);
            let (i, (when, sustained)) = (when, sustained).parse(i)?;
            level.enter = Some(when);
            level.sustained = sustained;
            Ok((i, ()))
        }
        "leave" => {
            let (i, _) = cut(super::input::word("after")).parse(i)?;
            fill(i, &mut level.leave_after, duration)
        }
        _ => meta(i, word, &mut level.meta),
    })?;
    level.meta.broken = broken;
    Ok((i, level))
}

const EXTERN: Shape = Shape {
    of: "this extern",
    words: &["module", "function", "fuel", "time", "memory", "on_failure", "isolate"],
    many: &[],
};

fn external(i: Input<'_>) -> Read<'_, Extern> {
    let head = (name("a name"), params, sign(Punct::Arrow), name("a type"));
    let (i, (name, params, _, result)) = cut(head).parse(i)?;
    let mut out = Extern {
        name,
        params,
        result,
        module: None,
        sha256: None,
        function: None,
        fuel: None,
        time: None,
        memory: None,
        on_failure: None,
        isolate: None,
        broken: false,
    };
    let (i, broken) = block(i, &EXTERN, &mut |i, word| external_clause(i, word, &mut out))?;
    out.broken = broken;
    Ok((i, out))
}

fn external_clause<'a>(i: Input<'a>, clause: &str, out: &mut Extern) -> Read<'a, ()> {
    match clause {
        "module" => {
            let digest = opt(preceded(word("sha256"), cut(text("a digest in quotes"))));
            let (i, (module, digest)) = (cut(text("a path in quotes")), digest).parse(i)?;
            out.module = Some(module);
            out.sha256 = digest;
            Ok((i, ()))
        }
        "function" => fill(i, &mut out.function, text("a name in quotes")),
        "fuel" => fill(i, &mut out.fuel, int),
        "time" => fill(i, &mut out.time, duration),
        "memory" => fill(i, &mut out.memory, size),
        "isolate" => fill(i, &mut out.isolate, word("per_call")),
        _ => {
            let (i, _) = cut(word("return")).parse(i)?;
            fill(i, &mut out.on_failure, literal_or_word)
        }
    }
}

/// Reads `(name: type, …)`.
fn params(i: Input<'_>) -> Read<'_, Vec<Param>> {
    let (mut i, _) = sign(Punct::ParenOpen)(i)?;
    let mut all = Vec::new();
    if i.is(Punct::ParenClose) {
        return Ok((i.next(), all));
    }
    loop {
        let param = (name("a name"), sign(Punct::Colon), name("a type"));
        let (rest, (name, _, ty)) = cut(param).parse(i)?;
        all.push(Param { name, ty });
        let (rest, more) = opt(sign(Punct::Comma)).parse(rest)?;
        i = rest;
        if more.is_none() {
            let (i, _) = cut(sign(Punct::ParenClose)).parse(i)?;
            return Ok((i, all));
        }
    }
}

/// The first line of a file.
pub(super) struct FirstLine {
    /// The language version.
    pub(super) version: Spanned<i64>,
    /// The free text after it.
    pub(super) revision: Option<Spanned<Box<str>>>,
}

/// Reads `policy 1 "…"`.
pub(super) fn first_line(i: Input<'_>) -> Read<'_, FirstLine> {
    let rest = cut((int, opt(text("text in quotes"))));
    map(preceded(word("policy"), rest), |(version, revision)| FirstLine { version, revision })
        .parse(i)
}
