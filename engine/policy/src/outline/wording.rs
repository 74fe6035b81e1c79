//! The text and the normal form of a clause.

use std::collections::{BTreeSet, HashMap};

use super::clause::Clause;
use crate::span::Span;
use crate::syntax::ast::{Duration, Rate};
use crate::syntax::lex::{Kind, Punct, Token, decode, lex};
use crate::text::duration_ms;

/// The names that the words of one file can refer to.
pub(super) struct Wording<'w> {
    /// The text of the file.
    pub(super) text: &'w str,
    /// The member that owns the file.
    pub(super) member: Option<&'w str>,
    /// The normal forms of `let` values, by full name.
    pub(super) lets: &'w HashMap<Box<str>, Box<str>>,
    /// The full names of tracks.
    pub(super) tracks: &'w BTreeSet<Box<str>>,
}

/// Returns the full form of a name that a member or the operator declares.
pub(super) fn full(member: Option<&str>, name: &str) -> Box<str> {
    match member {
        Some(member) => format!("{member}.{name}").into(),
        None => name.into(),
    }
}

impl Wording<'_> {
    /// Returns the clause with the keyword `word` at `span`, and adds the tracks that it reads to
    /// `asks`.
    pub(super) fn clause(
        &self,
        word: &'static str,
        span: Span,
        asks: &mut BTreeSet<Box<str>>,
    ) -> Clause {
        let text = self.text.get(span.range()).unwrap_or_default();
        let tokens = lex(text).tokens;
        asks.extend(self.asked(text, &tokens));
        let meaning = self.meaning(text, &tokens).into();
        Clause { word, text: one_line(text, &tokens).into(), meaning }
    }

    /// Returns the normal form of the value of a `let`.
    pub(super) fn value(&self, span: Span) -> Box<str> {
        let text = self.text.get(span.range()).unwrap_or_default();
        self.meaning(text, &lex(text).tokens).into()
    }

    /// Looks a name up. Names of the member hide those of the operator.
    fn known(&self, word: &str, known: impl Fn(&str) -> bool) -> Option<Box<str>> {
        [self.member, None].into_iter().map(|of| full(of, word)).find(|name| known(name))
    }

    fn meaning(&self, text: &str, tokens: &[Token]) -> String {
        let words = tokens.iter().filter_map(|token| self.word(text, token));
        words.collect::<Vec<_>>().join(" ")
    }

    fn word(&self, text: &str, token: &Token) -> Option<String> {
        let spelt = text.get(token.span.range()).unwrap_or_default();
        Some(match token.kind {
            Kind::Eof | Kind::Punct(Punct::Comma) => return None,
            Kind::Word => match self.known(spelt, |name| self.lets.contains_key(name)) {
                Some(name) => self.lets.get(&name).map_or_else(String::new, ToString::to_string),
                None => spelt.to_owned(),
            },
            Kind::Str | Kind::Raw => format!("\"{}\"", decode(spelt).escape_ascii()),
            Kind::Int(n) => n.to_string(),
            Kind::Percent(n) => format!("{n}%"),
            Kind::Duration(duration) => duration_text(duration),
            Kind::Rate(Rate { n, window }) => format!("{n}/{}", duration_text(window)),
            Kind::Size(bytes) => format!("{bytes}B"),
            Kind::Asn(n) => format!("AS{n}"),
            Kind::Ip(ip) => ip.to_string(),
            // In a list, bits behind the prefix change the meaning.
            Kind::Cidr(written, len) => format!("{written}/{len}"),
            Kind::Date(date) => format!("@{}", date.unix_s),
            Kind::ListRef | Kind::Punct(_) | Kind::Stands(_) | Kind::Bad => spelt.to_owned(),
        })
    }

    /// Returns the tracks that a text reads: the names after the opening parenthesis of a call.
    fn asked(&self, text: &str, tokens: &[Token]) -> Vec<Box<str>> {
        let pairs = tokens.iter().zip(tokens.iter().skip(1));
        let arguments = pairs.filter(|(open, word)| {
            open.kind == Kind::Punct(Punct::ParenOpen) && word.kind == Kind::Word
        });
        let spelt = |token: &Token| text.get(token.span.range()).unwrap_or_default();
        arguments
            .filter_map(|(_, word)| self.known(spelt(word), |name| self.tracks.contains(name)))
            .collect()
    }
}

fn duration_text(Duration { us }: Duration) -> String {
    if us.is_multiple_of(1_000) { duration_ms(us / 1_000) } else { format!("{us}us") }
}

/// Returns a text without comments, with single blanks between tokens.
fn one_line(text: &str, tokens: &[Token]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for token in tokens.iter().filter(|token| token.kind != Kind::Eof) {
        let range = token.span.range();
        if !out.is_empty() && range.start > end {
            out.push(' ');
        }
        end = range.end;
        out.push_str(text.get(range).unwrap_or_default());
    }
    out
}
