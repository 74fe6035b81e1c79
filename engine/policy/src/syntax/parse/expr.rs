//! Conditions.
//!
//! `and` and `or` cannot be mixed without parentheses, so there is no precedence. The functions
//! call each other and are therefore plain functions with small frames: a deeply nested condition
//! must fit on a small stack.

use nom::Parser;
use nom::combinator::{cut, opt};

use super::input::{Expected, Input, Read, nested, sign, word};
use super::value::{list_ref, literal, set};
use super::words;
use crate::code::Code;
use crate::diagnostic::nearest;
use crate::span::{Span, Spanned};
use crate::syntax::ast::{CompareOp, Expr, OpKind, Operand};
use crate::syntax::lex::{Kind, Punct};

/// Reads a complete condition. A missing condition is an error.
pub(super) fn expr(i: Input<'_>) -> Read<'_, Spanned<Expr>> {
    let start = i.peek().span;
    let (mut i, first) = cut(negation).parse(i)?;
    // Terms joined by `and`, then by `or`, as in other languages. The result is used only if the
    // two are not mixed. If they are mixed, it still lets `check` examine the parts.
    let mut any: Vec<Vec<Spanned<Expr>>> = vec![vec![first]];
    let mut joints: Vec<(&str, Span)> = Vec::new();
    loop {
        let joint = i.peek().span;
        let Some(found) = i.word().filter(|w| matches!(*w, "and" | "or")) else {
            // Records that `and` and `or` were possible here, for later errors.
            let _ = word("and")(i);
            let _ = word("or")(i);
            break;
        };
        joints.push((found, joint));
        let (rest, term) = cut(negation).parse(i.next())?;
        match any.last_mut().filter(|_| found == "and") {
            Some(all) => all.push(term),
            None => any.push(vec![term]),
        }
        i = rest;
    }
    let span = start.to(i.behind());
    complain_if_mixed(i, span, &joints);
    Ok((i, joined(any, span)))
}

fn complain_if_mixed(i: Input<'_>, span: Span, joints: &[(&str, Span)]) {
    let Some((first, place)) = joints.first() else { return };
    if joints.iter().all(|(joint, _)| joint == first) {
        return;
    }
    let message = "`and` and `or` are mixed without parentheses";
    let said = i.cx.error(Code::MixedLogic, span, message).label("the meaning is ambiguous");
    let said = said.related(i.cx.file, *place, format!("`{first}` is used first here"));
    i.cx.say(said.help("add parentheses around one part"));
}

fn joined(any: Vec<Vec<Spanned<Expr>>>, span: Span) -> Spanned<Expr> {
    let mut terms: Vec<Spanned<Expr>> = any.into_iter().map(|all| one_or(all, Expr::And)).collect();
    if terms.len() == 1 {
        return terms.pop().unwrap_or(Spanned::new(Expr::Error, span));
    }
    Spanned::new(Expr::Or(terms), span)
}

fn one_or(mut terms: Vec<Spanned<Expr>>, many: fn(Vec<Spanned<Expr>>) -> Expr) -> Spanned<Expr> {
    let span = match (terms.first(), terms.last()) {
        (Some(first), Some(last)) => first.span.to(last.span),
        _ => Span::default(),
    };
    match terms.len() {
        1 => terms.pop().unwrap_or(Spanned::new(Expr::Error, span)),
        _ => Spanned::new(many(terms), span),
    }
}

fn negation(i: Input<'_>) -> Read<'_, Spanned<Expr>> {
    if i.word() != Some("not") {
        return comparison(i);
    }
    let start = i.peek().span;
    let (i, inner) = nested(i, |i| cut(negation).parse(i.next()))?;
    let span = start.to(inner.span);
    Ok((i, Spanned::new(Expr::Not(Box::new(inner)), span)))
}

fn comparison(i: Input<'_>) -> Read<'_, Spanned<Expr>> {
    let (i, left) = operand(i)?;
    if let Ok((i, _)) = word("is")(i) {
        let (i, present) = cut(presence).parse(i)?;
        let span = left.span.to(i.behind());
        return Ok((i, Spanned::new(Expr::Is { operand: left, present }, span)));
    }
    let (i, op) = opt(operator).parse(i)?;
    let Some(op) = op else {
        return Ok((i, Spanned::new(Expr::Bare(left.node), left.span)));
    };
    let (i, right) = cut(operand).parse(i)?;
    let span = left.span.to(right.span);
    Ok((i, Spanned::new(Expr::Compare { left, op, right }, span)))
}

fn presence(i: Input<'_>) -> Read<'_, bool> {
    match word("absent")(i) {
        Ok((i, _)) => Ok((i, false)),
        Err(_) => word("present")(i).map(|(i, _)| (i, true)),
    }
}

const WORD_OPERATORS: &[(&str, OpKind)] = &[
    ("in", OpKind::In),
    ("contains", OpKind::Contains),
    ("starts_with", OpKind::StartsWith),
    ("ends_with", OpKind::EndsWith),
    ("like", OpKind::Like),
    ("matches", OpKind::Matches),
];

fn operator(i: Input<'_>) -> Read<'_, Spanned<CompareOp>> {
    let token = i.peek();
    let plain = |kind, negated| {
        let op = CompareOp { kind, negated, nocase: false };
        Ok((i.next(), Spanned::new(op, token.span)))
    };
    match token.kind {
        Kind::Punct(Punct::Equal) => plain(OpKind::Eq, false),
        Kind::Punct(Punct::NotEqual) => plain(OpKind::Eq, true),
        Kind::Punct(Punct::Less) => plain(OpKind::Less, false),
        Kind::Punct(Punct::LessEqual) => plain(OpKind::LessEq, false),
        Kind::Punct(Punct::Greater) => plain(OpKind::Greater, false),
        Kind::Punct(Punct::GreaterEqual) => plain(OpKind::GreaterEq, false),
        Kind::Punct(Punct::Assign) => {
            let message = "`=` is not a comparison; use `==`";
            let said = i.cx.error(Code::SingleEquals, token.span, message);
            i.cx.say(said.label("use `==` to compare").fix(token.span, "=="));
            plain(OpKind::Eq, false)
        }
        Kind::Word | Kind::Stands(_) => word_operator(i),
        _ => i.miss(Expected::What("a comparison like `==`")),
    }
}

fn word_operator(i: Input<'_>) -> Read<'_, Spanned<CompareOp>> {
    let start = i.peek().span;
    let negated = i.word() == Some("not");
    let at = if negated { i.next() } else { i };
    let found = at.word().unwrap_or_default();
    let known = WORD_OPERATORS.iter().find(|(word, _)| *word == found);
    let Some((_, kind)) = known else {
        return if negated { not_an_operator(at) } else { other_word(i) };
    };
    let (i, nocase) = match kind {
        OpKind::In => (at.next(), None),
        _ => opt(word("nocase")).parse(at.next())?,
    };
    let op = CompareOp { kind: *kind, negated, nocase: nocase.is_some() };
    Ok((i, Spanned::new(op, start.to(i.behind()))))
}

/// Reports the word after `not` if it is not a comparison operator.
fn not_an_operator(at: Input<'_>) -> Read<'_, Spanned<CompareOp>> {
    for (word, _) in WORD_OPERATORS {
        let _ = at.miss::<()>(Expected::Word(word));
    }
    cut(not_here).parse(at)
}

fn not_here(i: Input<'_>) -> Read<'_, Spanned<CompareOp>> {
    i.miss(Expected::Word("in"))
}

/// Reports a word after an operand that is not a comparison: of another language, misspelt, or a
/// keyword of the next clause.
fn other_word(i: Input<'_>) -> Read<'_, Spanned<CompareOp>> {
    let (span, found) = (i.peek().span, i.word().unwrap_or_default());
    let nothing = i.miss(Expected::What("a comparison like `==`"));
    if words::is_reserved(found) || i.cx.words.get().contains(&found) {
        return nothing;
    }
    let signs = [
        ("==", OpKind::Eq, false),
        ("!=", OpKind::Eq, true),
        ("<", OpKind::Less, false),
        ("<=", OpKind::LessEq, false),
        (">", OpKind::Greater, false),
        (">=", OpKind::GreaterEq, false),
    ];
    let by_word = |word: &str| {
        let sign = signs.iter().find(|(sign, ..)| *sign == word).map(|s| (s.1, s.2));
        sign.or_else(|| WORD_OPERATORS.iter().find(|(w, _)| *w == word).map(|w| (w.1, false)))
    };
    let ours = words::comparison_elsewhere(found)
        .or_else(|| nearest(found, WORD_OPERATORS.iter().map(|(word, _)| *word)));
    // A misspelt keyword or `and` is more similar to that word than to a comparison.
    let others = words::RESERVED.iter().chain(i.cx.words.get()).copied();
    let nearer = nearest(found, others).filter(|word| by_word(word).is_none());
    let Some((word, (kind, negated))) =
        ours.filter(|_| nearer.is_none()).and_then(|word| Some((word, by_word(word)?)))
    else {
        return nothing;
    };
    let said =
        i.cx.error(Code::ForeignSign, span, format!("`{found}` is not a comparison; use `{word}`"))
            .label(format!("did you mean `{word}`?"))
            .fix(span, word);
    i.cx.say(said);
    Ok((i.next(), Spanned::new(CompareOp { kind, negated, nocase: false }, span)))
}

/// Reads one side of a comparison, a key, or an argument.
pub(super) fn operand(i: Input<'_>) -> Read<'_, Spanned<Operand>> {
    let token = i.peek();
    match token.kind {
        Kind::ListRef => {
            list_ref(i).map(|(i, list)| (i, Spanned::new(Operand::ListRef(list.node), list.span)))
        }
        Kind::Punct(Punct::Open) => {
            set(i).map(|(i, set)| (i, Spanned::new(Operand::Set(set.node), set.span)))
        }
        Kind::Punct(Punct::ParenOpen) => group(i),
        Kind::Bad => Ok((i.next(), Spanned::new(Operand::Error, token.span))),
        Kind::Word if matches!(i.word(), Some("true" | "false")) => written(i),
        Kind::Word => word_operand(i),
        Kind::Punct(_) | Kind::Stands(_) | Kind::Eof => i.miss(WANTED),
        _ => written(i),
    }
}

const WANTED: Expected = Expected::What("a field or a value");

fn written(i: Input<'_>) -> Read<'_, Spanned<Operand>> {
    literal(i).map(|(i, literal)| (i, Spanned::new(Operand::Literal(literal.node), literal.span)))
}

fn group(i: Input<'_>) -> Read<'_, Spanned<Operand>> {
    let open = i.peek().span;
    nested(i, |i| {
        let (i, inner) = expr(i.next())?;
        let (i, close) = closed(i, open)?;
        Ok((i, Spanned::new(Operand::Group(Box::new(inner)), open.to(close))))
    })
}

/// Reads the `)` for the `(` at `open`. If the next clause follows, only the sign is missing.
fn closed(i: Input<'_>, open: Span) -> Read<'_, Span> {
    let clause = i.word().is_some_and(|word| i.cx.words.get().contains(&word));
    if !clause && !i.is(Punct::Close) {
        return cut(sign(Punct::ParenClose)).parse(i);
    }
    if i.is_swallowed() {
        return Ok((i, i.behind()));
    }
    let said = i.cx.error(Code::Unexpected, open, "the `(` is not closed");
    let said = said.related(i.cx.file, i.peek().span, "add `)` before this");
    i.cx.say(said.label("the `)` for this `(` is missing"));
    Ok((i, i.behind()))
}

fn word_operand(i: Input<'_>) -> Read<'_, Spanned<Operand>> {
    let (token, found) = (i.peek(), i.word().unwrap_or_default());
    let next = i.at(1);
    let opens = next.kind == Kind::Punct(Punct::ParenOpen);
    if opens && next.span.start == token.span.end {
        return call(i);
    }
    if words::is_reserved(found) {
        return i.miss(WANTED);
    }
    if opens {
        let gap = Span { start: token.span.end, end: next.span.start };
        if i.cx.slice(gap).chars().all(|c| matches!(c, ' ' | '\t')) {
            let message = format!("there is a blank between `{found}` and its arguments");
            let said = i.cx.error(Code::Unexpected, gap.to(next.span), message);
            i.cx.say(said.label("remove the blank").fix(gap, ""));
            return call(i);
        }
    }
    Ok((i.next(), Spanned::new(Operand::Word(found.into()), token.span)))
}

fn call(i: Input<'_>) -> Read<'_, Spanned<Operand>> {
    let name = Spanned::new(i.word().unwrap_or_default().into(), i.peek().span);
    let open = i.at(1).span;
    nested(i, |i| {
        let (mut i, mut args) = (i.skip(2), Vec::new());
        if !i.is(Punct::ParenClose) {
            (i, args) = cut(operands).parse(i)?;
        }
        let (i, close) = closed(i, open)?;
        let span = name.span.to(close);
        Ok((i, Spanned::new(Operand::Call { name, args }, span)))
    })
}

/// Reads `a, b`: the arguments of a call, or the parts of a key.
pub(super) fn operands(i: Input<'_>) -> Read<'_, Vec<Spanned<Operand>>> {
    let (mut i, first) = operand(i)?;
    let mut all = vec![first];
    while let (rest, Some(_)) = opt(sign(Punct::Comma)).parse(i)? {
        let (rest, more) = cut(operand).parse(rest)?;
        all.push(more);
        i = rest;
    }
    Ok((i, all))
}
