//! The same rules evaluated by Seawall and by other engines, in one run: `cargo xtask bench
//! --peers`.
//!
//! Rules are data (`rules.rs`); one file per engine translates them. All engines must agree before
//! any is timed. `benches/README.md` explains the figures and their limits.

mod agree;
mod cedar;
mod cel;
mod measure;
mod peer;
mod rego;
mod report;
mod requests;
mod rules;
mod seawall;
mod wirefilter;

use measure::{Meter, Sort};
use peer::Failure;
use report::Report;
use rules::{Regexes, Rules};
use std::process::ExitCode;

/// Seawall's own: what the server answers with. Engines that allocate gain by it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let core = core_affinity::get_core_ids().and_then(|cores| cores.last().copied());
    let pinned = core.filter(|core| core_affinity::set_for_current(*core));
    let sets = [
        // The cost of passing a request.
        Rules::of(0, Regexes::None),
        Rules::of(100, Regexes::None),
        Rules::of(100, Regexes::Some),
        Rules::of(300, Regexes::Some),
        Rules::of(1_000, Regexes::Some),
    ];
    let mut report = Report::new(pinned.map(|core| core.id));
    let mut meter = Meter::new();
    for rules in &sets {
        let mut peers = peer::all(rules)?;
        report.names = peers.iter().map(|peer| peer.name()).collect();
        eprintln!("{}", agree::check(rules, &mut peers)?);
        for sort in Sort::ALL {
            report.rows.extend(meter.row(rules, sort, &mut peers));
        }
    }
    print!("{}", report.table());
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../report");
    report.save(std::path::Path::new(dir))
}
