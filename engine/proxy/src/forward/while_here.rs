//! Waits for something on behalf of a client that may leave meanwhile.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use crate::forward::ClientStream;

/// Waits for `place` for as long as the client is there. The client is only checked if `place` is
/// not ready at once, so most requests cost no system call. The caller pins the future, so that a
/// connection reserves memory for one such future and not for three.
pub(crate) async fn while_here<P>(
    client: &mut impl ClientStream,
    mut place: Pin<&mut impl Future<Output = P>>,
) -> Option<P> {
    let mut has_waited = false;
    poll_fn(|cx| {
        // A client that left while it waited must not get what became free now.
        if has_waited && client.poll_closed(cx).is_ready() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(place) = place.as_mut().poll(cx) {
            return Poll::Ready(Some(place));
        }
        let is_gone = !has_waited && client.poll_closed(cx).is_ready();
        has_waited = true;
        if is_gone { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}
