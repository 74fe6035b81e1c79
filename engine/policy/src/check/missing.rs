//! Reports rules that reject requests because a source is missing.
//!
//! A field whose source is not configured is absent, so a negated test on it is true:
//! `client.country not in { NL }` holds for every client. The check therefore evaluates a condition
//! twice: without the source, and with any value of the source. If a request can meet it only
//! without the source, the condition holds because the source is missing. A rule with this
//! condition would reject requests that its author did not mean.
//!
//! Limitation: the parts of a condition are treated as independent. A condition that tests one
//! field twice can be treated as wider than it is.

use super::build::Builder;
use super::names::Tagging;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::program::{Final, Order, RuleEffect};
use crate::schema::{FieldSpec, Presence, Type};
use crate::span::{Span, Spanned};
use crate::syntax::ast::{self, Action, Expr, Literal, OpKind, Operand};

/// Number of steps for which tags are followed from rule to rule.
const TAG_ROUNDS_MAX: usize = 8;

/// The possible results of a condition over all requests: first without the source, then with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcomes {
    /// True in both cases.
    tt: bool,
    /// True only without the source.
    tf: bool,
    /// True only with the source.
    ft: bool,
    /// False in both cases.
    ff: bool,
}

impl Outcomes {
    const NONE: Self = Self { tt: false, tf: false, ft: false, ff: false };
    /// The source makes no difference.
    const OPEN: Self = Self { tt: true, ff: true, ..Self::NONE };
    const TRUE: Self = Self { tt: true, ..Self::NONE };
    const FALSE: Self = Self { ff: true, ..Self::NONE };
    /// Always false without the source.
    const FALSE_WITHOUT: Self = Self { ft: true, ff: true, ..Self::NONE };
    /// Always true without the source.
    const TRUE_WITHOUT: Self = Self { tt: true, tf: true, ..Self::NONE };
    /// True for more requests without the source.
    const MORE_WITHOUT: Self = Self { tf: true, ..Self::OPEN };

    const fn not(self) -> Self {
        Self { tt: self.ff, tf: self.ft, ft: self.tf, ff: self.tt }
    }

    const fn and(self, other: Self) -> Self {
        let (a, b) = (self, other);
        Self {
            tt: a.tt && b.tt,
            tf: (a.tf && (b.tt || b.tf)) || (a.tt && b.tf),
            ft: (a.ft && (b.tt || b.ft)) || (a.tt && b.ft),
            ff: a.ff || b.ff || (a.tf && b.ft) || (a.ft && b.tf),
        }
    }

    const fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

/// The value of an operand without its source.
#[derive(Debug, Clone, Copy)]
enum Reading {
    /// The same as with its source, or the operand has no source.
    Open,
    /// Absent.
    Absent,
    /// This number; 0 for a false flag.
    Is(i64),
    /// Possibly greater than with the source.
    More,
}

/// The effect of a missing source on a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TrackReading {
    /// None.
    #[default]
    Open,
    /// The track counts nothing.
    Empty,
    /// The track can count too many requests.
    More,
}

/// A part of a condition that holds because a source is missing.
#[derive(Debug, Clone, Copy)]
struct Culprit<'e> {
    /// The comparison.
    leaf: &'e Expr,
    leaf_span: Span,
    /// The comparison with the outermost `not` around it.
    unit: Span,
    /// Whether it is a term of an `or`.
    in_or: bool,
    /// Whether it is a term of an `and`.
    in_and: bool,
}

