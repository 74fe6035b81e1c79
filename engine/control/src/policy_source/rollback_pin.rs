//! Reading while somebody went back: whose files lie on the disk and are not in force.
//!
//! The host's files and each member's are put aside by themselves, and each comes into force again
//! when it changes. While the host's files are aside, members' are read from the disk under the
//! entries of the host's files that serve.

use std::cell::RefCell;
use std::collections::BTreeMap;

use seawall_admin_api::{Back, Left, Marks, Past, PolicyRejection, RollbackPin};
use seawall_ruleset::{MemberSources, SourceStore, Sources};

use super::hashing_store::HELD_BYTES_MAX;
use super::loader::PolicyLoader;
use crate::admin::rejection::own_refusal;
use crate::generations::GenerationStore;
use crate::generations::sources::{past_host, past_members};
use crate::storage::digest::hex;

/// Files of past generations for whoever reads.
#[derive(Debug)]
pub(crate) struct Standing {
    archive: GenerationStore,
    /// The host's files that serve instead of those on the disk, by their digest, where they are not
    /// too large to be held.
    host: RefCell<Option<(String, Sources)>>,
}

/// What was read, and what of the disk is not in it.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) sources: Sources,
    pub(crate) aside: Option<RollbackPin>,
    /// The host's files on the disk changed while they were read.
    pub(crate) changing: bool,
    /// The member whose part must come into force.
    pub(crate) must: Option<Box<str>>,
    /// The generation whose host's files these are, where somebody goes back to it. What a member had
    /// then fits them.
    pub(crate) back: Option<Box<Past>>,
}

impl Draft {
    /// What lies on the disk.
    pub(crate) fn of(sources: Sources) -> Self {
        let changing = sources.host().changing();
        Self { sources, aside: None, changing, must: None, back: None }
    }
}

impl Standing {
    pub(crate) fn new(archive: GenerationStore) -> Self {
        Self { archive, host: RefCell::default() }
    }

    /// The host's files of a generation.
    fn host(&self, loader: &PolicyLoader, past: &Past) -> Result<Sources, PolicyRejection> {
        if let Some((of, sources)) = &*self.host.borrow()
            && *of == past.host
        {
            return Ok(sources.clone());
        }
        let sources = self.host_anew(loader, past)?;
        let held = past.files.iter().filter_map(|file| sources.held(&file.path));
        let bytes: usize = held.map(|held| held.len()).sum();
        let held = (bytes <= HELD_BYTES_MAX).then(|| (past.host.clone(), sources.clone()));
        *self.host.borrow_mut() = held;
        Ok(sources)
    }

    fn host_anew(&self, loader: &PolicyLoader, past: &Past) -> Result<Sources, PolicyRejection> {
        let number = past.generation;
        if !self.archive.has(&past.files) {
            let why = format!("the files of generation {number} are not kept any more");
            return Err(own_refusal(&why));
        }
        let kept = |name: &str, path: &str| loader.kept_list(name, path);
        let sources = past_host(past, &|sha256| self.archive.read(sha256), &kept);
        if past.files.iter().any(|file| sources.held(&file.path).is_none()) {
            let why = format!("a file of generation {number} is damaged where it is kept");
            return Err(own_refusal(&why));
        }
        Ok(sources)
    }

    /// What these members' parts of a generation were made of, under their entries in `sources`.
    fn members(
        &self,
        loader: &PolicyLoader,
        (past, sources): (&Past, &Sources),
        names: &[&str],
    ) -> Result<Vec<MemberSources>, PolicyRejection> {
        let parts: BTreeMap<&str, &Marks> =
            names.iter().filter_map(|name| Some((*name, past.parts.get(*name)?))).collect();
        let kept = |name: &str, path: &str| loader.kept_list(name, path);
        let all = past_members(sources, &parts, &|sha256| self.archive.read(sha256), &kept);
        let one = |name: &&str| {
            let hers = all.member(name).filter(|_| parts.contains_key(name));
            let is_whole = |hers: &&MemberSources| {
                let files = past.parts.get(*name).map_or(&[][..], |marks| marks);
                files.iter().all(|file| hers.reached().held(&file.path).is_some())
            };
            hers.filter(is_whole).cloned().ok_or_else(|| {
                let number = past.generation;
                own_refusal(&format!(
                    "generation {number} has no part of member {name}, its files are not kept any \
                     more, or the host's files name them otherwise now"
                ))
            })
        };
        names.iter().map(one).collect()
    }

    /// Nothing stands instead of the disk any more.
    pub(crate) fn release(&self) {
        *self.host.borrow_mut() = None;
    }
}

impl PolicyLoader {
    /// Reads what is to be in force while `aside` is not: where the files are still the same ones,
    /// what `serves` is made of stands instead of them.
    ///
    /// # Errors
    /// What stands instead is not kept any more.
    pub(crate) fn gather_beside(
        &self,
        standing: &Standing,
        aside: &RollbackPin,
        serves: &Past,
    ) -> Result<Draft, PolicyRejection> {
        let host = match &aside.host {
            Some(_) => Some(standing.host(self, serves)?),
            None => None,
        };
        let left = |on_disk: &Sources| {
            let content = hex(&on_disk.host_digest());
            aside.host.as_ref().filter(|left| left.content == content).cloned()
        };
        let mut draft = self.gather_under(host.as_ref(), left);
        self.stand_in(standing, (aside, serves), &mut draft)?;
        Ok(draft)
    }

