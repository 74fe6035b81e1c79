//! Regular expressions and searches for several texts, compiled within a budget.
//!
//! One expression can take [`REGEX_BYTES_MAX`]. The automata of the operator share a budget, and so
//! do those of each member. Otherwise a thousand long expressions would take a gigabyte and a
//! minute at every save. Once a budget is exhausted, no further automaton is compiled.

use std::collections::HashMap;

use super::build::Builder;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::expression::{BadExpression, Expression};
use crate::span::Span;

/// Most bytes of one compiled regular expression.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// Most bytes of all automata of the operator, with searches for several texts.
pub const REGEX_BYTES_HOST_MAX: usize = 16 << 20;

/// Most bytes of all automata of one member.
pub const REGEX_BYTES_MEMBER_MAX: usize = 2 << 20;

/// Bytes used, by member; `None` for the operator.
pub(super) type RegexBudget = HashMap<Option<Box<str>>, usize>;

impl Builder<'_> {
    /// Compiles an expression, or reports it.
    pub(super) fn regex(&mut self, pattern: &str, span: Span) -> Option<Expression> {
        if !self.has_automata_left() {
            return None;
        }
        match Expression::new(pattern, REGEX_BYTES_MAX) {
            Ok(made) => self.pays_automaton(made.bytes(), span).then_some(made),
            Err(why) => {
                self.refuse_regex(span, &why);
                // A rejected expression took as much time as the largest one.
                self.spend_automaton(REGEX_BYTES_MAX);
                None
            }
        }
    }

    const fn automata_max(&self) -> usize {
        match self.member {
            Some(_) => REGEX_BYTES_MEMBER_MAX,
            None => REGEX_BYTES_HOST_MAX,
        }
    }

    /// Returns whether the owner can have another automaton. The excess was already reported.
    pub(super) fn has_automata_left(&self) -> bool {
        self.regexes.get(&self.member).copied().unwrap_or(0) <= self.automata_max()
    }

    fn spend_automaton(&mut self, bytes: usize) -> usize {
        let spent = self.regexes.entry(self.member.clone()).or_default();
        *spent = spent.saturating_add(bytes);
        *spent
    }

    /// Adds an automaton to the budget; reports an excess.
    pub(super) fn pays_automaton(&mut self, bytes: usize, span: Span) -> bool {
        let most = self.automata_max();
        let may = self.spend_automaton(bytes) <= most;
        if !may {
            self.too_many(span, most);
        }
        may
    }

    fn refuse_regex(&mut self, span: Span, why: &BadExpression) {
        let (message, help) = match why {
            BadExpression::Syntax(text) => {
                let why = text.lines().last().unwrap_or("").trim_start_matches("error: ");
                (
                    format!("the regular expression does not compile: {why}"),
                    "look-around and back-references are not supported, so that matching is always \
                     fast",
                )
            }
            BadExpression::TooLarge => (
                format!(
                    "the automaton of the regular expression has more than {REGEX_BYTES_MAX} bytes"
                ),
                "a counted repetition after other text makes the automaton large: use `*` or `+` \
                 instead of `{1,100}`, begin the expression with `^`, or write `(?-u)` before it \
                 for ASCII text",
            ),
        };
        self.complain(Diagnostic::error(Code::Regex, self.file, span, message).help(help));
    }

    fn too_many(&mut self, span: Span, most: usize) {
        let message = format!(
            "the regular expressions and searches for several texts need more than {} MiB with \
             this one",
            most >> 20
        );
        self.complain(Diagnostic::error(Code::TooMany, self.file, span, message).help(
            "use `contains`, `starts_with` and sets where possible; avoid counted repetitions such \
             as `{1,1000}`, and move many texts to a list file",
        ));
    }
}
