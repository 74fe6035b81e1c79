//! Loads what a start needs.

use std::io;
use std::path::Path;
use std::sync::Arc;

use seawall_admin_api::{Past, PolicyError, PolicyRejection, ReloadCause, RollbackPin};
use seawall_model::Generation;
use seawall_ruleset::{ActiveGeneration, Effort, RuleSetHandle, Sources, Terms};
use seawall_state::{DecisionCounters, Seed};

use crate::admin::rejection::stopped;
use crate::compile::START_COMPILE_WAIT_MS;
use crate::generations::FileBlob;
use crate::generations::GenerationStore;
use crate::generations::contents::{Known, PublishContext};
use crate::generations::index::GenerationIndex;
use crate::members::{Coming, Members};
use crate::policy_source::list_cache::PublishedLists;
use crate::policy_source::loader::{PolicyLoader, Ready};
use crate::policy_source::rollback_pin::{Draft, Standing};
use crate::reload::status::ReloadStatus;
use crate::snapshot::SnapshotStore;
use crate::storage::background_writer::BackgroundWriter;
use crate::upgrade::UpgradeError;

/// The first generation, before the server serves.
pub struct Bootstrap {
    /// The handle of the active generation.
    pub handle: Arc<RuleSetHandle>,
    /// Warnings about the policy.
    pub warnings: Vec<String>,
    pub(super) loader: PolicyLoader,
    pub(super) keeper: SnapshotStore,
    pub(super) digest: [u8; 32],
    pub(super) archive: GenerationStore,
    /// The generations of earlier processes.
    pub(super) history: Vec<Arc<Past>>,
    /// This generation.
    pub(super) past: Past,
    pub(super) blobs: Vec<FileBlob>,
    pub(super) known: Known,
    pub(super) aside: Option<RollbackPin>,
    /// The rollback pin of the history, before it was compared with the disk.
    pub(super) read_aside: Option<RollbackPin>,
    pub(super) stock: PublishedLists,
    pub(super) members: Arc<Members>,
}

impl std::fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bootstrap").field("loader", &self.loader).finish_non_exhaustive()
    }
}

