//! Tokens, comments and lexical errors.

use std::net::IpAddr;

use nom::IResult;

use crate::code::Code;
use crate::span::Span;
use crate::syntax::ast::{Date, Duration, Rate};

/// A piece of text with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Its kind.
    pub kind: Kind,
    /// Its position.
    pub span: Span,
}

/// The kind of a token, with its value if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A word: a keyword, a word of an enumeration, or a name.
    Word,
    /// `@name`
    ListRef,
    /// `"…"`, with valid escapes.
    Str,
    /// `r"…"`
    Raw,
    /// `10`, `20k`
    Int(i64),
    /// `30%`
    Percent(i64),
    /// `1h30m`
    Duration(Duration),
    /// `10/1m`
    Rate(Rate),
    /// `1MiB`, in bytes.
    Size(u64),
    /// `AS64496`
    Asn(u32),
    /// An address; an IPv4-mapped address is stored as IPv4.
    Ip(IpAddr),
    /// A network: the address as written, which may have bits behind the prefix, and its length.
    Cidr(IpAddr, u8),
    /// `2036-11-25`
    Date(Date),
    /// A sign.
    Punct(Punct),
    /// A sign of another language, already reported, and the word that it stands for.
    Stands(&'static str),
    /// An invalid token, already reported.
    Bad,
    /// The end of the text.
    Eof,
}

/// The signs of the policy language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Punct {
    /// `{`
    Open,
    /// `}`
    Close,
    /// `(`
    ParenOpen,
    /// `)`
    ParenClose,
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `=`
    Assign,
    /// `+=`
    Plus,
    /// `-=`
    Minus,
    /// `->`
    Arrow,
}

impl Punct {
    /// Returns the sign as written.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Open => "{",
            Self::Close => "}",
            Self::ParenOpen => "(",
            Self::ParenClose => ")",
            Self::Comma => ",",
            Self::Colon => ":",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Assign => "=",
            Self::Plus => "+=",
            Self::Minus => "-=",
            Self::Arrow => "->",
        }
    }
}

/// An error. Its position is that of its token unless it has its own.
pub(super) struct Problem {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) label: &'static str,
    pub(super) help: Option<String>,
    /// The text that replaces the token.
    pub(super) fix: Option<String>,
    /// The kind that the parser sees instead of the token.
    pub(super) kind: Option<Kind>,
}

impl Problem {
    pub(super) fn new(code: Code, message: impl Into<String>, label: &'static str) -> Self {
        Self { code, message: message.into(), label, help: None, fix: None, kind: Some(Kind::Bad) }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Makes the parser continue as if `kind` (or nothing) had been written.
    pub(super) fn counts_as(mut self, kind: Option<Kind>) -> Self {
        self.kind = kind;
        self
    }
}

/// A token, a comment, or an error.
pub(super) enum Piece {
    Token(Kind),
    Comment,
    Problem(Problem),
}

impl From<Result<Kind, Problem>> for Piece {
    fn from(read: Result<Kind, Problem>) -> Self {
        match read {
            Ok(kind) => Self::Token(kind),
            Err(problem) => Self::Problem(problem),
        }
    }
}

/// The result of a parser of this stage.
pub(super) type Read<'t, T> = IResult<&'t str, T>;

/// Returns whether a character can occur in a word.
pub(super) fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

pub(super) fn line_end(c: char) -> bool {
    matches!(c, '\n' | '\r')
}
