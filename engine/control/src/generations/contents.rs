//! The files that a generation consists of. They come from what is active and not from what was
//! read: if a member's files are invalid, the last good part is active, and its files belong to the
//! generation.

use std::collections::BTreeMap;

use seawall_admin_api::{
    Changed, CounterReport, FileDigest, HostChange, Marks, MarksOfParts, Past, ReloadCause,
    TestCounts,
};
use seawall_model::Tick;
use seawall_ruleset::{Reached, RuleSet, Sources};
use sha2::{Digest, Sha256};

use crate::generations::FileBlob;
use crate::storage::digest::hex;
use crate::util::clock::rfc3339;

/// The files that a generation consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Made {
    /// The root policy's file name.
    pub(crate) root: String,
    pub(crate) files: Marks,
    pub(crate) parts: MarksOfParts,
    /// Equal for equal active files.
    pub(crate) content: String,
    /// Equal for equal files of the operator.
    pub(crate) host: String,
    /// Equal for equal policy files of the operator.
    pub(crate) policies: String,
}

/// The rows of the previous generation: what did not change is stored once.
#[derive(Debug, Default)]
pub(crate) struct Known {
    host: Marks,
    /// With the digest of its sources, if that is known.
    parts: BTreeMap<Box<str>, (Option<[u8; 32]>, Marks)>,
}

impl Known {
    /// Returns the rows of an earlier process.
    pub(crate) fn of(past: Option<&Past>) -> Self {
        let Some(past) = past else { return Self::default() };
        let parts = past.parts.iter().map(|(name, marks)| (name.clone(), (None, marks.clone())));
        Self { host: past.files.clone(), parts: parts.collect() }
    }

    /// Returns the files of `rules`, which was built from `draft`, with their contents.
    pub(crate) fn made(&mut self, draft: &Sources, rules: &RuleSet) -> (Made, Vec<FileBlob>) {
        let mut blobs = Vec::new();
        self.host = row(draft.host(), Some(&self.host), &mut blobs);
        let mut before = std::mem::take(&mut self.parts);
        let mut content = Sha256::new();
        content.update(draft.host_digest());
        for member in rules.members() {
            let (name, hers) = (member.name(), member.sources());
            content.update((name.len() as u64).to_le_bytes());
            content.update(name);
            content.update(hers.content());
            let known = before.remove(name);
            let same = known.as_ref().filter(|(digest, _)| *digest == Some(member.digest()));
            let marks = match same {
                Some((_, marks)) => {
                    let whole = |mark: &FileDigest| {
                        Some((mark.sha256.clone(), hers.reached().held(&mark.path)?))
                    };
                    blobs.extend(marks.iter().filter_map(whole));
                    marks.clone()
                }
                None => row(hers.reached(), known.as_ref().map(|(_, marks)| marks), &mut blobs),
            };
            self.parts.insert(name.into(), (Some(member.digest()), marks));
        }
        let parts = self.parts.iter().map(|(name, (_, marks))| (name.clone(), marks.clone()));
        let made = Made {
            root: draft.root().to_owned(),
            files: self.host.clone(),
            parts: parts.collect(),
            content: hex(&content.finalize()),
            host: hex(&draft.host_digest()),
            policies: hex(&draft.host_policy_digest()),
        };
        (made, blobs)
    }
}

/// Returns the files that were read; the known row if it is the same.
fn row(reached: &Reached, known: Option<&Marks>, blobs: &mut Vec<FileBlob>) -> Marks {
    let marks = reached.paths().filter_map(|path| {
        let (sha256, bytes) = (hex(&reached.sha256(path)?), reached.held(path)?);
        blobs.push((sha256.clone(), bytes));
        Some(FileDigest { path: path.to_owned(), sha256 })
    });
    let marks: Vec<FileDigest> = marks.collect();
    match known.filter(|known| ***known == *marks) {
        Some(known) => known.clone(),
        None => marks.into(),
    }
}

/// Why a generation is published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublishContext {
    pub(crate) cause: ReloadCause,
    pub(crate) by_uid: Option<u32>,
    pub(crate) restored_from: Option<u64>,
    /// In a rollback of the operator's files: the generation that introduced them.
    pub(crate) host_since: Option<u64>,
    pub(crate) began: Tick,
}

impl Made {
    /// Returns the record of generation `generation`, after `before` and published at `at`. The
    /// caller adds counters, tests and warnings.
    pub(crate) fn past(
        self,
        (generation, at): (u64, Tick),
        occasion: PublishContext,
        before: Option<&Past>,
    ) -> Past {
        let PublishContext { cause, by_uid, restored_from, host_since, began } = occasion;
        Past {
            generation,
            loaded_at: rfc3339(at),
            loaded_ms: at.0,
            duration_ms: at.since_ms(began),
            cause,
            by_uid,
            restored_from,
            changed: self.changed(before),
            host_since: host_since.unwrap_or_else(|| self.host_since(before, generation)),
            root: self.root,
            files: self.files,
            parts: self.parts,
            parts_gone: 0,
            content: self.content,
            host: self.host,
            policies: self.policies,
            counters: CounterReport::default(),
            tests: TestCounts::default(),
            warnings: 0,
        }
    }

    /// Returns whose files differ from those of the previous generation.
    fn changed(&self, before: Option<&Past>) -> Changed {
        let Some(before) = before else {
            return Changed { host: HostChange::Policy, members: Vec::new() };
        };
        let host = match (self.host == before.host, self.policies == before.policies) {
            (true, _) => HostChange::None,
            (false, true) => HostChange::Data,
            (false, false) => HostChange::Policy,
        };
        let new = self.parts.iter().filter(|(name, marks)| before.parts.get(*name) != Some(*marks));
        let gone = before.parts.keys().filter(|name| !self.parts.contains_key(*name));
        let members = new.map(|(name, _)| name).chain(gone).cloned().collect();
        Changed { host, members }
    }

    /// Returns the generation that introduced the active files of the operator: that of the
    /// previous generation if they are the same, otherwise `generation`.
    fn host_since(&self, before: Option<&Past>, generation: u64) -> u64 {
        match before.filter(|before| before.host == self.host) {
            Some(before) => before.host_since,
            None => generation,
        }
    }
}
