//! The input of the parser, and its errors.
//!
//! The input is a slice of tokens with the state of the whole parse. A parser of erroneous input
//! can therefore report a diagnostic and succeed. nom keeps the error of the last alternative,
//! which has the wrong position. Here the error with the furthest position is kept. Optional parts
//! record there what they would have accepted, so that a diagnostic lists all possibilities.

use std::cell::{Cell, RefCell};
use std::iter::{Copied, Enumerate};
use std::slice;

use nom::error::{ErrorKind, ParseError};
use nom::{IResult, Needed};

use crate::code::Code;
use crate::diagnostic::{Diagnostic, FileId};
use crate::span::{Span, Spanned};
use crate::syntax::ast::Name;
use crate::syntax::lex::{DIAGNOSTICS_MAX, Kind, Punct, Token, is_unclosed};

/// Deepest nesting of parentheses, calls, `not` and blocks: 64. Each level uses stack, and deeper
/// conditions are not readable.
pub const NESTING_MAX: usize = 64;

/// The state of a parse.
pub(super) struct Context<'a> {
    pub(super) text: &'a str,
    pub(super) file: FileId,
    pub(super) tokens: &'a [Token],
    diagnostics: RefCell<Vec<Diagnostic>>,
    hints: RefCell<Hints>,
    depth: Cell<usize>,
    /// Number of rules and limits read.
    pub(super) rules: Cell<usize>,
    /// Number of `{` without a `}`, as far as counting can determine it.
    pub(super) unclosed: Cell<usize>,
    /// Whether excessive nesting was already reported.
    too_deep_said: Cell<bool>,
    /// Whether an unclosed string contains a brace: then the count of braces has no meaning.
    pub(super) braces_lost: bool,
    /// Whether an unclosed block was already reported.
    pub(super) unclosed_said: Cell<bool>,
    /// Whether a statement outside a layer was already reported since the last valid item.
    pub(super) outside_said: Cell<bool>,
    /// The keywords of the clauses of the current block.
    pub(super) words: Cell<&'static [&'static str]>,
}

fn swallowed(text: &str, token: Token) -> Option<&str> {
    let found = text.get(token.span.range()).filter(|_| token.kind == Kind::Bad)?;
    is_unclosed(found).then_some(found)
}

/// What optional parts would have accepted, at the furthest position.
#[derive(Default)]
struct Hints {
    at: u32,
    expected: Vec<Expected>,
}

/// Something that is valid at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// A keyword.
    Word(&'static str),
    /// A sign.
    Sign(&'static str),
    /// A description such as `a number`.
    What(&'static str),
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(text) | Self::Sign(text) => write!(f, "`{text}`"),
            Self::What(text) => f.write_str(text),
        }
    }
}

impl<'a> Context<'a> {
    pub(super) fn new(text: &'a str, file: FileId, tokens: &'a [Token]) -> Self {
        let count = |sign| tokens.iter().filter(|t| t.kind == Kind::Punct(sign)).count();
        Self {
            text,
            file,
            tokens,
            diagnostics: RefCell::default(),
            hints: RefCell::default(),
            depth: Cell::new(0),
            rules: Cell::new(0),
            unclosed: Cell::new(count(Punct::Open).saturating_sub(count(Punct::Close))),
            too_deep_said: Cell::new(false),
            braces_lost: tokens
                .iter()
                .any(|token| swallowed(text, *token).is_some_and(|lost| lost.contains(['{', '}']))),
            unclosed_said: Cell::new(false),
            outside_said: Cell::new(false),
            words: Cell::new(&[]),
        }
    }

    pub(super) fn say(&self, said: Diagnostic) {
        let mut all = self.diagnostics.borrow_mut();
        if all.len() < DIAGNOSTICS_MAX {
            all.push(said);
        }
    }

    /// Returns an error at a position in this file.
    pub(super) fn error(&self, code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, self.file, span, message)
    }

    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics.into_inner()
    }

    pub(super) fn slice(&self, span: Span) -> &'a str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Returns the rest of the line if the token is an unclosed string.
    pub(super) fn swallowed(&self, token: Token) -> Option<&'a str> {
        swallowed(self.text, token)
    }

    fn note(&self, at: u32, expected: Expected) {
        let mut hints = self.hints.borrow_mut();
        if at > hints.at {
            hints.at = at;
            hints.expected.clear();
        }
        if at == hints.at && !hints.expected.contains(&expected) {
            hints.expected.push(expected);
        }
    }

    /// Returns everything that is valid at a position.
    pub(super) fn possible(&self, miss: &Miss) -> Vec<Expected> {
        let hints = self.hints.borrow();
        let mut all = if hints.at == miss.at { hints.expected.clone() } else { Vec::new() };
        for expected in &miss.expected {
            if !all.contains(expected) {
                all.push(*expected);
            }
        }
        all
    }

    /// Returns the indentation of a token if it is the first of its line.
    pub(super) fn indent(&self, span: Span) -> Option<usize> {
        let before = self.text.get(..span.start as usize).unwrap_or_default();
        let line = before.trim_end_matches([' ', '\t', '\u{feff}']);
        let starts = line.is_empty() || line.ends_with('\n');
        starts.then(|| before.len().saturating_sub(line.len()))
    }

    /// Returns the indentation of the line at a position.
    pub(super) fn line_indent(&self, span: Span) -> usize {
        let before = self.text.get(..span.start as usize).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or(before);
        line.len().saturating_sub(line.trim_start_matches([' ', '\t']).len())
    }
}

