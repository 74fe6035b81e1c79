//! What a start loads.

use seawall_ruleset::{Effort, Sources, Terms};

use crate::admin::api::{Complaint, Refusal};
use crate::compile::START_COMPILE_WAIT_MS;
use crate::generations::{Archive, Aside, Index};
use crate::members::Members;
use crate::policy_source::loader::{Draft, Loader, Ready, Standing};
use crate::reload::own_refusal;

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

/// Why nothing comes of what is under way.
pub(crate) fn stopped() -> Refusal {
    own_refusal("the server is stopping")
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
