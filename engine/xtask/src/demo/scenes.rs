//! `run --once`: the scenes of the demo, and what each must show.
//!
//! Visitors come all the time. An attack starts and gets through; an edit stops it; it adapts, and
//! a second edit stops that. After fifty more edits and two mistakes all visitors are still served.
//! Every wait ends: the whole takes under a minute.

use crate::demo::attack::Attack;
use crate::demo::counters::{Counts, Tally};
use crate::demo::http_client::Client;
use crate::demo::legitimate_traffic::{self, BROWSER, LegitimateClients};
use crate::demo::policy_edit::{PolicyChange, PolicyFile, SaveMethod};
use crate::demo::report::Report;
use crate::demo::seawall::{LogOutput, Seawall};
use crate::demo::tls_client;
use crate::demo::workdir::Folder;
use crate::pacing;
use anyhow::{Context, bail};
use seawall_admin_api::PolicyError;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The promise: an edit is enforced this soon after the save.
const ENFORCED_WITHIN: Duration = Duration::from_secs(1);
/// Edits under load.
const EDITS: u32 = 50;
/// Time for one edit to be published. Far beyond the promise, so that a slow machine ends in a
/// broken promise with figures and not in a give-up.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(5);

/// What the scenes share.
struct Stage {
    seawall: Seawall,
    policy: PolicyFile,
    component: PathBuf,
    tally: Arc<Tally>,
    report: Report,
}

/// Where a scene began.
struct Scene {
    start: Instant,
    counts: Counts,
}

/// Plays all scenes.
///
/// # Errors
/// Something does not start, or a promise is broken.
pub(crate) fn play(binary: &Path, folder: &Folder) -> anyhow::Result<()> {
    let seawall = Seawall::start(binary, &folder.config(), &LogOutput::File(folder.log()))?;
    println!("demo: seawall is ready at {}; its log: {}", folder.listen(), folder.log().display());
    let mut stage = Stage {
        seawall,
        policy: PolicyFile::open(folder.policy())?,
        component: folder.component(),
        tally: Arc::new(Tally::new()),
        report: Report::default(),
    };
    let outcome = stage.play(folder);
    for failure in stage.tally.failures() {
        println!("demo: a visitor's request failed: {failure}");
    }
    if outcome.is_err() {
        eprintln!("demo: the last lines of seawall:\n{}", stage.seawall.last_words());
    }
    outcome?;
    stage.report.close()
}

impl Stage {
    fn play(&mut self, folder: &Folder) -> anyhow::Result<()> {
        let visitors = legitimate_traffic::start(folder.listen(), &self.tally)?;
        self.quiet()?;
        self.over_tls(folder)?;
        let attack = Attack::start(folder.listen(), &self.tally)?;
        self.attacked()?;
        self.first_edit()?;
        self.adapted(&attack)?;
        self.second_edit()?;
        self.many_edits()?;
        self.broken_policy()?;
        self.broken_component()?;
        attack.end()?;
        self.ending(visitors, folder)
    }

    fn begin(&mut self, title: &str) -> Scene {
        println!("demo: {title}");
        self.report.scene(title);
        Scene { start: pacing::now(), counts: self.tally.counts() }
    }

    /// Ends a scene: a row in the table, and the promise that every scene makes.
    fn end(&mut self, name: &str, scene: &Scene) -> Counts {
        let counts = self.tally.counts().since(&scene.counts);
        self.report.phase(name, counts, scene.start.elapsed());
        let Counts { served, failed, broken, .. } = counts;
        self.report.promise(
            failed == 0 && served > 0,
            format!("all visitors are served ({served} served, {failed} failed)"),
        );
        if broken > 0 {
            println!("demo:   {broken} of the attack's requests ended without an answer");
        }
        counts
    }

    fn quiet(&mut self) -> anyhow::Result<()> {
        let scene = self.begin("a quiet moment: visitors only");
        pacing::pause(Duration::from_millis(1_500));
        self.end("quiet", &scene);
        Ok(())
    }

    /// The same sites and the same policy over TLS.
    fn over_tls(&mut self, folder: &Folder) -> anyhow::Result<()> {
        if tls_client::curl().is_none() {
            println!("demo: curl is not installed, so there are no requests over TLS");
            return Ok(());
        }
        let scene = self.begin("a visitor comes over TLS");
        let seen = tls_client::ask("alice.example", folder.listen_tls(), "/");
        let said = match &seen {
            Ok(seen) => format!("{} over HTTP/{}", seen.status, seen.version),
            Err(error) => format!("{error:#}"),
        };
        // Not every curl supports HTTP/2; the version is printed and not promised.
        let served = seen.is_ok_and(|seen| seen.status == 200);
        self.report.promise(served, format!("the visitor over TLS is served ({said})"));
        // An unknown site gets no response, over TLS either.
        let stranger = tls_client::ask("nobody.example", folder.listen_tls(), "/");
        let refused = stranger.is_ok_and(|seen| seen.status == 421);
        self.report.promise(refused, "a site that is not ours is refused over TLS too".to_owned());
        // The others come all the time, and are looked at for a moment here too.
        pacing::pause(Duration::from_millis(500));
        self.end("over TLS", &scene);
        Ok(())
    }

