//! `seawall rule verify`: whether a host would take a component's signature, as the host judges it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use seawall_ruleset::{SIGNATURE_ENDING, TrustedKey, verify_signature};

use super::common::beside;
use crate::cli::common::ConfigFile;
use crate::cli::exit::{ExitStatus, fail, print_out};
use crate::policy_loader::trusted_keys;

/// Say who vouches for a component.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The component; its signature lies beside it
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// A public key, or its .pub file, instead of those of a configuration
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
            bail!("the configuration names no `[rules] trusted_keys`: it takes every component");
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

/// The key of a line, or of a `.pub` file, whose second line it is.
fn key(text: &str) -> Result<TrustedKey> {
    if let Some(key) = TrustedKey::parse(text) {
        return Ok(key);
    }
    let file = std::fs::read_to_string(text)
        .with_context(|| format!("`{text}` is no public key, and no file that can be read"))?;
    let key = file.lines().find_map(|line| TrustedKey::parse(line.trim()));
    key.with_context(|| format!("{text} holds no public key: it is the `.pub` file"))
}
