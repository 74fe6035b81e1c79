//! Certificate files, which are read at start and again when they change.
//!
//! Other programs renew them, mostly at night. A certificate and its key are two files that cannot
//! be replaced in one step. So unusable files leave the last good ones active and are read again.
//! The error is reported once per content.

use std::io;

use sha2::{Digest, Sha256};

use seawall_config::CertificateFiles;
use seawall_model::CertificatePem;

use crate::policy_source::read_file;
use crate::util::periodic_task::PeriodicTask;

/// Interval of the checks of certificate files, in milliseconds.
pub const CERTIFICATES_LOOK_MS: u64 = 10_000;
/// Maximum bytes of a certificate chain or a key.
pub const CERTIFICATE_BYTES_MAX: u64 = 256 << 10;

/// Reads all files.
///
/// # Errors
/// Returns the first that cannot be read, with its path.
pub fn read_certificates(files: &[CertificateFiles]) -> Result<Vec<CertificatePem>, String> {
    let read = |path: &std::path::Path| {
        read_file::read(path, CERTIFICATE_BYTES_MAX)
            .map_err(|error| format!("{}: {error}", path.display()))
    };
    let one = |of: &CertificateFiles| {
        let name = of.cert.display().to_string();
        Ok(CertificatePem { name, cert: read(&of.cert)?, key: read(&of.key)? })
    };
    files.iter().map(one).collect()
}

/// Checks the files until dropped.
#[derive(Debug)]
pub struct CertificateWatcher(#[expect(dead_code, reason = "held to go on")] PeriodicTask);

impl CertificateWatcher {
    /// Passes contents that differ from those in `shown` to `show`, which returns an error if it
    /// cannot use them.
    ///
    /// # Errors
    /// The system provides no thread.
    pub fn start(
        files: Vec<CertificateFiles>,
        shown: &[CertificatePem],
        show: impl Fn(Vec<CertificatePem>) -> Result<(), String> + Send + 'static,
    ) -> io::Result<Self> {
        let mut look = CertificatePoller { files, seen: Some(digest(shown)), told: None, show };
        PeriodicTask::every(CERTIFICATES_LOOK_MS, move || look.once()).map(Self)
    }
}

fn digest(texts: &[CertificatePem]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in texts.iter().flat_map(|text| [&text.cert, &text.key]) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

struct CertificatePoller<S> {
    files: Vec<CertificateFiles>,
    /// The digest of the active files.
    seen: Option<[u8; 32]>,
    /// The last reported error.
    told: Option<String>,
    show: S,
}

impl<S: Fn(Vec<CertificatePem>) -> Result<(), String>> CertificatePoller<S> {
    fn once(&mut self) {
        let read = read_certificates(&self.files).map(|texts| (digest(&texts), texts));
        let shown = match read {
            Ok((digest, _)) if self.seen == Some(digest) => {
                self.told = None;
                return;
            }
            Ok((digest, texts)) => (self.show)(texts).map(|()| self.seen = Some(digest)),
            Err(why) => Err(why),
        };
        match shown {
            Ok(()) => {
                log::info!(
                    target: "seawall::server",
                    "the changed certificates are active",
                );
                self.told = None;
            }
            Err(why) if self.told.as_ref() == Some(&why) => {}
            Err(why) => {
                log::error!(
                    target: "seawall::server",
                    "{why}; the last good certificates stay active",
                );
                self.told = Some(why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn what_changes_is_shown_once_and_what_cannot_be_used_leaves_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        let files = vec![CertificateFiles { cert: cert.clone(), key: key.clone() }];
        assert!(read_certificates(&files).unwrap_err().contains("c.pem"));
        fs::write(&cert, "one").unwrap();
        fs::write(&key, "one").unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let showing = shown.clone();
        let show = move |texts: Vec<CertificatePem>| {
            if texts[0].cert != texts[0].key {
                return Err("they do not fit".to_owned());
            }
            showing.lock().unwrap().push(String::from_utf8(texts[0].cert.clone()).unwrap());
            Ok(())
        };
        let mut look = CertificatePoller { files, seen: None, told: None, show };
        look.once();
        look.once();
        fs::write(&cert, "two").unwrap();
        look.once();
        assert_eq!(look.told.as_deref(), Some("they do not fit"));
        fs::remove_file(&key).unwrap();
        look.once();
        assert!(look.told.as_ref().unwrap().contains("k.pem"));
        fs::write(&key, "two").unwrap();
        look.once();
        assert_eq!(
            (look.told.clone(), &**shown.lock().unwrap()),
            (None, &["one".to_owned(), "two".to_owned()][..])
        );
        assert!(!format!("{:?}", read_certificates(&look.files)).contains("[116, 119, 111]"));
    }
}