impl Builder<'_> {
    /// Reports a rule or limit that rejects because a source is missing. Returns whether it did.
    pub(super) fn refuses_by_absence(
        &mut self,
        name: &str,
        (when, unless): (Option<&Spanned<Expr>>, Option<&Spanned<Expr>>),
    ) -> bool {
        if !self.joined(when, unless).tf {
            return false;
        }
        let is_asked = |expr: &&Spanned<Expr>| self.outcomes(&expr.node).tf;
        let in_when = when.filter(is_asked).map(|expr| (expr, true));
        let Some((expr, is_when)) = in_when.or(unless.map(|expr| (expr, false))) else {
            return false;
        };
        let Some(culprit) = self.culprit(expr, is_when) else { return false };
        self.complain_absence(&format!("`{name}` rejects"), culprit, is_when);
        true
    }

    /// Reports the `unless` that a member adds to a rule of the operator, if a source is missing.
    pub(super) fn adjusts_by_absence(
        &mut self,
        name: &str,
        unless: &Spanned<Expr>,
        then: &RuleEffect,
    ) {
        if refuses_by(then)
            && self.outcomes(&unless.node).ft
            && let Some(culprit) = self.culprit(unless, false)
        {
            self.complain_absence(&format!("`{name}` rejects"), culprit, false);
        }
    }

    /// Reports a level that is active because a source is missing.
    pub(super) fn level_by_absence(&mut self, name: &str, enter: &Spanned<Expr>) -> bool {
        if !self.outcomes(&enter.node).tf {
            return false;
        }
        let Some(culprit) = self.culprit(enter, true) else { return false };
        self.complain_absence(&format!("the level `{name}` is entered"), culprit, true);
        true
    }

    /// Reports a key from a missing source, because it is the same for all requests. A key that
    /// also contains the client is allowed, because it still separates clients.
    pub(super) fn key_by_absence(&mut self, what: &str, per: &[Spanned<Operand>]) -> bool {
        let is_client = |operand: &Spanned<Operand>| {
            matches!(&operand.node, Operand::Word(word)
                if matches!(&**word, "client" | "client.ip" | "client.net"))
        };
        let missing = per.iter().find(|key| matches!(self.reading(&key.node), Reading::Absent));
        let Some(key) = missing.filter(|_| !per.iter().any(is_client)) else { return false };
        let text = self.text(key.span);
        self.say_absence(
            Diagnostic::error(
                Code::RestsOnMissing,
                self.file,
                key.span,
                format!("{what} counts all clients together while `{text}` is absent"),
            )
            .label("absent for all clients")
            .help("a server rejects this policy; count `per client` until there is a source"),
        );
        true
    }

    /// Returns the effect of a missing source on a track.
    pub(super) fn track_reading(&self, track: &ast::Track) -> TrackReading {
        let absent = |operand: &Operand| matches!(self.reading(operand), Reading::Absent);
        let counts_none = match track.count.as_ref().map(|count| &count.node) {
            Some(ast::Counted::Distinct(operand)) => absent(&operand.node),
            _ => false,
        };
        let asked = track.condition.as_ref().map(|expr| self.outcomes(&expr.node));
        let asked = asked.unwrap_or(Outcomes::TRUE);
        if counts_none || track.per.iter().any(|key| absent(&key.node)) || !(asked.tt || asked.tf) {
            TrackReading::Empty
        } else if asked.tf {
            TrackReading::More
        } else {
            TrackReading::Open
        }
    }

    /// Collects the tags that are set because a source is missing, and the tags that depend on such
    /// tags.
    pub(super) fn collect_absent_tags(&mut self, giving: &[Tagging<'_>]) {
        for _ in 0..TAG_ROUNDS_MAX {
            let before = self.names.absent_tags.len();
            for given in giving.iter().filter(|given| given.acts) {
                if self.joined(given.when, given.unless).tf {
                    for tag in given.tags() {
                        self.names.absent_tags.insert(tag.into(), ());
                    }
                }
            }
            if self.names.absent_tags.len() == before {
                return;
            }
        }
    }

    /// Returns the results of a condition with its exception.
    fn joined(&self, when: Option<&Spanned<Expr>>, unless: Option<&Spanned<Expr>>) -> Outcomes {
        let of = |expr: Option<&Spanned<Expr>>, none| {
            expr.map_or(none, |expr| self.outcomes(&expr.node))
        };
        of(when, Outcomes::TRUE).and(of(unless, Outcomes::FALSE).not())
    }

    fn outcomes(&self, expr: &Expr) -> Outcomes {
        match expr {
            Expr::And(parts) => {
                let parts = parts.iter().map(|part| self.outcomes(&part.node));
                parts.fold(Outcomes::TRUE, Outcomes::and)
            }
            Expr::Or(parts) => {
                let parts = parts.iter().map(|part| self.outcomes(&part.node));
                parts.fold(Outcomes::FALSE, Outcomes::or)
            }
            Expr::Not(inner) => self.outcomes(&inner.node).not(),
            Expr::Compare { left, op, right } => {
                let holds = self.compared(&left.node, op.node.kind, &right.node);
                if op.node.negated { holds.not() } else { holds }
            }
            Expr::Is { operand, present } => {
                let there = match self.reading(&operand.node) {
                    Reading::Absent => Outcomes::FALSE_WITHOUT,
                    Reading::Is(_) => Outcomes::TRUE,
                    Reading::Open | Reading::More => Outcomes::OPEN,
                };
                if *present { there } else { there.not() }
            }
            Expr::Bare(Operand::Group(inner)) => self.outcomes(&inner.node),
            Expr::Bare(operand) => match self.constant_of(operand) {
                Some(Literal::Bool(true)) => Outcomes::TRUE,
                Some(Literal::Bool(false)) => Outcomes::FALSE,
                _ => self.flag(operand),
            },
            Expr::Error => Outcomes::OPEN,
        }
    }

    fn flag(&self, operand: &Operand) -> Outcomes {
        match self.reading(operand) {
            Reading::Absent | Reading::Is(0) => Outcomes::FALSE_WITHOUT,
            Reading::Is(_) => Outcomes::TRUE_WITHOUT,
            Reading::More => Outcomes::MORE_WITHOUT,
            Reading::Open => Outcomes::OPEN,
        }
    }

    /// Returns the results of a comparison without its `not`.
    fn compared(&self, left: &Operand, kind: OpKind, right: &Operand) -> Outcomes {
        if let (Operand::Group(inner), Some(Literal::Bool(value))) = (left, self.constant_of(right))
        {
            let inner = self.outcomes(&inner.node);
            return if value { inner } else { inner.not() };
        }
        let is_known = |operand: &Operand| matches!(operand, Operand::Literal(_));
        if is_known(left) && !is_known(right) {
            return self.compared(right, mirrored(kind), left);
        }
        let number = self.constant_of(right).and_then(|literal| number(&literal));
        match (self.reading(left), self.reading(right)) {
            (Reading::Absent, _) | (_, Reading::Absent) => Outcomes::FALSE_WITHOUT,
            (Reading::Is(n), _) => match number.and_then(|m| holds(kind, n, m)) {
                Some(true) => Outcomes::TRUE_WITHOUT,
                Some(false) => Outcomes::FALSE_WITHOUT,
                None => Outcomes::OPEN,
            },
            (Reading::More, _) => match kind {
                OpKind::Greater | OpKind::GreaterEq => Outcomes::MORE_WITHOUT,
                OpKind::Less | OpKind::LessEq => Outcomes::MORE_WITHOUT.not(),
                _ => Outcomes::OPEN,
            },
            (Reading::Open, _) => Outcomes::OPEN,
        }
    }

    fn reading(&self, operand: &Operand) -> Reading {
        if let Some(spec) = self.missing_field(operand) {
            return match spec.ty {
                // Without a source, a flag is false and a number is 0.
                Type::Bool | Type::Int => Reading::Is(0),
                _ => Reading::Absent,
            };
        }
        let Operand::Call { name, args } = operand else { return Reading::Open };
        let first = || args.first().map_or(Reading::Open, |arg| self.reading(&arg.node));
        match &*name.node {
            "lower" | "len" | "segment" | "net" => match first() {
                Reading::Absent => Reading::Absent,
                _ => Reading::Open,
            },
            "sample" => match args.get(1).map(|key| self.reading(&key.node)) {
                Some(Reading::Absent) => Reading::Absent,
                _ => Reading::Open,
            },
            "count_of" => match first() {
                Reading::Absent => Reading::Is(0),
                _ => Reading::Open,
            },
            "rate" | "count" | "distinct" | "bytes" | "share" | "top" => {
                match args.first().map(|track| &track.node) {
                    Some(Operand::Word(track)) => self.reading_of_track(track),
                    _ => Reading::Open,
                }
            }
            "tagged" => match args.first().map(|tag| &tag.node) {
                Some(Operand::Literal(Literal::Str(tag))) => self.reading_of_tag(tag),
                _ => Reading::Open,
            },
            _ => Reading::Open,
        }
    }

    fn reading_of_track(&self, track: &str) -> Reading {
        let full = self.resolve(&self.names.tracks, track);
        match full.and_then(|full| self.names.tracks.get(&full)).map(|track| track.reading) {
            Some(TrackReading::Empty) => Reading::Is(0),
            Some(TrackReading::More) => Reading::More,
            Some(TrackReading::Open) | None => Reading::Open,
        }
    }

    fn reading_of_tag(&self, tag: &[u8]) -> Reading {
        let is_filed = |tag: &str| self.names.absent_tags.contains_key(tag);
        match std::str::from_utf8(tag).is_ok_and(is_filed) {
            true => Reading::More,
            false => Reading::Open,
        }
    }

    /// Returns the field of an operand if its source is not configured.
    fn missing_field(&self, operand: &Operand) -> Option<FieldSpec> {
        let spec = self.field_of(operand)?;
        // No source can be configured yet.
        matches!(spec.presence, Presence::Source(_)).then_some(spec)
    }

    /// Returns the part of the condition that causes the problem. `is_when` is true if the rule
    /// rejects when the condition is true.
    fn culprit<'e>(&self, expr: &'e Spanned<Expr>, is_when: bool) -> Option<Culprit<'e>> {
        let at = Culprit {
            leaf: &expr.node,
            leaf_span: expr.span,
            unit: expr.span,
            in_or: false,
            in_and: false,
        };
        self.find_culprit(expr, (is_when, false), at)
    }

    fn find_culprit<'e>(
        &self,
        expr: &'e Spanned<Expr>,
        (by_truth, is_negated): (bool, bool),
        at: Culprit<'e>,
    ) -> Option<Culprit<'e>> {
        let here = |in_or: bool, in_and: bool| Culprit {
            leaf: &expr.node,
            leaf_span: expr.span,
            unit: if is_negated { at.unit } else { expr.span },
            in_or,
            in_and,
        };
        match &expr.node {
            Expr::And(parts) | Expr::Or(parts) => {
                let is_or = matches!(expr.node, Expr::Or(_));
                let part = parts.iter().find(|part| {
                    let outcomes = self.outcomes(&part.node);
                    if by_truth { outcomes.tf } else { outcomes.ft }
                })?;
                let around = if is_negated { at } else { here(is_or, !is_or) };
                self.find_culprit(part, (by_truth, is_negated), around)
            }
            Expr::Not(inner) => {
                let around = if is_negated { at } else { here(at.in_or, at.in_and) };
                self.find_culprit(inner, (!by_truth, true), around)
            }
            Expr::Bare(Operand::Group(inner)) => {
                self.find_culprit(inner, (by_truth, is_negated), at)
            }
            _ => Some(here(at.in_or, at.in_and)),
        }
    }

    fn complain_absence(&mut self, what: &str, culprit: Culprit<'_>, is_when: bool) {
        let mut fields = Vec::new();
        self.fields(culprit.leaf, culprit.leaf_span, &mut fields);
        let field = fields.into_iter().find_map(|(spec, _)| match spec.presence {
            Presence::Source(source) => Some((spec, source)),
            _ => None,
        });
        let message = match field {
            Some((_, source)) => format!("{what} because no source `{source}` is configured"),
            None => format!("{what} because a source is not configured"),
        };
        let said = Diagnostic::error(Code::RestsOnMissing, self.file, culprit.unit, message);
        let fix = field.and_then(|(spec, _)| self.asks_presence(spec, culprit, is_when));
        let (label, help) = match field {
            Some((spec, _)) => (
                format!("always the same while `{}` is absent", spec.name),
                match fix {
                    Some(_) => {
                        "a server rejects this policy; add a test for presence, so that the rule \
                         needs the source"
                    }
                    None => {
                        "a server rejects this policy; remove the condition until there is a \
                        source"
                    }
                },
            ),
            None => (
                "this depends on a missing source".to_owned(),
                "a server rejects this policy; correct the track or the rule that sets the tag",
            ),
        };
        let mut said = said.label(label).help(help);
        said.fix = fix;
        self.say_absence(said);
    }

    /// Returns the correction that requires the source.
    fn asks_presence(
        &self,
        spec: FieldSpec,
        culprit: Culprit<'_>,
        is_when: bool,
    ) -> Option<crate::diagnostic::Fix> {
        let asks = matches!(culprit.leaf, Expr::Compare { left, .. }
            if matches!(self.reading(&left.node), Reading::Absent));
        if !asks {
            return None;
        }
        let (is, joint, in_brackets) = match is_when {
            true => ("present", "and", culprit.in_or),
            false => ("absent", "or", culprit.in_and),
        };
        let (name, unit) = (spec.name, self.text(culprit.unit));
        let text = format!("{name} is {is} {joint} {unit}");
        let replacement = if in_brackets { format!("({text})") } else { text };
        Some(crate::diagnostic::Fix { span: culprit.unit, replacement })
    }

    fn say_absence(&mut self, said: Diagnostic) {
        self.complain(self.at_load(said));
    }
}

