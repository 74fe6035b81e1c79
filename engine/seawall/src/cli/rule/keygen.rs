//! `seawall rule keygen`: generates a key pair to sign components.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use seawall_rulekit::new_keys;

use super::common::beside;
use crate::cli::exit::{ExitStatus, print_out};

/// Generate a key pair to sign components.
#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// Name of the files: NAME.key (secret) and NAME.pub (public)
    #[arg(value_name = "NAME")]
    name: PathBuf,
    /// Encrypt the key with the first line of FILE [default: no password]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Keygen {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        let (secret, public) = (beside(&self.name, ".key"), beside(&self.name, ".pub"));
        for path in [&secret, &public] {
            ensure!(!path.exists(), "{} exists already and is not overwritten", path.display());
        }
        let password = self.password_file.as_deref().map(password).transpose()?;
        let protected = password.is_some();
        let keys = new_keys(password)?;
        write(&secret, 0o600, &keys.secret)?;
        let comment = "untrusted comment: public key for Seawall rules";
        write(&public, 0o644, &format!("{comment}\n{}\n", keys.public))?;
        let advice = if protected { "" } else { " (no password: keep the file secret)" };
        print_out(format!("{}: secret key{advice}", secret.display()));
        print_out(format!("{}: public key, for seawall.toml:\n", public.display()));
        print_out(format!("[rules]\ntrusted_keys = [\"{}\"]", keys.public));
        Ok(ExitStatus::Success)
    }
}

/// Reads a password from the first line of a file.
pub(super) fn password(file: &Path) -> Result<String> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let line = text.lines().next().unwrap_or_default();
    ensure!(
        !line.is_empty(),
        "{}: the first line must contain the password, but is empty",
        file.display()
    );
    Ok(line.to_owned())
}

fn write(path: &Path, mode: u32, text: &str) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(mode).open(path);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
