//! Members: what each may, and what their files do with it.
//!
//! A member's files are compiled against the `member` entry. Her hosts, her actions, her numbers and
//! her paths are held to it here, so that nothing further in knows of members at all. What she
//! changes of the host's `defaults` lies over them for her hosts alone.

use seawall_model::{CounterId, HostPattern};

use super::build::{Builder, number};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, FileId, nearest};
use crate::span::{Span, Spanned};
use crate::syntax::ast::{self, Literal, Site};

/// Rules and limits of a member whose entry does not say how many.
pub const MEMBER_RULES_DEFAULT: i64 = 50;
/// Counter keys of a member whose entry does not say how many.
pub const MEMBER_KEYS_DEFAULT: i64 = 20_000;

/// What the names of the host's rules begin with.
const LAYERS: [&str; 4] = ["guarantee", "floor", "defaults", "decide"];

/// The words that `may` can grant (LANGUAGE §8).
const GRANTS: [&str; 14] = [
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
];
/// What needs no grant.
const GRANTED: [&str; 4] = ["rule", "adjust", "disable", "under"];

/// A member, as the host's entry says.
#[derive(Debug)]
pub(super) struct MemberEntry {
    pub(super) name: Box<str>,
    hosts: Vec<HostPattern>,
    may: Vec<Box<str>>,
    pub(super) rules: i64,
    pub(super) keys: i64,
    /// The folder of her files, from the policy root.
    folder: String,
    rules_used: i64,
    pub(super) tests_used: i64,
    /// Her counters.
    pub(super) counters: Vec<UsedCounter>,
}

/// A counter of a member.
#[derive(Debug, Clone, Copy)]
pub(super) struct UsedCounter {
    pub(super) counter: CounterId,
    /// Whether it says how many keys it holds.
    says_keys: bool,
    /// Where it stands.
    pub(super) place: (FileId, Span),
}

impl MemberEntry {
    /// As the host's entry alone makes her.
    fn begin_again(&mut self) {
        self.rules_used = 0;
        self.tests_used = 0;
        self.counters.clear();
    }
}