/// Returns whether the actions of a step can reject.
fn refuses_by(then: &RuleEffect) -> bool {
    let scores = |effect: &crate::program::Effect| matches!(effect, crate::program::Effect::Score(n) if *n > 0);
    then.effects.iter().any(scores)
        || then.last.as_ref().is_some_and(|last| !matches!(last, Final::Allow))
}

/// Returns whether an action can reject. An addition to the score can, through `decide`.
pub(super) const fn refuses(action: &Action) -> bool {
    match action {
        Action::Block { .. }
        | Action::Drop
        | Action::Ban { .. }
        | Action::Challenge { .. }
        | Action::Throttle { .. }
        | Action::Tarpit(_) => true,
        Action::Score(n) => n.node > 0,
        Action::Allow | Action::Tag(_) | Action::Log(_) | Action::Error => false,
    }
}

/// Returns whether one of the actions can reject.
pub(super) fn may_refuse(actions: &[Spanned<Action>]) -> bool {
    actions.iter().any(|action| refuses(&action.node))
}

/// Returns the comparison with its sides swapped.
const fn mirrored(kind: OpKind) -> OpKind {
    match kind {
        OpKind::Less => OpKind::Greater,
        OpKind::LessEq => OpKind::GreaterEq,
        OpKind::Greater => OpKind::Less,
        OpKind::GreaterEq => OpKind::LessEq,
        other => other,
    }
}

