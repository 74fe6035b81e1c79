//! The control plane as one value: started once, stopped once.
//!
//! Four threads: one reloads, one answers the admin socket, one ticks, one writes snapshots. None of
//! them is on the way of a request; the one thing they share with the data plane is the `Handle`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use seawall_model::Now;
use seawall_ruleset::{Handle, Live, Sources};
use seawall_state::{CarryReport, Seed, Tally};
use tokio::sync::oneshot;

use crate::admin;
use crate::bans::BanDesk;
use crate::bell::Bell;
use crate::board::{Board, Publication};
use crate::config::Config;
use crate::level_desk::LevelDesk;
use crate::levels;
use crate::loader::{Loader, Ready};
use crate::outcome::{Carried, Cause, FileMark, Refusal};
use crate::persist::{Keeper, Keeping};
use crate::reload::{Forge, POLL_MS, Published, Reloader, Unsettled};
use crate::shelf::Stock;
use crate::socket::{AdminSocket, SocketError, SocketFile};
use crate::status::{EdgeReport, Sight};
use crate::ticker::Ticker;
use crate::totals::Totals;
use crate::watch::Watch;

/// The first generation, before anything serves.
pub struct First {
    /// Where it is found, and the next ones will be.
    pub handle: Arc<Handle>,
    /// What is probably not what was meant.
    pub warnings: Vec<String>,
    loader: Loader,
    keeper: Keeper,
    digest: [u8; 32],
    files: Vec<FileMark>,
    stock: Stock,
}

impl std::fmt::Debug for First {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("First").field("loader", &self.loader).finish_non_exhaustive()
    }
}

impl First {
    /// Loads the policy as a reload would, with the state that `keeper` has of it; an empty one
    /// is hashed under `seed`.
    ///
    /// # Errors
    /// Why the policy cannot be taken.
    pub fn load(loader: Loader, seed: Seed, keeper: Keeper) -> Result<Self, Refusal> {
        let sources = loader.gather_settled();
        let Ready { rules, warnings, stock } =
            loader.build_to_run(&sources, None).judged(&sources)?;
        let state = Arc::new(keeper.restore(seed, rules.counter_specs()));
        let tally = Arc::new(Tally::new(rules.rule_names().len()));
        let generation = state.generation();
        let live = Live { generation, rules: Arc::new(rules), state, tally };
        let (digest, files) = (loader.digest(&sources), loader.marks(&sources));
        let handle = Arc::new(Handle::new(live));
        Ok(Self { handle, warnings, loader, keeper, digest, files, stock })
    }
}

/// A secret for the hashing of keys, from the system.
///
/// # Errors
/// The system has none to give.
pub fn random_seed() -> io::Result<Seed> {
    random_bytes().map(Seed)
}

/// Chance, from the system.
pub(crate) fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Why the control plane does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// No admin socket.
    #[error("the admin socket cannot be opened: {0}")]
    Socket(#[from] SocketError),
    /// The system gave no thread or no runtime.
    #[error("the control plane cannot be started: {0}")]
    Io(#[from] io::Error),
}

/// The running control plane; it stops when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    bell: Arc<Bell>,
    reloading: Option<JoinHandle<()>>,
    admin: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    keeping: Option<Keeping>,
    _ticker: Arc<Ticker>,
    _levels: Ticker,
    _file: SocketFile,
}

impl ControlPlane {
    /// Watches, reloads and answers for `first`.
    ///
    /// # Errors
    /// What could not be had.
    pub fn start(
        config: &Config,
        first: First,
        edge: EdgeReport,
        now: Now,
    ) -> Result<Self, ControlError> {
        let AdminSocket { listener, file } = AdminSocket::bind(&config.socket)?;
        let First { handle, loader, keeper, digest, files, stock, .. } = first;
        loader.put_away(&stock);
        let (bell, board) = (Arc::new(Bell::default()), Arc::new(Board::default()));
        loader.ring(bell.clone());
        let generation = handle.load().generation.0;
        board.published(Publication { generation, cause: Cause::Start, at: now(), files });
        let totals = Arc::new(Totals::default());
        let keeping = keeper.keep(handle.clone())?;
        let sight = Sight {
            handle: handle.clone(),
            board: board.clone(),
            totals: totals.clone(),
            root: config.root.clone(),
            sites: config.sites.clone(),
            edge,
            snapshot: Arc::new(keeping.status()),
            units: config.units,
            loader: loader.clone(),
            now: now.clone(),
        };
        let admin = serve_admin(listener, bell.clone(), sight)?;
        let ticker = loader.ticker();
        loader.running(&[&handle.load().rules]);
        let names: Vec<Box<str>> = config.sites.iter().map(|site| site.name.clone()).collect();
        // What was in force before a restart is in force again, before a second has passed.
        levels::look(&handle.load(), &names, &now);
        let levels = levels::watch(handle.clone(), names.clone(), now.clone())?;
        let forge =
            PolicyForge { loader, handle, totals, sites: names, now: now.clone(), stock: None };
        let reloader = Reloader::new(forge, bell.clone(), board, now, digest);
        let reloading = Some(reload(reloader, &config.root, bell.clone())?);
        Ok(Self {
            bell,
            reloading,
            admin: Some(admin),
            keeping: Some(keeping),
            _ticker: ticker,
            _levels: levels,
            _file: file,
        })
    }

