//! An origin that fails for a while on request: from outside it looks like one that was stopped or
//! killed.

use super::{Manner, Seen, connection};
use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// The request for it: `/__fault/WORD/MS`.
const FAULT: &str = "/__fault/";
/// The longest.
const FAULT_MS_MAX: u64 = 60_000;
/// An origin that flaps is there and is not there for so long each.
const FLAP: Duration = Duration::from_millis(200);
/// After it was gone: attempts to have its address again, and the pause between two.
const BINDS_MAX: u32 = 500;
const BIND_PAUSE: Duration = Duration::from_millis(10);

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It hangs: the kernel accepts connections, and there is no response.
    Stopped,
    /// It is gone, with all its connections; new ones are refused.
    Killed,
    /// It is there and is not there, by turns.
    Flapping,
}

/// What happens, and for how long.
pub(super) type Order = (Fault, Duration);

impl Fault {
    const ALL: [Self; 3] = [Self::Stopped, Self::Killed, Self::Flapping];

    fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Killed => "killed",
            Self::Flapping => "flapping",
        }
    }

    /// Returns the target of the request that causes it.
    pub(super) fn target(self, time: Duration) -> String {
        format!("{FAULT}{}/{}", self.word(), time.as_millis())
    }
}

/// Returns the order that a request is, if it is one.
pub(super) fn order(target: &str) -> Option<Order> {
    let (word, ms) = target.strip_prefix(FAULT)?.split_once('/')?;
    let fault = Fault::ALL.into_iter().find(|fault| fault.word() == word)?;
    let ms: u64 = ms.parse().ok()?;
    Some((fault, Duration::from_millis(ms.min(FAULT_MS_MAX))))
}

/// An origin that serves, and fails on request.
struct Serving {
    address: SocketAddr,
    /// None while it is gone.
    listener: Option<TcpListener>,
    open: JoinSet<()>,
    seen: Arc<Mutex<Seen>>,
    manner: Manner,
    orders: mpsc::Sender<Order>,
}

/// Serves until it is stopped.
///
/// # Errors
/// After a fault it does not get its address back.
pub(crate) async fn serve(listener: TcpListener, manner: Manner) -> Result<()> {
    let (orders, mut ordered) = mpsc::channel(1);
    let address = listener.local_addr()?;
    let (open, seen) = (JoinSet::new(), Arc::default());
    let mut serving = Serving { address, listener: Some(listener), open, seen, manner, orders };
    // There is always an order to wait for: `serving` holds a sender.
    while let Some((fault, time)) = serving.until(ordered.recv()).await {
        let over = Instant::now() + time;
        match fault {
            // One thread does everything, so all of it blocks, as under SIGSTOP.
            Fault::Stopped => stand_still(time),
            Fault::Killed => serving.be_gone(time).await?,
            Fault::Flapping => {
                while Instant::now() < over {
                    serving.be_gone(FLAP).await?;
                    serving.until(sleep(FLAP)).await;
                }
            }
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the thread that serves is to stand still")]
fn stand_still(time: Duration) {
    std::thread::sleep(time);
}

impl Serving {
    /// Serves until `wanted` is there.
    async fn until<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = pin!(wanted);
        loop {
            tokio::select! {
                wanted = &mut wanted => return wanted,
                _ended = self.open.join_next(), if !self.open.is_empty() => {}
                accepted = accept(self.listener.as_ref()) => match accepted {
                    Ok(stream) => {
                        let (seen, manner) = (self.seen.clone(), self.manner.clone());
                        let orders = self.orders.clone();
                        self.open.spawn(async move {
                            let _ended: io::Result<()> =
                                connection(stream, (&seen, &orders), &manner).await;
                        });
                    }
                    // No free descriptors: some connections must close first.
                    Err(_) => sleep(Duration::from_millis(20)).await,
                },
            }
        }
    }

    /// Is gone for so long.
    async fn be_gone(&mut self, time: Duration) -> Result<()> {
        self.listener = None;
        self.open.shutdown().await;
        self.seen.lock().at_once = 0;
        sleep(time).await;
        for _ in 1..BINDS_MAX {
            if let Ok(listener) = TcpListener::bind(self.address).await {
                self.listener = Some(listener);
                return Ok(());
            }
            sleep(BIND_PAUSE).await;
        }
        let listener = TcpListener::bind(self.address).await;
        self.listener = Some(listener.context("another process has the origin's address")?);
        Ok(())
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<tokio::net::TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// Returns one on a thread of its own, since it may block.
#[cfg(test)]
pub(crate) fn failing() -> crate::guard::Target {
    use super::{Reads, Work};
    let (say, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            say.send(listener.local_addr().unwrap()).unwrap();
            serve(listener, Manner::new(Reads::Strict, Work { at_once: 1, ms: 0 })).await
        })
    });
    crate::guard::Target::new(said.recv().unwrap(), crate::guard::Ground::Loopback).unwrap()
}

#[cfg(test)]
mod tests {
    use super::super::Recorder;
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    fn started() -> (SocketAddr, Recorder) {
        let target = failing();
        (target.address(), Recorder::new(target))
    }

    /// Returns the result of a new connection: its response, or its error.
    async fn ask(address: SocketAddr) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await?;
        let mut back = String::new();
        stream.read_to_string(&mut back).await?;
        Ok(back)
    }

    #[test]
    fn orders_are_read_as_they_are_given_and_bounded() {
        for fault in Fault::ALL {
            let time = Duration::from_millis(1_500);
            assert_eq!(order(&fault.target(time)), Some((fault, time)));
        }
        assert_eq!(order("/__fault/killed/99999999").unwrap().1.as_millis(), 60_000);
        for other in ["/__fault/killed", "/__fault/ill/5", "/__fault/killed/x", "/killed/5"] {
            assert_eq!(order(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn one_that_is_killed_refuses_cuts_and_comes_back_with_what_it_saw() {
        let (address, recorder) = started();
        let mut kept = TcpStream::connect(address).await.unwrap();
        assert!(ask(address).await.unwrap().starts_with("HTTP/1.1 200"));
        recorder.fault(Fault::Killed, Duration::from_millis(1_000)).await.unwrap();
        assert_eq!(kept.read(&mut [0]).await.unwrap(), 0, "the kept connection ends");
        assert_eq!(ask(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        while ask(address).await.is_err() {
            sleep(BIND_PAUSE).await;
        }
        assert_eq!(recorder.record().await.unwrap().requests, 2);
    }

    #[tokio::test]
    async fn one_that_is_stopped_takes_connections_and_answers_them_afterwards() {
        let (address, recorder) = started();
        let began = Instant::now();
        let time = Duration::from_millis(300);
        recorder.fault(Fault::Stopped, time).await.unwrap();
        assert!(ask(address).await.unwrap().starts_with("HTTP/1.1 200"));
        assert!(began.elapsed() >= time, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn one_that_flaps_is_there_and_is_not_there_and_then_stays() {
        let (address, recorder) = started();
        recorder.fault(Fault::Flapping, FLAP * 4).await.unwrap();
        for is_there in [false, true, false, true] {
            while ask(address).await.is_ok() != is_there {
                sleep(BIND_PAUSE).await;
            }
        }
        sleep(FLAP * 2).await;
        assert!(ask(address).await.is_ok());
    }
}