    fn attacked(&mut self) -> anyhow::Result<()> {
        let scene = self.begin("an attack: 24 addresses flood the searches, each under the limits");
        self.watch_seconds(3);
        let Counts { let_through, refused, .. } = self.end("attack, policy as shipped", &scene);
        self.report.promise(
            let_through > 0 && refused == 0,
            format!("the shipped policy lets it in ({let_through} let through, {refused} refused)"),
        );
        Ok(())
    }

    fn first_edit(&mut self) -> anyhow::Result<()> {
        let text = self.policy.with(PolicyChange::OddHeaders, 1);
        let title =
            "an edit is saved: refuse searches whose headers are odd (a rule in WebAssembly)";
        self.defend(title, "first edit: a WebAssembly rule", &text, SaveMethod::Rename)
    }

    fn adapted(&mut self, attack: &Attack) -> anyhow::Result<()> {
        let scene = self.begin("the attack adapts: it now sends a browser's headers");
        attack.adapt();
        self.watch_seconds(2);
        let counts = self.end("attack, adapted", &scene);
        self.report.promise(
            counts.let_through > 0,
            format!("it gets in again ({} let through)", counts.let_through),
        );
        Ok(())
    }

    fn second_edit(&mut self) -> anyhow::Result<()> {
        let text = self.policy.with(PolicyChange::SearchLimit { searches: 8 }, 2);
        let title = "an edit is saved: a client may search eight times in ten seconds";
        self.defend(title, "second edit: a limit", &text, SaveMethod::Over)
    }

    /// Saves a defence and measures how soon it bites.
    fn defend(
        &mut self,
        title: &str,
        name: &str,
        text: &str,
        saving: SaveMethod,
    ) -> anyhow::Result<()> {
        let before = self.seawall.status()?.policy.generation;
        let scene = self.begin(title);
        let mark = self.tally.mark();
        self.policy.save(text, saving)?;
        self.watch_seconds(2);
        let bite = self.tally.bite(mark);
        let after = self.seawall.status()?;
        let counts = self.end(name, &scene);
        if let Some(error) = &after.policy.last_error {
            println!("demo:   seawall refuses the edit: {error}");
        }
        let first =
            bite.first.map_or("never".to_owned(), |time| format!("{} ms", time.as_millis()));
        println!("demo:   from save to the first refusal: {first}");
        self.report.promise(
            counts.refused > 0 && bite.all < ENFORCED_WITHIN,
            format!("all of the attack is refused {} ms after the save", bite.all.as_millis()),
        );
        self.report.promise(
            after.policy.generation > before,
            format!("the generation rises ({before} to {})", after.policy.generation),
        );
        Ok(())
    }

    fn many_edits(&mut self) -> anyhow::Result<()> {
        let scene = self.begin("fifty more edits: written over, renamed, links swapped");
        let mut generation = self.seawall.status()?.policy.generation;
        let (first, mut slowest) = (generation, Duration::ZERO);
        for edit in 0..EDITS {
            let defence = PolicyChange::SearchLimit { searches: 8 + edit % 5 };
            let text = self.policy.with(defence, 3 + edit);
            let saved = pacing::now();
            self.policy.save(&text, SaveMethod::turn(edit))?;
            generation = self.published(generation).with_context(|| format!("edit {edit}"))?;
            slowest = slowest.max(saved.elapsed());
        }
        let counts = self.end("fifty edits", &scene);
        self.report.promise(
            generation >= first + u64::from(EDITS),
            format!("every edit is published (generation {first} to {generation})"),
        );
        self.report.promise(
            slowest < ENFORCED_WITHIN,
            format!("the slowest edit is published {} ms after the save", slowest.as_millis()),
        );
        self.still_refused(&counts);
        Ok(())
    }

    fn broken_policy(&mut self) -> anyhow::Result<()> {
        let scene = self.begin("a broken edit is saved: `blokc` for `block`");
        let before = self.seawall.status()?.policy.generation;
        self.policy.save(&self.policy.with(PolicyChange::Mistake, 60), SaveMethod::Over)?;
        let complaint = self.refused()?;
        println!("demo:   seawall reports: {complaint}");
        self.unmoved(before)?;
        let text = self.policy.with(PolicyChange::SearchLimit { searches: 8 }, 61);
        self.policy.save(&text, SaveMethod::Rename)?;
        let counts = self.end("a broken edit", &scene);
        self.still_refused(&counts);
        self.repaired(before)
    }

