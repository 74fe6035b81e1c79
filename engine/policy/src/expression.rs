//! Regular expressions: one table step for each byte, for every input.
//!
//! Decision: a complete deterministic automaton, built when the policy is checked. Engines that
//! build their automaton lazily are as fast on most inputs. On some inputs they fall back to a
//! simulation of all states, and how far depends on earlier inputs. An expression whose automaton
//! would be too large is rejected at load, with a diagnostic.

use std::sync::Arc;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Input, MatchKind};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind, Look, Repetition};

use crate::fuel::{Fuel, price};

/// Bytes of a table that stay in the L1 cache of the processor.
const NEAR_BYTES: usize = 32 << 10;

/// A compiled expression. Clones share the table.
#[derive(Clone)]
pub struct Expression {
    pattern: Box<str>,
    table: Arc<dense::DFA<Vec<u32>>>,
    /// Fuel for each byte.
    per_byte: u64,
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.pattern).finish()
    }
}

/// Why an expression cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadExpression {
    /// The syntax is invalid.
    Syntax(String),
    /// The automaton is larger than the limit.
    TooLarge,
}

impl Expression {
    /// Compiles a pattern. Its automaton may have at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`BadExpression`] names the cause.
    pub fn new(pattern: &str, bytes_max: usize) -> Result<Self, BadExpression> {
        let parsed = ParserBuilder::new().utf8(false).build().parse(pattern);
        let parsed = parsed.map_err(|error| BadExpression::Syntax(error.to_string()))?;
        let config = thompson::Config::new()
            .utf8(false)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(bytes_max));
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(&ascii_edges(&parsed));
        let nfa = nfa.map_err(|_| BadExpression::TooLarge)?;
        let config = dense::Config::new()
            .start_kind(StartKind::Unanchored)
            .match_kind(MatchKind::LeftmostFirst)
            .dfa_size_limit(Some(bytes_max))
            .determinize_size_limit(Some(bytes_max.saturating_mul(4)));
        let table = dense::Builder::new().configure(config).build_from_nfa(&nfa);
        let table = table.map_err(|_| BadExpression::TooLarge)?;
        let per_byte = if table.memory_usage() <= NEAR_BYTES { 2 } else { 6 };
        Ok(Self { pattern: pattern.into(), table: Arc::new(table), per_byte })
    }

    /// Returns the pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Returns the size of the automaton in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.table.memory_usage()
    }

    /// Returns the fuel for a match against a value of `len` bytes.
    #[must_use]
    pub const fn price(&self, len: usize) -> u64 {
        price::EXPRESSION.saturating_add((len as u64).saturating_mul(self.per_byte))
    }

    /// Returns whether the expression matches anywhere in the bytes.
    #[must_use]
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        // INVARIANT: the automaton has no quit bytes, so there is no error.
        let found = self.table.try_search_fwd(&Input::new(bytes).earliest(true));
        found.is_ok_and(|found| found.is_some())
    }

    /// Takes the fuel, then returns whether the expression matches.
    pub(crate) fn is_match_within(&self, bytes: &[u8], fuel: &Fuel) -> bool {
        fuel.take(self.price(bytes.len())) && self.is_match(bytes)
    }
}

/// Replaces Unicode word boundaries by those of ASCII, because Unicode boundaries have no
/// automaton. The parser limits the nesting.
fn ascii_edges(hir: &Hir) -> Hir {
    if !hir.properties().look_set().contains_word() {
        return hir.clone();
    }
    match hir.kind() {
        HirKind::Look(look) => Hir::look(match look {
            Look::WordUnicode => Look::WordAscii,
            Look::WordUnicodeNegate => Look::WordAsciiNegate,
            Look::WordStartUnicode => Look::WordStartAscii,
            Look::WordEndUnicode => Look::WordEndAscii,
            Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
            Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
            other => *other,
        }),
        HirKind::Repetition(of) => {
            Hir::repetition(Repetition { sub: Box::new(ascii_edges(&of.sub)), ..of.clone() })
        }
        HirKind::Capture(of) => ascii_edges(&of.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(ascii_edges).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(ascii_edges).collect()),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    #[test]
    fn it_matches_as_the_reference_does() {
        for pattern in [
            r"(?i)^(curl|wget|python-requests)/",
            r"\.php$",
            r"^/a[^/]+/b",
            r"(a|b)*c",
            r"(?m)^x$",
            r"\d{3}",
            r"a.{3}b",
            r"(?s-u)a.b",
            r"",
            r"\w+@\w+",
            r"(?i)stra(ss|ß)e",
            r"\bor\b",
        ] {
            let ours = Expression::new(pattern, MAX).unwrap();
            let reference = regex::bytes::Regex::new(pattern).unwrap();
            for text in [
                "",
                "curl/8",
                "Wget/1",
                "/a/b.php",
                "/a.php?x",
                "/axx/b",
                "abababc",
                "y\nx\nz",
                "٣٣٣",
                "12 345",
                "a12b",
                "a123b",
                "a\nb",
                "jo@example",
                "STRASSE",
                "straße",
                "1 or 1",
                "more",
                "or",
            ] {
                let said = (ours.is_match(text.as_bytes()), reference.is_match(text.as_bytes()));
                assert_eq!(said.0, said.1, "{pattern} on {text:?}");
            }
            assert_eq!(ours.is_match(b"a\xff\xfe12"), reference.is_match(b"a\xff\xfe12"));
        }
    }

    #[test]
    fn edges_of_words_are_those_of_ascii() {
        let edge = Expression::new(r"\bor\b", MAX).unwrap();
        assert!(edge.is_match("éor 1".as_bytes()), "é ends a word of ASCII");
        assert!(!edge.is_match(b"xor 1"));
    }

    #[test]
    fn what_has_no_small_automaton_is_refused() {
        for pattern in [r"[a-m][a-z]{600}[0-9]", r"(\w{1,500}){1,50}", r"a.{40}b"] {
            assert_eq!(Expression::new(pattern, MAX).unwrap_err(), BadExpression::TooLarge);
        }
        let bad = Expression::new("(", MAX).unwrap_err();
        assert!(matches!(bad, BadExpression::Syntax(_)));
        for pattern in [r"[a-f0-9]{32,64}", r"(?i)union.*select", r"\w+x", r"^[a-z]{600}[0-9]"] {
            assert!(Expression::new(pattern, MAX).is_ok(), "{pattern}");
        }
    }
}
