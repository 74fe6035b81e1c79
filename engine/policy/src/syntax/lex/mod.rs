//! The lexer: from text to tokens.
//!
//! A token contains its value, so each number is read and reported exactly once. The parser
//! examines only the kind of the next token. Invalid text becomes [`Kind::Bad`], which later stages
//! ignore. Comments are stored separately, for the formatter.

mod foreign;
pub(crate) mod number;
mod text;
mod token;

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while};
use nom::character::complete::{char, satisfy};
use nom::combinator::{map, recognize, value};

use crate::diagnostic::{Diagnostic, FileId};
use crate::span::Span;

pub use text::STRING_BYTES_MAX;
pub(crate) use text::{decode, is_unclosed};
pub use token::{Kind, Punct, Token};
use token::{Piece, Problem, Read, in_word, line_end};

/// Most diagnostics for one file: 1,000. More are useless, and a megabyte of invalid characters
/// must not produce a hundred megabytes of diagnostics.
pub const DIAGNOSTICS_MAX: usize = 1_000;

/// The result of the lexer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lexed {
    /// The tokens; the last one is [`Kind::Eof`].
    pub tokens: Vec<Token>,
    /// The comments, from `#` to before the end of the line.
    pub comments: Vec<Span>,
    /// The diagnostics. Their file is the default; the caller sets it.
    pub diagnostics: Vec<Diagnostic>,
}

/// Splits a text into tokens. Every byte of it belongs to a token, a comment, a blank or a
/// diagnostic.
///
/// # Example
/// ```
/// use seawall_policy::syntax::lex::{Kind, lex};
/// let lexed = lex("rule a # why");
/// assert_eq!(lexed.tokens.len(), 3, "two words and the end");
/// assert_eq!(lexed.tokens[0].kind, Kind::Word);
/// assert_eq!(lexed.comments.len(), 1);
/// ```
#[must_use]
pub fn lex(text: &str) -> Lexed {
    let mut out = Lexed { tokens: Vec::new(), comments: Vec::new(), diagnostics: Vec::new() };
    // A byte order mark has no meaning in UTF-8, but editors on Windows write it.
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if rest.is_empty() {
            let end = Span::new(text.len(), text.len());
            out.tokens.push(Token { kind: Kind::Eof, span: end });
            return out;
        }
        let start = text.len().saturating_sub(rest.len());
        let (after, read) = match piece(rest) {
            Ok(read) => read,
            // `piece` has a branch that accepts any character, so this is never reached. It
            // consumes the rest, so that the loop ends in any case.
            Err(_) => ("", Piece::Token(Kind::Bad)),
        };
        let span = Span::new(start, text.len().saturating_sub(after.len()));
        match read {
            Piece::Token(kind) => out.tokens.push(Token { kind, span }),
            Piece::Comment => out.comments.push(span),
            Piece::Problem(problem) => keep(&mut out, text, problem, span),
        }
        rest = after;
    }
}

fn keep(out: &mut Lexed, text: &str, problem: Problem, span: Span) {
    if let Some(kind) = problem.kind {
        out.tokens.push(Token { kind, span });
    }
    if out.diagnostics.len() >= DIAGNOSTICS_MAX {
        return;
    }
    let mut said = Diagnostic::error(problem.code, FileId::default(), span, problem.message)
        .label(problem.label);
    said.help = problem.help;
    if let Some(fix) = problem.fix {
        let before = text.get(..span.start as usize).unwrap_or_default();
        let glued = before.ends_with(|c: char| !c.is_whitespace());
        // A word that replaces a sign needs a blank before it if there is none.
        let fix = if glued { fix.as_str() } else { fix.trim_start_matches(' ') };
        said = said.fix(span, fix);
    }
    out.diagnostics.push(said);
}

/// Reads one piece. The order matters: a longer form comes before a shorter form with the same
/// start.
fn piece(i: &str) -> Read<'_, Piece> {
    alt((
        map((char('#'), take_till(line_end)), |_| Piece::Comment),
        map(text::string, Piece::from),
        map(number::value, Piece::from),
        map((char('@'), word), |_| Piece::Token(Kind::ListRef)),
        map(word, |_| Piece::Token(Kind::Word)),
        foreign::sign,
        map(punct, |sign| Piece::Token(Kind::Punct(sign))),
        map(foreign::stray, Piece::Problem),
    ))
    .parse(i)
}

fn word(i: &str) -> Read<'_, &str> {
    recognize((satisfy(|c| c.is_ascii_alphabetic() || c == '_'), take_while(in_word))).parse(i)
}

fn punct(i: &str) -> Read<'_, Punct> {
    let two = alt((
        value(Punct::Equal, tag("==")),
        value(Punct::NotEqual, tag("!=")),
        value(Punct::LessEqual, tag("<=")),
        value(Punct::GreaterEqual, tag(">=")),
        value(Punct::Plus, tag("+=")),
        value(Punct::Minus, tag("-=")),
        value(Punct::Arrow, tag("->")),
    ));
    let one = alt((
        value(Punct::Open, char('{')),
        value(Punct::Close, char('}')),
        value(Punct::ParenOpen, char('(')),
        value(Punct::ParenClose, char(')')),
        value(Punct::Comma, char(',')),
        value(Punct::Colon, char(':')),
        value(Punct::Less, char('<')),
        value(Punct::Greater, char('>')),
        value(Punct::Assign, char('=')),
    ));
    alt((two, one)).parse(i)
}

#[cfg(test)]
mod tests;
