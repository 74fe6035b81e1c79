//! The cost of a call for each test vector: fuel, which is the same everywhere, and nanoseconds on
//! this machine.

use crate::test_runner::{TestRunner, remedy};
use anyhow::{Result, bail};
use seawall_model::Tick;
use seawall_wasm::{Arg, Function, Isolation};
use std::time::{Duration, Instant};

/// Batches for each test vector, of which the fastest counts. 5.
const BATCHES: usize = 5;

/// Minimum duration of a batch.
const BATCH: Duration = Duration::from_millis(20);

/// Most calls in a batch. 1,048,576.
const BATCH_CALLS_MAX: u32 = 1 << 20;

/// The cost of one test vector.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseCost {
    /// The position of the test vector.
    pub place: String,
    /// Fuel of one call.
    pub fuel: u64,
    /// Nanoseconds of one call.
    pub ns: f64,
}

impl TestRunner {
    /// Measures every test vector.
    ///
    /// # Errors
    /// A call fails, so that its failure would be measured.
    pub fn bench(&self) -> Result<Vec<CaseCost>> {
        let _ticker = self.ticker()?;
        let mut paces = Vec::with_capacity(self.calls.len());
        for call in &self.calls {
            // A new binding for each vector, so that the peak belongs to it.
            let bound = self.bind(Isolation::Reused, |limits| *limits)?;
            let Some(function) = bound.get(call.function) else { continue };
            let args = call.asked.args();
            if let Err(failure) = function.call(&args, Tick::TEST_START) {
                bail!("{}: the call fails ({failure}): {}", call.place, remedy(failure));
            }
            let ns = fastest(function, &args);
            paces.push(CaseCost {
                place: call.place.clone(),
                fuel: function.stats().fuel_peak,
                ns,
            });
        }
        Ok(paces)
    }
}

fn fastest(function: &Function, args: &[Arg<'_>]) -> f64 {
    let mut calls = 1;
    while calls < BATCH_CALLS_MAX && batch(function, args, calls) < BATCH {
        calls *= 2;
    }
    let batches = (0..BATCHES).map(|_| batch(function, args, calls));
    let least = batches.min().unwrap_or_default();
    least.as_secs_f64() * 1e9 / f64::from(calls)
}

#[expect(clippy::disallowed_methods, reason = "the benchmark measures time")]
fn batch(function: &Function, args: &[Arg<'_>], calls: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        // The result was checked before.
        let _ = std::hint::black_box(function.call(args, Tick::TEST_START));
    }
    start.elapsed()
}

#[cfg(test)]
mod tests {
    use crate::{Limits, TestRunner, parse_cases};

    #[test]
    fn a_case_has_a_pace_and_one_without_an_answer_has_none() {
        let guest = |name: &str| {
            let guests = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/guests");
            wat::parse_file(format!("{guests}/{name}.wat")).unwrap()
        };
        let case = "[[case]]\nname = \"n\"\nfunction = \"f\"\nexpect = 1\n";
        let cases = parse_cases("a.toml", case).unwrap();
        let bench =
            |name| TestRunner::new(&guest(name), &cases, |_| Limits::default()).unwrap().bench();
        let paces = bench("keeps-state").unwrap();
        assert!(paces[0].fuel > 0 && paces[0].ns > 0.0, "{paces:?}");
        let error = bench("endless-loop").unwrap_err().to_string();
        assert!(error.contains("a.toml:1") && error.contains("fuel"), "{error}");
    }
}
