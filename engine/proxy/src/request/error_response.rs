//! The response for an admitted request that failed.
//!
//! The cause decides the status: 502 or 504 for the origin, 500 for Seawall, none if the client
//! left. The response contains no address and no cause.

use bytes::Bytes;
use pingora_error::{Error, ErrorSource, ErrorType};
use pingora_proxy::Session;

use crate::ProxyMetrics;
use crate::connection::Connection;
use crate::metrics::count;
use crate::request::local_response::LocalResponse;

/// Returns the status for a failure, and counts it; 0 if the client has left.
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

/// Returns whether a timeout caused the error.
pub(crate) fn is_timeout(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::ConnectTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
            | ErrorType::TLSHandshakeTimedout
    )
}

/// Sends `status`, unless a response has begun, and closes the connection so that the client can
/// read it.
pub(crate) async fn write_error_response(session: &mut Session, status: u16) {
    // An interim response does not count.
    let has_begun = session.response_written().is_some_and(|said| !said.status.is_informational());
    if status == 0 || has_begun {
        return;
    }
    session.set_keepalive(None);
    // A retry in a second may find an origin.
    let retry_after_ms = (status == 503).then_some(1_000);
    let answer = LocalResponse { retry_after_ms, ..LocalResponse::last(status) };
    if let Some(header) = answer.header() {
        let body = Bytes::from(answer.text());
        // A client that has left gets no response.
        if session.write_response_header(Box::new(header), false).await.is_ok() {
            let _ = session.write_response_body(Some(body), true).await;
        }
    }
    session.as_downstream_mut().shutdown().await;
}
