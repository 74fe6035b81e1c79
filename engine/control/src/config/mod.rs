//! `seawall.toml`: read once at start, checked whole, refused with every mistake in its place.
//!
//! Two forms, as in ripgrep: `raw` is what stands there, `validate` makes what follows from it. Only
//! the second is public, so nothing behind this room meets an unchecked value.

mod diagnostics;
mod limits;
mod origins;
mod parse;
mod raw;
mod spanned;
#[cfg(test)]
mod tests;
mod timeouts;
mod trusted_proxies;
mod validate;

use std::path::Path;

pub use diagnostics::{ConfigDiagnostic, ConfigError, FAULTS_MAX};
pub use limits::Limits;
pub use origins::{HEALTH_BYTES_MAX, ORIGINS_MAX, Origin, SCRIPTS_MAX};
pub use timeouts::{OriginTimeouts, PATH_PREFIX_BYTES_MAX, ROUTES_MAX};
pub use trusted_proxies::{ClientHeader, TRUSTED_NETS_MAX, TrustedProxies};
pub use validate::{
    CERTIFICATES_MAX, CertificateFiles, CertificateSource, Config, EXEMPT_MAX, LISTEN_MAX,
    NEVER_BAN_MAX, SITES_MAX, SiteConfig,
};

use crate::policy_source::read_file::{self, FileReadError};
use diagnostics::Diagnostics;

/// Largest `seawall.toml`, in bytes: DESIGN §8's figure for a policy file.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Reads and checks the file at `path`.
///
/// # Errors
/// Every mistake in it, each with its place.
pub fn load_config(path: &Path) -> Result<Config, ConfigError> {
    let bytes =
        read_file::read(path, CONFIG_BYTES_MAX).map_err(|error| unreadable(path, &error))?;
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let good = std::str::from_utf8(good).unwrap_or_default();
            let mut faults = Diagnostics::new(path, good);
            faults.push(good.len()..good.len(), "a byte here is not UTF-8".into(), None);
            return faults.or(()).and_then(|()| Err(error_only(path)));
        }
    };
    let mut faults = Diagnostics::new(path, text);
    let folder = path.parent().unwrap_or(Path::new(""));
    let config = raw::read(text, &mut faults)
        .and_then(|typed| validate::config(&typed, folder, &mut faults));
    faults.or(())?;
    config.ok_or_else(|| error_only(path))
}

fn unreadable(path: &Path, error: &FileReadError) -> ConfigError {
    whole(path, format!("cannot be read: {error}"))
}

/// For the case that cannot be: nothing came of the file and nothing was said.
fn error_only(path: &Path) -> ConfigError {
    whole(path, "cannot be read".into())
}

fn whole(path: &Path, message: String) -> ConfigError {
    let fault = ConfigDiagnostic { file: path.to_owned(), line: 1, column: 1, message, help: None };
    ConfigError { faults: vec![fault], left_off: 0 }
}
