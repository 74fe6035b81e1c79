//! Requests to the admin socket, with their durations.

use crate::pacing;
use anyhow::{Context, ensure};
use seawall_admin_api::StatusReport;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Maximum duration of a response; a longer one is an error.
const PATIENCE: Duration = Duration::from_secs(20);

/// Returns the response for `path`, and its duration.
///
/// # Errors
/// There is no response in time, or its status is not 200.
pub(super) fn ask(socket: &Path, path: &str) -> anyhow::Result<(String, Duration)> {
    let began = pacing::now();
    let mut stream = UnixStream::connect(socket).context("connecting to the admin socket")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("reading from the admin socket")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "the admin socket answers {head}");
    Ok((body.to_owned(), began.elapsed()))
}

/// Returns the server's status.
///
/// # Errors
/// As for [`ask`], or it is not JSON.
pub(super) fn status(socket: &Path) -> anyhow::Result<StatusReport> {
    serde_json::from_str(&ask(socket, "/status")?.0).context("reading the status")
}

/// Returns a figure of the page of metrics that has no labels.
pub(super) fn metric(page: &str, name: &str) -> Option<f64> {
    let rest = |line: &'_ str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    page.lines().find_map(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let page = "# HELP a_b x\na_b_total 7\na_b 5\nc{site=\"x\"} 1\n";
        assert_eq!((metric(page, "a_b"), metric(page, "a_b_total")), (Some(5.0), Some(7.0)));
        assert_eq!((metric(page, "a"), metric(page, "c")), (None, None));
    }
}
