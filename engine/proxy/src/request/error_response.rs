//! What a client is told when an admitted request comes to nothing.
//!
//! Whose fault it was decides: the origin's is 502 or 504, ours is 500, the client's own (it left)
//! is nothing. The answer names no address and no cause.

use bytes::Bytes;
use pingora_error::{Error, ErrorSource, ErrorType};
use pingora_proxy::Session;

use crate::ProxyMetrics;
use crate::connection::Connection;
use crate::metrics::count;
use crate::request::local_response::LocalResponse;

/// The status for a failure, counted; 0 where nobody is left to be told.
pub(crate) fn status_of(counters: &ProxyMetrics, conn: Option<&Connection>, error: &Error) -> u16 {
    let is_late = conn.is_some_and(Connection::take_origin_timeout)
        || (*error.esource() == ErrorSource::Upstream && is_timeout(error.etype()));
    if is_late {
        count(&counters.requests.upstream_errors.timeout);
        return 504;
    }
    if conn.is_some_and(Connection::take_malformed_body) {
        return 400;
    }
    match (error.esource(), error.etype()) {
        (_, ErrorType::HTTPStatus(status)) => *status,
        (ErrorSource::Upstream, _) => {
            count(&counters.requests.upstream_errors.connect_or_reset);
            502
        }
        (ErrorSource::Downstream, _) => 0,
        (ErrorSource::Internal | ErrorSource::Unset, _) => 500,
    }
}

/// Whether somebody was waited for in vain.
pub(crate) fn is_timeout(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::ConnectTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
            | ErrorType::TLSHandshakeTimedout
    )
}

/// Answers with `status`, unless an answer has begun, and ends the connection so that the client
/// can read it.
pub(crate) async fn write_error_response(session: &mut Session, status: u16) {
    // One that only said that an answer will come is none.
    let has_begun = session.response_written().is_some_and(|said| !said.status.is_informational());
    if status == 0 || has_begun {
        return;
    }
    session.set_keepalive(None);
    // Who was turned away here may find an origin in a second.
    let retry_after_ms = (status == 503).then_some(1_000);
    let answer = LocalResponse { retry_after_ms, ..LocalResponse::last(status) };
    if let Some(header) = answer.header() {
        let body = Bytes::from(answer.text());
        // A client that left in the meantime is not told.
        if session.write_response_header(Box::new(header), false).await.is_ok() {
            let _ = session.write_response_body(Some(body), true).await;
        }
    }
    session.as_downstream_mut().shutdown().await;
}
