//! Tree's way back: text to the one way of writing it.
//!
//! The formatter works on tokens, not on the tree: what the tree leaves out (comments, a second
//! `note`, the spelling of a number) is then kept without anybody thinking of it. `shape` finds the
//! clauses among the tokens, `layout` decides where lines end. Both may assume a file that can be
//! read, since any other is refused.

mod grouping;
mod layout;
mod tokens;

pub use layout::LINE_CHARS_MAX;

use super::lex::{Kind, Punct, lex};
use super::parse::parse;
use crate::diagnostic::{Diagnostic, FileId};

/// Writes a file in the one way.
///
/// Words, numbers, strings, comments and the order of everything stay as they are; blanks, line
/// ends and the commas of sets do not.
///
/// # Errors
/// Everything that is wrong with a file that cannot be read. Its [`FileId`] is the default one.
///
/// # Example
/// ```
/// use seawall_policy::syntax::print::format;
/// let text = "policy 1\nfloor {\nrule a {when ua is absent\nthen block} # why\n}";
/// let formatted = "policy 1\nfloor {\n  rule a { when ua is absent then block }  # why\n}\n";
/// assert_eq!(format(text).unwrap(), formatted);
/// ```
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let (_, mut said) = parse(FileId::default(), text.as_bytes());
    said.retain(Diagnostic::is_error);
    if !said.is_empty() {
        return Err(said);
    }
    let mut pieces = tokens::pieces(text);
    let shape = grouping::shape(&mut pieces);
    Ok(layout::lay_out(&pieces, &shape))
}

/// Whether two texts hold the same tokens and comments, in the same order, commas apart.
///
/// Commas are apart since sets may do without; where one means something, its lack is a complaint.
/// The order is that of the tokens and that of the comments, each by itself: a comment may change
/// places with a comma.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    essence(one) == essence(other)
}

fn essence(text: &str) -> (Vec<&str>, Vec<&str>) {
    let lexed = lex(text);
    let comma = Kind::Punct(Punct::Comma);
    let spelt = |span: crate::span::Span| text.get(span.range()).unwrap_or_default();
    let tokens = lexed.tokens.iter().filter(|token| token.kind != comma);
    let comments = lexed.comments.iter().map(|span| spelt(*span).trim_end());
    (tokens.map(|token| spelt(token.span)).collect(), comments.collect())
}

#[cfg(test)]
mod tests;
