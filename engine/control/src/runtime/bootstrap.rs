//! What a start loads.

use std::io;
use std::path::Path;
use std::sync::Arc;

use seawall_model::Generation;
use seawall_ruleset::{Effort, Handle, Live, Sources, Terms};
use seawall_state::{Seed, Tally};

use crate::admin::api::{Cause, Complaint, Refusal, stopped};
use crate::compile::START_COMPILE_WAIT_MS;
use crate::generations::Archive;
use crate::generations::contents::{Known, Occasion};
use crate::generations::index::Index;
use crate::generations::record::{Aside, Blob, Past};
use crate::members::{Coming, Members};
use crate::policy_source::list_cache::Stock;
use crate::policy_source::loader::{Loader, Ready};
use crate::policy_source::rollback_pin::{Draft, Standing};
use crate::reload::status::Board;
use crate::snapshot::Keeper;
use crate::storage::background_writer::Scribe;
use crate::upgrade::HandOverError;

/// The first generation, before anything serves.
pub struct First {
    /// Where it is found, and the next ones will be.
    pub handle: Arc<Handle>,
    /// What is probably not what was meant.
    pub warnings: Vec<String>,
    pub(super) loader: Loader,
    pub(super) keeper: Keeper,
    pub(super) digest: [u8; 32],
    pub(super) archive: Archive,
    /// The generations of earlier processes.
    pub(super) history: Vec<Arc<Past>>,
    /// This one.
    pub(super) past: Past,
    pub(super) blobs: Vec<Blob>,
    pub(super) known: Known,
    pub(super) aside: Option<Aside>,
    /// What the history said of that, before it was held against the disk.
    pub(super) read_aside: Option<Aside>,
    pub(super) stock: Stock,
    pub(super) members: Arc<Members>,
}

impl std::fmt::Debug for First {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("First").field("loader", &self.loader).finish_non_exhaustive()
    }
}

impl First {
    /// Loads the policy as a reload would, with the state that `keeper` has of it; an empty one
    /// is hashed under `seed`. The generations of earlier processes lie in `state_dir`.
    ///
    /// # Errors
    /// Why the policy cannot be taken.
    pub fn load(
        loader: Loader,
        seed: Seed,
        keeper: Keeper,
        state_dir: &Path,
    ) -> Result<Self, Refusal> {
        let loader = if keeper.inherits() { loader.taking_over() } else { loader };
        let began = loader.now();
        let archive = Archive::new(state_dir);
        let index = archive.load();
        let members = Arc::new(Members::open(state_dir));
        let beginning = begin(&loader, &archive, &index, &members)?;
        let Beginning { sources, digest, aside, ready } = beginning;
        let Ready { rules, mut warnings, tests, stock, members: states } = ready;
        let before = index.generations.last().cloned();
        let last = before.as_ref().map_or(0, |past| past.generation);
        let state = keeper.restore(seed, rules.counter_specs()).numbered_after(Generation(last));
        let tally = Arc::new(Tally::new(rules.rule_names().len()));
        let generation = state.generation();
        let mut known = Known::of(before.as_deref());
        let (made, blobs) = known.made(&sources, &rules);
        let loaded = loader.now();
        warnings.extend(members.came(Coming {
            rules: &rules,
            sources: &sources,
            states: &states,
            generation: generation.0,
            now: loaded,
        }));
        let occasion = Occasion {
            cause: Cause::Start,
            by_uid: None,
            restores: aside.as_ref().and_then(|aside| Some(aside.host.as_ref()?.serves)),
            host_since: None,
            began,
        };
        let past = made.past((generation.0, loaded), occasion, before.as_deref());
        let past = Past { tests, warnings: warnings.len(), ..past };
        let live = Live { generation, rules: Arc::new(rules), state: Arc::new(state), tally };
        // Where a member's turn has yet to come, nothing that is read is the same as what runs.
        let is_whole = live.rules.postponed().is_empty();
        let digest = if is_whole { digest } else { [0; 32] };
        let handle = Arc::new(Handle::new(live));
        let (history, read_aside) = (index.generations, index.aside);
        Ok(Self {
            handle,
            warnings,
            loader,
            keeper,
            digest,
            archive,
            history,
            past,
            blobs,
            known,
            aside,
            read_aside,
            stock,
            members,
        })
    }
}

