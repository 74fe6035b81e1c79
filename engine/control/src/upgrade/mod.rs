//! Handing over to a successor: what two processes say to each other while one takes the place of
//! the other.
//!
//! The older one starts the newer and keeps one end of a channel that nobody else has. Over it go
//! the listening sockets, at once; *ready*, when the newer one has loaded all that can be wrong; the
//! state, while nobody is let in; and *serving*. From there on the newer one is the server. Until
//! then whatever goes wrong there, or takes too long, ends it and changes nothing here.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seawall_model::Now;
use seawall_ruleset::Handle;
use seawall_state::SNAPSHOT_BYTES_MAX;

use crate::admin::api::Upgraded;
use crate::snapshot;
use crate::storage::background_writer::Settle;

/// The form of all this; another one's is refused.
const VERSION: u8 = 1;
/// Milliseconds that a successor has for loading. A policy whose rules must be compiled again, since
/// the program is another one, takes a minute and a half for the largest of them.
pub const HAND_OVER_LOAD_MS: u64 = 300_000;
/// Milliseconds for which nobody is let in while the state changes hands; past it the older process
/// goes on. New connections wait in the kernel meanwhile.
pub const HAND_OVER_SHUT_MS: u64 = 5_000;
/// Milliseconds that a snapshot or a ban that is being written has to end before a hand-over is given
/// up. A reload is not waited for at all.
pub const HAND_OVER_REST_MS: u64 = 30_000;
/// Bytes of any message but the state: 128 addresses.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Bytes of the state, with the stamp of its moment.
const STATE_BYTES_MAX: usize = SNAPSHOT_BYTES_MAX + 4_096;

/// Kinds of messages.
const SOCKETS: u8 = 1;
const READY: u8 = 2;
const STATE: u8 = 3;
const SERVING: u8 = 4;
const DONE: u8 = 5;

/// Why a hand-over came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandOverError {
    /// The other side ended, or the channel broke.
    #[error("the other process is gone")]
    Gone,
    /// It took too long.
    #[error("the other process took too long")]
    Late,
    /// It is of a version that does this in another way.
    #[error("the other process is of a version that hands over in another way")]
    Version,
    /// It says something that is not to be said now.
    #[error("the other process says what cannot be understood")]
    Strange,
    /// Standard input is no channel.
    #[error("`--take-over` is for a process that a running server starts; send that one SIGUSR2")]
    NoChannel,
    /// What is remembered does not come to rest.
    #[error("the state is still being written to the disk; try again")]
    Busy,
    /// The state cannot be given or taken.
    #[error("the state cannot change hands: {0}")]
    State(String),
}

impl From<io::Error> for HandOverError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Late,
            io::ErrorKind::InvalidData => Self::Strange,
            _ => Self::Gone,
        }
    }
}

impl From<Unfrozen> for HandOverError {
    fn from(why: Unfrozen) -> Self {
        match why {
            Unfrozen::Gone => Self::Gone,
            Unfrozen::Busy => Self::Busy,
        }
    }
}

/// One end of the channel.
#[derive(Debug)]
struct Channel(UnixStream);

impl Channel {
    fn say(&mut self, kind: u8, content: &[u8]) -> Result<(), HandOverError> {
        let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
        self.0.write_all(&[kind])?;
        self.0.write_all(&length.to_le_bytes())?;
        Ok(self.0.write_all(content)?)
    }

    /// The next message, which must be of this kind. The time is for each part of it: a process that
    /// sends its state steadily is not late.
    fn hear(&mut self, kind: u8, most: usize, ms: u64) -> Result<Vec<u8>, HandOverError> {
        self.0.set_read_timeout(Some(Duration::from_millis(ms)))?;
        let (mut said, mut length) = ([0], [0; 8]);
        self.0.read_exact(&mut said)?;
        self.0.read_exact(&mut length)?;
        let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
        if said != [kind] || length > most {
            return Err(HandOverError::Strange);
        }
        let mut content = vec![0; length];
        self.0.read_exact(&mut content)?;
        Ok(content)
    }
}

/// A listening socket under the address that it was configured as.
pub type Socket = (SocketAddr, Arc<TcpListener>);

/// The older process's end.
#[derive(Debug)]
pub struct Giver(Channel);

impl Giver {
    /// Over this channel, whose other end the successor has as its standard input.
    #[must_use]
    pub const fn new(channel: UnixStream) -> Self {
        Self(Channel(channel))
    }