    fn broken_component(&mut self) -> anyhow::Result<()> {
        let scene = self.begin("a broken component is saved over the rule");
        let before = self.seawall.status()?.policy.generation;
        let shown = self.component.display().to_string();
        let good = std::fs::read(&self.component).with_context(|| format!("reading {shown}"))?;
        std::fs::write(&self.component, b"\0asm, but not really")
            .with_context(|| format!("writing {shown}"))?;
        let complaint = self.refused()?;
        println!("demo:   seawall reports: {complaint}");
        self.unmoved(before)?;
        std::fs::write(&self.component, good).with_context(|| format!("repairing {shown}"))?;
        let text = self.policy.with(PolicyChange::SearchLimit { searches: 8 }, 62);
        self.policy.save(&text, SaveMethod::Rename)?;
        let counts = self.end("a broken component", &scene);
        self.still_refused(&counts);
        self.repaired(before)
    }

    /// SIGTERM while a request is in flight.
    fn ending(&mut self, visitors: LegitimateClients, folder: &Folder) -> anyhow::Result<()> {
        let scene = self.begin("the attack ends; then SIGTERM, with a slow request in flight");
        pacing::pause(Duration::from_millis(500));
        self.end("after the attack", &scene);
        visitors.end()?;
        let target = folder.listen();
        let slow = std::thread::spawn(move || {
            let request = format!("GET /slow HTTP/1.1\r\nHost: alice.example\r\n{BROWSER}\r\n");
            Client::new(Ipv4Addr::new(127, 0, 1, 99), target).ask(request.as_bytes())
        });
        // The slow page takes 1.2 s: by then its request is with the origin.
        pacing::pause(Duration::from_millis(400));
        let stopping = pacing::now();
        self.seawall.terminate()?;
        let well = self.seawall.wait()?;
        let took = stopping.elapsed().as_millis();
        self.report.promise(well, format!("seawall ends well {took} ms after SIGTERM"));
        let answer = slow.join().ok().context("the slow visitor panicked")?;
        let said = match &answer {
            Ok(reply) => reply.status.to_string(),
            Err(error) => format!("{error:#}"),
        };
        let served = answer.is_ok_and(|reply| reply.status == 200);
        self.report.promise(served, format!("the request in flight was answered ({said})"));
        Ok(())
    }

    /// Prints what happens to the attack, second by second.
    fn watch_seconds(&self, seconds: u32) {
        for second in 1..=seconds {
            let before = self.tally.counts();
            pacing::pause(Duration::from_secs(1));
            let Counts { served, let_through, refused, .. } = self.tally.counts().since(&before);
            println!(
                "demo:   second {second}: visitors served {served}, attack let through \
                 {let_through}, refused {refused}"
            );
        }
    }

    /// Waits until a generation after `before` is published.
    fn published(&self, before: u64) -> anyhow::Result<u64> {
        let found = pacing::poll(PUBLISHED_WITHIN, || {
            let now = self.seawall.status()?.policy.generation;
            Ok((now > before).then_some(now))
        })?;
        if let Some(now) = found {
            return Ok(now);
        }
        match self.seawall.status()?.policy.last_error {
            Some(error) => bail!("the edit was refused: {error}"),
            None => bail!("the edit was not published in {} s", PUBLISHED_WITHIN.as_secs()),
        }
    }

    /// Waits until an edit is refused; gives back why.
    fn refused(&self) -> anyhow::Result<PolicyError> {
        pacing::poll(PUBLISHED_WITHIN, || Ok(self.seawall.status()?.policy.last_error))?
            .context("a broken edit was not refused")
    }

    /// Checks that a rejected edit leaves the generation unchanged, also after a while.
    fn unmoved(&mut self, before: u64) -> anyhow::Result<()> {
        pacing::pause(Duration::from_millis(700));
        let now = self.seawall.status()?.policy.generation;
        self.report.promise(now == before, format!("nothing changes (generation {before}, {now})"));
        Ok(())
    }

    fn repaired(&mut self, before: u64) -> anyhow::Result<()> {
        let now = self.published(before)?;
        let error = self.seawall.status()?.policy.last_error;
        self.report.promise(
            error.is_none(),
            format!("the repair is published (generation {before} to {now}), no error is left"),
        );
        Ok(())
    }

    fn still_refused(&mut self, counts: &Counts) {
        let Counts { let_through, refused, .. } = *counts;
        self.report.promise(
            let_through == 0 && refused > 0,
            format!("the attack stays out ({let_through} let through, {refused} refused)"),
        );
    }
}