/// The remaining tokens. The last one is always [`Kind::Eof`] and is never consumed.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    tokens: &'a [Token],
    pub(super) cx: &'a Context<'a>,
}

/// The result of every parser.
pub(super) type Read<'a, T> = IResult<Input<'a>, T, Miss>;

impl<'a> Input<'a> {
    pub(super) const fn new(cx: &'a Context<'a>) -> Self {
        Self { tokens: cx.tokens, cx }
    }

    /// Returns the next token.
    pub(super) fn peek(self) -> Token {
        self.at(0)
    }

    /// Returns the token after `n` others.
    pub(super) fn at(self, n: usize) -> Token {
        let end = Span::new(self.cx.text.len(), self.cx.text.len());
        self.tokens
            .get(n)
            .or_else(|| self.tokens.last())
            .copied()
            .unwrap_or(Token { kind: Kind::Eof, span: end })
    }

    /// Returns the input after the next token; the end is never passed.
    pub(super) fn next(self) -> Self {
        self.skip(1)
    }

    /// Returns the input after `n` tokens, or the end.
    pub(super) fn skip(self, n: usize) -> Self {
        let n = n.min(self.tokens.len().saturating_sub(1));
        Self { tokens: self.tokens.get(n..).unwrap_or_default(), cx: self.cx }
    }

    /// Returns the next token as a word: as written, or the one that a foreign sign stands for.
    pub(super) fn word(self) -> Option<&'a str> {
        self.word_at(0)
    }

    pub(super) fn word_at(self, n: usize) -> Option<&'a str> {
        let token = self.at(n);
        match token.kind {
            Kind::Word => Some(self.cx.slice(token.span)),
            Kind::Stands(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn is(self, sign: Punct) -> bool {
        self.peek().kind == Kind::Punct(sign)
    }

    pub(super) fn is_end(self) -> bool {
        self.peek().kind == Kind::Eof
    }

    /// Returns the position of the previous token.
    pub(super) fn behind(self) -> Span {
        self.before().map_or(Span::default(), |token| token.span)
    }

    fn before(self) -> Option<Token> {
        let read = self.cx.tokens.len().saturating_sub(self.tokens.len());
        read.checked_sub(1).and_then(|n| self.cx.tokens.get(n)).copied()
    }

    /// Returns whether the expected text can be inside an earlier unclosed string.
    pub(super) fn is_swallowed(self) -> bool {
        self.before().is_some_and(|token| self.cx.swallowed(token).is_some())
    }

    /// Fails here because `expected` is missing. Later errors at this position include it.
    pub(super) fn miss<T>(self, expected: Expected) -> Read<'a, T> {
        let token = self.peek();
        self.cx.note(token.span.start, expected);
        let miss = Miss { at: token.span.start, expected: vec![expected], silent: false };
        // An invalid token can stand for any intention, so no alternative is tried on it.
        if token.kind == Kind::Bad {
            return Err(nom::Err::Failure(Miss { silent: true, ..miss }));
        }
        Err(nom::Err::Error(miss))
    }

    /// Fails without a message, because the error was already reported.
    pub(super) fn give_up<T>(self) -> Read<'a, T> {
        let at = self.peek().span.start;
        Err(nom::Err::Failure(Miss { at, expected: Vec::new(), silent: true }))
    }
}

impl<'a> nom::Input for Input<'a> {
    type Item = Token;
    type Iter = Copied<slice::Iter<'a, Token>>;
    type IterIndices = Enumerate<Self::Iter>;

    fn input_len(&self) -> usize {
        self.tokens.len()
    }

    fn take(&self, index: usize) -> Self {
        Self { tokens: self.tokens.get(..index).unwrap_or(self.tokens), cx: self.cx }
    }

    fn take_from(&self, index: usize) -> Self {
        Self { tokens: self.tokens.get(index..).unwrap_or_default(), cx: self.cx }
    }

