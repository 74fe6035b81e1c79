//! What the demo promises, and whether it was kept.

use crate::demo::counters::Counts;
use std::time::Duration;

/// The report of one run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    scene: String,
    rows: Vec<Row>,
    promises: Vec<(bool, String)>,
}

#[derive(Debug)]
struct Row {
    phase: String,
    counts: Counts,
    took: Duration,
}

impl Report {
    /// What is promised from now on belongs to this scene.
    pub(crate) fn scene(&mut self, title: &str) {
        title.clone_into(&mut self.scene);
    }

    /// Notes what happened in a phase.
    pub(crate) fn phase(&mut self, phase: &str, counts: Counts, took: Duration) {
        self.rows.push(Row { phase: phase.to_owned(), counts, took });
    }

    /// Notes and says whether a promise was kept.
    pub(crate) fn promise(&mut self, kept: bool, text: String) {
        println!("demo:   {}: {text}", word(kept));
        self.promises.push((kept, format!("{} ({})", text, self.scene)));
    }

    /// Prints all; `Err` when a promise was broken.
    ///
    /// # Errors
    /// How many promises were broken.
    pub(crate) fn close(&self) -> anyhow::Result<()> {
        println!("\n{}", self.table());
        let broken: Vec<&String> =
            self.promises.iter().filter(|(kept, _)| !kept).map(|(_, text)| text).collect();
        for text in &broken {
            println!("BROKEN: {text}");
        }
        let (count, all) = (broken.len(), self.promises.len());
        println!("{} of {all} promises kept", all - count);
        anyhow::ensure!(count == 0, "{count} of {all} promises broken");
        Ok(())
    }

    fn table(&self) -> String {
        let mut text = format!(
            "{:<34} {:>7}  {:>9} {:>7}  {:>11} {:>8}\n",
            "", "", "visitors", "", "attack", ""
        );
        text += &format!(
            "{:<34} {:>7}  {:>9} {:>7}  {:>11} {:>8}\n",
            "phase", "seconds", "served", "failed", "let through", "refused"
        );
        for row in &self.rows {
            let Counts { served, failed, let_through, refused, .. } = row.counts;
            text += &format!(
                "{:<34} {:>7.1}  {served:>9} {failed:>7}  {let_through:>11} {refused:>8}\n",
                row.phase,
                row.took.as_secs_f64(),
            );
        }
        text
    }
}

fn word(kept: bool) -> &'static str {
    if kept { "kept" } else { "BROKEN" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_broken_promise_fails_the_run() {
        let mut report = Report::default();
        report.phase("quiet", Counts { served: 7, ..Counts::default() }, Duration::from_secs(1));
        report.promise(true, "a".into());
        assert!(report.close().is_ok());
        report.promise(false, "b".into());
        assert_eq!(report.close().unwrap_err().to_string(), "1 of 2 promises broken");
        assert!(report.table().contains("quiet"));
    }
}