impl First {
    /// Takes over what the process before remembers, as one that was restarted would.
    ///
    /// # Errors
    /// It cannot be taken, or somebody went back to another generation meanwhile.
    pub fn inherit(&mut self, content: &[u8]) -> Result<(), HandOverError> {
        // It may have published since this process looked.
        let index = self.archive.load();
        if index.aside != self.read_aside {
            let why = "somebody went back to another generation meanwhile; try again";
            return Err(HandOverError::State(why.to_owned()));
        }
        let live = self.handle.load();
        let specs = live.rules.counter_specs();
        let state = self.keeper.inherit(content, specs).map_err(HandOverError::State)?;
        let last = index.generations.last().map_or(0, |past| past.generation);
        let state = state.numbered_after(Generation(last));
        let generation = state.generation();
        self.members.renumber(self.past.generation, generation.0);
        if self.past.host_since == self.past.generation {
            self.past.host_since = generation.0;
        }
        self.past.generation = generation.0;
        self.past.cause = Cause::Upgrade;
        self.history = index.generations;
        let (rules, tally) = (live.rules.clone(), live.tally.clone());
        self.handle.publish(Live { generation, rules, state: Arc::new(state), tally });
        Ok(())
    }
}

impl First {
    /// The board with what serves on it, and the one that writes down what that is made of.
    pub(super) fn posted(&self) -> io::Result<(Arc<Board>, Scribe)> {
        self.loader.put_away(&self.stock);
        let board = Arc::new(Board::remembering(self.history.clone()));
        board.published(self.past.clone());
        board.aside(self.aside.clone());
        let scribe = Scribe::start()?;
        self.archive.hold(&self.blobs);
        let (kept, posted, blobs) = (self.archive.clone(), board.read(), self.blobs.clone());
        scribe.later(move || kept.remember(posted, &blobs));
        let copies = self.members.clone();
        scribe.later(move || copies.write());
        Ok((board, scribe))
    }
}

/// The files that are loaded at start: those on the disk, or those that somebody went back to.
pub(super) struct Beginning {
    pub(super) sources: Sources,
    /// Of the sources as a reload sees them, taken before anything was made of them.
    pub(super) digest: [u8; 32],
    pub(super) aside: Option<Aside>,
    pub(super) ready: Ready,
}

/// What is on the disk, unless somebody went back from just that before the restart: then what
/// served, as long as it can be made again.
pub(super) fn begin(
    loader: &Loader,
    archive: &Archive,
    index: &Index,
    members: &Members,
) -> Result<Beginning, Refusal> {
    let sources = loader.gather_settled();
    let build = |sources: &Sources| {
        if loader.is_stopped() {
            return Err(stopped());
        }
        // What is compiled while the others are built differs in it, and is published later.
        let digest = loader.digest(sources);
        let good = members.good(loader, sources);
        let terms = Terms { good: &good, ..Terms::new(None, Effort::Start) };
        let judged = loader.build_to_run(sources, terms).judged(sources);
        let ready = if loader.is_stopped() { Err(stopped()) } else { judged };
        ready.map(|ready| (digest, ready)).map_err(|refusal| still_compiling(loader, refusal))
    };
    if let Some((aside, serves)) = index.aside.as_ref().zip(index.generations.last()) {
        let standing = Standing::new(archive.clone());
        match loader.gather_beside(&standing, aside, serves) {
            Ok(mut draft) if draft.aside.is_some() => {
                draft.sources.unsettle_changing();
                if let Ok((digest, ready)) = build(&draft.sources) {
                    let Draft { sources, aside, .. } = draft;
                    let host = aside.as_ref().and_then(|aside| aside.host.as_ref());
                    let what = match host {
                        Some(left) => format!("the host's files of generation {}", left.serves),
                        None => "members' files of an earlier generation".to_owned(),
                    };
                    log::warn!(
                        target: "seawall::server",
                        "{what} are in force, since somebody went back to it; what is on the disk \
                         comes into force when it changes, or with `seawall reload`"
                    );
                    return Ok(Beginning { sources, digest, aside, ready });
                }
                if loader.is_stopped() {
                    return Err(stopped());
                }
                log::error!(
                    target: "seawall::server",
                    "what somebody went back to cannot be made again: the files on the disk are loaded",
                );
            }
            // All of it has changed since.
            Ok(_) => {}
            Err(refusal) => {
                let why = refusal.complaints.first().map(Complaint::to_string).unwrap_or_default();
                log::error!(target: "seawall::server", "{why}: the files on the disk are loaded");
            }
        }
    }
    let (digest, ready) = build(&sources)?;
    Ok(Beginning { sources, digest, aside: None, ready })
}

/// What is to be said where a start is refused while components are being compiled.
fn still_compiling(loader: &Loader, mut refusal: Refusal) -> Refusal {
    if loader.is_compiling() && !loader.is_stopped() {
        let wait_s = START_COMPILE_WAIT_MS / 1_000;
        refusal.rendered.push_str(&format!(
            "help: a start waits {wait_s} s for the host's components; those that are compiled \
             are kept, so that the next start goes on from there\n"
        ));
    }
    refusal
}
