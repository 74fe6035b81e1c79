//! `seawall rule sign`: signs a component for servers with `trusted_keys`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use seawall_rulekit::{Unlocked, fitness, save, secret_key, sign, unlock};
use seawall_ruleset::SIGNATURE_ENDING;

use super::common::beside;
use super::keygen::password;
use crate::cli::exit::{ExitStatus, print_out};

/// Sign a component.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// Component to sign
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Sign with the secret key in FILE
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Decrypt the key with the first line of FILE [default: no password]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Sign {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        let wasm = super::common::read(&self.file)?;
        if let Err(why) = fitness(&wasm) {
            bail!(
                "{}: not signed, because a server would reject the component: {why}",
                self.file.display()
            );
        }
        let shown = self.key.display();
        let text =
            std::fs::read_to_string(&self.key).with_context(|| format!("cannot read {shown}"))?;
        let key = match (
            secret_key(&text).with_context(|| format!("{shown}"))?,
            &self.password_file,
        ) {
            (Unlocked::Key(key), _) => *key,
            (Unlocked::NeedsPassword(locked), Some(file)) => unlock(locked, password(file)?)?,
            (Unlocked::NeedsPassword(_), None) => {
                bail!(
                    "{shown} has a password: give the file that contains it with `--password-file`"
                )
            }
        };
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let signature = beside(&self.file, SIGNATURE_ENDING);
        save(&signature, sign(&key, &wasm, &name)?.as_bytes())?;
        print_out(format!("{}: keep it beside the component", signature.display()));
        Ok(ExitStatus::Success)
    }
}