fn holds(kind: OpKind, n: i64, m: i64) -> Option<bool> {
    Some(match kind {
        OpKind::Eq => n == m,
        OpKind::Less => Order::Less.holds(n, m),
        OpKind::LessEq => Order::LessEq.holds(n, m),
        OpKind::Greater => Order::Greater.holds(n, m),
        OpKind::GreaterEq => Order::GreaterEq.holds(n, m),
        _ => return None,
    })
}

fn number(literal: &Literal) -> Option<i64> {
    let saturated = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Some(match literal {
        Literal::Int(n) | Literal::Percent(n) => *n,
        Literal::Rate(rate) => saturated(rate.n),
        Literal::Size(n) => saturated(*n),
        Literal::Duration(duration) => saturated(duration.us),
        Literal::Bool(value) => i64::from(*value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the pairs of results that an outcome allows.
    fn pairs(of: Outcomes) -> Vec<(bool, bool)> {
        let all = [(of.tt, (true, true)), (of.tf, (true, false)), (of.ft, (false, true))];
        let all = all.into_iter().chain([(of.ff, (false, false))]);
        all.filter(|(has, _)| *has).map(|(_, pair)| pair).collect()
    }

    fn of(pairs: impl IntoIterator<Item = (bool, bool)>) -> Outcomes {
        pairs.into_iter().fold(Outcomes::NONE, |all, pair| match pair {
            (true, true) => Outcomes { tt: true, ..all },
            (true, false) => Outcomes { tf: true, ..all },
            (false, true) => Outcomes { ft: true, ..all },
            (false, false) => Outcomes { ff: true, ..all },
        })
    }

    #[test]
    fn joining_outcomes_is_joining_all_their_pairs() {
        let all = (1..16_u8).map(|n| Outcomes {
            tt: n & 1 != 0,
            tf: n & 2 != 0,
            ft: n & 4 != 0,
            ff: n & 8 != 0,
        });
        let all: Vec<Outcomes> = all.collect();
        for a in &all {
            let not = pairs(*a).into_iter().map(|(x, y)| (!x, !y));
            assert_eq!(a.not(), of(not), "not {a:?}");
            for b in &all {
                let both = |join: fn(bool, bool) -> bool| {
                    let each = pairs(*a).into_iter().flat_map(|x| {
                        pairs(*b).into_iter().map(move |y| (join(x.0, y.0), join(x.1, y.1)))
                    });
                    of(each.collect::<Vec<_>>())
                };
                assert_eq!(a.and(*b), both(|x, y| x && y), "{a:?} and {b:?}");
                assert_eq!(a.or(*b), both(|x, y| x || y), "{a:?} or {b:?}");
            }
        }
    }
}
