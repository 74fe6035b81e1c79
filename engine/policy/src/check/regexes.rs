//! Regular expressions, compiled within a budget.
//!
//! One expression may take [`REGEX_BYTES_MAX`], and all of the host's, like all of one member's,
//! have a budget together: a thousand long ones would otherwise take a gigabyte and a minute at
//! every save. Once a budget is spent nothing more of it is compiled.

use std::collections::HashMap;

use super::build::Builder;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::expression::{BadExpression, Expression};
use crate::span::Span;

/// The most bytes that one regular expression may take when compiled.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// The most bytes that all of the host's may take together.
pub const REGEX_BYTES_HOST_MAX: usize = 16 << 20;

/// The most bytes that all of one member's may take together.
pub const REGEX_BYTES_MEMBER_MAX: usize = 2 << 20;

/// What is spent, by member; the host's is filed under none.
pub(super) type Spent = HashMap<Option<Box<str>>, usize>;

impl Builder<'_> {
    /// Compiles an expression, or complains about it.
    pub(super) fn regex(&mut self, pattern: &str, span: Span) -> Option<Expression> {
        let most = match self.member {
            Some(_) => REGEX_BYTES_MEMBER_MAX,
            None => REGEX_BYTES_HOST_MAX,
        };
        let spent = self.regexes.get(&self.member).copied().unwrap_or(0);
        if spent > most {
            // Told at the one with which it became too much.
            return None;
        }
        let made = Expression::new(pattern, REGEX_BYTES_MAX);
        // What is refused cost the time of the largest.
        let bytes = made.as_ref().map_or(REGEX_BYTES_MAX, Expression::bytes);
        let spent = spent.saturating_add(bytes);
        self.regexes.insert(self.member.clone(), spent);
        match made {
            Ok(expression) if spent <= most => return Some(expression),
            Ok(_) => return self.too_many(span, most),
            Err(why) => self.refuse_regex(span, &why),
        }
        None
    }

    fn refuse_regex(&mut self, span: Span, why: &BadExpression) {
        let (message, help) = match why {
            BadExpression::Syntax(text) => {
                let why = text.lines().last().unwrap_or("").trim_start_matches("error: ");
                (
                    format!("this regular expression does not compile: {why}"),
                    "look-around and back-references do not exist here, so that no input is slow",
                )
            }
            BadExpression::TooLarge => (
                format!(
                    "the automaton of this regular expression has more than {REGEX_BYTES_MAX} bytes"
                ),
                "a counted repetition that something else may come before is what makes it large: \
                 write `*` or `+` in the place of `{1,100}`, begin the expression with `^`, or \
                 write `(?-u)` before it where the text is ASCII",
            ),
        };
        self.complain(Diagnostic::error(Code::Regex, self.file, span, message).help(help));
    }

    fn too_many(&mut self, span: Span, most: usize) -> Option<Expression> {
        let message = format!(
            "with this one the regular expressions take more than {} MiB when compiled",
            most >> 20
        );
        self.complain(Diagnostic::error(Code::TooMany, self.file, span, message).help(
            "`contains`, `starts_with` and sets are cheaper, and often say the same; counted \
                 repetitions such as `{1,1000}` are what costs",
        ));
        None
    }
}
