//! Actions: their effects, and the layers that allow them.

use seawall_model::PassKind;

use super::build::Builder;
use super::layer::Where;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::program::{
    BanUnit, Counter, Counts, Effect, Final, Operand as Built, RuleEffect, Scope,
};
use crate::span::{Span, Spanned};
use crate::syntax::ast::{Action, LayerKind, Rate};

/// Validity of a pass if a challenge does not set one.
pub const PASS_VALID_DEFAULT_MS: u64 = 2 * 3_600_000;
/// Longest ban, hold or pass: thirty days.
pub const LASTING_MAX_MS: u64 = 30 * 86_400_000;
/// Longest tarpit.
pub const TARPIT_MAX_MS: u64 = 60_000;
/// Most bytes of a text that `log` writes.
pub const LOG_TEXT_BYTES_MAX: usize = 200;
/// Most that one effect can add to the score.
pub const SCORE_STEP_MAX: i64 = 1_000_000;

impl Builder<'_> {
    /// Builds `then …`. `name` is the full name of the rule or limit.
    pub(super) fn then(
        &mut self,
        actions: &[Spanned<Action>],
        at: Where,
        name: &str,
    ) -> Option<RuleEffect> {
        let mut effects = Vec::new();
        let mut last = None;
        for action in actions {
            self.may(word_of(&action.node), action.span);
            match &action.node {
                Action::Tag(tag) => effects.push(Effect::Tag(tag.node.clone())),
                Action::Score(n) => {
                    if at == Where::Member && n.node < 0 {
                        self.error(
                            Code::WrongAction,
                            action.span,
                            "a member cannot lower the score, because that would weaken `decide`",
                        );
                        return None;
                    }
                    let n = self.in_range("score", n, -SCORE_STEP_MAX, SCORE_STEP_MAX)?;
                    effects.push(Effect::Score(n));
                }
                Action::Log(text) => effects.push(Effect::Log(self.log_text(text.as_ref())?)),
                Action::Error => return None,
                _ => last = Some(self.last(action, at, name)?),
            }
        }
        Some(RuleEffect { effects: effects.into(), last })
    }

    /// Returns the text of `log`.
    fn log_text(&mut self, text: Option<&Spanned<Box<str>>>) -> Option<Option<Box<str>>> {
        let Some(text) = text else { return Some(None) };
        if text.node.len() > LOG_TEXT_BYTES_MAX {
            self.error(
                Code::OutOfRange,
                text.span,
                format!("the text of `log` has at most {LOG_TEXT_BYTES_MAX} bytes"),
            );
            return None;
        }
        Some(Some(text.node.clone()))
    }

    /// Builds a final action.
    pub(super) fn last(
        &mut self,
        action: &Spanned<Action>,
        at: Where,
        name: &str,
    ) -> Option<Final> {
        self.may_stand(action, at)?;
        let span = action.span;
        Some(match &action.node {
            Action::Allow => Final::Allow,
            Action::Block { status, page } => self.block(status.as_ref(), page.as_ref(), span)?,
            Action::Drop => Final::Drop,
            Action::Ban { duration, per } => {
                let unit = per.as_ref().map_or(BanUnit::Client, |per| per.node);
                if let Some(per) = per.as_ref().filter(|per| per.node == BanUnit::Asn) {
                    self.does_nothing(
                        per.span,
                        "`ban … per client.asn` has no effect: no source `geo.asn` is configured",
                        "use `per client.net`, or ban the client",
                    );
                }
                Final::Ban { for_ms: self.lasting(duration.node.ms(), duration.span)?, unit }
            }
            Action::Challenge { kind, valid } => {
                self.not_enforced(span, "challenge");
                let kind = kind.as_ref().map_or(PassKind::Pow, |kind| kind.node);
                let valid_ms = match valid {
                    None => PASS_VALID_DEFAULT_MS,
                    Some(valid) => self.lasting(valid.node.ms(), valid.span)?,
                };
                Final::Challenge { kind, valid_ms }
            }
            Action::Throttle { rate, per } => self.throttle(rate, per, name)?,
            Action::Tarpit(hold) => {
                let hold_ms = hold.node.ms();
                if hold_ms == 0 || hold_ms > TARPIT_MAX_MS {
                    self.error(
                        Code::OutOfRange,
                        hold.span,
                        "the duration of `tarpit` must be \
                        between 1ms and 1m",
                    );
                    return None;
                }
                Final::Tarpit { hold_ms }
            }
            Action::Tag(_) | Action::Score(_) | Action::Log(_) | Action::Error => {
                self.error(Code::WrongAction, span, "a final action is expected here");
                return None;
            }
        })
    }

    fn may_stand(&mut self, action: &Spanned<Action>, at: Where) -> Option<()> {
        let (wrong, help) = match (at, &action.node) {
            (Where::Layer(LayerKind::Floor), Action::Allow) => (
                "`allow` is not valid in `floor`, because later rules could not reject the request",
                "remove the rule, or move it to `defaults`",
            ),
            (Where::Layer(LayerKind::Guarantee), other) if !matches!(other, Action::Allow) => {
                ("only `allow` is valid in `guarantee`", "use `allow`, or move the rule to `floor`")
            }
            (Where::Layer(LayerKind::Defaults) | Where::Decide, Action::Ban { .. }) => (
                "`ban` is valid only in `floor` or, if granted, in a member's `site`",
                "use `block`, or move the rule to `floor`",
            ),
            (Where::Member, Action::Tarpit(_)) => (
                "a member cannot use `tarpit`, because delayed connections use resources of the \
                    server",
                "use `block`",
            ),
            _ => return Some(()),
        };
        self.complain(
            Diagnostic::error(Code::WrongAction, self.file, action.span, wrong).help(help),
        );
        None
    }

    fn block(
        &mut self,
        status: Option<&Spanned<i64>>,
        page: Option<&Spanned<Box<str>>>,
        span: Span,
    ) -> Option<Final> {
        let status = match status {
            None => 403,
            Some(status) => self.in_range("block", status, 400, 599)?,
        };
        if page.is_some() {
            self.not_enforced(span, "page");
        }
        Some(Final::Block {
            status: u16::try_from(status).unwrap_or(403),
            page: page.map(|page| page.node.clone()),
        })
    }

    /// Returns a duration if it is within the limit.
    pub(super) fn lasting(&mut self, ms: u64, span: Span) -> Option<u64> {
        if ms == 0 || ms > LASTING_MAX_MS {
            self.error(Code::OutOfRange, span, "the duration must be between 1ms and 30d");
            return None;
        }
        Some(ms)
    }

    fn throttle(
        &mut self,
        rate: &Spanned<Rate>,
        per: &[Spanned<crate::syntax::ast::Operand>],
        name: &str,
    ) -> Option<Final> {
        let window_ms = self.window_ms(&Spanned::new(rate.node.window, rate.span))?;
        let (per, key) = if per.is_empty() {
            let (field, _) = self.given.schema.field("client")?;
            (Box::from([self.operand_id(Built::Field(field))]), "client".to_owned())
        } else {
            self.key_by_absence("this `throttle`", per);
            self.key(per)?
        };
        let counter = self.next_counter();
        self.note_member_counter(counter, false, rate.span);
        self.program.counters.push(Counter {
            name: format!("{name}.throttle").into(),
            identity: format!("{name}.throttle|{key}|throttle").into(),
            counts: Counts::Limit,
            scope: Scope::PerSite,
            per,
            window_ms,
            keys: super::declaration::LIMIT_KEYS_DEFAULT,
            heavy: false,
        });
        Some(Final::Throttle { counter, n: rate.node.n, window_ms })
    }
}

/// Returns the word of an action as in `may`.
fn word_of(action: &Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Block { .. } => "block",
        Action::Drop => "drop",
        Action::Ban { .. } => "ban",
        Action::Challenge { .. } => "challenge",
        Action::Throttle { .. } => "throttle",
        Action::Tarpit(_) => "tarpit",
        Action::Tag(_) => "tag",
        Action::Score(_) => "score",
        Action::Log(_) => "log",
        Action::Error => "",
    }
}