    /// Where reloads are asked for.
    #[must_use]
    pub fn bell(&self) -> Arc<Bell> {
        self.bell.clone()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.bell.stop();
        // A thread that panicked has nothing left to end.
        if let Some(thread) = self.reloading.take() {
            let _ended = thread.join();
        }
        if let Some((stop, thread)) = self.admin.take() {
            drop(stop);
            let _ended = thread.join();
        }
        // Last, when nothing is published any more.
        drop(self.keeping.take());
    }
}

fn reload(
    reloader: Reloader<PolicyForge>,
    root: &Path,
    bell: Arc<Bell>,
) -> io::Result<JoinHandle<()>> {
    let folder: PathBuf = match root.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    // Watched before this returns, so that no save after "ready" is missed; what was saved between
    // the first load and now, the look that is asked for here finds.
    let mut watch = Watch::new(&folder, bell.clone());
    bell.changed(crate::bell::Change::Closed);
    let poll = Duration::from_millis(POLL_MS);
    std::thread::Builder::new()
        .name("seawall-reload".into())
        .spawn(move || reloader.run(poll, || watch.renew()))
}

fn serve_admin(
    listener: std::os::unix::net::UnixListener,
    bell: Arc<Bell>,
    sight: Sight,
) -> io::Result<(oneshot::Sender<()>, JoinHandle<()>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let handle = sight.handle.clone();
    let desk = admin::Desk {
        bell,
        enable: Arc::new(move |name| handle.load().rules.enable_extern(name)),
        levels: Arc::new(LevelDesk {
            handle: sight.handle.clone(),
            sites: sight.sites.iter().map(|site| site.name.clone()).collect(),
            now: sight.now.clone(),
        }),
        bans: Arc::new(BanDesk {
            handle: sight.handle.clone(),
            units: sight.units,
            now: sight.now.clone(),
        }),
        status: Arc::new(move || sight.status()),
    };
    let serve = async move {
        let listener = tokio::net::UnixListener::from_std(listener)?;
        admin::serve(listener, desk, stopped).await
    };
    let thread = std::thread::Builder::new().name("seawall-admin".into()).spawn(move || {
        if let Err(error) = runtime.block_on(serve) {
            log::error!("the admin socket no longer answers: {error}");
        }
    })?;
    Ok((stop, thread))
}

/// Real policies for the reloader.
struct PolicyForge {
    loader: Loader,
    handle: Arc<Handle>,
    totals: Arc<Totals>,
    sites: Vec<Box<str>>,
    now: Now,
    /// Lists of the generation that was published last, still to be put away.
    stock: Option<Stock>,
}

impl Forge for PolicyForge {
    type Draft = Sources;
    type Ready = Ready;

    fn gather(&mut self) -> Result<Sources, Unsettled> {
        let sources = self.loader.gather();
        if sources.changing() { Err(Unsettled) } else { Ok(sources) }
    }

    fn digest(&self, draft: &Sources) -> [u8; 32] {
        self.loader.digest(draft)
    }

    fn files(&self, draft: &Sources) -> Vec<FileMark> {
        self.loader.marks(draft)
    }

    fn assemble(&mut self, draft: &Sources) -> Result<Self::Ready, Refusal> {
        let live = self.handle.load();
        let judged = self.loader.build_to_run(draft, Some(&live.rules)).judged(draft);
        if judged.is_err() {
            self.loader.running(&[&live.rules]);
        }
        judged
    }

    fn publish(&mut self, Ready { rules, warnings, stock }: Ready) -> Published {
        let old = self.handle.load();
        let (state, report) = old.state.carry(rules.counter_specs());
        let generation = old.generation.next();
        let tally = Arc::new(Tally::new(rules.rule_names().len()));
        let (rules, state) = (Arc::new(rules), Arc::new(state));
        // Before its calls can begin, and while the old one's end; a tick too many costs nothing.
        self.loader.running(&[&rules, &old.rules]);
        let live = Live { generation, rules, state: state.clone(), tally };
        // Levels are numbers of one generation: known before its first request.
        levels::look(&live, &self.sites, &self.now);
        self.handle.publish(live);
        state.settle(&old.state);
        self.totals.retire(old.tally.clone());
        self.stock = Some(stock);
        Published { generation: generation.0, carried: carried(report), warnings }
    }

    fn afterwards(&mut self) {
        if let Some(stock) = self.stock.take() {
            self.loader.put_away(&stock);
        }
    }

    fn generation(&self) -> u64 {
        self.handle.load().generation.0
    }
}

fn carried(report: CarryReport) -> Carried {
    let texts = |names: Vec<Box<str>>| names.into_iter().map(String::from).collect();
    Carried {
        kept: texts(report.kept),
        rescaled: texts(report.rescaled),
        new: texts(report.new),
        gone: texts(report.gone),
    }
}
