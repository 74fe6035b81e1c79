//! Actions: effects first, then at most one final action.

use nom::Parser;
use nom::branch::alt;
use nom::combinator::{cut, map, opt, value};
use nom::sequence::preceded;
use seawall_model::PassKind;

use super::expr::operands;
use super::input::{Expected, Input, Read, sign, word};
use super::value::{duration, int, rate, text};
use super::words;
use crate::code::Code;
use crate::diagnostic::nearest;
use crate::span::{Span, Spanned};
use crate::syntax::ast::Action;
use crate::syntax::ast::BanUnit;
use crate::syntax::lex::{Kind, Punct};

/// Reads `action, action, …`.
pub(super) fn actions(i: Input<'_>) -> Read<'_, Spanned<Vec<Spanned<Action>>>> {
    let start = i.peek().span;
    let (mut i, first) = cut(action).parse(i)?;
    let mut end = is_final(&first.node).then_some(first.span);
    let mut all = vec![first];
    while let (rest, Some(_)) = opt(sign(Punct::Comma)).parse(i)? {
        let (rest, next) = cut(action).parse(rest)?;
        match end {
            Some(end) => complain_late(i, end, &next),
            None => end = is_final(&next.node).then_some(next.span),
        }
        all.push(next);
        i = rest;
    }
    let span = start.to(i.behind());
    Ok((i, Spanned::new(all, span)))
}

/// Reports an action after a final action, because it is never reached.
fn complain_late(i: Input<'_>, end: Span, next: &Spanned<Action>) {
    let message = match &next.node {
        Action::Error => return,
        action if is_final(action) => "two final actions: the first one ends the evaluation",
        _ => "an effect after the final action has no effect",
    };
    let said = i.cx.error(Code::ActionOrder, next.span, message).label("never reached");
    let said = said.related(i.cx.file, end, "the final action");
    i.cx.say(said.help("write effects (`tag`, `score`, `log`) first, and one final action last"));
}

const fn is_final(action: &Action) -> bool {
    match action {
        Action::Allow
        | Action::Block { .. }
        | Action::Drop
        | Action::Ban { .. }
        | Action::Challenge { .. }
        | Action::Throttle { .. }
        | Action::Tarpit(_) => true,
        Action::Tag(_) | Action::Score(_) | Action::Log(_) | Action::Error => false,
    }
}

/// Reads one action.
pub(super) fn action(i: Input<'_>) -> Read<'_, Spanned<Action>> {
    let token = i.peek();
    if token.kind == Kind::Bad {
        return Ok((swallow(i.next()), Spanned::new(Action::Error, token.span)));
    }
    let Some(found) = i.word() else {
        return i.miss(Expected::What("an action"));
    };
    if !words::ACTIONS.contains(&found) {
        return unknown(i, found);
    }
    let (i, node) = cut(|i| known(i, found)).parse(i.next())?;
    Ok((i, Spanned::new(node, token.span.to(i.behind()))))
}

fn known<'a>(i: Input<'a>, word: &str) -> Read<'a, Action> {
    match word {
        "allow" => Ok((i, Action::Allow)),
        "drop" => Ok((i, Action::Drop)),
        "block" => block(i),
        "ban" => ban(i),
        "challenge" => challenge(i),
        "throttle" => throttle(i),
        "tarpit" => map(duration, Action::Tarpit).parse(i),
        "tag" => map(text("a tag in quotes"), Action::Tag).parse(i),
        "log" => map(opt(text("text in quotes")), Action::Log).parse(i),
        _ => score(i),
    }
}

