//! Lints: a policy that loads, but probably does not do what its author intended.
//!
//! Each lint prevents a known kind of outage or bypass: a rejection that also applies to all
//! requests without the header, an `allow` that any client can claim, a limit that many households
//! share. Lints never reject a policy, and they name the correction.

use super::build::Builder;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::schema::{FieldSpec, Form, Presence};
use crate::span::{Span, Spanned};
use crate::syntax::ast::{Action, Expr, LayerKind, Level, Limit, Operand, Rule, Threshold};

use super::layer::Where;
use super::missing::{may_refuse, refuses};

/// Up to this number, a limit by `client.net` is too small for the 256 addresses that share it.
const NET_KEY_SMALL: u64 = 256;

impl Builder<'_> {
    /// Lints one rule.
    pub(super) fn lint_rule(&mut self, rule: &Rule, at: Where) {
        let Some(when) = &rule.when else { return };
        let actions = rule.then.as_ref().map(|then| &*then.node).unwrap_or_default();
        let acts = rule.shadow.is_none() && may_refuse(actions);
        let conditions = (Some(when), rule.unless.as_ref());
        if !(acts && self.refuses_by_absence(&rule.name.node, conditions)) {
            self.note_sources(when);
        }
        self.warn_empty([Some(when), rule.unless.as_ref()]);
        let last = actions.last().map(|action| &action.node);
        match (at, last) {
            (Where::Layer(LayerKind::Guarantee), _) if self.is_narrow(&when.node) => {}
            (Where::Layer(LayerKind::Guarantee), _) => self.warn_broad(when.span),
            (_, Some(Action::Allow)) => self.note_forgeable(when, rule.unless.as_ref()),
            (
                _,
                Some(Action::Block { .. } | Action::Drop | Action::Ban { .. } | Action::Tarpit(_)),
            ) => {
                self.note_absent_trap(when);
            }
            _ => {}
        }
    }

    /// Lints one line of the decision table.
    pub(super) fn lint_threshold(&mut self, threshold: &Threshold) {
        self.warn_empty([Some(&threshold.when), None]);
        let refuses = refuses(&threshold.then.node);
        if !(refuses && self.refuses_by_absence("decide", (Some(&threshold.when), None))) {
            self.note_sources(&threshold.when);
        }
    }

    /// Lints one level.
    pub(super) fn lint_level(&mut self, level: &Level) {
        let Some(enter) = &level.enter else { return };
        if !self.level_by_absence(&level.name.node, enter) {
            self.note_sources(enter);
        }
        self.no_expiry(&level.meta, "a level");
    }

    /// Lints one limit.
    pub(super) fn lint_limit(&mut self, limit: &Limit, n: u64) {
        let actions = limit.then.as_ref().map(|then| &*then.node).unwrap_or_default();
        let acts = limit.shadow.is_none() && may_refuse(actions);
        let conditions = (limit.condition.as_ref(), limit.unless.as_ref());
        self.warn_empty([conditions.0, conditions.1]);
        if !(acts && self.refuses_by_absence(&limit.name.node, conditions))
            && let Some(condition) = &limit.condition
        {
            self.note_sources(condition);
        }
        if acts && self.key_by_absence(&format!("`{}`", limit.name.node), &limit.per) {
            return;
        }
        for key in &limit.per {
            let Some(spec) = self.field_of(&key.node) else { continue };
            if spec.name == "client.net" && n <= NET_KEY_SMALL {
                self.note(
                    Code::NetKey,
                    key.span,
                    "an IPv4 `client.net` contains 256 addresses, which share this limit",
                    "count by `client`, or raise the limit for a whole network",
                );
            }
            if spec.presence != Presence::Always {
                let text = self.text(key.span);
                self.note(
                    Code::AbsentKey,
                    key.span,
                    &format!("all requests without `{text}` share one counter"),
                    "add `client` to the key, or test for the value in `where`",
                );
            }
        }
    }

    fn note(&mut self, code: Code, span: Span, message: &str, help: &str) {
        let file = self.file;
        self.complain(Diagnostic::error(code, file, span, message).note().help(help));
    }

    fn warn_broad(&mut self, span: Span) {
        let file = self.file;
        self.complain(
            Diagnostic::error(
                Code::BroadGuarantee,
                file,
                span,
                "this guarantee is broad: no rule can reject a request that it allows",
            )
            .warning()
            .help("add a path, a network or a header to the condition"),
        );
    }

    /// Reports a rule that depends on a missing source and therefore never acts.
    fn note_sources(&mut self, when: &Spanned<Expr>) {
        let mut fields = Vec::new();
        self.fields(&when.node, when.span, &mut fields);
        let source = fields.iter().find_map(|(spec, span)| match spec.presence {
            Presence::Source(source) => Some((spec.name, source, *span)),
            _ => None,
        });
        if let Some((name, source, span)) = source {
            self.note(
                Code::NoSource,
                span,
                &format!("`{name}` is always absent: no source `{source}` is configured"),
                "without the source, plain tests of the field are false and negated tests are true",
            );
        }
    }

    fn note_forgeable(&mut self, when: &Spanned<Expr>, unless: Option<&Spanned<Expr>>) {
        let mut fields = Vec::new();
        self.fields(&when.node, when.span, &mut fields);
        if let Some(unless) = unless {
            self.fields(&unless.node, unless.span, &mut fields);
        }
        if !fields.is_empty() && fields.iter().all(|(spec, _)| spec.forgeable) {
            self.note(
                Code::ForgeableAllow,
                when.span,
                "any client can meet the condition of this `allow`",
                "add a test that a client cannot forge, such as `client.ip in @office`",
            );
        }
    }

    /// Reports `header("x") != "a"`: it is true for every request without `x`.
    fn note_absent_trap(&mut self, when: &Spanned<Expr>) {
        let parts: Vec<&Spanned<Expr>> = match &when.node {
            Expr::And(parts) => parts.iter().collect(),
            _ => vec![when],
        };
        let asked: Vec<String> = parts
            .iter()
            .filter_map(|part| match &part.node {
                Expr::Is { operand, .. } => Some(self.text(operand.span).to_owned()),
                _ => None,
            })
            .collect();
        for part in parts {
            let Expr::Compare { left, op, .. } = &part.node else { continue };
            let Some(spec) = self.field_of(&left.node).filter(|_| op.node.negated) else {
                continue;
            };
            let text = self.text(left.span).to_owned();
            if spec.presence == Presence::Maybe && !asked.contains(&text) {
                self.note(
                    Code::AbsentTrap,
                    part.span,
                    &format!("this rule also rejects every request without `{text}`"),
                    &format!("if this is not intended, add `{text} is present and …`"),
                );
            }
        }
    }

    /// Returns the field of an operand.
    pub(super) fn field_of(&self, operand: &Operand) -> Option<FieldSpec> {
        let (name, form) = match operand {
            Operand::Word(word) => (word, Form::Plain),
            Operand::Call { name, .. } => (&name.node, Form::Named),
            _ => return None,
        };
        let (_, spec) = self.given.schema.field(name)?;
        (spec.form == form).then_some(*spec)
    }

    /// Collects every field that a condition reads.
    pub(super) fn fields(&self, expr: &Expr, span: Span, found: &mut Vec<(FieldSpec, Span)>) {
        match expr {
            Expr::And(parts) | Expr::Or(parts) => {
                parts.iter().for_each(|part| self.fields(&part.node, part.span, found));
            }
            Expr::Not(inner) => self.fields(&inner.node, inner.span, found),
            Expr::Compare { left, right, .. } => {
                self.operand_fields(left, found);
                self.operand_fields(right, found);
            }
            Expr::Is { operand, .. } => self.operand_fields(operand, found),
            Expr::Bare(operand) => {
                self.operand_fields(&Spanned::new(operand.clone(), span), found);
            }
            Expr::Error => {}
        }
    }

    fn operand_fields(&self, operand: &Spanned<Operand>, found: &mut Vec<(FieldSpec, Span)>) {
        if let Some(spec) = self.field_of(&operand.node) {
            found.push((spec, operand.span));
            return;
        }
        match &operand.node {
            Operand::Call { args, .. } => {
                args.iter().for_each(|arg| self.operand_fields(arg, found));
            }
            Operand::Group(inner) => self.fields(&inner.node, inner.span, found),
            _ => {}
        }
    }

    /// Returns whether a condition is narrow: it names a path, a client or a proof, which few
    /// requests have.
    fn is_narrow(&self, expr: &Expr) -> bool {
        match expr {
            Expr::And(parts) => parts.iter().any(|part| self.is_narrow(&part.node)),
            Expr::Or(parts) => parts.iter().all(|part| self.is_narrow(&part.node)),
            Expr::Compare { left, op, .. } => {
                let narrow = ["path", "raw_path", "header", "cookie", "query", "host", "conn.sni"];
                !op.node.negated
                    && self.field_of(&left.node).is_some_and(|spec| {
                        narrow.contains(&spec.name) || spec.name.starts_with("client")
                    })
            }
            Expr::Bare(Operand::Group(inner)) => self.is_narrow(&inner.node),
            Expr::Bare(operand) => {
                self.field_of(operand).is_some_and(|spec| spec.name.starts_with("pass"))
            }
            Expr::Not(_) | Expr::Is { .. } | Expr::Error => false,
        }
    }
}
