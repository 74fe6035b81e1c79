//! What is said about a place that does not fit, and where reading goes on.
//!
//! Reading goes on at the next clause word inside a block and at the next item or statement word
//! at the start of a line outside. A `{` without its `}` is guessed at only in a file that has
//! more of the one than of the other, so a misplaced block is never taken for an open one.

use super::input::{Expected, Input, Miss, is_nested};
use super::words;
use crate::code::Code;
use crate::diagnostic::nearest;
use crate::span::Span;
use crate::syntax::lex::{Kind, Punct};

/// How many possibilities a message names before it leaves them to the help.
const NAMED_MAX: usize = 4;

/// Words that others use for one of ours.
const OTHER_NAMES: &[(&str, &str)] =
    &[("tenant", "member"), ("customer", "member"), ("user", "member"), ("account", "member")];

/// Complains about a miss, unless everything was said. Returns the word that was proposed.
pub(super) fn report(i: Input<'_>, miss: &Miss) -> Option<&'static str> {
    let tokens = i.cx.tokens;
    let at = tokens.partition_point(|token| token.span.start < miss.at);
    let token = tokens.get(at).or_else(|| tokens.last()).copied()?;
    // At the end of the file inside a block, the block that is never closed is the mistake.
    let open_end = token.kind == Kind::Eof && is_nested(i);
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let swallowed = before.is_some_and(|token| i.cx.swallowed(*token).is_some());
    if miss.silent || token.kind == Kind::Bad || open_end || swallowed {
        return None;
    }
    let possible = i.cx.possible(miss);
    let found = i.cx.slice(token.span);
    let words = possible.iter().filter_map(|expected| match expected {
        Expected::Word(word) => Some(*word),
        _ => None,
    });
    let near = (token.kind == Kind::Word).then(|| proposal(found, words)).flatten();
    if let Some(word) = near {
        misspelt(i, token.span, word);
        return near;
    }
    let shown = if token.kind == Kind::Eof { "the end of the file".into() } else { quoted(found) };
    let list = listed(&possible);
    let few = !possible.is_empty() && possible.len() <= NAMED_MAX;
    let message = if few {
        format!("found {shown} where {list} was expected")
    } else {
        format!("{shown} does not fit here")
    };
    let mut said = i.cx.error(Code::Unexpected, token.span, message).label("not expected here");
    if !few && !possible.is_empty() {
        said = said.help(format!("possible here: {list}"));
    }
    i.cx.say(said);
    None
}

/// The word that was probably meant: the language's word for the same thing, or the nearest one.
fn proposal(
    found: &str,
    words: impl Iterator<Item = &'static str> + Clone,
) -> Option<&'static str> {
    let other = OTHER_NAMES.iter().find(|(theirs, _)| *theirs == found);
    match other {
        Some((_, ours)) if words.clone().any(|word| word == *ours) => Some(ours),
        _ => nearest(found, words),
    }
}

/// Complains about a word that is nearly one of the language.
pub(super) fn misspelt(i: Input<'_>, span: Span, word: &'static str) {
    let found = i.cx.slice(span);
    let said =
        i.cx.error(Code::Unexpected, span, format!("`{found}` is no word of the language here"))
            .label(format!("did you mean `{word}`?"))
            .fix(span, word);
    i.cx.say(said);
}

/// A text between backticks, shortened to what fits into a message.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 40;
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(SHOWN_CHARS_MAX).collect();
    let more = if chars.next().is_some() { "…" } else { "" };
    format!("`{head}{more}`")
}

/// `a`, `b` or `c`.
pub(super) fn listed(all: &[Expected]) -> String {
    let mut out = String::new();
    for (n, expected) in all.iter().enumerate() {
        let last = n.saturating_add(1) == all.len();
        out.push_str(match (n, last) {
            (0, _) => "",
            (_, true) => " or ",
            (_, false) => ", ",
        });
        out.push_str(&expected.to_string());
    }
    out
}

