//! Searches for the most expensive decision: `--minutes N`, or `--seed N` for one policy in full.
//! With `--write DIR` the worst policy and request are written there, for `cargo xtask attack
//! worst-decision`.
//!
//! Each policy has up to a member's quota of rules and tests beside the operator's. Each request
//! fills a header section of 32 KiB. The time is the thread's CPU time, the shortest of three
//! decisions, because a busy machine makes some long. Output: the worst so far with its seed.

#![expect(clippy::print_stdout, reason = "it is what it is for")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use seawall_benches::worst::{Dice, Heavy, loaded, policies};
use seawall_model::Tick;
use seawall_ruleset::Spent;
use seawall_state::{Seed, State};

/// Requests that are tried against each policy.
const REQUESTS: usize = 12;

fn argument(name: &str) -> Option<u64> {
    let mut all = std::env::args().skip_while(|arg| arg != name);
    all.nth(1)?.parse().ok()
}

/// Nanoseconds that this thread has had a processor.
fn thread_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let of = |part: i64| u64::try_from(part).unwrap_or(0);
    of(time.tv_sec).saturating_mul(1_000_000_000).saturating_add(of(time.tv_nsec))
}

/// The worst of a policy.
struct Worst {
    ns: u64,
    /// What they were paid with.
    spent: Spent,
    files: [String; 2],
    request: Heavy,
}

fn worst_of(seed: u64) -> Option<Worst> {
    let mut dice = Dice::new(seed);
    let files = policies(&mut dice);
    let rules = loaded(&files)?;
    let fuel = *rules.fuel();
    let mut worst: Option<(u64, Spent, Heavy)> = None;
    for n in 0..REQUESTS {
        let heavy = Heavy::new(&mut dice);
        let (mut least, mut spent) = (u64::MAX, None);
        for round in 0..3 {
            // A state of its own, and a ruleset without quarantine: each of the three does it all.
            let state = State::new(Seed([7; 16]), rules.counter_specs());
            let at = u64::try_from(n * 3 + round).unwrap_or(0);
            let now = Tick(at.saturating_mul(20_000).saturating_add(1));
            let begun = thread_ns();
            let told = black_box(rules.decide_metered(black_box(&heavy.facts()), &state, now));
            least = least.min(thread_ns().saturating_sub(begun));
            spent = Some(told.1);
        }
        let spent = spent?;
        assert!(spent.host <= fuel.decision && spent.member <= fuel.member, "{seed}: {spent:?}");
        if worst.as_ref().is_none_or(|(ns, ..)| least > *ns) {
            worst = Some((least, spent, heavy));
        }
    }
    worst.map(|(ns, spent, request)| Worst { ns, spent, files, request })
}

impl Worst {
    /// Leaves policy and request in a folder: `root.wall`, `members/alice.wall` and `request`.
    fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder.join("members"))?;
        let [root, hers] = &self.files;
        std::fs::write(folder.join("root.wall"), root)?;
        std::fs::write(folder.join("members/alice.wall"), hers)?;
        std::fs::write(folder.join("request"), self.request.head())
    }
}

/// Keeps it, if a folder is given.
fn keep(worst: &Worst) {
    let mut all = std::env::args_os().skip_while(|arg| arg != "--write");
    let Some(folder) = all.nth(1).map(PathBuf::from) else { return };
    if let Err(why) = worst.write(&folder) {
        println!("{}: {why}", folder.display());
    }
}

fn main() {
    if let Some(seed) = argument("--seed") {
        let files = policies(&mut Dice::new(seed));
        println!("{}\n{}", files[0], files[1]);
        seawall_benches::worst::complaints(&files).iter().for_each(|line| println!("{line}"));
        if let Some(worst) = worst_of(seed) {
            println!("{} ns for {:?}", worst.ns, worst.spent);
            keep(&worst);
        }
        return;
    }
    let until = Instant::now() + Duration::from_secs(argument("--minutes").unwrap_or(1) * 60);
    let (mut tried, mut taken, mut worst, mut dearest) = (0_u64, 0_u64, 0_u64, 0.0_f64);
    while Instant::now() < until {
        let seed = tried;
        tried += 1;
        let Some(found) = worst_of(seed) else { continue };
        let Worst { ns, spent, .. } = found;
        taken += 1;
        let fuel = spent.host + spent.member;
        let each = ns as f64 / fuel.max(1) as f64;
        if ns > worst || (ns > 200_000 && each > dearest) {
            if ns > worst {
                worst = ns;
                keep(&found);
            }
            dearest = if ns > 200_000 { dearest.max(each) } else { dearest };
            println!(
                "seed {seed}: {:.3} ms for {fuel} fuel ({each:.2} ns each), {spent:?}",
                ns as f64 / 1e6
            );
        }
    }
    println!(
        "{tried} policies tried, {taken} of them load; the worst decision took {:.3} ms",
        worst as f64 / 1e6
    );
}
