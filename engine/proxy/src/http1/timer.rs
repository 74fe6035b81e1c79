//! A deadline that is armed and disarmed for each thing that is waited for.

use std::fmt::Debug;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

/// An alarm clock that is cheap to set later: it is only touched when it would ring too late, and a
/// ring that comes too early is slept off.
#[derive(Debug, Default)]
pub(crate) struct DeadlineTimer(Option<Pin<Box<Sleep>>>);

impl DeadlineTimer {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, at: Instant, now: Instant) -> Poll<()> {
        if at <= now {
            return Poll::Ready(());
        }
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() > at || sleep.deadline() <= now {
            sleep.as_mut().reset(at);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
        Poll::Pending
    }
}