    /// Shares the sockets, and waits until the successor has loaded everything.
    ///
    /// # Errors
    /// It has not.
    pub fn prepare(&mut self, sockets: &[Socket]) -> Result<(), HandOverError> {
        let shut = Some(Duration::from_millis(HAND_OVER_SHUT_MS));
        self.0.0.set_write_timeout(shut)?;
        let addresses: Vec<String> =
            sockets.iter().map(|(address, _)| address.to_string()).collect();
        let mut hello = vec![VERSION];
        hello.extend_from_slice(addresses.join(" ").as_bytes());
        self.0.say(SOCKETS, &hello)?;
        let files: Vec<_> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
        seawall_sys::send_files(&self.0.0, &files)?;
        self.0.hear(READY, 0, HAND_OVER_LOAD_MS).map(drop)
    }

    /// Gives the state away, and waits until the successor serves.
    ///
    /// # Errors
    /// It does not.
    pub fn give(&mut self, state: &[u8]) -> Result<(), HandOverError> {
        self.0.say(STATE, state)?;
        self.0.hear(SERVING, 0, HAND_OVER_SHUT_MS).map(drop)
    }

    /// Waits until the successor can be asked in our place; for a while.
    pub fn wait_done(mut self) {
        // It serves, whether it says this or not.
        let _unheard = self.0.hear(DONE, 0, HAND_OVER_SHUT_MS);
    }
}

/// The successor's end.
#[derive(Debug)]
pub struct Taker(Channel);

impl Taker {
    /// Over the channel that this process was given as its standard input, and what listens already.
    ///
    /// # Errors
    /// There is none, or nobody hands over in a way that is known here.
    pub fn begin() -> Result<(Self, Vec<Socket>), HandOverError> {
        let channel = seawall_sys::take_channel().map_err(|_| HandOverError::NoChannel)?;
        let mut channel = Channel(channel);
        channel.0.set_write_timeout(Some(Duration::from_millis(HAND_OVER_SHUT_MS)))?;
        let hello = channel.hear(SOCKETS, MESSAGE_BYTES_MAX, HAND_OVER_SHUT_MS)?;
        let Some((&VERSION, addresses)) = hello.split_first() else {
            return Err(HandOverError::Version);
        };
        let addresses = str::from_utf8(addresses).map_err(|_| HandOverError::Strange)?;
        let addresses: Result<Vec<SocketAddr>, _> =
            addresses.split_whitespace().map(str::parse).collect();
        let addresses = addresses.map_err(|_| HandOverError::Strange)?;
        let files = seawall_sys::receive_files(&channel.0, addresses.len())?;
        let sockets = files.into_iter().map(|file| Arc::new(TcpListener::from(file)));
        Ok((Self(channel), addresses.into_iter().zip(sockets).collect()))
    }

    /// Says that all is loaded, and waits for the state.
    ///
    /// # Errors
    /// It does not come: then the older process serves on.
    pub fn ready(&mut self) -> Result<Vec<u8>, HandOverError> {
        self.0.say(READY, &[])?;
        // The older one may wait for its disk first.
        self.0.hear(STATE, STATE_BYTES_MAX, HAND_OVER_LOAD_MS)
    }

    /// Says that this process serves.
    ///
    /// # Errors
    /// Nobody hears it: then the older process serves, and this one must not.
    pub fn serving(&mut self) -> Result<(), HandOverError> {
        self.0.say(SERVING, &[])
    }

    /// Says that this process can be asked.
    pub fn done(mut self) {
        // The older one waits for it a moment and no more.
        let _unheard = self.0.say(DONE, &[]);
    }
}

/// Whether what is remembered here still counts. While it is [frozen](Self::freeze) nothing is
/// changed by hand, no generation is published and no snapshot is written; once it is given away,
/// never again.
///
/// Those who change something do not exclude each other, only a hand-over: a ban is set while a
/// reload assembles and while a snapshot is written. They come in while somebody waits to freeze it
/// too, since what they do inside is short; so whoever freezes has a limit on that wait.
#[derive(Debug, Default)]
pub(crate) struct Still {
    now: Mutex<Standing>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Standing {
    /// How many change something.
    inside: usize,
    frozen: bool,
    gone: bool,
}

/// Why nothing may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Closed {
    /// All was given away.
    #[error("a successor serves now; ask again")]
    Gone,
    /// It is being given away, for longer than was waited.
    #[error("a successor is just taking over; ask again")]
    Frozen,
}

