//! Members: their permissions, and checks of their files.
//!
//! A member's files are compiled against the `member` entry. Hosts, actions, quotas and paths are
//! checked here, so that later stages need no knowledge of members. The changes of a member to the
//! operator's `defaults` apply to the member's hosts only.

use seawall_model::{CounterId, HostPattern};

use super::build::{Builder, number};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, FileId, nearest};
use crate::span::{Span, Spanned};
use crate::syntax::ast::{self, Literal, Site};

/// Rules and limits of a member whose entry sets no number.
pub const MEMBER_RULES_DEFAULT: i64 = 50;
/// Counter keys of a member whose entry sets no number.
pub const MEMBER_KEYS_DEFAULT: i64 = 20_000;

/// The prefixes of the operator's rule names.
const LAYERS: [&str; 4] = ["guarantee", "floor", "defaults", "decide"];

/// The words that `may` can grant.
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
/// The words that need no grant.
const GRANTED: [&str; 4] = ["rule", "adjust", "disable", "under"];

/// A member as declared in the operator's entry.
#[derive(Debug)]
pub(super) struct MemberEntry {
    pub(super) name: Box<str>,
    hosts: Vec<HostPattern>,
    may: Vec<Box<str>>,
    pub(super) rules: i64,
    pub(super) keys: i64,
    /// The folder of the member's files, relative to the policy root.
    folder: String,
    rules_used: i64,
    pub(super) tests_used: i64,
    /// The member's counters.
    pub(super) counters: Vec<UsedCounter>,
}

/// A counter of a member.
#[derive(Debug, Clone, Copy)]
pub(super) struct UsedCounter {
    pub(super) counter: CounterId,
    /// Whether the policy sets its number of keys.
    says_keys: bool,
    /// Its position.
    pub(super) place: (FileId, Span),
}

impl MemberEntry {
    /// Resets the use to that of a new member.
    fn begin_again(&mut self) {
        self.rules_used = 0;
        self.tests_used = 0;
        self.counters.clear();
    }
}

impl Builder<'_> {
    /// Resets the use of the member that was compiled.
    pub(super) fn forget_used(&mut self) {
        if let Some(entry) = self.entry() {
            entry.begin_again();
        }
    }

    /// Declares a member.
    pub(super) fn declare_member(&mut self, entry: &ast::Member) {
        let name = &*entry.name.node;
        if !self.claim_full("member", name, entry.name.span) {
            return;
        }
        if LAYERS.contains(&name) {
            let message = format!(
                "`{name}` is the name of a layer and cannot be the name of a \
                member"
            );
            let diagnostic =
                Diagnostic::error(Code::ReservedName, self.file, entry.name.span, message);
            self.complain(diagnostic.help(format!("choose another name, such as `{name}-1`")));
        }
        for (there, clause, help) in [
            (
                entry.hosts.is_some(),
                "hosts",
                "add the member's hosts: `hosts { \"alice.example\" }`",
            ),
            (
                entry.may.is_some(),
                "may",
                "add the permissions of the member: `may { block, tag, \
                limit, test }`",
            ),
            (
                entry.file.is_some(),
                "file",
                "add the policy file of the member: `file \"members/alice.wall\"`",
            ),
        ] {
            if !there && !entry.meta.broken {
                self.missing(entry.name.span, "a `member` entry", clause, help);
            }
        }
        if let Some(cpu) = &entry.cpu {
            self.does_nothing(
                cpu.span,
                "`cpu` has no effect yet",
                "use `max_member_fuel` and `max_extern_time` in `[evaluation]` to limit the cost of members' rules",
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
                true => format!("`{text}` needs no grant: every member can use it"),
                false => format!("`{text}` cannot be granted to a member"),
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

    /// Returns the number of the current member among the `member` entries.
    pub(super) fn member_number(&self) -> Option<u32> {
        let member = self.member.as_deref()?;
        self.entries.iter().position(|entry| *entry.name == *member).map(number)
    }

    pub(super) fn entry(&mut self) -> Option<&mut MemberEntry> {
        let member = self.member.as_deref()?;
        self.entries.iter_mut().find(|entry| *entry.name == *member)
    }

    /// Reports a feature that the member's entry does not grant.
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
                format!("the member `{name}` has no grant for `{word}`"),
            )
            .help(format!("the member's entry grants: {granted}")),
        );
    }

    /// Returns whether the current file belongs to the operator; reports the feature otherwise.
    pub(super) fn of_host(&mut self, span: Span, what: &str) -> bool {
        if self.member.is_some() {
            self.error(
                Code::MemberMay,
                span,
                format!(
                    "{what} is valid only in the operator's \
                files"
                ),
            );
        }
        self.member.is_none()
    }

    /// Reports a path outside the member's folder.
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
            self.error(
                Code::MemberPath,
                path.span,
                "keep the files of a member in the member's \
                own folder",
            );
        }
    }

    /// Reports hosts that do not belong to the member.
    pub(super) fn own_hosts(&mut self, site: &Site) {
        for host in &site.hosts {
            if let Ok(pattern) = HostPattern::parse(&host.node) {
                self.own_host(&pattern, &host.node, host.span);
            }
        }
    }

    /// Returns whether a host, written here as `text`, belongs to the current member; reports other
    /// hosts. The operator owns all hosts.
    pub(super) fn own_host(&mut self, pattern: &HostPattern, text: &str, span: Span) -> bool {
        let Some(entry) = self.entry() else { return true };
        if entry.hosts.iter().any(|own| own.covers(pattern)) {
            return true;
        }
        let all: Vec<String> = entry.hosts.iter().map(ToString::to_string).collect();
        let message = format!("`{text}` is not a host of the member `{}`", entry.name);
        self.complain(
            Diagnostic::error(Code::MemberHost, self.file, span, message)
                .help(format!("the member's hosts are: {}", all.join(", "))),
        );
        false
    }

    /// Counts a rule or limit against the quota of the member.
    pub(super) fn note_member_rule(&mut self, span: Span) {
        let Some(entry) = self.entry() else { return };
        entry.rules_used = entry.rules_used.saturating_add(1);
        if entry.rules_used == entry.rules.saturating_add(1) {
            let message = format!(
                "the member `{}` has more than {} rules and limits",
                entry.name, entry.rules
            );
            self.complain(
                Diagnostic::error(Code::MemberQuota, self.file, span, message)
                    .label("this exceeds the limit"),
            );
            self.spend();
        }
    }

    /// Counts a counter against the key quota of the member.
    pub(super) fn note_member_counter(&mut self, counter: CounterId, says_keys: bool, span: Span) {
        let file = self.file;
        let Some(entry) = self.entry() else { return };
        entry.counters.push(UsedCounter { counter, says_keys, place: (file, span) });
    }

    /// Divides each member's key quota among the counters that set no number of keys. Reports
    /// counters that exceed the quota in keys or in bytes.
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
                // At least one key for each counter.
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
                "the counters of the member `{}` need more keys than the quota of {quota}",
                entry.name
            );
            self.complain(
                Diagnostic::error(Code::MemberQuota, file, span, message)
                    .label("this exceeds the limit")
                    .help("reduce their `keys`, or ask the operator for a larger quota"),
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