/// Complains, once, about a block whose `}` is missing.
pub(super) fn never_closed(i: Input<'_>, open: Span) {
    let cx = i.cx;
    if cx.unclosed.get() == 0 && cx.unclosed_said.get() {
        return;
    }
    // At the end of the file one complaint is enough: the inner block's.
    if i.is_end() && cx.unclosed_said.replace(true) {
        return;
    }
    cx.unclosed_said.set(true);
    cx.unclosed.set(cx.unclosed.get().saturating_sub(1));
    if cx.braces_lost {
        return;
    }
    let said = cx.error(Code::UnclosedBlock, open, "this block is never closed");
    cx.say(said.label("the `}` for this `{` is missing"));
}

/// What a place in a block says about the block's end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The `}` of this block.
    Closed,
    /// The block ends here without a `}`.
    Open,
    /// The block goes on.
    Inside,
}

/// Whether the block that began at `open` ends here. `foreign` says which words at the start of a
/// line cannot stand in it.
pub(super) fn place(i: Input<'_>, open: Span, foreign: fn(&str) -> bool) -> Place {
    let span = i.peek().span;
    if i.is_end() {
        return Place::Open;
    }
    let lacking = i.cx.unclosed.get() > 0;
    if i.is(Punct::Close) {
        // A `}` that stands further left than the line of our `{` closes a block around ours.
        let outer = i.cx.indent(span).is_some_and(|indent| indent < i.cx.line_indent(open));
        return if lacking && outer { Place::Open } else { Place::Closed };
    }
    let begins = lacking && i.word().is_some_and(foreign) && i.cx.indent(span).is_some();
    if begins { Place::Open } else { Place::Inside }
}

/// Where reading goes on behind a clause that could not be read: at the next clause word, at the
/// `}` of the block, or where the block turns out to be open.
pub(super) fn skip_clause<'a>(start: Input<'a>, at: u32, clauses: &[&str]) -> Input<'a> {
    let mut i = start.next();
    let mut depth = usize::from(start.is(Punct::Open));
    while !i.is_end() {
        let token = i.peek();
        let reached = token.span.start >= at;
        match token.kind {
            Kind::Punct(Punct::Open) => depth = depth.saturating_add(1),
            Kind::Punct(Punct::Close) if depth == 0 && reached => return i,
            Kind::Punct(Punct::Close) => depth = depth.saturating_sub(1),
            Kind::Word if reached && ends_skip(i, depth, clauses) => return i,
            _ => {}
        }
        i = i.next();
    }
    i
}

fn ends_skip(i: Input<'_>, depth: usize, clauses: &[&str]) -> bool {
    let word = i.word().unwrap_or_default();
    if depth == 0 && clauses.contains(&word) {
        return true;
    }
    let lacking = i.cx.unclosed.get() > 0;
    lacking && words::begins_statement(word) && i.cx.indent(i.peek().span).is_some()
}

/// Where reading goes on behind an item or statement that could not be read: behind its block, at
/// the next one at the start of a line, or at the `}` of the block around it.
pub(super) fn skip_statement<'a>(start: Input<'a>, at: u32) -> Input<'a> {
    let mut i = start.next();
    let mut depth = usize::from(start.is(Punct::Open));
    while !i.is_end() {
        let token = i.peek();
        let reached = token.span.start >= at;
        match token.kind {
            Kind::Punct(Punct::Open) => depth = depth.saturating_add(1),
            Kind::Punct(Punct::Close) if depth == 0 && reached => return i,
            Kind::Punct(Punct::Close) => {
                depth = depth.saturating_sub(1);
                if depth == 0 && reached {
                    return i.next();
                }
            }
            Kind::Word if reached && begins_line(i, depth) => return i,
            _ => {}
        }
        i = i.next();
    }
    i
}

fn begins_line(i: Input<'_>, depth: usize) -> bool {
    let word = i.word().unwrap_or_default();
    (depth == 0 || i.cx.unclosed.get() > 0)
        && words::begins_statement(word)
        && i.cx.indent(i.peek().span).is_some()
}