/// Why nothing is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfrozen {
    /// All was given away.
    Gone,
    /// Somebody changes something, or another freezes it, for longer than was waited.
    Busy,
}

/// Somebody changes something; until it is dropped nothing is given away.
#[derive(Debug)]
pub(crate) struct Changing<'s>(&'s Still);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        let mut now = self.0.lock();
        now.inside = now.inside.saturating_sub(1);
        drop(now);
        self.0.changed.notify_all();
    }
}

/// Nobody changes anything; dropped, all goes on.
#[derive(Debug)]
pub(crate) struct Rest<'s>(&'s Still);

impl Rest<'_> {
    /// From now on nothing is changed here.
    pub(crate) fn give_away(self) {
        self.0.lock().gone = true;
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        self.0.lock().frozen = false;
        self.0.changed.notify_all();
    }
}

impl Still {
    /// Waits until nothing is frozen, which takes seconds at most.
    ///
    /// # Errors
    /// Everything was given away.
    pub(crate) fn enter(&self) -> Result<Changing<'_>, Closed> {
        let frozen = |now: &mut Standing| now.frozen && !now.gone;
        let waited = self.changed.wait_while(self.lock(), frozen);
        self.admit(waited.unwrap_or_else(PoisonError::into_inner))
    }

    /// The same, for so long at most.
    ///
    /// # Errors
    /// It is frozen for longer, or everything was given away.
    pub(crate) fn enter_within(&self, ms: u64) -> Result<Changing<'_>, Closed> {
        let frozen = |now: &mut Standing| now.frozen && !now.gone;
        let waited =
            self.changed.wait_timeout_while(self.lock(), Duration::from_millis(ms), frozen);
        self.admit(waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn admit(&self, mut now: MutexGuard<'_, Standing>) -> Result<Changing<'_>, Closed> {
        if now.gone {
            return Err(Closed::Gone);
        }
        if now.frozen {
            return Err(Closed::Frozen);
        }
        now.inside = now.inside.saturating_add(1);
        Ok(Changing(self))
    }

    /// Whether everything was given away.
    pub(crate) fn is_gone(&self) -> bool {
        self.lock().gone
    }

    /// Waits until nobody changes anything, for so long at most, and lets nobody begin.
    pub(crate) fn freeze(&self, ms: u64) -> Result<Rest<'_>, Unfrozen> {
        let busy = |now: &mut Standing| (now.inside > 0 || now.frozen) && !now.gone;
        let waited = self.changed.wait_timeout_while(self.lock(), Duration::from_millis(ms), busy);
        let mut now = waited.unwrap_or_else(PoisonError::into_inner).0;
        if now.gone {
            return Err(Unfrozen::Gone);
        }
        if now.inside > 0 || now.frozen {
            return Err(Unfrozen::Busy);
        }
        now.frozen = true;
        Ok(Rest(self))
    }

    /// Gives all away at once.
    #[cfg(test)]
    pub(crate) fn give_away(&self) {
        self.lock().gone = true;
        self.changed.notify_all();
    }

    /// What it holds is valid at every moment, so a panic elsewhere changes nothing.
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a successor inherits.
#[derive(Clone)]
pub struct Estate {
    pub(crate) still: Arc<Still>,
    pub(crate) handle: Arc<Handle>,
    pub(crate) now: Now,
    pub(crate) settle: Settle,
    pub(crate) last: Arc<LastUpgrade>,
}

/// What came of the last attempt to hand over, for the status.
#[derive(Debug, Default)]
pub(crate) struct LastUpgrade(Mutex<Option<Upgraded>>);

impl LastUpgrade {
    pub(crate) fn read(&self) -> Option<Upgraded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Estate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Estate").field("still", &self.still).finish_non_exhaustive()
    }
}

/// What a successor inherits, at rest. Dropped, all goes on as before.
#[derive(Debug)]
pub struct Frozen<'e> {
    estate: &'e Estate,
    rest: Rest<'e>,
}

impl Estate {
    pub(crate) fn new(handle: Arc<Handle>, now: Now, settle: Settle) -> Self {
        Self { still: Arc::default(), handle, now, settle, last: Arc::default() }
    }

