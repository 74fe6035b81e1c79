//! Tokens with the comments around them.
//!
//! Every comment belongs to a token: a comment at the end of a line to the last token of the line,
//! any other to the next token. A comma belongs to the token before it, so that nothing can
//! separate them. Comments around a comma belong to the neighbouring tokens.

use crate::span::Span;
use crate::syntax::lex::{Kind, Punct, lex};

/// A token that is not a comma.
pub(super) struct Piece<'t> {
    pub(super) text: &'t str,
    pub(super) kind: Kind,
    /// Comments on their own lines above it.
    pub(super) above: Vec<Comment<'t>>,
    /// Whether a blank line precedes it, below those comments.
    pub(super) blank: bool,
    /// Whether blank lines are kept here.
    pub(super) keeps_blanks: bool,
    /// Whether a comma follows.
    pub(super) comma: bool,
    /// The comment after it.
    pub(super) behind: Option<&'t str>,
    span: Span,
}

/// A comment on a line of its own.
pub(super) struct Comment<'t> {
    pub(super) text: &'t str,
    /// Whether a blank line precedes it.
    pub(super) blank: bool,
}

impl Piece<'_> {
    /// Returns whether nothing separates this token from `next`.
    pub(super) fn touches(&self, next: &Self) -> bool {
        self.span.end == next.span.start
    }

    /// Returns the number of characters, with the comma.
    pub(super) fn chars(&self) -> usize {
        self.text.chars().count().saturating_add(usize::from(self.comma))
    }
}

/// Returns the tokens of a text, with the end marker.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let lexed = lex(text);
    let mut comments = lexed.comments.iter().copied().peekable();
    let mut out: Vec<Piece<'_>> = Vec::with_capacity(lexed.tokens.len());
    // Comments around a comma; they go to the next token.
    let mut pending = Vec::new();
    let mut end = 0;
    for token in &lexed.tokens {
        let mut above = std::mem::take(&mut pending);
        while let Some(span) = comments.next_if(|span| span.start < token.span.start) {
            let (lines, text) = (lines_between(text, end, span.start), slice(text, span));
            match out
                .last_mut()
                .filter(|last| lines == 0 && above.is_empty() && last.behind.is_none())
            {
                Some(last) => last.behind = Some(text),
                None => above.push(Comment { text, blank: lines > 1 }),
            }
            end = span.end;
        }
        let blank = lines_between(text, end, token.span.start) > 1;
        end = token.span.end;
        match out.last_mut().filter(|_| token.kind == Kind::Punct(Punct::Comma)) {
            Some(last) => {
                last.comma = true;
                pending = above;
            }
            None => out.push(Piece {
                text: slice(text, token.span).trim_end(),
                kind: token.kind,
                above,
                blank,
                keeps_blanks: false,
                comma: false,
                behind: None,
                span: token.span,
            }),
        }
    }
    out
}

fn slice(text: &str, span: Span) -> &str {
    text.get(span.range()).unwrap_or_default().trim_end_matches([' ', '\t'])
}

fn lines_between(text: &str, from: u32, to: u32) -> usize {
    let between = text.get(from as usize..to as usize).unwrap_or_default();
    // A lone carriage return ends a comment too, because it is a line end.
    let lone = between.bytes().filter(|b| *b == b'\r').count();
    let pairs = between.matches("\r\n").count();
    let feeds = between.bytes().filter(|b| *b == b'\n').count();
    feeds.saturating_add(lone).saturating_sub(pairs)
}
