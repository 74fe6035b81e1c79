//! Runs the works round by round, the proxies in turn within each round.

use super::generator;
use super::statistics::{Figure, Series, spread};
use super::testbed::{Environment, Proxy, Testbed};
use super::work::{Load, Measure, SMALL, Scene, Work};
use super::{constant_rate, memory};
use crate::attack::child_process::Interrupted;
use crate::pacing;
use anyhow::{Context, ensure};
use std::time::Duration;

/// Part of the slowest proxy's rate at which latencies are measured.
const RATE_PART: f64 = 0.5;
/// Time without load before a round, in which the proxies close connections of the last one.
const BETWEEN: Duration = Duration::from_millis(100);

/// How long it runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounds {
    /// Of each work and proxy.
    pub(super) count: u64,
    /// Of each round.
    pub(super) seconds: u64,
}

/// What one round measured: the quantities of the work, and requests per second.
#[derive(Debug)]
struct Sample {
    values: Vec<f64>,
    rate: Option<f64>,
}

/// A run: what does not change, and the figures up to now.
#[derive(Debug)]
pub(super) struct Measurement<'t> {
    environment: &'t Environment<'t>,
    rounds: Rounds,
    pub(super) figures: Vec<Figure>,
}

impl<'t> Measurement<'t> {
    /// Returns one without figures.
    pub(super) fn new(environment: &'t Environment<'t>, rounds: Rounds) -> Self {
        Self { environment, rounds, figures: Vec::new() }
    }

    /// Measures all works. Works of one scene that follow each other use the same programs.
    ///
    /// # Errors
    /// A program does not start or has ended, or a response has an unexpected status.
    pub(super) fn run(&mut self, works: &[Work]) -> anyhow::Result<()> {
        let mut running = None;
        for work in works {
            running = match work.measure {
                Measure::Cost(load) => {
                    let mut testbed = self.testbed(running, work.scene)?;
                    self.cost(work, &load, &mut testbed)?;
                    Some(testbed)
                }
                Measure::Latency => {
                    let mut testbed = self.testbed(running, work.scene)?;
                    self.latency(work, &mut testbed)?;
                    Some(testbed)
                }
                Measure::Memory => {
                    drop(running);
                    self.memory(work)?;
                    None
                }
            };
        }
        Ok(())
    }

    /// Returns the testbed that runs, if it is of this scene, else a new one. The old one ends
    /// before that, since both would share the cores.
    fn testbed(&self, running: Option<Testbed<'t>>, scene: Scene) -> anyhow::Result<Testbed<'t>> {
        match running.filter(|running| running.scene == scene) {
            Some(testbed) => Ok(testbed),
            None => self.start(scene),
        }
    }

    fn start(&self, scene: Scene) -> anyhow::Result<Testbed<'t>> {
        let Scene { sites, workers } = scene;
        println!("bench: starting the proxies (sites: {sites}, workers of each: {workers})");
        Testbed::start(self.environment, scene)
    }

    /// Measures the processor time per request.
    fn cost(&mut self, work: &Work, load: &Load, testbed: &mut Testbed<'_>) -> anyhow::Result<()> {
        if let (true, Load::Wrk(wrk)) = (load.is_rejected(), load) {
            for proxy in &testbed.proxies {
                generator::verify_rejections(wrk, proxy, testbed)?;
            }
        }
        let seconds = self.rounds.seconds;
        let mut samples = Samples::new(testbed);
        for round in 1..=self.rounds.count {
            for (place, proxy) in testbed.proxies.iter().enumerate() {
                pacing::pause(BETWEEN);
                let before = proxy.cpu_ms()?;
                let count = generator::run(load, proxy, seconds, testbed)?;
                let spent = proxy.cpu_ms()?.saturating_sub(before) as f64 * 1_000.0;
                let micros = spent / count.requests as f64;
                let text = format!("{micros:.1} µs per request, {:.0} requests/s", count.rate);
                self.report(work, proxy, round, &text);
                samples.add(place, Sample { values: vec![micros], rate: Some(count.rate) });
            }
        }
        check_all(testbed)?;
        self.figures.extend(samples.figures(work, &[("", "µs", work.target)]));
        Ok(())
    }

    /// Measures latencies, at a part of the rate that the slowest proxy reached.
    fn latency(&mut self, work: &Work, testbed: &mut Testbed<'_>) -> anyhow::Result<()> {
        let rate = RATE_PART * self.slowest_rate(testbed)?;
        println!("bench: {} at {rate:.0} requests/s", work.name);
        let mut samples = Samples::new(testbed);
        for round in 1..=self.rounds.count {
            for (place, proxy) in testbed.proxies.iter().enumerate() {
                pacing::pause(BETWEEN);
                let duration = Duration::from_secs(self.rounds.seconds);
                let plan = constant_rate::Plan { at: proxy.http, rate, duration };
                let found = constant_rate::run(plan, || self.environment.check());
                let found = found.map_err(|error| match error.is::<Interrupted>() {
                    true => error,
                    false => error.context(proxy.kind.name()),
                })?;
                let values = vec![found.p50, found.p99, found.p999];
                let text = format!(
                    "p50 {:.0} µs, p99 {:.0} µs, p99.9 {:.0} µs; p99 of the send delay {:.0} µs",
                    found.p50, found.p99, found.p999, found.send_delay_p99
                );
                self.report(work, proxy, round, &text);
                samples.add(place, Sample { values, rate: None });
            }
        }
        check_all(testbed)?;
        let parts = [(" p50", "µs", None), (" p99", "µs", work.target), (" p99.9", "µs", None)];
        self.figures.extend(samples.figures(work, &parts));
        Ok(())
    }

