//! The result tables, in the form of `benches/README.md`.

use super::evaluate::Seen;
use super::load::AttackedSites;
use super::row::{BandwidthRun, Row, all_kept, findings_of};
use crate::attack::evaluate::{CheckResult, shown};
use crate::attack::results::Results;
use crate::attack::server::ServerKind;

const HEAD: &str = "\
| attack on alice and bob | server | carol's visitors: failed, of | their p99, quiet and under attack | alice's returning visitors: served, p99 | the attack's requests: asked, answered 200 | what was promised | |
|---|---|---|---|---|---|---|---|";
const PIPE_HEAD: &str = "\
| a pipe of 20 MB/s, flooded by | to alice, share 2 | to bob, share 1 | together | what was promised | |
|---|---|---|---|---|---|";
/// Delay of visitors by this program from which on it is noted.
const LATE_MS: f64 = 20.0;

/// Both tables.
pub(super) fn table(rows: &[Row], pipes: &[BandwidthRun], lack: Option<&str>) -> String {
    let rows: Vec<_> = rows.iter().map(Row::line).collect();
    let pipes: Vec<_> = pipes.iter().map(pipe_line).collect();
    let lack = lack.map(|lack| format!("\n\nnginx and HAProxy: skipped, {lack}."));
    let (rows, pipes, lack) = (rows.join("\n"), pipes.join("\n"), lack.unwrap_or_default());
    format!("{HEAD}\n{rows}{lack}\n\n{PIPE_HEAD}\n{pipes}")
}

impl Row {
    /// Returns its line.
    pub(super) fn line(&self) -> String {
        let name = format!("`{}` {}", self.case.attack.scenario, self.case.vector);
        let server = self.who.name();
        let (promised, verdict) = match self.who {
            ServerKind::Seawall => promised(&self.findings()),
            ServerKind::Nginx | ServerKind::Haproxy => (String::new(), "shown"),
        };
        match &self.reports {
            Err(why) if self.who != ServerKind::Seawall => {
                format!("| {name} | {server} | | | | | could not be run: {} | |", flat(why))
            }
            Err(_) => format!("| {name} | {server} | | | | | {promised} | {verdict} |"),
            Ok(reports) => {
                let figures = cells(Seen::of(reports)).join(" | ");
                format!("| {name} | {server} | {figures} | {promised} | {verdict} |")
            }
        }
    }
}

/// Returns the line of one attack on the bandwidth.
pub(super) fn pipe_line(pipe: &BandwidthRun) -> String {
    let by = match pipe.0 {
        AttackedSites::Both => "visitors of both",
        AttackedSites::Alice => "visitors of alice, bob idle",
    };
    let rate = |bytes: Option<f64>| {
        bytes.map_or_else(|| "none".to_owned(), |bytes| format!("{} MB/s", shown(bytes / 1e6)))
    };
    let sent = pipe.1.as_ref().ok().map(|shared| shared.sent);
    let used = sent.and_then(super::bandwidth::Sent::used_percent);
    let (promised, verdict) = promised(&findings_of(pipe));
    format!(
        "| {by} | {} | {} | {} | {promised} | {verdict} |",
        rate(sent.and_then(|sent| sent.alice)),
        rate(sent.and_then(|sent| sent.bob)),
        used.map_or_else(|| "none".to_owned(), |used| format!("{} %", shown(used))),
    )
}

fn or_none(figure: Option<f64>) -> String {
    figure.map_or_else(|| "none".to_owned(), shown)
}

fn cells(seen: Seen<'_>) -> [String; 4] {
    let carol = seen.alice;
    let failed = or_none(carol.failed());
    let failed = if failed == "0" { failed } else { format!("**{failed}**") };
    let [quiet, attack] = ["quiet", "attack"].map(|phase| or_none(carol.p99_ms(phase)));
    let late = carol.late_ms().filter(|late| *late > LATE_MS);
    let late = late.map(|late| format!(" (begun {} ms late)", shown(late))).unwrap_or_default();
    [
        format!("{failed}, {}", or_none(carol.asked())),
        format!("{quiet}, {attack} ms{late}"),
        format!("{} %, {} ms", or_none(seen.served_percent()), alice_p99(seen.bob)),
        format!("{}, {}", or_none(seen.attacked()), or_none(seen.answered())),
    ]
}

fn alice_p99(bob: Option<Results<'_>>) -> String {
    or_none(bob.and_then(|bob| bob.p99_ms("attack")))
}

/// Returns the promises, with the broken ones marked, and whether all were kept.
pub(crate) fn promised(findings: &[CheckResult]) -> (String, &'static str) {
    let texts = findings.iter().map(|finding| {
        let text = flat(&finding.text);
        if finding.kept { text } else { format!("**{text}**") }
    });
    let verdict = if all_kept(findings) { "kept" } else { "**broken**" };
    (texts.collect::<Vec<_>>().join("; "), verdict)
}

/// On one line, and in one cell.
pub(crate) fn flat(text: &str) -> String {
    text.replace(['\n', '|'], " ")
}

#[cfg(test)]
mod tests {
    use super::super::CASES;
    use super::super::load::Reports;
    use super::*;
    use crate::attack::server::WHO;
    use serde_json::json;

    fn cells_of(line: &str) -> usize {
        line.matches('|').count()
    }

    #[test]
    fn lines_have_as_many_cells_as_their_heads() {
        let head = HEAD.lines().next().unwrap();
        assert!(HEAD.lines().all(|line| cells_of(line) == cells_of(head)));
        for who in WHO {
            for fine in [true, false] {
                let empty = || Reports { alice: json!({}), bob: Some(json!({})) };
                let reports = fine.then(empty).ok_or_else(|| "no | port\nat all".to_owned());
                let line = Row { case: &CASES[0], who, reports }.line();
                assert_eq!(cells_of(&line), cells_of(head), "{line}");
                assert_eq!(line.ends_with("| **broken** |"), who == ServerKind::Seawall, "{line}");
                assert_eq!(line.lines().count(), 1);
            }
        }
        let line = pipe_line(&(AttackedSites::Both, Err("no port".to_owned())));
        assert!(PIPE_HEAD.lines().all(|head| cells_of(head) == cells_of(&line)), "{line}");
        assert!(line.contains("| none | none | none | **could not be run: no port** |"), "{line}");
    }

    #[test]
    fn who_is_missing_is_said_below_the_table() {
        let text = table(&[], &[], Some("not installed"));
        assert!(text.contains("\n\nnginx and HAProxy: skipped, not installed.\n\n"), "{text}");
    }
}