    fn take_split(&self, index: usize) -> (Self, Self) {
        (self.take_from(index), self.take(index))
    }

    fn position<P: Fn(Self::Item) -> bool>(&self, predicate: P) -> Option<usize> {
        self.tokens.iter().position(|token| predicate(*token))
    }

    fn iter_elements(&self) -> Self::Iter {
        self.tokens.iter().copied()
    }

    fn iter_indices(&self) -> Self::IterIndices {
        self.iter_elements().enumerate()
    }

    fn slice_index(&self, count: usize) -> Result<usize, Needed> {
        match count.checked_sub(self.tokens.len()) {
            None | Some(0) => Ok(count),
            Some(more) => Err(Needed::new(more)),
        }
    }
}

/// The error of a parser.
#[derive(Debug, Clone)]
pub(super) struct Miss {
    /// The offset of the unexpected token.
    pub(super) at: u32,
    /// What is valid there.
    pub(super) expected: Vec<Expected>,
    /// Whether everything was already reported.
    pub(super) silent: bool,
}

impl<'a> ParseError<Input<'a>> for Miss {
    fn from_error_kind(i: Input<'a>, _: ErrorKind) -> Self {
        Self { at: i.peek().span.start, expected: Vec::new(), silent: false }
    }

    fn append(_: Input<'a>, _: ErrorKind, other: Self) -> Self {
        other
    }

    fn or(mut self, other: Self) -> Self {
        if self.at != other.at {
            return if self.at > other.at { self } else { other };
        }
        for expected in other.expected {
            if !self.expected.contains(&expected) {
                self.expected.push(expected);
            }
        }
        self.silent |= other.silent;
        self
    }
}

/// Returns the miss inside an error of nom.
pub(super) fn inner(error: nom::Err<Miss>, i: Input<'_>) -> Miss {
    match error {
        nom::Err::Error(miss) | nom::Err::Failure(miss) => miss,
        // No parser of this crate waits for more input, because a file is complete.
        nom::Err::Incomplete(_) => Miss::from_error_kind(i, ErrorKind::Complete),
    }
}

/// Reads a keyword.
pub(super) fn word<'a>(wanted: &'static str) -> impl Fn(Input<'a>) -> Read<'a, Span> {
    move |i| match i.word() {
        Some(found) if found == wanted => Ok((i.next(), i.peek().span)),
        _ => i.miss(Expected::Word(wanted)),
    }
}

/// Reads a sign.
pub(super) fn sign<'a>(wanted: Punct) -> impl Fn(Input<'a>) -> Read<'a, Span> {
    move |i| match i.is(wanted) {
        true => Ok((i.next(), i.peek().span)),
        false => i.miss(Expected::Sign(wanted.sign())),
    }
}

/// Reads a token that `take` converts.
pub(super) fn token<'a, T>(
    what: &'static str,
    take: impl Fn(Kind) -> Option<T>,
) -> impl Fn(Input<'a>) -> Read<'a, Spanned<T>> {
    move |i| {
        let token = i.peek();
        match take(token.kind) {
            Some(node) => Ok((i.next(), Spanned::new(node, token.span))),
            None => i.miss(Expected::What(what)),
        }
    }
}

/// Reads any word as a name.
pub(super) fn name<'a>(what: &'static str) -> impl Fn(Input<'a>) -> Read<'a, Name> {
    move |i| {
        let token = i.peek();
        match token.kind {
            Kind::Word => Ok((i.next(), Spanned::new(i.cx.slice(token.span).into(), token.span))),
            // A sign of another language is not a name, and was already reported.
            Kind::Stands(_) => i.give_up(),
            _ => i.miss(Expected::What(what)),
        }
    }
}

/// Reads one level deeper, up to the limit.
pub(super) fn nested<'a, T>(
    i: Input<'a>,
    read: impl FnOnce(Input<'a>) -> Read<'a, T>,
) -> Read<'a, T> {
    let depth = i.cx.depth.get();
    if depth >= NESTING_MAX {
        if !i.cx.too_deep_said.replace(true) {
            let message = format!("the nesting is deeper than {NESTING_MAX} levels");
            let said = i.cx.error(Code::TooLarge, i.peek().span, message).label("too deep");
            i.cx.say(said.help("set a tag in another rule, and test the tag here"));
        }
        return i.give_up();
    }
    i.cx.depth.set(depth.saturating_add(1));
    let read = read(i);
    i.cx.depth.set(depth);
    read
}

/// Returns whether a block or parenthesis is open at this position.
pub(super) fn is_nested(i: Input<'_>) -> bool {
    i.cx.depth.get() > 0
}
