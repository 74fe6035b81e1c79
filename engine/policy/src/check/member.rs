//! Members: what each may, and what their files do with it.
//!
//! A member's files are compiled against the `tenant` entry. Her hosts, her actions, her numbers and
//! her paths are held to it here, so that nothing further in knows of members at all. What she may
//! change of the host's `defaults` is a copy that serves her hosts alone.

use std::collections::HashMap;

use seawall_model::{CounterId, HostPattern};

use super::build::{Builder, number};
use super::layer::Where;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, nearest};
use crate::program::{CondId, Op, Step};
use crate::span::{Span, Spanned};
use crate::syntax::ast::{self, Literal, Name, Site, Stmt};

/// Rules and limits of a member whose entry does not say how many.
pub const MEMBER_RULES_DEFAULT: i64 = 50;
/// Counter keys of a member whose entry does not say how many.
pub const MEMBER_KEYS_DEFAULT: i64 = 20_000;

/// The words that `may` can grant (LANGUAGE §8).
const GRANTS: [&str; 15] = [
    "allow",
    "block",
    "drop",
    "ban",
    "challenge",
    "throttle",
    "tag",
    "score",
    "log",
    "limit",
    "track",
    "list",
    "test",
    "extern",
    "rule",
];

/// A member, as the host's entry says.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) name: Box<str>,
    hosts: Vec<HostPattern>,
    may: Vec<Box<str>>,
    pub(super) rules: i64,
    keys: i64,
    /// The folder of her files, from the policy root.
    folder: String,
    rules_used: i64,
    pub(super) tests_used: i64,
    /// Her counters, and whether each says how many keys it holds.
    counters: Vec<(CounterId, bool)>,
    /// Her first counter, where a complaint about all of them stands.
    place: Option<(crate::diagnostic::FileId, Span)>,
}