    /// Puts the parts in force in the place of members' files that are aside, where these are still
    /// the same.
    fn stand_in(
        &self,
        standing: &Standing,
        (aside, serves): (&RollbackPin, &Past),
        draft: &mut Draft,
    ) -> Result<(), PolicyRejection> {
        let is_same = |name: &str, left: &Left| {
            let on_disk = draft.sources.member(name).map(|hers| hex(&hers.content()));
            on_disk.as_ref() == Some(&left.content)
        };
        let stands = aside.members.iter().filter(|(name, left)| is_same(name, left));
        let names: Vec<&str> = stands.map(|(name, _)| &**name).collect();
        if names.is_empty() {
            return Ok(());
        }
        for part in standing.members(self, (serves, &draft.sources), &names)? {
            let left = aside.members.get(part.name()).cloned();
            if let Some(left) = left {
                draft.put_aside(part.name(), left);
            }
            draft.sources.replace_member(part);
        }
        Ok(())
    }

    /// Reads what is to be in force where somebody goes back to `past`, while `serves` is and
    /// `aside` is not.
    ///
    /// # Errors
    /// What is to be gone back to is not kept any more, or there was none.
    pub(crate) fn gather_back(
        &self,
        standing: &Standing,
        (past, back): (&Past, &Back),
        (aside, serves): (&RollbackPin, &Past),
    ) -> Result<Draft, PolicyRejection> {
        if let Back::Member(name) = back {
            let mut draft = self.gather_beside(standing, aside, serves)?;
            self.bring_back(standing, past, &[name], &mut draft)?;
            draft.must = Some(name.clone());
            draft.aside = draft.aside.and_then(RollbackPin::or_none);
            return Ok(draft);
        }
        if *back == Back::All && past.parts_gone > 0 {
            let number = past.generation;
            let why = format!("not all members' files of generation {number} are kept any more");
            return Err(own_refusal(&why));
        }
        let host = standing.host(self, past)?;
        let left = |on_disk: &Sources| {
            let content = hex(&on_disk.host_digest());
            Some(Left { content, active_generation: past.generation })
        };
        let mut draft = self.gather_under(Some(&host), left);
        let is_same = |left: &Left| left.content == hex(&host.host_digest());
        if let Some(aside) = &mut draft.aside {
            aside.host = aside.host.take().filter(|left| !is_same(left));
        }
        self.stand_in(standing, (aside, serves), &mut draft)?;
        if *back == Back::All {
            let names: Vec<&str> = past.parts.keys().map(|name| &**name).collect();
            self.bring_back(standing, past, &names, &mut draft)?;
        }
        draft.aside = draft.aside.and_then(RollbackPin::or_none);
        draft.back = Some(Box::new(past.clone()));
        Ok(draft)
    }

    /// Finds what a member had in the generation that `draft` goes back to.
    pub(crate) fn had(
        &self,
        standing: &Standing,
        draft: &Draft,
        name: &str,
    ) -> Option<MemberSources> {
        let past = draft.back.as_ref().filter(|past| past.parts.contains_key(name))?;
        standing.members(self, (past, &draft.sources), &[name]).ok()?.pop()
    }

    /// Puts what these members' parts of `past` were made of in the place of what they have.
    fn bring_back(
        &self,
        standing: &Standing,
        past: &Past,
        names: &[&str],
        draft: &mut Draft,
    ) -> Result<(), PolicyRejection> {
        for part in standing.members(self, (past, &draft.sources), names)? {
            let name = part.name();
            let mut aside = draft.aside.take().unwrap_or_default();
            let known = aside.members.remove(name).map(|left| left.content);
            let content = known.or_else(|| Some(hex(&draft.sources.member(name)?.content())));
            let content = content.filter(|content| *content != hex(&part.content()));
            let left = content.map(|content| Left { content, active_generation: past.generation });
            aside.members.extend(left.map(|left| (Box::from(name), left)));
            draft.aside = Some(aside);
            draft.sources.replace_member(part);
        }
        Ok(())
    }

    /// Reads members' files under `host`, where `left` says of what the host has on the disk that it
    /// is aside; else all that is on the disk.
    fn gather_under(
        &self,
        host: Option<&Sources>,
        left: impl FnOnce(&Sources) -> Option<Left>,
    ) -> Draft {
        self.reading(|store, memo| {
            if let Some(host) = host {
                let on_disk = Sources::gather_host(self.root(), store, memo);
                let changing = on_disk.changing();
                if let Some(left) = left(&on_disk) {
                    let sources = host.with_members_from(&|_| store as &dyn SourceStore, memo);
                    let aside = Some(RollbackPin { host: Some(left), members: BTreeMap::new() });
                    return Draft { sources, aside, changing, must: None, back: None };
                }
            }
            Draft::of(Sources::gather_again(self.root(), store, memo))
        })
    }
}

impl Draft {
    fn put_aside(&mut self, name: &str, left: Left) {
        self.aside.get_or_insert_default().members.insert(name.into(), left);
    }
}
