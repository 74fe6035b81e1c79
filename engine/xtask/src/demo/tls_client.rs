//! One request over TLS, by curl: xtask has no TLS of its own, so it builds in seconds.
//!
//! The demo's certificate is created at every start, so curl must accept any certificate.

use crate::shell;
use anyhow::Context;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

/// Seconds that a request may take.
const SECONDS_MAX: &str = "10";

/// What curl saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    /// `1.1` or `2`.
    pub(crate) version: String,
}

/// Returns where curl is, if it is installed.
pub(crate) fn curl() -> Option<PathBuf> {
    shell::find("curl")
}

/// Asks `host` at `target` for `path`, over HTTP/2 where it is spoken.
///
/// # Errors
/// There is no answer, or curl fails.
pub(crate) fn ask(host: &str, target: SocketAddr, path: &str) -> anyhow::Result<Seen> {
    let (at, port) = (target.ip(), target.port());
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--insecure", "--http2", "--max-time", SECONDS_MAX])
        .args(["--output", "/dev/null", "--write-out", "%{http_code} %{http_version}"])
        .args(["--resolve", &format!("{host}:{port}:{at}")])
        .arg(format!("https://{host}:{port}{path}"));
    parse(&shell::quiet(&mut curl)?)
}

fn parse(said: &str) -> anyhow::Result<Seen> {
    let (status, version) = said.split_once(' ').context("curl said something else")?;
    let status = status.parse().with_context(|| format!("no status: {status:?}"))?;
    Ok(Seen { status, version: version.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_writes_is_read() {
        let seen = parse("403 1.1\n").unwrap();
        assert_eq!(seen, Seen { status: 403, version: "1.1".to_owned() });
        assert!(parse("").is_err() && parse("x 2").is_err());
    }
}
