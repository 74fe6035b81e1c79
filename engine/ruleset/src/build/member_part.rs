//! The part of one member in a rule set, and the stored results of members without an active part.

use std::collections::BTreeMap;
use std::sync::Arc;

use seawall_policy::diagnostic::Files;
use seawall_policy::outline::Outline;
use seawall_policy::part::Part;

use crate::build::counter_spec::spec;
use crate::build::parts::Loaded;
use crate::build::sources::MemberSources;
use crate::inspect::diagnostics;

/// The inputs of a part: equal digests give an equal part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Made {
    /// The operator's policy texts.
    pub(crate) host: [u8; 32],
    /// All files that the member's files refer to.
    pub(crate) hers: [u8; 32],
}

/// The part of a member, ready to be linked after the operator's part.
#[derive(Debug)]
pub struct Member {
    pub(crate) made: Made,
    pub(crate) sources: MemberSources,
    /// Its policy files only.
    pub(crate) policies: MemberSources,
    pub(crate) part: Part,
    /// The member's files only.
    pub(crate) files: Files,
    pub(crate) outline: Outline,
    pub(crate) loaded: Loaded,
    /// Notes and warnings about it; no errors.
    pub(crate) remarks: Vec<diagnostics::Diagnostic>,
}

impl Member {
    /// Returns the name of the member.
    #[must_use]
    pub fn name(&self) -> &str {
        self.sources.name()
    }

    /// Returns the files of which it was built.
    #[must_use]
    pub fn sources(&self) -> &MemberSources {
        &self.sources
    }

    /// Returns a digest of its content: equal for the same files, lists and components.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.made.hers
    }

    /// Returns the memory of the member's counters.
    pub(crate) fn counter_bytes(&self) -> usize {
        self.part.own().counters.iter().map(|counter| spec(counter).bytes()).sum()
    }
}

/// Invalid files of a member. They are not compiled again while they are unchanged.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) made: Made,
    /// Digest of all files of the operator: its lists can affect the result of a member's tests.
    pub(crate) host: [u8; 32],
    pub(crate) diagnostics: Vec<diagnostics::Diagnostic>,
}

/// Members that were postponed.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) names: Vec<Box<str>>,
    /// Parts that were active and still have to be compiled against the operator's new files.
    pub(crate) former: BTreeMap<Box<str>, Arc<Member>>,
}

impl Waiting {
    pub(crate) fn add(&mut self, name: &str, former: Option<Arc<Member>>) {
        if !self.names.iter().any(|waits| **waits == *name) {
            self.names.push(name.into());
        }
        self.former.extend(former.map(|former| (Box::from(name), former)));
    }
}
