//! Regular expressions, compiled within a budget.
//!
//! One expression may take [`REGEX_BYTES_MAX`], and all of the host's, like all of one member's,
//! have a budget together: a thousand long ones would otherwise take a gigabyte and a minute at
//! every save. Once a budget is spent nothing more of it is compiled.

use std::collections::HashMap;

use regex::bytes::{Regex, RegexBuilder};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;

use super::build::Builder;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// The most bytes that one regular expression may take when compiled.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// The most bytes that all of the host's may take together.
pub const REGEX_BYTES_HOST_MAX: usize = 16 << 20;

/// The most bytes that all of one member's may take together.
pub const REGEX_BYTES_MEMBER_MAX: usize = 2 << 20;

/// The most bytes that an expression's lazy automaton may take while it runs, for each worker.
pub const REGEX_CACHE_BYTES_MAX: usize = 256 << 10;

/// What is spent, by member; the host's is filed under none.
pub(super) type Spent = HashMap<Option<Box<str>>, usize>;

impl Builder<'_> {
    /// Compiles an expression, or complains about it.
    pub(super) fn regex(&mut self, pattern: &str, span: Span) -> Option<Regex> {
        let most = match self.member {
            Some(_) => REGEX_BYTES_MEMBER_MAX,
            None => REGEX_BYTES_HOST_MAX,
        };
        let spent = self.regexes.get(&self.member).copied().unwrap_or(0);
        if spent > most {
            // Told at the one with which it became too much.
            return None;
        }
        let message = match compiled(pattern) {
            Ok((regex, bytes)) => {
                let spent = spent.saturating_add(bytes);
                self.regexes.insert(self.member.clone(), spent);
                if spent <= most {
                    return Some(regex);
                }
                return self.too_many(span, most);
            }
            Err(regex::Error::CompiledTooBig(max)) => {
                format!("this regular expression takes more than {max} bytes when compiled")
            }
            Err(error) => {
                let text = error.to_string();
                let why = text.lines().last().unwrap_or("").trim_start_matches("error: ");
                format!("this regular expression does not compile: {why}")
            }
        };
        self.complain(
            Diagnostic::error(Code::Regex, self.file, span, message).help(
                "look-around and back-references do not exist here, so that no input is slow",
            ),
        );
        None
    }

    fn too_many(&mut self, span: Span, most: usize) -> Option<Regex> {
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

/// The expression, and about how many bytes it takes.
fn compiled(pattern: &str) -> Result<(Regex, usize), regex::Error> {
    let config = thompson::Config::new().utf8(false).nfa_size_limit(Some(REGEX_BYTES_MAX));
    let nfa = thompson::Compiler::new()
        .syntax(syntax::Config::new().utf8(false))
        .configure(config)
        .build(pattern);
    if nfa.as_ref().is_err_and(|error| error.size_limit().is_some()) {
        return Err(regex::Error::CompiledTooBig(REGEX_BYTES_MAX));
    }
    let regex = RegexBuilder::new(pattern)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_CACHE_BYTES_MAX)
        .build()?;
    Ok((regex, nfa.map_or(0, |nfa| nfa.memory_usage())))
}