    /// Returns the least rate of small requests: of this run, else of a short one.
    fn slowest_rate(&self, testbed: &Testbed<'_>) -> anyhow::Result<f64> {
        let known = self.figures.iter().find(|figure| figure.name == "small");
        let mut rates: Vec<f64> = known
            .map(|figure| {
                let medians = figure.rates.iter().filter_map(|series| spread(&series.rounds));
                medians.map(|rate| rate.median).collect()
            })
            .unwrap_or_default();
        if rates.is_empty() {
            for proxy in &testbed.proxies {
                let load = Load::Wrk(SMALL);
                rates.push(generator::run(&load, proxy, 1, testbed)?.rate);
            }
        }
        let slowest = rates.into_iter().min_by(f64::total_cmp).context("no rate")?;
        ensure!(slowest >= 1.0, "the slowest proxy answered less than one request per second");
        Ok(slowest)
    }

    /// Measures the memory of idle connections. Each round has new programs: memory that a proxy
    /// kept from earlier load would hide that of the connections.
    fn memory(&mut self, work: &Work) -> anyhow::Result<()> {
        let mut samples = None;
        for round in 1..=self.rounds.count {
            let mut testbed = self.start(work.scene)?;
            let samples = samples.get_or_insert_with(|| Samples::new(&testbed));
            for (place, proxy) in testbed.proxies.iter().enumerate() {
                let kib = memory::per_connection(proxy, self.environment)?;
                self.report(work, proxy, round, &format!("{kib:.1} KiB per connection"));
                samples.add(place, Sample { values: vec![kib], rate: None });
            }
            check_all(&mut testbed)?;
        }
        let samples = samples.context("no round")?;
        self.figures.extend(samples.figures(work, &[("", "KiB", work.target)]));
        Ok(())
    }

    /// Prints a line about one round of one proxy.
    fn report(&self, work: &Work, proxy: &Proxy, round: u64, text: &str) {
        let (name, count) = (work.name, self.rounds.count);
        println!("bench: {name:<14} {:<8} {round}/{count}  {text}", proxy.kind.name());
    }
}

fn check_all(testbed: &mut Testbed<'_>) -> anyhow::Result<()> {
    testbed.proxies.iter_mut().try_for_each(Proxy::check)
}

/// The samples of one work, by proxy.
#[derive(Debug)]
struct Samples(Vec<(&'static str, Vec<Sample>)>);

impl Samples {
    fn new(testbed: &Testbed<'_>) -> Self {
        Self(testbed.proxies.iter().map(|proxy| (proxy.kind.name(), Vec::new())).collect())
    }

    fn add(&mut self, place: usize, sample: Sample) {
        if let Some((_, samples)) = self.0.get_mut(place) {
            samples.push(sample);
        }
    }

    /// Returns a figure per part: what follows the name of the work, unit, target.
    fn figures(self, work: &Work, parts: &[(&str, &'static str, Option<f64>)]) -> Vec<Figure> {
        let series = |value: &dyn Fn(&Sample) -> Option<f64>| -> Vec<Series> {
            let all = self.0.iter();
            all.map(|(proxy, samples)| Series {
                proxy,
                rounds: samples.iter().filter_map(value).collect(),
            })
            .collect()
        };
        let rates = series(&|sample| sample.rate);
        let has_rates = rates.iter().any(|series| !series.rounds.is_empty());
        let figure =
            |(place, (part, unit, target)): (usize, &(&str, &'static str, Option<f64>))| Figure {
                name: format!("{}{part}", work.name),
                about: work.about,
                unit,
                target: *target,
                series: series(&|sample| sample.values.get(place).copied()),
                rates: if has_rates { rates.clone() } else { Vec::new() },
            };
        parts.iter().enumerate().map(figure).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::work::WORKS;
    use super::*;

    #[test]
    fn samples_become_a_figure_for_each_part() {
        let sample = |values: &[f64]| Sample { values: values.to_vec(), rate: None };
        let samples = Samples(vec![
            ("seawall", vec![sample(&[1.0, 2.0]), sample(&[3.0, 4.0])]),
            ("nginx", vec![sample(&[5.0, 6.0]), sample(&[7.0, 8.0])]),
        ]);
        let parts = [(" p50", "µs", None), (" p99", "µs", Some(1.0))];
        let figures = samples.figures(&WORKS[0], &parts);
        assert_eq!(figures.len(), 2);
        assert_eq!(figures[1].name, "memory p99");
        assert_eq!(figures[1].target, Some(1.0));
        assert!(figures[1].rates.is_empty());
        let nginx = Series { proxy: "nginx", rounds: vec![6.0, 8.0] };
        assert_eq!(figures[1].series[1], nginx);
    }
}
