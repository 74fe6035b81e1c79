//! The formatter: from text to the canonical layout.
//!
//! The formatter works on tokens, not on the tree. Parts that the tree omits (comments, a second
//! `note`, the notation of a number) are therefore kept. `grouping` finds the clauses, and `layout`
//! decides where lines end. Both assume a readable file, because other files are rejected.

mod grouping;
mod layout;
mod tokens;

pub use layout::LINE_CHARS_MAX;

use super::lex::{Kind, Punct, lex};
use super::parse::parse;
use crate::diagnostic::{Diagnostic, FileId};

/// Returns a file in the canonical layout.
///
/// Words, numbers, strings, comments and their order stay unchanged. Blanks, line ends and the
/// commas of sets can change.
///
/// # Errors
/// All errors of a file that cannot be read. Their [`FileId`] is the default.
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

/// Returns whether two texts have the same tokens and comments, in the same order, without commas.
///
/// Commas are ignored because sets do not need them. A missing comma elsewhere is an error. Tokens
/// and comments are compared separately, because a comment and a comma can swap their positions.
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
