//! The stream of an HTTP/2 connection, with its limits and deadlines.
//!
//! The library parses frames and manages windows. This stream lies below it, sees plain bytes
//! in both directions, and enforces what the library does not: frame rates, the timeout of a header
//! section, the minimum data rate of bodies, and the write timeout.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::connection::data_rate::{WriteStallTimer, later};
use crate::connection::io::DownstreamIo;
use crate::connection::io::ResettableIo;
use crate::http1::timer::DeadlineTimer;
use crate::http2::frame_monitor::{FrameMonitor, H2Violation};
use crate::limits::millis;
use crate::metrics::count;
use crate::{ProxyLimits, ProxyMetrics};

/// Selects a counter.
type MetricSelector = fn(&ProxyMetrics) -> &AtomicU64;

/// Uploads that are waited for.
#[derive(Debug, Clone, Copy)]
struct UploadProgress {
    since: Instant,
    bytes: u64,
    /// The maximum of them at once.
    streams: usize,
}

/// A connection with its limits and deadlines.
#[derive(Debug)]
pub(crate) struct Http2Stream<S: ResettableIo = DownstreamIo> {
    io: S,
    pub(super) conn: Arc<Connection>,
    limits: Arc<ProxyLimits>,
    counters: Arc<ProxyMetrics>,
    meter: FrameMonitor,
    born: Instant,
    /// When the incomplete part began.
    head_since: Option<Instant>,
    upload: Option<UploadProgress>,
    read_alarm: DeadlineTimer,
    write_pace: WriteStallTimer,
    write_alarm: DeadlineTimer,
    aborted: bool,
}

impl<S: ResettableIo> Drop for Http2Stream<S> {
    fn drop(&mut self) {
        if self.conn.is_aborted() {
            self.io.reset_on_drop();
        }
    }
}

impl<S: ResettableIo> Http2Stream<S> {
    pub(crate) fn new(
        io: S,
        conn: Arc<Connection>,
        limits: Arc<ProxyLimits>,
        counters: Arc<ProxyMetrics>,
    ) -> Self {
        let now = Instant::now();
        Self {
            io,
            conn,
            limits,
            counters,
            meter: FrameMonitor::new(),
            born: now,
            head_since: Some(now),
            upload: None,
            read_alarm: DeadlineTimer::default(),
            write_pace: WriteStallTimer::new(),
            write_alarm: DeadlineTimer::default(),
            aborted: false,
        }
    }

    fn violation(&mut self, counter: MetricSelector) -> io::Error {
        count(counter(&self.counters));
        self.aborted = true;
        self.io.reset_on_drop();
        self.conn.abort();
        io::ErrorKind::ConnectionReset.into()
    }

    fn fault(&mut self, fault: H2Violation) -> io::Error {
        self.violation(match fault {
            H2Violation::Resets | H2Violation::MadeToReset => {
                |c| &c.connections.closed.h2_rapid_reset
            }
            H2Violation::Flood | H2Violation::OversizedHeaders => {
                |c| &c.connections.closed.h2_frame_flood
            }
            H2Violation::Pieces => |c| &c.connections.closed.h2_continuation_flood,
            H2Violation::TooMany => |c| &c.connections.closed.h2_requests_after_goaway,
        })
    }

    /// Records received bytes.
    fn note(&mut self, bytes: &[u8]) -> io::Result<()> {
        let now = Instant::now();
        let now_ms = u64::try_from(now.saturating_duration_since(self.born).as_millis());
        let read = self.meter.on_received(bytes, now_ms.unwrap_or(u64::MAX), &self.limits);
        self.conn.resets.store(self.meter.resets, Relaxed);
        self.conn.glitches.store(self.meter.glitches, Relaxed);
        self.conn.note_streams(self.meter.requests_open());
        if let Err(fault) = read {
            return Err(self.fault(fault));
        }
        self.head_since = match (self.meter.is_head_open(), self.head_since) {
            (false, _) => None,
            (true, Some(since)) => Some(since),
            (true, None) => Some(now),
        };
        if let Some(upload) = &mut self.upload {
            upload.bytes = upload.bytes.saturating_add(bytes.len() as u64);
        }
        Ok(())
    }