fn block(i: Input<'_>) -> Read<'_, Action> {
    let page = preceded(word("page"), cut(text("the name of a page in quotes")));
    map((opt(int), opt(page)), |(status, page)| Action::Block { status, page }).parse(i)
}

fn ban(i: Input<'_>) -> Read<'_, Action> {
    let per = preceded(word("per"), cut(unit));
    map((duration, opt(per)), |(duration, per)| Action::Ban { duration, per }).parse(i)
}

/// Reads the unit of a ban.
fn unit(i: Input<'_>) -> Read<'_, Spanned<BanUnit>> {
    let known = [
        ("client", BanUnit::Client),
        ("client.ip", BanUnit::Ip),
        ("client.net", BanUnit::Net),
        ("client.asn", BanUnit::Asn),
    ];
    one_word(i, &known)
}

/// Reads one of several words and returns its value.
pub(super) fn one_word<'a, T: Copy>(
    i: Input<'a>,
    known: &[(&'static str, T)],
) -> Read<'a, Spanned<T>> {
    let found = i.word().unwrap_or_default();
    if let Some((_, meant)) = known.iter().find(|(word, _)| *word == found) {
        return Ok((i.next(), Spanned::new(*meant, i.peek().span)));
    }
    let mut last = i.give_up();
    for (word, _) in known {
        last = i.miss(Expected::Word(word));
    }
    last
}

fn challenge(i: Input<'_>) -> Read<'_, Action> {
    let known = [("cookie", PassKind::Cookie), ("pow", PassKind::Pow), ("page", PassKind::Page)];
    let kind = |i| one_word(i, &known);
    let valid = preceded(word("for"), cut(duration));
    map((opt(kind), opt(valid)), |(kind, valid)| Action::Challenge { kind, valid }).parse(i)
}

fn throttle(i: Input<'_>) -> Read<'_, Action> {
    let per = preceded(word("per"), cut(operands));
    let (i, (rate, per)) = (preceded(word("to"), cut(rate)), opt(per)).parse(i)?;
    Ok((i, Action::Throttle { rate, per: per.unwrap_or_default() }))
}

fn score(i: Input<'_>) -> Read<'_, Action> {
    let sign = alt((value(1_i64, sign(Punct::Plus)), value(-1, sign(Punct::Minus))));
    let (i, (factor, n)) = (sign, cut(int)).parse(i)?;
    Ok((i, Action::Score(Spanned::new(n.node.saturating_mul(factor), n.span))))
}

/// Reads an unknown word and the text that probably belongs to it.
fn unknown<'a>(i: Input<'a>, found: &'a str) -> Read<'a, Spanned<Action>> {
    let span = i.peek().span;
    if words::is_reserved(found) || i.cx.words.get().contains(&found) {
        return i.miss(Expected::What("an action"));
    }
    let elsewhere = words::action_elsewhere(found);
    let ours = elsewhere.or_else(|| nearest(found, words::ACTIONS.iter().copied()));
    let mut said = i.cx.error(Code::UnknownAction, span, format!("`{found}` is not an action"));
    said = match ours {
        Some(word) => said.label(format!("did you mean `{word}`?")).fix(span, word),
        None => said
            .label("no action")
            .help(format!("the actions are `{}`", words::ACTIONS.join("`, `"))),
    };
    i.cx.say(said);
    Ok((swallow(i.next()), Spanned::new(Action::Error, span)))
}

/// Skips text that looks like the arguments of an action.
fn swallow(mut i: Input<'_>) -> Input<'_> {
    let mut depth = 0_usize;
    loop {
        match i.peek().kind {
            Kind::Eof => return i,
            Kind::Punct(Punct::Comma | Punct::Close) if depth == 0 => return i,
            Kind::Punct(Punct::Open) => depth = depth.saturating_add(1),
            Kind::Punct(Punct::Close) => depth = depth.saturating_sub(1),
            Kind::Word if ends_arguments(i) && depth == 0 => return i,
            _ => {}
        }
        i = i.next();
    }
}

fn ends_arguments(i: Input<'_>) -> bool {
    let word = i.word().unwrap_or_default();
    word == "by"
        || i.cx.words.get().contains(&word)
        || (words::begins_statement(word) && i.cx.indent(i.peek().span).is_some())
}
