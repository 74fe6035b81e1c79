//! `seawall rule verify`: verifies the signature of a component as a server does.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use seawall_ruleset::{SIGNATURE_ENDING, TrustedKey, verify_signature};

use super::common::beside;
use crate::cli::common::ConfigFile;
use crate::cli::exit::{ExitStatus, fail, print_out};
use crate::policy_loader::trusted_keys;

/// Verify the signature of a component.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Component to verify
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Use this public key or .pub file [default: the configured `trusted_keys`]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    config: ConfigFile,
}

impl Verify {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        let keys = match &self.key {
            Some(text) => vec![key(text)?],
            None => match self.config.load().and_then(|config| trusted_keys(&config)) {
                Ok(keys) => keys,
                Err(exit) => return Ok(exit),
            },
        };
        if keys.is_empty() {
            bail!(
                "no keys to verify with: set `[rules] trusted_keys` in the configuration or give `--key`"
            );
        }
        let wasm = super::common::read(&self.file)?;
        let place = beside(&self.file, SIGNATURE_ENDING);
        let signature = match std::fs::read(&place) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", place.display()));
            }
        };
        let shown = self.file.display();
        match verify_signature(&keys, &wasm, signature.as_deref()) {
            Ok(key) => {
                print_out(format!("{shown}: signed with {}", key.text()));
                Ok(ExitStatus::Success)
            }
            Err(why) => Ok(fail(ExitStatus::Failure, format!("{shown} {why}"))),
        }
    }
}

/// Parses a public key, or the second line of a `.pub` file.
fn key(text: &str) -> Result<TrustedKey> {
    if let Some(key) = TrustedKey::parse(text) {
        return Ok(key);
    }
    let file = std::fs::read_to_string(text)
        .with_context(|| format!("`{text}` is neither a public key nor a readable file"))?;
    let key = file.lines().find_map(|line| TrustedKey::parse(line.trim()));
    key.with_context(|| format!("{text} contains no public key: give the `.pub` file"))
}
