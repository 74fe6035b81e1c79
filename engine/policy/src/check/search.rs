//! `contains`, `starts_with` and `ends_with` with several texts: a set or a list.

use std::sync::Arc;

use super::build::Builder;
use super::names::Constant;
use super::operand::TypedOperand;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::program::{Check, ListId, ListSource, Needle};
use crate::schema::Type;
use crate::set::Set;
use crate::span::{Span, Spanned};
use crate::syntax::ast::{CompareOp, Literal, OpKind, Operand};
use crate::texts::{NoSearch, Position, Search, TextSet};

/// Returns the kind of search of an operator; `None` if it is not a search.
pub(super) fn search_of(op: CompareOp) -> Option<Search> {
    let position = match op.kind {
        OpKind::Contains => Position::Anywhere,
        OpKind::StartsWith => Position::Beginning,
        OpKind::EndsWith => Position::End,
        _ => return None,
    };
    Some(Search { position, nocase: op.nocase })
}

/// Returns the test for one text.
pub(super) fn needle(search: Search, bytes: Box<[u8]>) -> Check {
    let Search { position, nocase } = search;
    let bytes = if nocase { bytes.to_ascii_lowercase().into() } else { bytes };
    let needle = Needle { bytes, nocase };
    match position {
        Position::Anywhere => Check::Contains(needle),
        Position::Beginning => Check::StartsWith(needle),
        Position::End => Check::EndsWith(needle),
    }
}

impl Builder<'_> {
    /// Returns the test for several texts if the right side is a set or a list. The outer `None`
    /// means that it is neither.
    pub(super) fn several(
        &mut self,
        (search, op): (Search, Span),
        left: TypedOperand,
        right: &Spanned<Operand>,
        subject: &str,
    ) -> Option<Option<(Check, String)>> {
        let elements = match &right.node {
            Operand::ListRef(name) => {
                let listed =
                    self.listed((search, op), left, Spanned::new(name, right.span), subject);
                return Some(listed);
            }
            Operand::Set(elements) => elements.clone(),
            Operand::Word(word) => match self.let_value(word) {
                Some(Constant::Set(elements)) => elements,
                _ => return None,
            },
            _ => return None,
        };
        Some(self.one_of_texts((search, op), &elements, right.span, subject))
    }

    fn one_of_texts(
        &mut self,
        (search, op): (Search, Span),
        elements: &[Spanned<Literal>],
        span: Span,
        subject: &str,
    ) -> Option<(Check, String)> {
        let Set::Strings(all) = self.set(elements, Type::Str, subject)? else { return None };
        let mut all: Vec<Box<[u8]>> = all.into_iter().collect();
        all.sort_unstable();
        if subject == "ua"
            && !search.nocase
            && let Some(upper) = all.iter().find(|text| text.iter().any(u8::is_ascii_uppercase))
        {
            let written = format!("\"{}\"", String::from_utf8_lossy(upper));
            self.warn_case(&written, op, span);
        }
        let key = format!("{}{all:?}", search.nocase);
        match <[Box<[u8]>; 1]>::try_from(all) {
            Ok([one]) if !one.is_empty() => Some((needle(search, one), key)),
            Ok(one) => self.text_set(search, one.into(), span, subject).map(|check| (check, key)),
            Err(all) => self.text_set(search, all, span, subject).map(|check| (check, key)),
        }
    }

    /// Builds a search for the texts of a set, within the budget for automata.
    fn text_set(
        &mut self,
        search: Search,
        all: Vec<Box<[u8]>>,
        span: Span,
        subject: &str,
    ) -> Option<Check> {
        if !self.has_automata_left() {
            return None;
        }
        match TextSet::new(search, all) {
            Ok(set) => self.pays_automaton(set.bytes(), span).then(|| Check::HasOne(Arc::new(set))),
            Err(NoSearch::Empty) => {
                self.refuse_empty(span, subject);
                None
            }
            Err(why @ NoSearch::TooLarge { .. }) => {
                let said = Diagnostic::error(Code::TooMany, self.file, span, format!("this {why}"));
                self.complain(said.help("reduce the texts, or move them to a list file"));
                None
            }
        }
    }

    /// Returns the test for the elements of a list.
    fn listed(
        &mut self,
        (search, op): (Search, Span),
        left: TypedOperand,
        name: Spanned<&str>,
        subject: &str,
    ) -> Option<(Check, String)> {
        let (list, element) = self.list_named(name.node, name.span)?;
        if element != Type::Str {
            self.elements_differ((left, subject), (name.node, element), name.span);
            return None;
        }
        if subject == "ua" && !search.nocase && self.may_hold_capitals(list) {
            self.warn_case(&format!("the texts of `@{}`", name.node), op, name.span);
        }
        if self.holds_empty(list) {
            self.refuse_empty(name.span, subject);
            return None;
        }
        let key = format!("{}@{}", search.nocase, list.0);
        Some((Check::HasListed(list, search), key))
    }

    /// Returns the texts of a list if they are in the policy.
    fn written_texts(&self, list: ListId) -> Option<&hashbrown::HashSet<Box<[u8]>>> {
        match &self.program.lists.get(list.0 as usize)?.source {
            ListSource::Inline(Set::Strings(all)) => Some(all),
            _ => None,
        }
    }

    /// Returns whether a list can contain upper-case letters. A file can change at any time.
    fn may_hold_capitals(&self, list: ListId) -> bool {
        let has_capital = |text: &[u8]| text.iter().any(u8::is_ascii_uppercase);
        self.written_texts(list).is_none_or(|all| all.iter().any(|text| has_capital(text)))
    }

    fn holds_empty(&self, list: ListId) -> bool {
        self.written_texts(list).is_some_and(|all| all.contains(&b""[..]))
    }

    /// Reports the empty text, because every text contains it.
    pub(super) fn refuse_empty(&mut self, span: Span, subject: &str) {
        let message = "every text contains the empty text, so this is always true";
        let said = Diagnostic::error(Code::OperatorType, self.file, span, message);
        let help = format!("use `{subject} is present` to test whether there is a value");
        self.complain(said.help(help));
    }

    /// Reports an empty text in a list that a test replaces, if the list is used in a search.
    pub(super) fn refuse_empty_given(&mut self, list: ListId, set: &Set, span: Span) {
        let is_searched = self.program.searches(list, 0).next().is_some();
        if is_searched && set.has_bytes(b"") {
            self.refuse_empty(span, "it");
        }
    }

    /// Returns the constant that an operator searches, as bytes.
    pub(super) fn one_text(
        &mut self,
        right: &Spanned<Operand>,
        subject: &str,
    ) -> Option<Option<Box<[u8]>>> {
        let literal = self.constant_of(&right.node)?;
        let constant = self.constant(&literal, Type::Str, right.span, subject);
        Some(constant.and_then(Self::const_bytes))
    }

    /// Returns whether an operand is the name of a set.
    pub(super) fn is_set(&self, operand: &Operand) -> bool {
        let Operand::Word(word) = operand else { return false };
        matches!(self.let_value(word), Some(Constant::Set(_)))
    }
}
