//! The client side of the admin socket.
//!
//! Forty lines over a blocking stream instead of an HTTP client: one request and one response per
//! connection.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use seawall_admin_api::{
    BanList, BanRequest, BanResponse, LevelRequest, LevelResponse, ReloadOutcome, ReloadRequest,
    RollbackRequest, StatusReport, UpgradeOutcome,
};
use seawall_ruleset::LIST_BYTES_MAX;

use crate::admin::ADMIN_TOTAL_MS;
use crate::admin::history::GenerationEntry;

/// Maximum size of a response, in bytes. The status of 10,000 sites and rules stays below it, and
/// so does a history of 100 times 2,000 files of the operator.
pub const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a response besides its body.
const HEAD_BYTES: u64 = 64 << 10;
/// Timeout of a response, in milliseconds; a little longer than the server's own.
pub const ANSWER_MS: u64 = ADMIN_TOTAL_MS + 5_000;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminClientError {
    /// No server listens on the socket.
    #[error("cannot reach a running server at {path}: {1}", path = .0.display())]
    Unreachable(PathBuf, #[source] io::Error),
    /// The response is not from Seawall.
    #[error("invalid response from the server at {path}: {1}", path = .0.display())]
    Strange(PathBuf, String),
}

/// Sends requests to a running server.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Returns a client for the server on `socket`.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Returns the server's status.
    ///
    /// # Errors
    /// No server responds, or it is not Seawall.
    pub fn status(&self) -> Result<StatusReport, AdminClientError> {
        let (status, body) = self.ask("GET", "/status")?;
        self.understood(status == 200, &body)
    }

    /// Returns the server's metrics in the text format of Prometheus.
    ///
    /// # Errors
    /// No server responds, or it is not Seawall.
    pub fn metrics(&self) -> Result<String, AdminClientError> {
        let (status, body) = self.ask("GET", "/metrics")?;
        match String::from_utf8(body) {
            Ok(text) if status == 200 => Ok(text),
            _ => Err(AdminClientError::Strange(self.socket.clone(), "no metrics".to_owned())),
        }
    }

    /// Requests a reload and waits for its result.
    ///
    /// # Errors
    /// No server responds, or it is not Seawall. A rejected reload is a [`ReloadOutcome`].
    pub fn reload(&self, order: &ReloadRequest) -> Result<ReloadOutcome, AdminClientError> {
        self.order("/reload", order)
    }

    /// Requests a rollback to an earlier generation and waits for its result.
    ///
    /// # Errors
    /// No server responds, or it is not Seawall. A rejected rollback is a [`ReloadOutcome`].
    pub fn roll_back(&self, order: &RollbackRequest) -> Result<ReloadOutcome, AdminClientError> {
        self.order("/rollback", order)
    }

    /// Requests an upgrade to the program on the disk and waits for its result.
    ///
    /// # Errors
    /// No server responds, or it is not Seawall. A rejected upgrade is an [`UpgradeOutcome`].
    pub fn upgrade(&self) -> Result<UpgradeOutcome, AdminClientError> {
        let (status, body) = self.ask("POST", "/upgrade")?;
        self.understood(matches!(status, 200 | 409), &body)
    }

    /// Returns the last generations, the newest last.
    ///
    /// # Errors
    /// No server responds, or it is not Seawall.
    pub fn history(&self) -> Result<Vec<GenerationEntry>, AdminClientError> {
        let (status, body) = self.ask("GET", "/history")?;
        self.understood(status == 200, &body)
    }

    /// Returns one generation with the files of its members' parts; none if it is no longer stored.
    ///
    /// # Errors
    /// No server responds, or it is not Seawall.
    pub fn generation(&self, number: u64) -> Result<Option<GenerationEntry>, AdminClientError> {
        let (status, body) = self.ask("GET", &format!("/history/{number}"))?;
        if status == 404 {
            return Ok(None);
        }
        self.understood(status == 200, &body).map(Some)
    }

    /// Returns a file of an earlier generation by its digest, if it is stored.
    ///
    /// # Errors
    /// No server responds.
    pub fn content(&self, sha256: &str) -> Result<Option<Vec<u8>>, AdminClientError> {
        let path = format!("/history/content/{sha256}");
        let (status, body) = self.ask_for("GET", &path, "", LIST_BYTES_MAX)?;
        Ok((status == 200).then_some(body))
    }

    /// Ends the quarantine of a rule. Returns whether the active policy declares such an extern.
    ///
    /// # Errors
    /// No server responds, or it is not Seawall.
    pub fn enable_rule(&self, name: &str) -> Result<bool, AdminClientError> {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || !name.chars().all(known) {
            return Ok(false);
        }
        let (status, body) = self.ask("POST", &format!("/rules/{name}/enable"))?;
        let _answer: serde_json::Value = self.understood(matches!(status, 200 | 404), &body)?;
        Ok(status == 200)
    }

    /// Returns the active bans.
    ///
    /// # Errors
    /// No server responds, or it is not Seawall.
    pub fn bans(&self) -> Result<BanList, AdminClientError> {
        let (status, body) = self.ask("GET", "/bans")?;
        self.understood(status == 200, &body)
    }

    /// Sets or ends bans.
    ///
    /// # Errors
    /// No server responds, or it is not Seawall. A rejected order is a [`BanResponse`].
    pub fn order_ban(&self, order: &BanRequest) -> Result<BanResponse, AdminClientError> {
        self.order("/bans", order)
    }

    /// Sets a level, or ends one that was set manually.
    ///
    /// # Errors
    /// No server responds, or it is not Seawall. A rejected order is a [`LevelResponse`].
    pub fn order_level(&self, order: &LevelRequest) -> Result<LevelResponse, AdminClientError> {
        self.order("/level", order)
    }

    /// Sends an order; a rejection is a response too.
    fn order<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        order: &impl serde::Serialize,
    ) -> Result<T, AdminClientError> {
        let order = serde_json::to_string(order).unwrap_or_default();
        let (status, body) = self.ask_with("POST", path, &order)?;
        self.understood(matches!(status, 200 | 409), &body)
    }

    fn understood<T: serde::de::DeserializeOwned>(
        &self,
        expected: bool,
        body: &[u8],
    ) -> Result<T, AdminClientError> {
        let strange = |why: String| AdminClientError::Strange(self.socket.clone(), why);
        if !expected {
            return Err(strange(String::from_utf8_lossy(body).into_owned()));
        }
        serde_json::from_slice(body).map_err(|error| strange(error.to_string()))
    }

    fn ask(&self, method: &str, path: &str) -> Result<(u16, Vec<u8>), AdminClientError> {
        self.ask_with(method, path, "")
    }

    /// Sends a request with a body of JSON.
    fn ask_with(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<(u16, Vec<u8>), AdminClientError> {
        self.ask_for(method, path, body, ANSWER_BYTES_MAX)
    }

    /// Sends a request for a response of at most so many bytes.
    fn ask_for(
        &self,
        method: &str,
        path: &str,
        body: &str,
        bytes_max: u64,
    ) -> Result<(u16, Vec<u8>), AdminClientError> {
        let answer = self
            .exchange(method, path, body, bytes_max)
            .map_err(|error| AdminClientError::Unreachable(self.socket.clone(), error))?;
        split(&answer).ok_or_else(|| {
            AdminClientError::Strange(self.socket.clone(), "no HTTP response".into())
        })
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        body: &str,
        bytes_max: u64,
    ) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        let patience = Some(Duration::from_millis(ANSWER_MS));
        stream.set_read_timeout(patience)?;
        stream.set_write_timeout(patience)?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: seawall\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.take(bytes_max.saturating_add(HEAD_BYTES)).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// Returns the status and the body of a response that ended with its connection.
fn split(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = answer.split_at_checked(end)?;
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    let status = line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, body.get(4..)?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_http_answer_is_an_answer() {
        assert_eq!(split(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}"), Some((200, b"{}".to_vec())));
        for strange in [&b""[..], b"SSH-2.0\r\n\r\n", b"HTTP/1.1 2\r\n\r\n", b"HTTP/1.1 200 OK\r\n"]
        {
            assert_eq!(split(strange), None);
        }
    }
}