impl Builder<'_> {
    /// Forgets what the member used whose pages were compiled.
    pub(super) fn forget_used(&mut self) {
        if let Some(entry) = self.entry() {
            entry.begin_again();
        }
    }

    /// Files a member.
    pub(super) fn declare_member(&mut self, entry: &ast::Member) {
        let name = &*entry.name.node;
        if !self.claim_full("member", name, entry.name.span) {
            return;
        }
        if LAYERS.contains(&name) {
            let message = format!("`{name}` is a layer, and her rules would look like the host's");
            let diagnostic =
                Diagnostic::error(Code::ReservedName, self.file, entry.name.span, message);
            self.complain(diagnostic.help(format!("choose another name, such as `{name}-1`")));
        }
        for (there, clause, help) in [
            (
                entry.hosts.is_some(),
                "hosts",
                "say which hosts are hers: `hosts { \"alice.example\" }`",
            ),
            (entry.may.is_some(), "may", "say what she may use: `may { block, tag, limit, test }`"),
            (
                entry.file.is_some(),
                "file",
                "say where her policy lies: `file \"members/alice.wall\"`",
            ),
        ] {
            if !there && !entry.meta.broken {
                self.missing(entry.name.span, "a `member` entry", clause, help);
            }
        }
        if let Some(cpu) = &entry.cpu {
            self.does_nothing(
                cpu.span,
                "`cpu` bounds nothing yet",
                "what her rules may cost is bounded by `max_member_fuel` and `max_extern_time` in `[evaluation]`",
            );
        }
        self.no_expiry(&entry.meta, "a `member` entry");
        let hosts = self.entry_hosts(entry);
        let may = self.entry_may(entry);
        let quota = |this: &mut Self, what: &str, n: Option<&Spanned<i64>>, default: i64| match n {
            None => default,
            Some(n) => this.in_range(what, n, 0, super::COUNTER_KEYS_MAX).unwrap_or(default),
        };
        let rules = quota(self, "rules", entry.rules.as_ref(), MEMBER_RULES_DEFAULT);
        let keys = quota(self, "keys", entry.keys.as_ref(), MEMBER_KEYS_DEFAULT);
        let path = entry.file.as_ref().map_or("", |file| &*file.node);
        let below = self.given.files.name(self.file).rsplit_once('/').map_or("", |(dir, _)| dir);
        let folder = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let folder = format!("{below}/{folder}").trim_matches('/').to_owned();
        self.entries.push(MemberEntry {
            name: entry.name.node.clone(),
            hosts,
            may,
            rules,
            keys,
            folder,
            rules_used: 0,
            tests_used: 0,
            counters: Vec::new(),
        });
    }

    fn entry_hosts(&mut self, entry: &ast::Member) -> Vec<HostPattern> {
        let mut hosts = Vec::new();
        let written = entry.hosts.iter().flat_map(|hosts| &hosts.node);
        for host in written.filter(|host| host.node != Literal::Error) {
            let text = super::declaration::text_of(&host.node).unwrap_or_default();
            match HostPattern::parse(&text) {
                Ok(pattern) => hosts.push(pattern),
                Err(why) => self.error(Code::OutOfRange, host.span, why.to_string()),
            }
        }
        hosts
    }

    fn entry_may(&mut self, entry: &ast::Member) -> Vec<Box<str>> {
        let mut may = Vec::new();
        let written = entry.may.iter().flat_map(|may| &may.node);
        for word in written.filter(|word| word.node != Literal::Error) {
            let text = super::declaration::text_of(&word.node).unwrap_or_default();
            if GRANTS.contains(&&*text) {
                may.push(text.into());
                continue;
            }
            let message = match GRANTED.contains(&&*text) {
                true => format!("`{text}` needs no grant: every member may use it"),
                false => format!("`{text}` is nothing that a member can be granted"),
            };
            let mut diagnostic =
                Diagnostic::error(Code::UnknownWord, self.file, word.span, message)
                    .help(format!("possible here: {}", GRANTS.join(", ")));
            if let Some(near) = nearest(&text, GRANTS) {
                diagnostic =
                    diagnostic.label(format!("did you mean `{near}`?")).fix(word.span, near);
            }
            self.complain(diagnostic);
        }
        may
    }

    /// The number of the member whose files are read, among the `member` entries.
    pub(super) fn member_number(&self) -> Option<u32> {
        let member = self.member.as_deref()?;
        self.entries.iter().position(|entry| *entry.name == *member).map(number)
    }

    pub(super) fn entry(&mut self) -> Option<&mut MemberEntry> {
        let member = self.member.as_deref()?;
        self.entries.iter_mut().find(|entry| *entry.name == *member)
    }

    /// Complains where a member uses what her entry does not grant.
    pub(super) fn may(&mut self, word: &str, span: Span) {
        let Some(entry) = self.entry() else { return };
        if word.is_empty() || entry.may.iter().any(|granted| **granted == *word) {
            return;
        }
        let granted = entry.may.join(", ");
        let name = entry.name.clone();
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
        let Some(entry) = self.entry() else { return };
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
        let folder = format!("{}/", entry.folder);
        if !inside || !(entry.folder.is_empty() || whole.starts_with(&folder)) {
            self.error(Code::MemberPath, path.span, "a member's files lie in her own folder");
        }
    }

    /// Complains about hosts that are not hers.
    pub(super) fn own_hosts(&mut self, site: &Site) {
        for host in &site.hosts {
            if let Ok(pattern) = HostPattern::parse(&host.node) {
                self.own_host(&pattern, &host.node, host.span);
            }
        }
    }

    /// Whether a host, written here as `text`, is one of the member whose files are read; complains
    /// where it is not. Everything is the host's.
    pub(super) fn own_host(&mut self, pattern: &HostPattern, text: &str, span: Span) -> bool {
        let Some(entry) = self.entry() else { return true };
        if entry.hosts.iter().any(|own| own.covers(pattern)) {
            return true;
        }
        let all: Vec<String> = entry.hosts.iter().map(ToString::to_string).collect();
        let message = format!("`{text}` is not a host of `{}`", entry.name);
        self.complain(
            Diagnostic::error(Code::MemberHost, self.file, span, message)
                .help(format!("her hosts are: {}", all.join(", "))),
        );
        false
    }

    /// Counts a rule or limit against the member's quota.
    pub(super) fn note_member_rule(&mut self, span: Span) {
        let Some(entry) = self.entry() else { return };
        entry.rules_used = entry.rules_used.saturating_add(1);
        if entry.rules_used == entry.rules.saturating_add(1) {
            let message = format!("`{}` may have {} rules and limits", entry.name, entry.rules);
            self.complain(
                Diagnostic::error(Code::MemberQuota, self.file, span, message)
                    .label("this is one too many"),
            );
            self.spend();
        }
    }

    /// Counts a counter against the member's quota of keys.
    pub(super) fn note_member_counter(&mut self, counter: CounterId, says_keys: bool, span: Span) {
        let file = self.file;
        let Some(entry) = self.entry() else { return };
        entry.counters.push(UsedCounter { counter, says_keys, place: (file, span) });
    }

    /// Shares each member's quota of keys among the counters that do not say how many they hold, and
    /// complains where hers are more than her quota, in keys or in bytes.
    pub(super) fn settle_quotas(&mut self) {
        for entry in std::mem::take(&mut self.entries) {
            self.share_keys(&entry);
            self.weigh_members_counters(&entry);
            self.entries.push(entry);
        }
    }

    fn share_keys(&mut self, entry: &MemberEntry) {
        let quota = usize::try_from(entry.keys).unwrap_or(0);
        let (mut said, mut silent) = (0_usize, 0_usize);
        let mut over = None;
        for used in &entry.counters {
            let keys = match self.program.counters.get(used.counter.0 as usize) {
                Some(counter) if used.says_keys => counter.keys,
                // At least one each.
                _ => {
                    silent = silent.saturating_add(1);
                    0
                }
            };
            said = said.saturating_add(keys);
            if said.saturating_add(silent) > quota {
                over.get_or_insert(used.place);
            }
        }
        if let Some((file, span)) = over {
            let message = format!(
                "the counters of `{}` ask for more than the {quota} keys of her quota",
                entry.name
            );
            self.complain(
                Diagnostic::error(Code::MemberQuota, file, span, message)
                    .label("with this it is too much")
                    .help("give them fewer `keys`, or ask the host for a larger quota"),
            );
        }
        let share = quota.saturating_sub(said).checked_div(silent).unwrap_or(0).max(1);
        for used in entry.counters.iter().filter(|used| !used.says_keys) {
            if let Some(counter) = self.program.counters.get_mut(used.counter.0 as usize) {
                counter.keys = share;
            }
        }
    }
}
