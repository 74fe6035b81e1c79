//! Text to tokens.
//!
//! A token carries its value, so that a number is read, and complained about, exactly once; the
//! parser above only asks what kind it has before it. What is no token becomes [`Kind::Bad`],
//! which every later stage passes over in silence. Comments are kept beside the tokens for the
//! formatter, never among them.

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

/// The most complaints kept for one file: 1,000. Nobody reads more, and a megabyte of stray signs
/// must not become a hundred megabytes of complaints.
pub const DIAGNOSTICS_MAX: usize = 1_000;

/// What became of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lexed {
    /// The tokens, the last of which is [`Kind::Eof`].
    pub tokens: Vec<Token>,
    /// The comments, from `#` to before the end of the line.
    pub comments: Vec<Span>,
    /// What is wrong. The file is left at its default; whoever knows it fills it in.
    pub diagnostics: Vec<Diagnostic>,
}

/// Cuts a text into tokens. Every byte of it is a token, a comment, a blank or complained about.
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
    // A byte order mark says nothing in UTF-8, and editors on Windows write it all the same.
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
            // `piece` ends in a branch that takes any character, so this is never reached; taking
            // the rest keeps the promise that every text ends.
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
        // A word that replaces a sign asks for a blank before it where there is none.
        let fix = if glued { fix.as_str() } else { fix.trim_start_matches(' ') };
        said = said.fix(span, fix);
    }
    out.diagnostics.push(said);
}

/// One piece. The order matters: a longer reading stands before a shorter one that begins alike.
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