impl Builder<'_> {
    /// Files a member.
    pub(super) fn declare_tenant(&mut self, tenant: &ast::Tenant) {
        if !self.claim_full("tenant", &tenant.name.node, tenant.name.span) {
            return;
        }
        for (there, clause, help) in [
            (
                tenant.hosts.is_some(),
                "hosts",
                "say which hosts are hers: `hosts { \"alice.example\" }`",
            ),
            (
                tenant.may.is_some(),
                "may",
                "say what she may use: `may { block, tag, limit, test }`",
            ),
            (
                tenant.file.is_some(),
                "file",
                "say where her policy lies: `file \"members/alice.wall\"`",
            ),
        ] {
            if !there && !tenant.meta.broken {
                self.missing(tenant.name.span, "a tenant", clause, help);
            }
        }
        let hosts = self.tenant_hosts(tenant);
        let may = self.tenant_may(tenant);
        let quota = |this: &mut Self, what: &str, n: Option<&Spanned<i64>>, default: i64| match n {
            None => default,
            Some(n) => this.in_range(what, n, 0, super::COUNTER_KEYS_MAX).unwrap_or(default),
        };
        let rules = quota(self, "rules", tenant.rules.as_ref(), MEMBER_RULES_DEFAULT);
        let keys = quota(self, "keys", tenant.keys.as_ref(), MEMBER_KEYS_DEFAULT);
        let path = tenant.file.as_ref().map_or("", |file| &*file.node);
        let below = self.given.files.name(self.file).rsplit_once('/').map_or("", |(dir, _)| dir);
        let folder = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let folder = format!("{below}/{folder}").trim_matches('/').to_owned();
        self.tenants.push(Tenant {
            name: tenant.name.node.clone(),
            hosts,
            may,
            rules,
            keys,
            folder,
            rules_used: 0,
            tests_used: 0,
            counters: Vec::new(),
            place: None,
        });
    }

    fn tenant_hosts(&mut self, tenant: &ast::Tenant) -> Vec<HostPattern> {
        let mut hosts = Vec::new();
        let written = tenant.hosts.iter().flat_map(|hosts| &hosts.node);
        for host in written.filter(|host| host.node != Literal::Error) {
            let text = super::decl::text_of(&host.node).unwrap_or_default();
            match HostPattern::parse(&text) {
                Ok(pattern) => hosts.push(pattern),
                Err(why) => self.error(Code::OutOfRange, host.span, why.to_string()),
            }
        }
        hosts
    }

    fn tenant_may(&mut self, tenant: &ast::Tenant) -> Vec<Box<str>> {
        let mut may = Vec::new();
        let written = tenant.may.iter().flat_map(|may| &may.node);
        for word in written.filter(|word| word.node != Literal::Error) {
            let text = super::decl::text_of(&word.node).unwrap_or_default();
            if GRANTS.contains(&&*text) {
                may.push(text.into());
                continue;
            }
            let mut diagnostic = Diagnostic::error(
                Code::UnknownWord,
                self.file,
                word.span,
                format!("`{text}` is nothing that a member can be granted"),
            )
            .help(format!("possible here: {}", GRANTS.join(", ")));
            if let Some(near) = nearest(&text, GRANTS) {
                diagnostic =
                    diagnostic.label(format!("did you mean `{near}`?")).fix(word.span, near);
            }
            self.complain(diagnostic);
        }
        may
    }

    pub(super) fn tenant(&mut self) -> Option<&mut Tenant> {
        let member = self.member.as_deref()?;
        self.tenants.iter_mut().find(|tenant| *tenant.name == *member)
    }

    /// Complains where a member uses what her entry does not grant.
    pub(super) fn may(&mut self, word: &str, span: Span) {
        let Some(tenant) = self.tenant() else { return };
        if word.is_empty() || tenant.may.iter().any(|granted| **granted == *word) {
            return;
        }
        let granted = tenant.may.join(", ");
        let name = tenant.name.clone();
        self.complain(
            Diagnostic::error(
                Code::MemberMay,
                self.file,
                span,
                format!("`{name}` may not use `{word}`"),
            )
            .help(format!("her entry grants: {granted}")),
        );
    }

    /// Whether this stands in the host's own files; complains where it does not.
    pub(super) fn of_host(&mut self, span: Span, what: &str) -> bool {
        if self.member.is_some() {
            self.error(Code::MemberMay, span, format!("{what} stands in the host's files only"));
        }
        self.member.is_none()
    }

    /// Complains where a member's path leaves her folder.
    pub(super) fn own_path(&mut self, path: &Spanned<Box<str>>) {
        let file = self.given.files.name(self.file).to_owned();
        let Some(tenant) = self.tenant() else { return };
        let mut parts: Vec<&str> = file.split('/').collect();
        parts.pop();
        let mut inside = true;
        for part in path.node.split('/') {
            match part {
                "" | "." => {}
                ".." => inside &= parts.pop().is_some(),
                part => parts.push(part),
            }
        }
        let whole = parts.join("/");
        let folder = format!("{}/", tenant.folder);
        if !inside || !(tenant.folder.is_empty() || whole.starts_with(&folder)) {
            self.error(Code::MemberPath, path.span, "a member's files lie in her own folder");
        }
    }

    /// Complains about hosts that are not hers.
    pub(super) fn own_hosts(&mut self, site: &Site) {
        let Some(tenant) = self.tenant() else { return };
        let name = tenant.name.clone();
        let hers = tenant.hosts.clone();
        for host in &site.hosts {
            let Ok(pattern) = HostPattern::parse(&host.node) else { continue };
            if !hers.iter().any(|own| own.covers(&pattern)) {
                let all: Vec<String> = hers.iter().map(ToString::to_string).collect();
                self.complain(
                    Diagnostic::error(
                        Code::MemberHost,
                        self.file,
                        host.span,
                        format!("`{}` is not a host of `{name}`", host.node),
                    )
                    .help(format!("her hosts are: {}", all.join(", "))),
                );
            }
        }
    }

    /// Counts a rule or limit against the member's quota.
    pub(super) fn note_member_rule(&mut self, span: Span) {
        let Some(tenant) = self.tenant() else { return };
        tenant.rules_used = tenant.rules_used.saturating_add(1);
        if tenant.rules_used == tenant.rules.saturating_add(1) {
            let message = format!("`{}` may have {} rules and limits", tenant.name, tenant.rules);
            self.complain(
                Diagnostic::error(Code::MemberQuota, self.file, span, message)
                    .label("this is one too many"),
            );
        }
    }

    /// Counts a counter against the member's quota of keys.
    pub(super) fn note_member_counter(&mut self, counter: CounterId, says_keys: bool, span: Span) {
        let file = self.file;
        let Some(tenant) = self.tenant() else { return };
        tenant.counters.push((counter, says_keys));
        tenant.place.get_or_insert((file, span));
    }

    /// Shares each member's quota of keys among the counters that do not say how many they hold.
    pub(super) fn settle_quotas(&mut self) {
        for tenant in std::mem::take(&mut self.tenants) {
            let keys = |id: &CounterId| {
                self.program.counters.get(id.0 as usize).map_or(0, |counter| counter.keys)
            };
            let said: usize =
                tenant.counters.iter().filter(|(_, says)| *says).map(|(id, _)| keys(id)).sum();
            let silent = tenant.counters.iter().filter(|(_, says)| !says).count();
            let quota = usize::try_from(tenant.keys).unwrap_or(0);
            let left = quota.saturating_sub(said);
            let share = left.checked_div(silent).unwrap_or(usize::MAX);
            if (said > quota || share == 0)
                && let Some((file, span)) = tenant.place
            {
                self.complain(
                    Diagnostic::error(
                        Code::MemberQuota,
                        file,
                        span,
                        format!(
                            "the counters of `{}` ask for more than the {quota} keys of her quota",
                            tenant.name
                        ),
                    )
                    .help("give them fewer `keys`, or ask the host for a larger quota"),
                );
            }
            for (id, _) in tenant.counters.iter().filter(|(_, says)| !says) {
                if let Some(counter) = self.program.counters.get_mut(id.0 as usize) {
                    counter.keys = share.max(1);
                }
            }
            self.tenants.push(tenant);
        }
    }

    /// `defaults` as a site's `adjust` and `disable` make them; `None` where it has neither.
    pub(super) fn adjusted(&mut self, stmts: &[Stmt]) -> Option<Vec<Step>> {
        let mut steps: Option<Vec<Step>> = None;
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
            let steps = steps.get_or_insert_with(|| self.program.defaults.clone());
            let mut taken = std::mem::take(steps);
            if let Some(at) = self.default_step(name, &taken) {
                match stmt {
                    Stmt::Adjust(adjust) => {
                        if let Some(step) = taken.get_mut(at) {
                            self.adjust(adjust, step);
                        }
                    }
                    _ => {
                        taken.remove(at);
                    }
                }
            }
            *steps = taken;
        }
        steps
    }

    fn refuse_adjust_under(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            if let Stmt::Adjust(ast::Adjust { name, .. })
            | Stmt::Disable(ast::Disable { name, .. }) = stmt
            {
                self.error(
                    Code::Misplaced,
                    name.span,
                    "`adjust` and `disable` hold at every level; write them outside `under`",
                );
            }
        }
    }

    /// Which step of `defaults` a name means.
    fn default_step(&mut self, name: &Name, steps: &[Step]) -> Option<usize> {
        let wanted = match name.node.strip_prefix("defaults.") {
            Some(_) => name.node.clone(),
            None => format!("defaults.{}", name.node).into(),
        };
        let is = |step: &Step| {
            self.program.rules.get(step.rule.0 as usize).is_some_and(|rule| rule.name == wanted)
        };
        if let Some(at) = steps.iter().position(is) {
            return Some(at);
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
            format!("`defaults` has no rule or limit called `{}`", name.node),
        )
        .help("only what stands in `defaults` can be adjusted");
        if let Some(near) = nearest(&wanted, known.iter().map(|known| &**known)) {
            diagnostic = diagnostic.label(format!("did you mean `{near}`?")).fix(name.span, near);
        }
        self.complain(diagnostic);
        None
    }

    fn adjust(&mut self, adjust: &ast::Adjust, step: &mut Step) {
        if let Some(to) = &adjust.to {
            match (self.to(to), &mut step.limit) {
                (Some((n, burst, window_ms)), Some(limit)) => {
                    (limit.n, limit.burst, limit.window_ms) = (n, burst, window_ms);
                }
                (Some(_), None) => self.no_limit(to.span, "to"),
                (None, _) => {}
            }
        }
        if let Some(hold) = &adjust.hold {
            match (self.hold(Some(hold)), &mut step.limit) {
                (Some((hold_ms, doubling_to_ms)), Some(limit)) => {
                    (limit.hold_ms, limit.doubling_to_ms) = (hold_ms, doubling_to_ms);
                }
                (Some(_), None) => self.no_limit(hold.span, "hold"),
                (None, _) => {}
            }
        }
        if let Some(then) = &adjust.then
            && let Some(then) = self.then(&then.node, Where::Member, &adjust.name.node)
        {
            step.then = then;
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

    fn no_limit(&mut self, span: Span, clause: &str) {
        self.error(
            Code::Misplaced,
            span,
            format!("`{clause}` belongs to limits, and this is a rule"),
        );
    }

    /// A condition that holds where one of two does.
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