    /// Notes what came of an attempt, for the status.
    pub fn note(&self, upgraded: &Upgraded) {
        *self.last.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgraded.clone());
    }

    /// Waits for what is being changed or written, and lets nothing begin. A reload that is under way
    /// is not waited for: it publishes nothing from here on, and the successor reads what it read.
    ///
    /// # Errors
    /// Something is being written for longer than [`HAND_OVER_REST_MS`], or all was given away before.
    pub fn freeze(&self) -> Result<Frozen<'_>, HandOverError> {
        // The successor reads the history from the disk. Most of that wait is over before anybody who
        // wants to change something is made to wait too.
        self.settle.wait(HAND_OVER_REST_MS);
        let rest = self.still.freeze(HAND_OVER_REST_MS)?;
        self.settle.wait(HAND_OVER_SHUT_MS);
        Ok(Frozen { estate: self, rest })
    }
}

impl Frozen<'_> {
    /// What is remembered at this moment.
    ///
    /// # Errors
    /// It is more than a snapshot may hold.
    pub fn state(&self) -> Result<Vec<u8>, HandOverError> {
        let live = self.estate.handle.load();
        snapshot::content_of(&live.state, (self.estate.now)()).map_err(HandOverError::State)
    }

    /// The successor serves: nothing that is remembered here is written from now on.
    pub fn give_away(self) {
        self.rest.give_away();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn pair() -> (Giver, Taker) {
        let (here, there) = UnixStream::pair().unwrap();
        (Giver::new(here), Taker(Channel(there)))
    }

    #[test]
    fn each_hears_what_the_other_says_in_order() {
        let (mut giver, mut taker) = pair();
        let taking = thread::spawn(move || {
            let state = taker.ready().unwrap();
            taker.serving().unwrap();
            taker.done();
            state
        });
        giver.0.hear(READY, 0, HAND_OVER_LOAD_MS).unwrap();
        giver.give(b"all that was counted").unwrap();
        giver.wait_done();
        assert_eq!(taking.join().unwrap(), b"all that was counted");
    }

    #[test]
    fn who_ends_who_is_late_and_who_talks_nonsense_is_told_apart() {
        let (mut giver, taker) = pair();
        assert!(matches!(giver.0.hear(READY, 0, 10), Err(HandOverError::Late)));
        drop(taker);
        assert!(matches!(giver.0.hear(READY, 0, 10_000), Err(HandOverError::Gone)));
        assert!(matches!(giver.give(b"x"), Err(HandOverError::Gone)));
        let (mut giver, mut taker) = pair();
        taker.0.say(STATE, b"").unwrap();
        assert!(matches!(giver.0.hear(READY, 0, 10_000), Err(HandOverError::Strange)));
        taker.0.say(READY, b"too much").unwrap();
        assert!(matches!(giver.0.hear(READY, 0, 10_000), Err(HandOverError::Strange)));
    }

    #[test]
    fn nothing_is_changed_while_it_is_still_nor_after_it_is_gone() {
        let still = Arc::new(Still::default());
        let rest = still.freeze(0).unwrap();
        assert_eq!(still.enter_within(1).unwrap_err(), Closed::Frozen);
        assert!(matches!(still.freeze(1), Err(Unfrozen::Busy)), "two do not hand over at once");
        let changing = thread::spawn({
            let still = still.clone();
            move || still.enter().is_ok()
        });
        assert!(!changing.is_finished());
        drop(rest);
        assert!(changing.join().unwrap(), "after an attempt that failed all goes on");
        let rest = still.freeze(0).unwrap();
        let waiting = thread::spawn({
            let still = still.clone();
            move || still.enter().map(drop)
        });
        still.lock().gone = true;
        drop(rest);
        assert_eq!(waiting.join().unwrap(), Err(Closed::Gone));
        assert_eq!(still.enter_within(0).unwrap_err(), Closed::Gone);
        assert!(matches!(still.freeze(0), Err(Unfrozen::Gone)));
    }

    #[test]
    fn those_who_change_something_wait_for_nobody_and_a_hand_over_waits_for_them() {
        let still = Still::default();
        let (first, second) = (still.enter_within(0).unwrap(), still.enter_within(0).unwrap());
        assert!(matches!(still.freeze(0), Err(Unfrozen::Busy)));
        drop(first);
        assert!(matches!(still.freeze(0), Err(Unfrozen::Busy)));
        let third = still.enter_within(0).unwrap();
        drop((second, third));
        assert!(still.freeze(0).is_ok());
        assert!(still.enter_within(0).is_ok(), "dropped, all goes on");
    }
}
