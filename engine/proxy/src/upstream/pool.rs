//! The idle connections to origins of one worker.
//!
//! A connection of one site never carries another site's request, even if both have the same
//! origin. A check finds connections that ended while they were idle; it only needs a system call
//! if bytes arrived. They are removed once a second.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use seawall_model::SiteId;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Milliseconds between two checks of idle connections.
const LOOK_MS: u64 = 1_000;

/// Site and origin of a connection.
pub(crate) type PoolKey = (SiteId, SocketAddr);

#[derive(Debug)]
struct Idle {
    io: TcpStream,
    since: Instant,
}

#[derive(Debug, Default)]
struct IdleConnections {
    /// The longest idle first.
    by_line: HashMap<PoolKey, Vec<Idle>>,
    count: usize,
}

/// The idle connections of one worker.
#[derive(Debug)]
pub(crate) struct Pool {
    kept: Mutex<IdleConnections>,
    most: usize,
    idle: Duration,
}

impl Pool {
    pub(crate) fn new(most: usize, idle_ms: u64) -> Self {
        Self { kept: Mutex::default(), most, idle: Duration::from_millis(idle_ms) }
    }

    /// Takes a usable connection, the last one used.
    pub(crate) fn take(&self, line: &PoolKey) -> Option<TcpStream> {
        let mut kept = self.kept.lock();
        loop {
            let idle = kept.by_line.get_mut(line)?.pop()?;
            kept.count = kept.count.saturating_sub(1);
            if self.is_good(&idle) {
                return Some(idle.io);
            }
        }
    }

    /// Keeps a connection for the next request; if the pool is full, the longest idle is closed.
    pub(crate) fn keep(&self, line: PoolKey, io: TcpStream) {
        if self.most == 0 || self.idle.is_zero() || !is_silent(&io) {
            return;
        }
        let mut kept = self.kept.lock();
        if kept.count >= self.most {
            kept.drop_oldest();
        }
        kept.count = kept.count.saturating_add(1);
        kept.by_line.entry(line).or_default().push(Idle { io, since: Instant::now() });
    }

    fn is_good(&self, idle: &Idle) -> bool {
        idle.since.elapsed() < self.idle && is_silent(&idle.io)
    }

    /// Removes connections that ended or exceeded their idle timeout.
    fn sweep(&self) {
        let mut kept = self.kept.lock();
        let mut left: usize = 0;
        kept.by_line.retain(|_, line| {
            line.retain(|idle| self.is_good(idle));
            left = left.saturating_add(line.len());
            !line.is_empty()
        });
        kept.count = left;
    }

    /// Removes such connections for as long as the worker lives.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
            self.sweep();
        }
    }
}

impl IdleConnections {
    fn drop_oldest(&mut self) {
        let lines = self.by_line.iter_mut().filter(|(_, line)| !line.is_empty());
        let oldest = lines.min_by_key(|(_, line)| line.first().map(|idle| idle.since));
        if let Some((_, line)) = oldest {
            line.remove(0);
            self.count = self.count.saturating_sub(1);
        }
    }
}

/// Returns whether the origin neither closed the connection nor sent anything unasked.
fn is_silent(io: &TcpStream) -> bool {
    matches!(io.try_read(&mut [0; 1]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use tokio::io::AsyncReadExt;

    const IDLE_MS: u64 = 60_000;

    struct World {
        listener: TcpListener,
        line: PoolKey,
    }

    impl World {
        fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let line = (SiteId(0), listener.local_addr().unwrap());
            Self { listener, line }
        }

        async fn connect(&self) -> (TcpStream, std::net::TcpStream) {
            let ours = TcpStream::connect(self.line.1).await.unwrap();
            (ours, self.listener.accept().unwrap().0)
        }
    }

    fn port(io: &TcpStream) -> u16 {
        io.local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn it_keeps_its_number_and_gives_back_what_was_used_last() {
        let (world, pool) = (World::new(), Pool::new(2, IDLE_MS));
        let mut theirs = Vec::new();
        let mut ports = Vec::new();
        for _ in 0..3 {
            let (ours, their) = world.connect().await;
            ports.push(port(&ours));
            theirs.push(their);
            pool.keep(world.line, ours);
        }
        let other = (SiteId(1), world.line.1);
        assert!(pool.take(&other).is_none(), "another site's");
        let taken: Vec<_> =
            std::iter::from_fn(|| pool.take(&world.line)).map(|io| port(&io)).collect();
        assert_eq!(taken, [ports[2], ports[1]], "the first had to go");
        assert_eq!(pool.kept.lock().count, 0);
    }

    #[tokio::test]
    async fn one_that_ended_or_spoke_is_not_given_back() {
        let (world, pool) = (World::new(), Pool::new(9, IDLE_MS));
        for speaks in [false, true] {
            let (ours, mut their) = world.connect().await;
            pool.keep(world.line, ours);
            if speaks {
                std::io::Write::write_all(&mut their, b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            } else {
                drop(their);
            }
            // The event loop must run to learn of it.
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(pool.take(&world.line).is_none(), "spoke: {speaks}");
        }
        let (ours, _their) = world.connect().await;
        pool.keep(world.line, ours);
        pool.sweep();
        assert!(pool.take(&world.line).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_waited_too_long_is_closed_by_the_sweep() {
        let (world, pool) = (World::new(), Pool::new(9, 1_000));
        let (ours, their) = world.connect().await;
        pool.keep(world.line, ours);
        tokio::time::advance(Duration::from_millis(1_000)).await;
        pool.sweep();
        assert!(pool.kept.lock().by_line.is_empty());
        their.set_nonblocking(true).unwrap();
        let mut their = TcpStream::from_std(their).unwrap();
        assert_eq!(their.read(&mut [0; 1]).await.unwrap(), 0);
        let none = Pool::new(0, 1_000);
        none.keep(world.line, world.connect().await.0);
        assert!(none.take(&world.line).is_none());
    }
}
