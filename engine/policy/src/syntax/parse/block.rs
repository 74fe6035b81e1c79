//! Blocks: `{`, clauses, `}`.
//!
//! If a clause cannot be read, the parser skips it, continues after it and marks the block as
//! broken. A clause is then not reported as missing only because it was skipped.

use nom::Parser;
use nom::combinator::cut;

use super::input::{Expected, Input, Miss, Read, inner, nested, sign};
use super::recover::{Place, never_closed, place, report, skip_clause};
use super::words;
use crate::code::Code;
use crate::span::Span;
use crate::syntax::lex::{Kind, Punct};

/// The clauses of one kind of block.
pub(super) struct Shape {
    /// The owner of the block, for messages.
    pub(super) of: &'static str,
    /// The keywords of its clauses.
    pub(super) words: &'static [&'static str],
    /// The keywords that can occur several times.
    pub(super) many: &'static [&'static str],
}

/// Reads one clause after its keyword.
pub(super) type Clause<'c, 'a> = &'c mut dyn FnMut(Input<'a>, &'static str) -> Read<'a, ()>;

/// Reads a block of clauses. Returns whether one of them could not be read.
pub(super) fn block<'a>(
    i: Input<'a>,
    shape: &'static Shape,
    clause: Clause<'_, 'a>,
) -> Read<'a, bool> {
    nested(i, |i| {
        let (i, open) = opened(i, shape)?;
        let outer = i.cx.words.replace(shape.words);
        let read = clauses(i, open, shape, clause);
        i.cx.words.set(outer);
        Ok(read)
    })
}

/// Reads the `{`. If only this sign is missing, the block is read nevertheless.
fn opened<'a>(i: Input<'a>, shape: &Shape) -> Read<'a, Span> {
    if !i.word().is_some_and(|word| shape.words.contains(&word)) {
        return cut(sign(Punct::Open)).parse(i);
    }
    let (before, next) = (i.behind(), i.peek().span);
    let message = format!("the `{{` of {} is missing", shape.of);
    let said = i.cx.error(Code::Unexpected, next, message).label("add `{` before this");
    i.cx.say(said.fix(Span { start: next.start, end: next.start }, "{ "));
    Ok((i, before))
}

fn clauses<'a>(
    mut i: Input<'a>,
    open: Span,
    shape: &'static Shape,
    clause: Clause<'_, 'a>,
) -> (Input<'a>, bool) {
    let mut broken = false;
    let mut seen: Vec<(&'static str, Span)> = Vec::new();
    loop {
        match place(i, open, words::begins_statement) {
            Place::Closed => return (i.next(), broken),
            Place::Open => {
                never_closed(i, open);
                return (i, true);
            }
            Place::Inside => {}
        }
        let head = keyword(i, shape.words);
        let (Head::Known(word) | Head::Guessed(word)) = head else {
            broken = true;
            i = skip_unknown(i, head, shape);
            continue;
        };
        complain_if_twice(i, word, shape, &mut seen);
        match clause(i.next(), word) {
            Ok((rest, ())) => {
                broken |= swallows_clause(i, rest, shape);
                i = rest;
            }
            Err(error) => {
                broken = true;
                let miss = inner(error, i);
                // Errors after a guessed keyword are not reported, because they can be wrong.
                if let Head::Known(_) = head {
                    report(i, &miss);
                }
                i = skip_clause(i, miss.at, shape.words);
            }
        }
    }
}

/// Returns whether an unclosed string contains the keyword of a clause.
fn swallows_clause<'a>(mut i: Input<'a>, rest: Input<'a>, shape: &Shape) -> bool {
    while i.peek().span.start < rest.peek().span.start {
        let lost = i.cx.swallowed(i.peek()).unwrap_or_default();
        if lost.split([' ', '\t', ')']).any(|word| shape.words.contains(&word)) {
            return true;
        }
        i = i.next();
    }
    false
}

/// The keyword of a clause or statement.
#[derive(Clone, Copy)]
pub(super) enum Head {
    /// A keyword that is valid here.
    Known(&'static str),
    /// A misspelt keyword, already reported.
    Guessed(&'static str),
    /// An unknown word, already reported, with the similar word of the language.
    Unknown(Option<&'static str>),
}

pub(super) fn keyword(i: Input<'_>, known: &'static [&'static str]) -> Head {
    let find = |found: &str| known.iter().copied().find(|word| *word == found);
    if let Some(word) = i.word().and_then(find) {
        return Head::Known(word);
    }
    let mut expected: Vec<Expected> = known.iter().map(|word| Expected::Word(word)).collect();
    if super::input::is_nested(i) {
        expected.push(Expected::Sign("}"));
    }
    let silent = i.peek().kind == Kind::Bad;
    let proposed = report(i, &Miss { at: i.peek().span.start, expected, silent });
    proposed.and_then(find).map_or(Head::Unknown(proposed), Head::Guessed)
}

fn skip_unknown<'a>(i: Input<'a>, head: Head, shape: &Shape) -> Input<'a> {
    // `doubling to` contains a keyword of another clause; it belongs to `doubling`.
    let start = if matches!(head, Head::Unknown(Some("doubling"))) { i.next() } else { i };
    skip_clause(start, start.peek().span.start, shape.words)
}

fn complain_if_twice(
    i: Input<'_>,
    word: &'static str,
    shape: &Shape,
    seen: &mut Vec<(&'static str, Span)>,
) {
    let span = i.peek().span;
    if shape.many.contains(&word) {
        return;
    }
    let Some((_, first)) = seen.iter().find(|(known, _)| *known == word) else {
        seen.push((word, span));
        return;
    };
    let message = format!("`{word}` occurs twice in {}", shape.of);
    let mut said = i.cx.error(Code::ClauseTwice, span, message).label("the second one");
    said = said.related(i.cx.file, *first, "the first one");
    if matches!(word, "when" | "unless" | "where") {
        said = said.help("join the two conditions with `and` or `or`");
    }
    i.cx.say(said);
}
