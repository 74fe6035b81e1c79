//! A32: the policy is edited while requests come in.

use super::flood::paced;
use super::{Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, hold};
use crate::h1::head;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Between two edits.
const EVERY: Duration = Duration::from_secs(1);

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[Scenario {
    name: "reload-storm",
    vector: "A32",
    what: "--rewrite FILE is saved with a new comment every second during a flood of GETs",
    needs: Needs::H1,
    connections: 50,
    rate: 2_000,
    addresses: 50,
    spread: Spread::Wide,
    run: |attack| Box::pin(storm(attack)),
}];

/// A file that gets its old text back, however this ends.
struct Edited {
    file: PathBuf,
    before: Vec<u8>,
}

impl Edited {
    fn new(file: &Path) -> Result<Self> {
        let before = std::fs::read(file).with_context(|| file.display().to_string())?;
        Ok(Self { file: file.to_path_buf(), before })
    }

    /// As editors save: beside it, then over it.
    fn save(&self, text: &[u8]) -> Result<()> {
        let mut name = self.file.file_name().unwrap_or_default().to_owned();
        name.push(".attack");
        let beside = self.file.with_file_name(name);
        std::fs::write(&beside, text)?;
        std::fs::rename(&beside, &self.file)?;
        Ok(())
    }
}

impl Drop for Edited {
    fn drop(&mut self) {
        let _restored: Result<()> = self.save(&self.before);
    }
}

async fn storm(attack: Arc<Attack>) -> Result<()> {
    let file = attack.extra.rewrite.clone().context("reload-storm needs --rewrite FILE")?;
    let edited = Edited::new(&file)?;
    let flood = tokio::spawn(hold(attack.clone(), |attack, n| {
        paced(attack, n, |attack: &Attack, _| {
            head("GET", attack.path_or("/"), attack.host(), "").into_bytes()
        })
    }));
    let mut edits = 0u32;
    while attack.goes_on() {
        edits = edits.saturating_add(1);
        let comment = format!("\n# attack edit {edits}\n");
        edited.save(&[edited.before.as_slice(), comment.as_bytes()].concat())?;
        attack.tally.event("edits saved");
        sleep(EVERY).await;
    }
    drop(edited);
    flood.await?
}
