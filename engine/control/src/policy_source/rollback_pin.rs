//! Reads the policy while a rollback pin ignores files on the disk.
//!
//! The operator's files and each member's are pinned separately, and each become active again when
//! they change. While the operator's files are pinned, members' files are read from the disk under
//! the entries of the operator's active files.

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

/// Files of past generations for a reading.
#[derive(Debug)]
pub(crate) struct Standing {
    archive: GenerationStore,
    /// The operator's active files in place of those on the disk, by their digest, if they are not
    /// too large for the cache.
    host: RefCell<Option<(String, Sources)>>,
}

/// What was read, and which files on the disk are not in it.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) sources: Sources,
    pub(crate) aside: Option<RollbackPin>,
    /// The operator's files on the disk changed while they were read.
    pub(crate) changing: bool,
    /// The member whose part must become active.
    pub(crate) must: Option<Box<str>>,
    /// In a rollback of the operator's files: their generation. Members' parts of that generation
    /// fit them.
    pub(crate) back: Option<Box<Past>>,
}

impl Draft {
    /// Returns the files on the disk.
    pub(crate) fn of(sources: Sources) -> Self {
        let changing = sources.host().changing();
        Self { sources, aside: None, changing, must: None, back: None }
    }
}

impl Standing {
    pub(crate) fn new(archive: GenerationStore) -> Self {
        Self { archive, host: RefCell::default() }
    }

    /// Returns the operator's files of a generation.
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
            let why = format!("the files of generation {number} are no longer stored");
            return Err(own_refusal(&why));
        }
        let kept = |name: &str, path: &str| loader.kept_list(name, path);
        let sources = past_host(past, &|sha256| self.archive.read(sha256), &kept);
        if past.files.iter().any(|file| sources.held(&file.path).is_none()) {
            let why = format!("a stored file of generation {number} is damaged");
            return Err(own_refusal(&why));
        }
        Ok(sources)
    }

    /// Returns the files of these members' parts in a generation, under their entries in `sources`.
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
                    "generation {number} has no part of member {name}, its files are no longer \
                     stored, or the operator's files name them differently now"
                ))
            })
        };
        names.iter().map(one).collect()
    }

    /// Forgets the cached files.
    pub(crate) fn release(&self) {
        *self.host.borrow_mut() = None;
    }
}

impl PolicyLoader {
    /// Reads the policy while `aside` is pinned: files that are unchanged since the rollback are
    /// replaced by those of `serves`.
    ///
    /// # Errors
    /// The files of `serves` are no longer stored.
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

    /// Replaces pinned files of members that are unchanged by the active parts.
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

    /// Reads the policy for a rollback to `past`, while `serves` is active and `aside` is pinned.
    ///
    /// # Errors
    /// The files of `past` are no longer stored, or do not exist.
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
            let why = format!("not all members' files of generation {number} are still stored");
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

    /// Returns a member's part in the generation that `draft` rolls back to.
    pub(crate) fn had(
        &self,
        standing: &Standing,
        draft: &Draft,
        name: &str,
    ) -> Option<MemberSources> {
        let past = draft.back.as_ref().filter(|past| past.parts.contains_key(name))?;
        standing.members(self, (past, &draft.sources), &[name]).ok()?.pop()
    }

    /// Replaces these members' parts by those of `past`.
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

    /// Reads members' files under `host`, if `left` reports that the operator's files on the disk
    /// are pinned; otherwise it reads all from the disk.
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
