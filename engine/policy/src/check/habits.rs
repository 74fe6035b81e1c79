//! Warns about comparisons that no request meets, or that every request meets.
//!
//! In other tools a path includes its query, a file extension its dot, or a host its port. A
//! condition written with such a habit is valid here, but has no effect. The possible values of a
//! field are declared with the fields ([`crate::schema::Habits`]). This module compares them with
//! the conditions.

use seawall_model::Prefix;

use super::build::Builder;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, nearest};
use crate::program::Order;
use crate::schema::{Asked, FieldId, Form, Made, Mend, Never, Presence, Type};
use crate::span::{Span, Spanned};
use crate::syntax::ast::{CompareOp, Expr, Literal, OpKind, Operand};

/// The left side of a comparison, if it is a text of the request.
struct Subject {
    field: FieldId,
    name: String,
    made: Made,
}

/// The parts of a comparison, as written.
#[derive(Clone, Copy)]
pub(super) struct Written<'w> {
    pub(super) left: &'w Spanned<Operand>,
    pub(super) op: &'w Spanned<CompareOp>,
    pub(super) right: &'w Spanned<Operand>,
    pub(super) whole: Span,
}

impl Builder<'_> {
    /// Warns about a comparison that no request meets.
    pub(super) fn warn_never(&mut self, written: Written<'_>) {
        if let Some(subject) = self.subject(&written.left.node) {
            self.warn_text(written, &subject);
        } else if let Some(Literal::Cidr(net, _)) = self.constant_of(&written.right.node) {
            self.warn_network(written, &net);
        } else {
            self.warn_number(written);
        }
    }

    fn warn_network(&mut self, written: Written<'_>, net: &Prefix) {
        let Written { left, op, whole, .. } = written;
        let Operand::Word(word) = &left.node else { return };
        let Some((field, _)) = self.given.schema.field(word) else { return };
        let asked = (op.node.kind == OpKind::Eq).then_some(self.given.schema.habits.network);
        let Some(Never { why, help, .. }) = asked.and_then(|network| network(field, net)) else {
            return;
        };
        let not = op.node.negated;
        let (shown, when) = (self.text(whole), if not { "always" } else { "never" });
        let message = format!("`{shown}` {when} holds: {why}");
        let said = Diagnostic::error(Code::NeverHolds, self.file, whole, message).warning();
        let fix = if not { "not in" } else { "in" };
        self.complain(said.help(help).fix(op.span, fix));
    }

    fn subject(&self, operand: &Operand) -> Option<Subject> {
        let schema = self.given.schema;
        match operand {
            Operand::Word(word) => {
                let (field, spec) = schema.field(word)?;
                let is_text = spec.ty == Type::Str && spec.form == Form::Plain;
                is_text.then(|| Subject { field, name: String::new(), made: Made::Plain })
            }
            Operand::Call { name, args } => match (&*name.node, args.as_slice()) {
                ("lower", [of]) => Some(Subject { made: Made::Lower, ..self.subject(&of.node)? }),
                ("segment", [of, _]) => {
                    Some(Subject { made: Made::Segment, ..self.subject(&of.node)? })
                }
                (named, [Spanned { node: Operand::Literal(Literal::Str(text)), .. }]) => {
                    let (field, spec) = schema.field(named)?;
                    let name = String::from_utf8_lossy(text).into_owned();
                    (spec.form == Form::Named).then_some(Subject { field, name, made: Made::Plain })
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn warn_text(&mut self, written: Written<'_>, subject: &Subject) {
        let one = match &written.right.node {
            Operand::Set(elements) => {
                for element in elements {
                    if let Literal::Str(text) = &element.node {
                        let alone = elements.len() == 1;
                        self.warn_one(written, subject, (text, element.span), alone);
                    }
                }
                return;
            }
            right => self.constant_of(right),
        };
        if let Some(Literal::Str(text)) = one {
            self.warn_one(written, subject, (&text, written.right.span), true);
        }
    }

    fn warn_one(
        &mut self,
        written: Written<'_>,
        subject: &Subject,
        (bytes, span): (&[u8], Span),
        alone: bool,
    ) {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let Written { left, op, whole, .. } = written;
        let asked = Asked {
            field: subject.field,
            name: &subject.name,
            made: subject.made,
            op: if op.node.kind == OpKind::In { OpKind::Eq } else { op.node.kind },
            nocase: op.node.nocase,
            text,
        };
        let Some(Never { why, help, mend }) = (self.given.schema.habits.text)(&asked) else {
            return;
        };
        let place = if alone { whole } else { span };
        let shown = self.text(place).to_owned();
        let message = match (alone, op.node.negated) {
            (true, false) => format!("`{shown}` never holds: {why}"),
            (true, true) => format!("`{shown}` always holds: {why}"),
            (false, _) => format!("no request has {shown} here: {why}"),
        };
        let said = Diagnostic::error(Code::NeverHolds, self.file, place, message).warning();
        let said = said.help(help);
        let not = op.node.negated;
        let subject = self.text(left.span);
        let said = match mend {
            Mend::Nothing => said,
            Mend::Text(text) => said.fix(span, self.quoted(span, &text)),
            _ if !alone => said,
            Mend::Left(other) => said.fix(left.span, other),
            Mend::Absent => {
                let is = if not { "present" } else { "absent" };
                said.fix(whole, format!("{subject} is {is}"))
            }
            Mend::Whole(other) => {
                let many = other.contains(" and ") || other.contains(" or ");
                let other = if many || not { format!("({other})") } else { other };
                said.fix(whole, if not { format!("not {other}") } else { other })
            }
        };
        self.complain(said);
    }

    /// Returns a text in the notation of the text that it replaces.
    fn quoted(&self, place: Span, text: &str) -> String {
        let raw = self.text(place).starts_with('r') && !text.contains(['"', '\n', '\r']);
        if raw {
            return format!("r\"{text}\"");
        }
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    }

    /// Warns about a number outside the range of the other side.
    fn warn_number(&mut self, written: Written<'_>) {
        let Written { left, op, right, whole } = written;
        let Some((least, most)) = self.range_of(&left.node) else { return };
        let Some(n) = self.constant_of(&right.node).and_then(|literal| number(&literal)) else {
            return;
        };
        let can = match op.node.kind {
            OpKind::Eq => (least..=most).contains(&n),
            OpKind::Less => Order::Less.holds(least, n),
            OpKind::LessEq => Order::LessEq.holds(least, n),
            OpKind::Greater => Order::Greater.holds(most, n),
            OpKind::GreaterEq => Order::GreaterEq.holds(most, n),
            _ => return,
        };
        if can {
            return;
        }
        let (shown, subject) = (self.text(whole), self.text(left.span));
        let when = if op.node.negated { "always" } else { "never" };
        let bounds = match most {
            i64::MAX => format!("is at least {least}"),
            most => format!("is between {least} and {most}"),
        };
        let message = format!("`{shown}` {when} holds: `{subject}` {bounds}");
        self.complain(
            Diagnostic::error(Code::NeverHolds, self.file, whole, message)
                .warning()
                .help("compare it with a possible number, or remove the rule"),
        );
    }

    fn range_of(&self, operand: &Operand) -> Option<(i64, i64)> {
        let (schema, habits) = (self.given.schema, self.given.schema.habits);
        match operand {
            Operand::Word(word) => (habits.range)(schema.field(word)?.0),
            Operand::Call { name, args } => {
                let of = args.first().and_then(|of| self.subject(&of.node));
                Some(match &*name.node {
                    "len" => {
                        let plain = of.filter(|of| of.made != Made::Segment);
                        (plain.map_or(0, |of| (habits.len_min)(of.field)), i64::MAX)
                    }
                    "count_of" => {
                        let named = of.filter(|of| !of.name.is_empty());
                        (0, named.map_or(1, |of| (habits.values_max)(of.field)))
                    }
                    "share" => (0, 100),
                    _ => return None,
                })
            }
            _ => None,
        }
    }

    /// Warns about a named field that no request has.
    pub(super) fn warn_name(&mut self, field: FieldId, name: &str, span: Span) {
        let Some(Never { why, help, mend }) = (self.given.schema.habits.name)(field, name) else {
            return;
        };
        let shown = self.text(span).to_owned();
        let message = format!("no request has {shown}: {why}");
        let said = Diagnostic::error(Code::NeverHolds, self.file, span, message).warning();
        let said = said.help(help);
        self.complain(match mend {
            Mend::Text(text) => said.fix(span, self.quoted(span, &text)),
            _ => said,
        });
    }

    /// Warns about a tag that no rule sets.
    pub(super) fn warn_tag(&mut self, tag: &str, span: Span) {
        // The tags of members are not known while the operator's files are checked.
        let is_whole = self.member.is_some() || self.entries.is_empty();
        if !is_whole || self.names.tags.contains_key(tag) {
            return;
        }
        let message = format!("`tagged(\"{tag}\")` never holds: no rule sets this tag");
        let said = Diagnostic::error(Code::NeverHolds, self.file, span, message).warning();
        let known = self.names.tags.keys().map(|tag| &**tag);
        let near = nearest(tag, known).map(str::to_owned);
        self.complain(match near {
            Some(near) => {
                let fix = self.quoted(span, &near);
                said.label(format!("did you mean `{near}`?")).fix(span, fix)
            }
            None => said.help("set the tag in a rule with `then tag \"…\"`"),
        });
    }

    /// Warns about `== ""` for a value that is absent instead. Only here the rest of the condition
    /// is known.
    pub(super) fn warn_empty(&mut self, conditions: [Option<&Spanned<Expr>>; 2]) {
        let mut asked = Vec::new();
        for condition in conditions.into_iter().flatten() {
            self.asked_for_presence(&condition.node, &mut asked);
        }
        for condition in conditions.into_iter().flatten() {
            self.warn_empty_in(&condition.node, &asked);
        }
    }

    fn asked_for_presence(&self, expr: &Expr, asked: &mut Vec<String>) {
        match expr {
            Expr::And(parts) | Expr::Or(parts) => {
                parts.iter().for_each(|part| self.asked_for_presence(&part.node, asked));
            }
            Expr::Not(inner) | Expr::Bare(Operand::Group(inner)) => {
                self.asked_for_presence(&inner.node, asked);
            }
            Expr::Is { operand, .. } => asked.push(self.text(operand.span).to_owned()),
            Expr::Compare { .. } | Expr::Bare(_) | Expr::Error => {}
        }
    }

    fn warn_empty_in(&mut self, expr: &Expr, asked: &[String]) {
        match expr {
            Expr::And(parts) | Expr::Or(parts) => {
                parts.iter().for_each(|part| self.warn_empty_in(&part.node, asked));
            }
            Expr::Not(inner) | Expr::Bare(Operand::Group(inner)) => {
                self.warn_empty_in(&inner.node, asked);
            }
            Expr::Compare { left, op, right } if !op.node.negated => {
                self.warn_empty_text((left, op.node.kind, right), asked);
            }
            _ => {}
        }
    }

    fn warn_empty_text(
        &mut self,
        (left, kind, right): (&Spanned<Operand>, OpKind, &Spanned<Operand>),
        asked: &[String],
    ) {
        let empty = match kind {
            OpKind::Eq | OpKind::Like => "",
            OpKind::Matches => "^$",
            _ => return,
        };
        let is_empty = matches!(self.constant_of(&right.node), Some(Literal::Str(text)) if *text == *empty.as_bytes());
        let Some(subject) = self.subject(&left.node).filter(|_| is_empty) else { return };
        let spec = self.given.schema.spec(subject.field);
        let may_miss = spec.is_some_and(|spec| spec.presence == Presence::Maybe)
            && (self.given.schema.habits.empty_is_absent)(subject.field);
        let text = self.text(left.span).to_owned();
        if !may_miss || asked.contains(&text) {
            return;
        }
        let whole = left.span.to(right.span);
        let shown = self.text(whole).to_owned();
        let message = format!(
            "`{shown}` holds only for a value that was sent empty: an absent value equals nothing"
        );
        self.complain(
            Diagnostic::error(Code::NeverHolds, self.file, whole, message)
                .warning()
                .help("to test whether the value is missing, use `is absent`")
                .fix(whole, format!("({text} is absent or {shown})")),
        );
    }
}

/// Returns the numeric value of a literal.
fn number(literal: &Literal) -> Option<i64> {
    let saturated = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Some(match literal {
        Literal::Int(n) | Literal::Percent(n) => *n,
        Literal::Size(n) => saturated(*n),
        Literal::Duration(duration) => saturated(duration.us),
        _ => return None,
    })
}
