//! `adjust` and `disable`: changes of a site to the operator's `defaults`.
//!
//! The changes apply to the hosts of the site only. The operator's own steps stay unchanged.

use std::collections::HashMap;

use super::build::{Builder, number};
use super::layer::Where;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, nearest};
use crate::program::{Adjusted, CondId, LimitTerms, Op, Step};
use crate::span::Span;
use crate::syntax::ast::{self, Name, Stmt};

impl Builder<'_> {
    /// Returns the changes of a site to `defaults`; `None` without `adjust` and `disable`.
    pub(super) fn adjusted(&mut self, stmts: &[Stmt]) -> Option<Adjusted> {
        let mut adjusted: Option<Adjusted> = None;
        let mut seen: HashMap<Box<str>, Span> = HashMap::new();
        for stmt in stmts {
            let name = match stmt {
                Stmt::Adjust(adjust) => &adjust.name,
                Stmt::Disable(disable) => &disable.name,
                Stmt::Under(under) => {
                    self.refuse_adjust_under(&under.stmts);
                    continue;
                }
                _ => continue,
            };
            if !self.begins(name.span) {
                break;
            }
            if let Some(first) = seen.insert(name.node.clone(), name.span) {
                let message = format!("`{}` is adjusted twice", name.node);
                let file = self.file;
                self.complain(
                    Diagnostic::error(Code::DuplicateName, file, name.span, message).related(
                        file,
                        first,
                        "the first",
                    ),
                );
            }
            let adjusted = adjusted.get_or_insert_default();
            if let Some((at, mut step)) = self.default_step(name) {
                let changed = match stmt {
                    Stmt::Adjust(adjust) => {
                        self.adjust(adjust, &mut step);
                        Some(step)
                    }
                    _ => None,
                };
                adjusted.set(at, changed);
            }
            self.weigh();
        }
        adjusted
    }

    fn refuse_adjust_under(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            if let Stmt::Adjust(ast::Adjust { name, .. })
            | Stmt::Disable(ast::Disable { name, .. }) = stmt
            {
                self.error(
                    Code::Misplaced,
                    name.span,
                    "`adjust` and `disable` apply at every level; move them out of `under`",
                );
            }
        }
    }

    /// Returns the step of `defaults` with this name: its position, and the original step.
    fn default_step(&mut self, name: &Name) -> Option<(u32, Step)> {
        let wanted = match name.node.strip_prefix("defaults.") {
            Some(_) => name.node.clone(),
            None => format!("defaults.{}", name.node).into(),
        };
        let is = |step: &&Step| {
            self.program.rules.get(step.rule.0 as usize).is_some_and(|rule| rule.name == wanted)
        };
        let found = (0_u32..).zip(&self.program.defaults).find(|(_, step)| is(step));
        if let Some((at, step)) = found {
            return Some((at, step.clone()));
        }
        let known: Vec<Box<str>> = self
            .program
            .defaults
            .iter()
            .filter_map(|step| self.program.rules.get(step.rule.0 as usize))
            .map(|rule| rule.name.clone())
            .collect();
        let mut diagnostic = Diagnostic::error(
            Code::UnknownRule,
            self.file,
            name.span,
            format!("`defaults` has no rule or limit `{}`", name.node),
        )
        .help("only rules and limits in `defaults` can be adjusted");
        if let Some(near) = nearest(&wanted, known.iter().map(|known| &**known)) {
            diagnostic = diagnostic.label(format!("did you mean `{near}`?")).fix(name.span, near);
        }
        self.complain(diagnostic);
        None
    }

    fn adjust(&mut self, adjust: &ast::Adjust, step: &mut Step) {
        // The counter belongs to this member. Another member's adjusted limit has its own counter.
        let name = adjust.name.node.trim_start_matches("defaults.");
        let own = format!("{}.defaults.{name}", self.prefix);
        self.adjust_terms(adjust, step.limit.as_mut().map(|limit| &mut limit.terms));
        if let Some(then) = &adjust.then
            && let Some(then) = self.then(&then.node, Where::Member, &own)
        {
            step.then = then;
        }
        self.no_expiry(&adjust.meta, "an `adjust`");
        if let Some(unless) = &adjust.unless {
            self.adjusts_by_absence(&own, unless, &step.then);
        }
        if let Some(unless) = &adjust.unless
            && let Some(unless) = self.condition(unless)
        {
            step.unless = Some(match step.unless {
                None => unless,
                Some(before) => self.either(before, unless),
            });
        }
    }

    /// Adjusts the numbers of a limit. A rule has none.
    fn adjust_terms(&mut self, adjust: &ast::Adjust, mut terms: Option<&mut LimitTerms>) {
        if let Some(to) = &adjust.to {
            match (self.to(to), terms.as_deref_mut()) {
                (Some((n, burst, window_ms)), Some(LimitTerms::Rate(rate))) => {
                    (rate.n, rate.burst, rate.window_ms) = (n, burst, window_ms);
                }
                (Some(_), Some(LimitTerms::Concurrent { .. })) => {
                    self.other_limit(to.span, "to", "concurrent 20");
                }
                (Some(_), None) => self.no_limit(to.span, "to"),
                (None, _) => {}
            }
        }
        if let Some(n) = &adjust.concurrent {
            match (self.concurrent(n), terms.as_deref_mut()) {
                (Some(new), Some(terms @ LimitTerms::Concurrent { .. })) => *terms = new,
                (Some(_), Some(LimitTerms::Rate(_))) => {
                    self.other_limit(n.span, "concurrent", "to 20/1m");
                }
                (Some(_), None) => self.no_limit(n.span, "concurrent"),
                (None, _) => {}
            }
        }
        if let Some(hold) = &adjust.hold {
            match (self.hold(Some(hold)), terms) {
                (Some((hold_ms, doubling_to_ms)), Some(LimitTerms::Rate(rate))) => {
                    (rate.hold_ms, rate.doubling_to_ms) = (hold_ms, doubling_to_ms);
                }
                (Some(_), Some(LimitTerms::Concurrent { .. })) => self.no_hold(hold.span),
                (Some(_), None) => self.no_limit(hold.span, "hold"),
                (None, _) => {}
            }
        }
    }

    /// Reports a clause of the other kind of limit.
    fn other_limit(&mut self, span: Span, clause: &str, instead: &str) {
        let message = format!("the limit in `defaults` has no `{clause}`");
        let said = Diagnostic::error(Code::Misplaced, self.file, span, message);
        self.complain(said.help(format!("use `{instead}` to adjust this limit")));
    }

    fn no_limit(&mut self, span: Span, clause: &str) {
        self.error(
            Code::Misplaced,
            span,
            format!("`{clause}` belongs to limits, and this is a rule"),
        );
    }

    /// Returns the condition `first or second`.
    fn either(&mut self, first: CondId, second: CondId) -> CondId {
        let ops =
            |id: CondId| self.program.conditions.get(id.0 as usize).cloned().unwrap_or_default();
        let (first, second) = (ops(first), ops(second));
        let start = number(first.len()).saturating_add(1);
        let end = start.saturating_add(number(second.len()));
        let mut joined = first.to_vec();
        joined.push(Op::JumpIfTrue(end));
        joined.extend(second.iter().map(|op| match *op {
            Op::JumpIfTrue(to) => Op::JumpIfTrue(to.saturating_add(start)),
            Op::JumpIfFalse(to) => Op::JumpIfFalse(to.saturating_add(start)),
            other => other,
        }));
        self.condition_id(joined)
    }
}
