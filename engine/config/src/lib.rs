//! `seawall.toml`: every setting declared once, parsed with its place and checked.
//!
//! [`LIMITS`] and the table of other keys contain every setting. The parser, the range checks, the
//! table in `docs/limits.md`, the JSON schema and `seawall config show` follow from them. The data
//! plane uses [`Limits`] unchanged. This crate reads no file and no clock.
//!
//! A configuration with an error is not used: [`parse`] returns every error, or a checked
//! [`Config`].

mod config;
mod declare;
mod diagnostics;
mod document;
mod effective;
mod keys;
mod limits;
mod names;
mod quantity;
mod read;
pub mod reference;
mod renamed;
pub mod schema;
mod setting;
#[cfg(test)]
mod tests;

use std::path::Path;

use toml::de::DeTable;

pub use config::{
    CertificateFiles, CertificateSource, ClientHeader, Config, Origin, OriginTimeouts, SiteConfig,
    TrustedProxies,
};
pub use diagnostics::{CONFIG_DIAGNOSTICS_MAX, ConfigDiagnostic, ConfigError};
pub use effective::{EffectiveConfig, EffectiveSection, EffectiveValue, Source};
pub use keys::{SECTIONS, SITE_WEIGHT_MAX, Section, keys, keys_of};
pub use limits::{
    BandwidthLimits, CircuitBreakerLimits, ClientLimits, ConnectionLimits, EvaluationLimits,
    HealthCheckLimits, LIMITS, Limits, OriginLimits, OverloadLimits, QueueLimits, RequestLimits,
    RetryLimits, Timeouts, TrustedProxyLimits,
};
pub use read::listen::LISTEN_MAX;
pub use read::networks::{BANS_EXEMPT_MAX, CONNECTIONS_EXEMPT_MAX};
pub use read::origins::{HEALTH_CHECK_PATH_BYTES_MAX, ORIGINS_MAX, SCRIPTS_MAX};
pub use read::rules::TRUSTED_KEYS_MAX;
pub use read::sites::SITES_MAX;
pub use read::timeouts::{PATH_PREFIX_BYTES_MAX, ROUTES_MAX};
pub use read::tls::CERTIFICATES_MAX;
pub use read::trusted_proxies::TRUSTED_NETWORKS_MAX;
pub use setting::{Key, Kind, Limit, Number, Unit};

use diagnostics::Diagnostics;

/// Largest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Most syntax errors that are reported: for each one, its place is searched in the text.
const SYNTAX_ERRORS_MAX: usize = 100;

/// Parses and checks the bytes of the file at `path`. Relative paths in it start at its folder.
///
/// # Errors
/// Returns every error in the file with its place.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Config, ConfigError> {
    with_document(path, bytes, |config, _, _| config)
}

/// Parses and checks like [`parse`], and returns every effective value with its source.
///
/// # Errors
/// Returns every error in the file with its place.
pub fn effective(path: &Path, bytes: &[u8]) -> Result<EffectiveConfig, ConfigError> {
    with_document(path, bytes, |config, root, places| effective::of(&config, root, places))
}

fn with_document<T>(
    path: &Path,
    bytes: &[u8],
    then: impl FnOnce(Config, &DeTable<'_>, &Diagnostics<'_>) -> T,
) -> Result<T, ConfigError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(not_utf8(path, bytes, error.valid_up_to())),
    };
    let mut said = Diagnostics::new(path, text);
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let said_first = errors.iter().take(SYNTAX_ERRORS_MAX);
        said_first.for_each(|error| read::syntax::say(error, text, &mut said));
        said.finish()?;
    }
    names::check(root.get_ref(), &mut said);
    let folder = path.parent().unwrap_or(Path::new(""));
    let config = read::config(root.get_ref(), folder, &mut said);
    said.finish()?;
    Ok(then(config, root.get_ref(), &said))
}

fn not_utf8(path: &Path, bytes: &[u8], valid_up_to: usize) -> ConfigError {
    let valid = bytes.get(..valid_up_to).unwrap_or_default();
    let valid = std::str::from_utf8(valid).unwrap_or_default();
    let mut said = Diagnostics::new(path, valid);
    said.push(valid.len()..valid.len(), "a byte here is not UTF-8".into(), None);
    said.finish().err().unwrap_or_else(|| ConfigError::whole(path, "not UTF-8".into()))
}