impl Bootstrap {
    /// Loads the policy as a reload would, with its state from `keeper`; an empty state uses
    /// `seed`. The generations of earlier processes lie in `state_dir`.
    ///
    /// # Errors
    /// Returns why the policy is rejected.
    pub fn load(
        loader: PolicyLoader,
        seed: Seed,
        keeper: SnapshotStore,
        state_dir: &Path,
    ) -> Result<Self, PolicyRejection> {
        let loader = if keeper.inherits() { loader.taking_over() } else { loader };
        let began = loader.now();
        let archive = GenerationStore::new(state_dir);
        let index = archive.load();
        let members = Arc::new(Members::open(state_dir));
        let beginning = initial_sources(&loader, &archive, &index, &members)?;
        let InitialSources { sources, digest, aside, ready } = beginning;
        let Ready { rules, mut warnings, tests, stock, members: states } = ready;
        let before = index.generations.last().cloned();
        let last = before.as_ref().map_or(0, |past| past.generation);
        let state = keeper.restore(seed, rules.counter_specs()).numbered_after(Generation(last));
        let tally = Arc::new(DecisionCounters::new(rules.rule_names().len()));
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
        let occasion = PublishContext {
            cause: ReloadCause::Start,
            by_uid: None,
            restored_from: aside
                .as_ref()
                .and_then(|aside| Some(aside.host.as_ref()?.active_generation)),
            host_since: None,
            began,
        };
        let past = made.past((generation.0, loaded), occasion, before.as_deref());
        let past = Past { tests, warnings: warnings.len(), ..past };
        let live =
            ActiveGeneration { generation, rules: Arc::new(rules), state: Arc::new(state), tally };
        // With postponed files no sources on the disk equal the active ones.
        let is_whole = live.rules.postponed().is_empty();
        let digest = if is_whole { digest } else { [0; 32] };
        let handle = Arc::new(RuleSetHandle::new(live));
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

impl Bootstrap {
    /// Takes over the state of the parent process.
    ///
    /// # Errors
    /// The state is invalid, or the parent has done a rollback meanwhile.
    pub fn inherit(&mut self, content: &[u8]) -> Result<(), UpgradeError> {
        // The parent may have published since this process read the history.
        let index = self.archive.load();
        if index.aside != self.read_aside {
            let why = "a rollback took place meanwhile; try again";
            return Err(UpgradeError::State(why.to_owned()));
        }
        let live = self.handle.load();
        let specs = live.rules.counter_specs();
        let state = self.keeper.inherit(content, specs).map_err(UpgradeError::State)?;
        let last = index.generations.last().map_or(0, |past| past.generation);
        let state = state.numbered_after(Generation(last));
        let generation = state.generation();
        self.members.renumber(self.past.generation, generation.0);
        if self.past.host_since == self.past.generation {
            self.past.host_since = generation.0;
        }
        self.past.generation = generation.0;
        self.past.cause = ReloadCause::Upgrade;
        self.history = index.generations;
        let (rules, tally) = (live.rules.clone(), live.tally.clone());
        self.handle.publish(ActiveGeneration { generation, rules, state: Arc::new(state), tally });
        Ok(())
    }
}

impl Bootstrap {
    /// Returns the reload status with the active generation, and the writer that stores its files.
    pub(super) fn posted(&self) -> io::Result<(Arc<ReloadStatus>, BackgroundWriter)> {
        self.loader.put_away(&self.stock);
        let board = Arc::new(ReloadStatus::remembering(self.history.clone()));
        board.published(self.past.clone());
        board.set_rollback_pin(self.aside.clone());
        let scribe = BackgroundWriter::start()?;
        self.archive.hold(&self.blobs);
        let (kept, posted, blobs) = (self.archive.clone(), board.read(), self.blobs.clone());
        scribe.enqueue(move || kept.remember(posted, &blobs));
        let copies = self.members.clone();
        scribe.enqueue(move || copies.write());
        Ok((board, scribe))
    }
}

/// The files that are loaded at start: those on the disk, or those of a rollback.
pub(super) struct InitialSources {
    pub(super) sources: Sources,
    /// Digest of the sources as a reload sees them, taken before the build.
    pub(super) digest: [u8; 32],
    pub(super) aside: Option<RollbackPin>,
    pub(super) ready: Ready,
}

/// Returns the files on the disk. If they were pinned before the restart and are unchanged, it
/// returns the active ones, if these can still be built.
pub(super) fn initial_sources(
    loader: &PolicyLoader,
    archive: &GenerationStore,
    index: &GenerationIndex,
    members: &Members,
) -> Result<InitialSources, PolicyRejection> {
    let sources = loader.gather_settled();
    let build = |sources: &Sources| {
        if loader.is_stopped() {
            return Err(stopped());
        }
        // A component that is compiled during the build changes the digest, and is published later.
        let digest = loader.digest(sources);
        let good = members.good(loader, sources);
        let terms = Terms { good: &good, ..Terms::new(None, Effort::Start) };
        let judged = loader.build_to_run(sources, terms).judged(sources);
        let ready = if loader.is_stopped() { Err(stopped()) } else { judged };
        ready.map(|ready| (digest, ready)).map_err(|rejection| still_compiling(loader, rejection))
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
                        Some(left) => {
                            format!("the operator's files of generation {}", left.active_generation)
                        }
                        None => "members' files of an earlier generation".to_owned(),
                    };
                    log::warn!(
                        target: "seawall::server",
                        "{what} are active after a rollback; the files on the disk are ignored until they \
                         change, or until `seawall reload`"
                    );
                    return Ok(InitialSources { sources, digest, aside, ready });
                }
                if loader.is_stopped() {
                    return Err(stopped());
                }
                log::error!(
                    target: "seawall::server",
                    "the pinned generation cannot be built: the files on the disk are loaded",
                );
            }
            // All of it has changed since.
            Ok(_) => {}
            Err(rejection) => {
                let why = rejection.errors.first().map(PolicyError::to_string).unwrap_or_default();
                log::error!(target: "seawall::server", "{why}: the files on the disk are loaded");
            }
        }
    }
    let (digest, ready) = build(&sources)?;
    Ok(InitialSources { sources, digest, aside: None, ready })
}

/// Returns the error of a start that needs components which are still being compiled.
fn still_compiling(loader: &PolicyLoader, mut rejection: PolicyRejection) -> PolicyRejection {
    if loader.is_compiling() && !loader.is_stopped() {
        let wait_s = START_COMPILE_WAIT_MS / 1_000;
        rejection.rendered.push_str(&format!(
            "help: a start waits {wait_s} s for the operator's components; those that are compiled \
             are cached, so the next start continues from there\n"
        ));
    }
    rejection
}
