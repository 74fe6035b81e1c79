//! Layers and their statements: rules, limits and the decision table.

use seawall_model::{HostPattern, RuleId, Tick};

use super::build::{Builder, number};
use super::declaration::{COUNTER_KEYS_MAX, LIMIT_KEYS_DEFAULT};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::program::{
    CondId, Counter, Counts, Decide, LimitStep, LimitTerms, RateTerms, RuleInfo, Scope, SiteLayer,
    Step,
};
use crate::span::{Span, Spanned};
use crate::syntax::ast::{
    self, Action, Date, Expr, Hold, LayerKind, Limit, Literal, Meta, Name, RateOrName, Rule,
    Shadow, Stmt, To,
};

/// Most rules and limits of a policy.
pub const RULES_MAX: usize = 10_000;
/// Most requests that a limit can allow in a window, with its burst.
pub const RATE_MAX: u64 = 1_000_000_000;

/// The context of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// A layer of the operator.
    Layer(LayerKind),
    /// A limit in `guarantee`, which can reject requests above its rate.
    GuaranteeLimit,
    /// A `site` block of a member.
    Member,
    /// The decision table.
    Decide,
}

impl Builder<'_> {
    /// Builds a layer of the operator. Several blocks of one layer are concatenated in source
    /// order.
    pub(super) fn build_layer(&mut self, layer: &ast::Layer) {
        self.prefix = layer.kind.word().into();
        self.scope = match layer.kind {
            LayerKind::Guarantee | LayerKind::Floor => Scope::Host,
            LayerKind::Defaults => Scope::PerSite,
        };
        let mut steps = Vec::new();
        self.build_stmts(&layer.stmts, Where::Layer(layer.kind), &mut steps);
        self.scope = Scope::Host;
        match layer.kind {
            LayerKind::Guarantee => self.program.guarantee.append(&mut steps),
            LayerKind::Floor => self.program.floor.append(&mut steps),
            LayerKind::Defaults => self.program.defaults.append(&mut steps),
        }
    }

    /// Builds a member's layer.
    pub(super) fn build_site(&mut self, site: &ast::Site) {
        if !self.begins(site.span) {
            return;
        }
        self.note_member_site();
        let mut hosts = Vec::new();
        for host in &site.hosts {
            match HostPattern::parse(&host.node) {
                Ok(pattern) => hosts.push(pattern),
                Err(why) => self.error(Code::OutOfRange, host.span, why.to_string()),
            }
        }
        let Some(first) = site.hosts.first() else { return };
        self.prefix = match &self.member {
            Some(member) => member.clone(),
            None => first.node.trim_start_matches("*.").into(),
        };
        self.scope = Scope::SiteBlock(number(self.program.sites.len()));
        self.refuse_overlap(site, &hosts);
        self.own_hosts(site);
        let mut steps = Vec::new();
        self.build_stmts(&site.stmts, Where::Member, &mut steps);
        let defaults = self.adjusted(&site.stmts);
        self.scope = Scope::Host;
        let (member, space) = (self.member.clone(), self.prefix.clone());
        let (number, feeds) = (self.member_number(), Vec::new());
        let layer = SiteLayer { member, number, space, hosts, steps, defaults, feeds };
        self.program.sites.push(layer);
        self.begins(site.span);
        self.weigh();
    }

    /// Rejects two `site` blocks for one host, because it is not clear which of them applies.
    fn refuse_overlap(&mut self, site: &ast::Site, hosts: &[HostPattern]) {
        let taken = |pattern: &HostPattern| {
            self.program.sites.iter().any(|other| other.hosts.contains(pattern))
        };
        let Some(twice) = hosts.iter().find(|pattern| taken(pattern)) else { return };
        let message = format!("`{twice}` already has a `site` block");
        self.error(Code::DuplicateName, site.span, message);
    }

    fn build_stmts(&mut self, stmts: &[Stmt], at: Where, steps: &mut Vec<Step>) {
        for stmt in stmts {
            if !self.begins(stmt.span()) {
                return;
            }
            match stmt {
                Stmt::Decl(decl) => self.build_decl(decl),
                Stmt::Adjust(_) | Stmt::Disable(_) if at == Where::Member => {}
                Stmt::Rule(rule) => {
                    let step = self.rule(rule, at);
                    if let Some(step) = &step {
                        self.lint_rule(rule, at);
                        self.note_refused(rule, step);
                        self.note_cost(rule, step);
                    }
                    steps.extend(step);
                }
                Stmt::Limit(limit) => steps.extend(self.limit(limit, at)),
                Stmt::Under(under) => {
                    let Some(level) = self.level_id(&under.level.node, under.level.span) else {
                        continue;
                    };
                    let outer = self.level;
                    self.level = outer.max(level);
                    self.build_stmts(&under.stmts, at, steps);
                    self.level = outer;
                }
                Stmt::Decide(decide) => self.decide(decide, at),
                Stmt::Adjust(ast::Adjust { name, .. })
                | Stmt::Disable(ast::Disable { name, .. }) => {
                    self.error(
                        Code::Misplaced,
                        name.span,
                        "`adjust` and `disable` are valid only in `site`",
                    );
                }
            }
            self.weigh();
        }
    }

    /// Assigns a number to a rule or limit, under its full name.
    fn name_rule(&mut self, name: &Name, meta: &Meta) -> Option<(RuleId, String)> {
        let full = format!("{}.{}", self.prefix, name.node);
        let free = self.claim_full("rule or limit", &full, name.span);
        let is_hers = self.is_in_own_space(&full, name);
        if !self.may_be_name("rule", name) || !free || !is_hers {
            return None;
        }
        if self.program.rules.len().saturating_sub(self.host.rules) >= RULES_MAX {
            self.error(
                Code::TooMany,
                name.span,
                format!("a policy has at most {RULES_MAX} rules and limits"),
            );
            return None;
        }
        self.note_member_rule(name.span);
        let info = RuleInfo {
            name: full.clone().into(),
            member: self.member.clone(),
            file: self.file,
            span: name.span,
            note: meta.note.as_ref().map(|note| note.node.clone()),
        };
        Some((self.rule_id(info), full))
    }

    fn rule(&mut self, rule: &Rule, at: Where) -> Option<Step> {
        let named = self.name_rule(&rule.name, &rule.meta);
        if rule.when.is_none() && !rule.meta.broken {
            self.missing(
                rule.name.span,
                "a rule",
                "when",
                "add when the rule applies; use `when true` for every request",
            );
        }
        let when = self.optional(rule.when.as_ref());
        let unless = self.optional(rule.unless.as_ref());
        let Some(then) = &rule.then else {
            if !rule.meta.broken {
                self.missing(rule.name.span, "a rule", "then", "add an action: `then block`");
            }
            return None;
        };
        let full = named.as_ref().map_or("", |(_, full)| full).to_owned();
        let then = self.then(&then.node, at, &full);
        let shadow = self.shadow(rule.shadow.as_ref());
        let expires = self.expires(&rule.meta);
        Some(Step {
            rule: named?.0,
            level: self.level,
            shadow,
            expires,
            when: when?,
            unless: unless?,
            limit: None,
            then: then?,
        })
    }

    /// Builds an optional condition. Returns `None` if it is present and wrong.
    fn optional(&mut self, expr: Option<&Spanned<Expr>>) -> Option<Option<CondId>> {
        match expr {
            None => Some(None),
            Some(expr) => self.condition(expr).map(Some),
        }
    }

    fn limit(&mut self, limit: &Limit, at: Where) -> Option<Step> {
        self.may("limit", limit.name.span);
        let named = self.name_rule(&limit.name, &limit.meta);
        let when = self.optional(limit.condition.as_ref());
        let unless = self.optional(limit.unless.as_ref());
        let key = self.key(&limit.per);
        let keys = match &limit.keys {
            None => Some(LIMIT_KEYS_DEFAULT as i64),
            Some(keys) => self.in_range("keys", keys, 1, COUNTER_KEYS_MAX),
        };
        if limit.then.is_none() && !limit.meta.broken {
            self.missing(
                limit.name.span,
                "a limit",
                "then",
                "add the action above the limit: `then block 429`",
            );
        }
        let terms = self.limit_terms(limit);
        let full = named.as_ref().map_or("", |(_, full)| full).to_owned();
        let place = match at {
            Where::Layer(LayerKind::Guarantee) => Where::GuaranteeLimit,
            other => other,
        };
        let then = limit.then.as_ref().and_then(|then| self.then(&then.node, place, &full));
        let shadow = self.shadow(limit.shadow.as_ref());
        let expires = self.expires(&limit.meta);
        let terms = terms?;
        let (n, window_ms, counts, what) = match terms {
            LimitTerms::Rate(rate) => (rate.n, rate.window_ms, Counts::Limit, "limit"),
            LimitTerms::Concurrent { n } => (n, 0, Counts::Concurrent, "concurrent"),
        };
        self.lint_limit(limit, n);
        let (per, key_text) = key?;
        let counter = self.next_counter();
        self.note_member_counter(counter, limit.keys.is_some(), limit.name.span);
        self.program.counters.push(Counter {
            name: full.clone().into(),
            identity: format!("{full}|{key_text}|{what}").into(),
            counts,
            scope: self.scope,
            per,
            window_ms,
            keys: usize::try_from(keys?).unwrap_or(LIMIT_KEYS_DEFAULT),
            heavy: false,
        });
        Some(Step {
            rule: named?.0,
            level: self.level,
            shadow,
            expires,
            when: when?,
            unless: unless?,
            limit: Some(LimitStep { counter, terms }),
            then: then?,
        })
    }

    /// Returns the numbers of a limit: a rate, or a maximum of requests in flight.
    fn limit_terms(&mut self, limit: &Limit) -> Option<LimitTerms> {
        let hold = self.hold(limit.hold.as_ref());
        match (&limit.to, &limit.concurrent) {
            (Some(to), None) => {
                let (n, burst, window_ms) = self.to(to)?;
                let (hold_ms, doubling_to_ms) = hold?;
                let rate = RateTerms { n, window_ms, burst, hold_ms, doubling_to_ms };
                Some(LimitTerms::Rate(rate))
            }
            (None, Some(n)) => {
                if let Some(hold) = &limit.hold {
                    self.no_hold(hold.span);
                }
                self.concurrent(n)
            }
            (Some(_), Some(n)) => {
                let message = "a limit counts either a rate (`to`) or requests in flight \
                    (`concurrent`)";
                let said = Diagnostic::error(Code::Misplaced, self.file, n.span, message);
                self.complain(said.help("write two limits, each with its own `then`"));
                None
            }
            (None, None) => {
                let help = "add the maximum: `to 10/1m burst 5`, or `concurrent 20` for requests \
                    in flight";
                if !limit.meta.broken {
                    self.missing(limit.name.span, "a limit", "to", help);
                }
                None
            }
        }
    }

    /// Returns the maximum of requests in flight.
    pub(super) fn concurrent(&mut self, n: &Spanned<i64>) -> Option<LimitTerms> {
        let most = i64::try_from(RATE_MAX).unwrap_or(i64::MAX);
        let n = self.in_range("concurrent", n, 1, most)?;
        Some(LimitTerms::Concurrent { n: u64::try_from(n).unwrap_or(0) })
    }

    /// Reports `hold` in a limit that cannot have it.
    pub(super) fn no_hold(&mut self, span: Span) {
        let message = "a limit on requests in flight cannot have `hold`";
        let said = Diagnostic::error(Code::Misplaced, self.file, span, message);
        self.complain(said.help(
            "remove `hold`: the next request is accepted as soon as one of \
            them ends",
        ));
    }

    /// Returns the number, the burst, and the window in milliseconds.
    pub(super) fn to(&mut self, to: &Spanned<To>) -> Option<(u64, u64, u64)> {
        let rate = match &to.node.rate.node {
            RateOrName::Rate(rate) => *rate,
            RateOrName::Name(name) => self.rate_by_name(name, to.node.rate.span)?,
        };
        let window_ms = self.window_ms(&Spanned::new(rate.window, to.node.rate.span))?;
        let most = i64::try_from(RATE_MAX).unwrap_or(i64::MAX);
        let burst = match &to.node.burst {
            None => 0,
            Some(burst) => self.in_range("burst", burst, 0, most)?,
        };
        if rate.n > RATE_MAX {
            self.error(
                Code::OutOfRange,
                to.node.rate.span,
                format!("a limit allows at most {RATE_MAX} requests in a window"),
            );
            return None;
        }
        Some((rate.n, u64::try_from(burst).unwrap_or(0), window_ms))
    }

    fn rate_by_name(&mut self, name: &str, span: Span) -> Option<ast::Rate> {
        let operand = ast::Operand::Word(name.into());
        match self.constant_of(&operand) {
            Some(Literal::Rate(rate)) => Some(rate),
            Some(_) => {
                self.error(Code::Mismatch, span, format!("`{name}` is not a rate such as `10/1m`"));
                None
            }
            None => {
                self.complain(
                    Diagnostic::error(
                        Code::UnknownLet,
                        self.file,
                        span,
                        format!("there is no `let` named `{name}`"),
                    )
                    .help("write the rate directly, as in `10/1m`, or declare it with `let`"),
                );
                None
            }
        }
    }

    pub(super) fn hold(
        &mut self,
        hold: Option<&Spanned<Hold>>,
    ) -> Option<(Option<u64>, Option<u64>)> {
        let Some(hold) = hold else { return Some((None, None)) };
        let duration = &hold.node.duration;
        let ms = self.lasting(duration.node.ms(), duration.span)?;
        let Some(doubling) = &hold.node.doubling_to else { return Some((Some(ms), None)) };
        let most = self.lasting(doubling.node.ms(), doubling.span)?;
        if most < ms {
            self.error(
                Code::OutOfRange,
                doubling.span,
                "`doubling to` must be longer than the hold",
            );
            return None;
        }
        Some((Some(ms), Some(most)))
    }

    fn shadow(&mut self, shadow: Option<&Shadow>) -> bool {
        if let Some(until) = shadow.and_then(|shadow| shadow.until.as_ref()) {
            self.warn_passed(until, "the end date of this shadow rule has passed");
        }
        shadow.is_some()
    }

    fn expires(&mut self, meta: &Meta) -> Option<Tick> {
        let date = meta.expires.as_ref()?;
        self.warn_passed(date, "this rule no longer acts");
        Some(Tick(u64::try_from(date.node.unix_s).unwrap_or(0).saturating_mul(1_000)))
    }

    /// Reports `expires` in a block in which it has no effect.
    pub(super) fn no_expiry(&mut self, meta: &Meta, what: &str) {
        if let Some(date) = &meta.expires {
            self.does_nothing(
                date.span,
                &format!("{what} cannot expire: only rules and limits can"),
                "remove `expires`, or move it to the rules",
            );
        }
    }

    fn warn_passed(&mut self, date: &Spanned<Date>, message: &str) {
        let today = i64::try_from(self.given.today.saturating_mul(86_400)).unwrap_or(i64::MAX);
        if date.node.unix_s <= today {
            self.complain(
                Diagnostic::error(Code::Expired, self.file, date.span, message)
                    .warning()
                    .label("this date has passed")
                    .help("remove the rule, or give it another date"),
            );
        }
    }

    fn decide(&mut self, decide: &ast::Decide, at: Where) {
        if at != Where::Layer(LayerKind::Defaults) {
            return self.error(
                Code::Misplaced,
                decide.span,
                "`decide` is valid only in `defaults`",
            );
        }
        if !self.claim_full("decision table", "decide", decide.span) {
            return;
        }
        self.descending(&decide.thresholds);
        let mut thresholds = Vec::new();
        for threshold in &decide.thresholds {
            let when = self.condition(&threshold.when);
            self.lint_threshold(threshold);
            let then = self.last(&threshold.then, Where::Decide, "defaults.decide");
            thresholds.extend(when.zip(then));
        }
        let Some(otherwise) = &decide.otherwise else {
            if decide.broken {
                return;
            }
            return self.missing(
                decide.span,
                "`decide`",
                "otherwise",
                "add the action if no line applies: `otherwise allow`",
            );
        };
        let Some(otherwise) = self.last(otherwise, Where::Decide, "defaults.decide") else {
            return;
        };
        let info = RuleInfo {
            name: "defaults.decide".into(),
            member: None,
            file: self.file,
            span: decide.span,
            note: None,
        };
        let rule = self.rule_id(info);
        self.program.decide = Some(Decide { rule, thresholds, otherwise });
    }

    /// Checks that `score >= n` lines are in descending order; otherwise a later line never
    /// applies.
    fn descending(&mut self, thresholds: &[ast::Threshold]) {
        let mut last: Option<(i64, Span)> = None;
        for threshold in thresholds {
            let Some(n) = score_at_least(&threshold.when.node) else { continue };
            if let Some((before, first)) = last
                && n >= before
            {
                self.complain(
                    Diagnostic::error(
                        Code::Thresholds,
                        self.file,
                        threshold.when.span,
                        format!(
                            "this line never applies: an earlier line applies to a score of \
                            {n} or more"
                        ),
                    )
                    .related(self.file, first, "the earlier line")
                    .help("put the highest threshold first"),
                );
            }
            last = Some((n, threshold.when.span));
        }
    }
}

/// Returns n from `score >= n` or `score > n`.
fn score_at_least(expr: &Expr) -> Option<i64> {
    let Expr::Compare { left, op, right } = expr else { return None };
    let (ast::Operand::Word(word), ast::Operand::Literal(Literal::Int(n))) =
        (&left.node, &right.node)
    else {
        return None;
    };
    match (&**word, op.node.kind, op.node.negated) {
        ("score", ast::OpKind::GreaterEq, false) => Some(*n),
        ("score", ast::OpKind::Greater, false) => Some(n.saturating_add(1)),
        _ => None,
    }
}

/// Returns whether an action is final.
#[must_use]
pub(super) fn is_final(action: &Action) -> bool {
    !matches!(action, Action::Tag(_) | Action::Score(_) | Action::Log(_) | Action::Error)
}
