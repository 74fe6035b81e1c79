//! One member's part as a ruleset holds it, and what is remembered of those that are not in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use seawall_policy::diagnostic::Files;
use seawall_policy::outline::Outline;
use seawall_policy::part::Part;

use crate::build::counter_spec::spec;
use crate::build::parts::Loaded;
use crate::build::sources::MemberSources;
use crate::inspect::diagnostics;

/// What a part was made of: equal digests make an equal part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Made {
    /// The host's policy texts.
    pub(crate) host: [u8; 32],
    /// All that her files reach.
    pub(crate) hers: [u8; 32],
}

/// A member's part, ready to be linked behind the host's.
#[derive(Debug)]
pub struct Member {
    pub(crate) made: Made,
    pub(crate) sources: MemberSources,
    /// Its policy files alone.
    pub(crate) policies: MemberSources,
    pub(crate) part: Part,
    /// Her files alone.
    pub(crate) files: Files,
    pub(crate) outline: Outline,
    pub(crate) loaded: Loaded,
    /// What is to be said about it, none of which is an error.
    pub(crate) remarks: Vec<diagnostics::Diagnostic>,
}

impl Member {
    /// Her name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.sources.name()
    }

    /// The files that it was made of.
    #[must_use]
    pub fn sources(&self) -> &MemberSources {
        &self.sources
    }

    /// Names its content: equal for the same files, lists and components.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.made.hers
    }

    /// Her counters' memory.
    pub(crate) fn counter_bytes(&self) -> usize {
        self.part.own().counters.iter().map(|counter| spec(counter).bytes()).sum()
    }
}

/// A member's files that were wrong, so that they need not be looked at again while they are.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) made: Made,
    /// All of the host's files: its lists may decide how her tests end.
    pub(crate) host: [u8; 32],
    pub(crate) diagnostics: Vec<diagnostics::Diagnostic>,
}

/// Members whose turn has yet to come.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) names: Vec<Box<str>>,
    /// Parts that were in force and have yet to be compiled against the host's new files.
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
