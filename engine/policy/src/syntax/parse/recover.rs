//! Messages about unexpected tokens, and recovery after them.
//!
//! Inside a block the parser continues at the next clause keyword. Outside it continues at the next
//! item or statement keyword at the start of a line. A missing `}` is assumed only in a file with
//! more `{` than `}`, so that a misplaced block is never treated as unclosed.

use super::input::{Expected, Input, Miss, is_nested};
use super::words;
use crate::code::Code;
use crate::diagnostic::nearest;
use crate::span::Span;
use crate::syntax::lex::{Kind, Punct};

/// Most alternatives in a message; more are left to the help.
const NAMED_MAX: usize = 4;

/// Words of other products for a word of the language.
const OTHER_NAMES: &[(&str, &str)] =
    &[("tenant", "member"), ("customer", "member"), ("user", "member"), ("account", "member")];

/// Reports a miss if it was not yet reported. Returns the suggested word.
pub(super) fn report(i: Input<'_>, miss: &Miss) -> Option<&'static str> {
    let tokens = i.cx.tokens;
    let at = tokens.partition_point(|token| token.span.start < miss.at);
    let token = tokens.get(at).or_else(|| tokens.last()).copied()?;
    // At the end of the file inside a block, the unclosed block is the error.
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
        format!("{shown} is not valid here")
    };
    let mut said = i.cx.error(Code::Unexpected, token.span, message).label("not expected here");
    if !few && !possible.is_empty() {
        said = said.help(format!("possible here: {list}"));
    }
    i.cx.say(said);
    None
}

/// Returns the suggestion: the language's word for the same thing, or the nearest one.
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

/// Reports a word that is similar to a keyword.
pub(super) fn misspelt(i: Input<'_>, span: Span, word: &'static str) {
    let found = i.cx.slice(span);
    let said =
        i.cx.error(Code::Unexpected, span, format!("`{found}` is not a keyword here"))
            .label(format!("did you mean `{word}`?"))
            .fix(span, word);
    i.cx.say(said);
}

/// Returns a text in backquotes, shortened for a message.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 40;
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(SHOWN_CHARS_MAX).collect();
    let more = if chars.next().is_some() { "…" } else { "" };
    format!("`{head}{more}`")
}

/// Returns `a`, `b` or `c`.
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

/// Reports an unclosed block, once.
pub(super) fn never_closed(i: Input<'_>, open: Span) {
    let cx = i.cx;
    if cx.unclosed.get() == 0 && cx.unclosed_said.get() {
        return;
    }
    // At the end of the file one diagnostic is sufficient: that of the inner block.
    if i.is_end() && cx.unclosed_said.replace(true) {
        return;
    }
    cx.unclosed_said.set(true);
    cx.unclosed.set(cx.unclosed.get().saturating_sub(1));
    if cx.braces_lost {
        return;
    }
    let said = cx.error(Code::UnclosedBlock, open, "the block is not closed");
    cx.say(said.label("the `}` for this `{` is missing"));
}

/// The state of a block at a position.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The `}` of this block.
    Closed,
    /// The block ends here without a `}`.
    Open,
    /// The block continues.
    Inside,
}

/// Returns whether the block that began at `open` ends here. `foreign` returns whether a word at
/// the start of a line is invalid in the block.
pub(super) fn place(i: Input<'_>, open: Span, foreign: fn(&str) -> bool) -> Place {
    let span = i.peek().span;
    if i.is_end() {
        return Place::Open;
    }
    let lacking = i.cx.unclosed.get() > 0;
    if i.is(Punct::Close) {
        // A `}` with less indentation than the line of our `{` closes a block around ours.
        let outer = i.cx.indent(span).is_some_and(|indent| indent < i.cx.line_indent(open));
        return if lacking && outer { Place::Open } else { Place::Closed };
    }
    let begins = lacking && i.word().is_some_and(foreign) && i.cx.indent(span).is_some();
    if begins { Place::Open } else { Place::Inside }
}

/// Returns the input after an unreadable clause: at the next clause keyword, at the `}` of the
/// block, or at the end of an unclosed block.
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

/// Returns the input after an unreadable item or statement: after its block, at the next one at the
/// start of a line, or at the `}` of the enclosing block.
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
