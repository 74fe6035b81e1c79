//! One attacking HTTP/2 connection: a correct start, then the frames of the scenario.

use super::frame::{
    ACK, DATA, END_STREAM, Frame, Frames, GOAWAY, HEADER_TABLE_SIZE, HEADERS, INITIAL_WINDOW_SIZE,
    PING, PREFACE, RST_STREAM, SETTINGS, code_name, frame, settings, window_update,
};
use super::hpack;
use crate::attack::Attack;
use crate::caps::OPEN_TIMEOUT_S;
use crate::tally::Tally;
use crate::wire::Wire;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

/// A connection on which both sides have sent their SETTINGS.
pub(crate) struct Session {
    wire: Wire,
    seen: Seen,
}

/// What came from the server.
struct Seen {
    frames: Frames,
    tally: Arc<Tally>,
    /// It has sent SETTINGS.
    settings: bool,
    /// Acknowledgements that are due.
    owed: Vec<u8>,
    /// It has sent GOAWAY, or no HTTP/2 at all.
    over: bool,
    /// Resets that it has sent.
    resets: u64,
    /// Streams that it has ended, by a reset or at an answer's end.
    ended: u64,
}

impl Seen {
    fn take(&mut self, bytes: &[u8]) {
        let mut frames = std::mem::take(&mut self.frames);
        let are_frames = frames.feed(bytes, &mut |frame| self.note(frame));
        self.frames = frames;
        if !are_frames {
            self.tally.event("h2: answered with something else");
            self.over = true;
        }
    }

    fn note(&mut self, got: Frame<'_>) {
        let last = matches!(got.kind, DATA | HEADERS) && got.flags & END_STREAM != 0;
        self.ended = self.ended.saturating_add(u64::from(last || got.kind == RST_STREAM));
        match got.kind {
            SETTINGS if got.flags & ACK == 0 => {
                self.settings = true;
                self.owed.extend(frame(SETTINGS, ACK, 0, &[]));
            }
            SETTINGS => self.tally.event("h2: SETTINGS acknowledged"),
            PING if got.flags & ACK == 0 => self.owed.extend(frame(PING, ACK, 0, got.payload)),
            PING => self.tally.event("h2: PING answered"),
            GOAWAY => {
                let code = code_name(got.number(4).unwrap_or(u32::MAX));
                self.tally.event(&format!("h2: GOAWAY {code}"));
                self.over = true;
            }
            RST_STREAM => {
                let code = code_name(got.number(0).unwrap_or(u32::MAX));
                self.tally.event(&format!("h2: RST_STREAM {code}"));
                self.resets = self.resets.saturating_add(1);
            }
            HEADERS => match hpack::status(got.payload) {
                Some(status) => self.tally.answer(status),
                None => self.tally.event("h2: HEADERS"),
            },
            _ => {}
        }
    }
}

impl Session {
    /// Starts the n-th connection. `window` is the window of each response; with 0 the server may
    /// only send header sections.
    pub(crate) async fn start(attack: &Attack, n: usize, window: u32) -> Option<Self> {
        let wire = attack.open(n).await?;
        let seen = Seen {
            frames: Frames::default(),
            tally: attack.tally.clone(),
            settings: false,
            owed: Vec::new(),
            over: false,
            resets: 0,
            ended: 0,
        };
        let mut session = Self { wire, seen };
        let greeted = timeout(Duration::from_secs(OPEN_TIMEOUT_S), session.greet(window)).await;
        match greeted {
            Ok(Ok(())) if !session.seen.over => Some(session),
            _ => {
                attack.tally.event("h2: no handshake");
                None
            }
        }
    }

    async fn greet(&mut self, window: u32) -> io::Result<()> {
        let mut hello = PREFACE.to_vec();
        // With a table size of 0 at our side the server writes readable statuses.
        hello.extend(settings(&[(HEADER_TABLE_SIZE, 0), (INITIAL_WINDOW_SIZE, window)]));
        if window > 0 {
            hello.extend(window_update(0, 0x3fff_ffff));
        }
        self.push(&hello).await?;
        while !self.seen.settings && !self.seen.over {
            self.wait().await?;
        }
        self.push(&[]).await
    }

    /// Sends `out` and what is owed, taking in whatever comes.
    ///
    /// # Errors
    /// The connection has ended.
    pub(crate) async fn push(&mut self, out: &[u8]) -> io::Result<()> {
        let mut all = std::mem::take(&mut self.seen.owed);
        all.extend_from_slice(out);
        let seen = &mut self.seen;
        self.wire.exchange(&all, &mut |bytes| seen.take(bytes)).await
    }

    /// Waits for more from the server.
    ///
    /// # Errors
    /// The connection has ended.
    pub(crate) async fn wait(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4_096];
        match self.wire.read(&mut buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.seen.take(buffer.get(..n).unwrap_or_default());
                Ok(())
            }
        }
    }

    /// Waits until the server ends the connection, and acknowledges pings meanwhile.
    pub(crate) async fn until_closed(&mut self) {
        while self.wait().await.is_ok() {
            if self.push(&[]).await.is_err() {
                return;
            }
        }
    }

    /// Waits until the server has ended the connection, or as many streams as were opened: after
    /// that it is an idle connection, which is another attack.
    pub(crate) async fn until_ended(&mut self, streams: u64) {
        while self.seen.ended < streams {
            if self.wait().await.is_err() || self.push(&[]).await.is_err() {
                return;
            }
        }
        self.wire.emptied();
    }

    /// Returns whether the server ends the connection: GOAWAY, or no HTTP/2.
    pub(crate) fn over(&self) -> bool {
        self.seen.over
    }

    /// Returns the number of resets that the server has sent.
    pub(crate) fn resets(&self) -> u64 {
        self.seen.resets
    }
}

/// Starts the n-th session and floods: `frames(round)` returns what to send, until the server ends
/// the connection. After GOAWAY it waits for that end, to record its time.
pub(crate) async fn flood<F, Fut>(attack: &Attack, n: usize, window: u32, mut frames: F)
where
    F: FnMut(u32) -> Fut,
    Fut: Future<Output = Vec<u8>>,
{
    let Some(mut session) = Session::start(attack, n, window).await else { return };
    let mut round = 0u32;
    while attack.goes_on() && !session.over() {
        let out = frames(round).await;
        if session.push(&out).await.is_err() {
            return;
        }
        round = round.saturating_add(1);
        tokio::task::yield_now().await;
    }
    session.until_closed().await;
}