    /// Returns the deadline for the next bytes, and the counter for its violation.
    fn read_deadline(&mut self, now: Instant) -> Option<(Instant, MetricSelector)> {
        let head = self.head_since.map(|since| -> (Instant, MetricSelector) {
            let total = self.limits.settings.timeouts.request_header_timeout;
            (later(since, total), |c| &c.connections.closed.request_header_timeout)
        });
        let body = self.body_deadline(now).map(|at| -> (Instant, MetricSelector) {
            (at, |c| &c.connections.closed.min_body_rate)
        });
        let whole = self.meter.oldest_ms().map(|began_ms| -> (Instant, MetricSelector) {
            let within =
                began_ms.saturating_add(millis(self.limits.settings.timeouts.request_timeout));
            (later(self.born, Duration::from_millis(within)), |c| {
                &c.connections.closed.request_timeout
            })
        });
        head.into_iter().chain(body).chain(whole).min_by_key(|(at, _)| *at)
    }

    /// Returns the deadline of the request bodies that are waited for, of all together.
    fn body_deadline(&mut self, now: Instant) -> Option<Instant> {
        let awaited = self.meter.expects_client_data();
        if awaited == 0 {
            self.upload = None;
            return None;
        }
        let begun = UploadProgress { since: now, bytes: 0, streams: 0 };
        let upload = self.upload.get_or_insert(begun);
        upload.streams = upload.streams.max(awaited);
        let wanted = self
            .limits
            .settings
            .requests
            .min_request_body_rate
            .saturating_mul(upload.streams as u64);
        let earned_ms = upload.bytes.saturating_mul(1_000) / wanted.max(1);
        let grace = self.limits.settings.requests.min_request_body_rate_grace;
        let within = Duration::from_millis(earned_ms).max(grace);
        Some(later(upload.since, within))
    }

    /// Handles a blocked write; ready at the deadline.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let now = Instant::now();
        let stalled = self.write_pace.waits(now, &self.limits);
        self.conn.mark_send_stalled(now);
        ready!(self.write_alarm.poll(cx, stalled, now));
        Poll::Ready(self.violation(|c| &c.connections.closed.send_timeout))
    }
}

impl<S: ResettableIo> AsyncRead for Http2Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.aborted {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                this.note(buf.filled().get(before..).unwrap_or_default())?;
                // Input that arrives in drops keeps a header section incomplete all the same.
                let now = Instant::now();
                if let Some((at, counter)) = this.read_deadline(now)
                    && at <= now
                {
                    return Poll::Ready(Err(this.violation(counter)));
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let now = Instant::now();
                let Some((at, counter)) = this.read_deadline(now) else { return Poll::Pending };
                ready!(this.read_alarm.poll(cx, at, now));
                Poll::Ready(Err(this.violation(counter)))
            }
        }
    }
}

impl<S: ResettableIo> AsyncWrite for Http2Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.aborted {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let Poll::Ready(bytes) = this.conn.stake.poll_send(&this.conn, bytes, cx) else {
            this.conn.mark_send_progress();
            this.write_pace.pause(Instant::now());
            return Poll::Pending;
        };
        match Pin::new(&mut this.io).poll_write(cx, bytes) {
            Poll::Ready(Ok(wrote)) => {
                this.conn.stake.note_sent(&this.conn, wrote);
                if this.write_pace.is_running() {
                    this.write_pace.moved(wrote, Instant::now(), &this.limits);
                    this.conn.mark_send_progress();
                }
                let went = bytes.get(..wrote).unwrap_or_default();
                this.meter.set_handed_on(this.conn.handed_on.load(Relaxed));
                let metered = this.meter.on_sent(went, &this.limits);
                this.conn.note_streams(this.meter.requests_open());
                match metered {
                    Ok(()) => Poll::Ready(Ok(wrote)),
                    Err(fault) => Poll::Ready(Err(this.fault(fault))),
                }
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => this.poll_stalled(cx).map(Err),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match Pin::new(&mut this.io).poll_flush(cx) {
            Poll::Pending => this.poll_stalled(cx).map(Err),
            flushed => flushed,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.aborted {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
