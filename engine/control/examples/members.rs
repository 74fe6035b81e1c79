//! Cost of a reload with 850 members: `cargo run --release -p seawall-control --example members`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement, which has nobody to tell of a failure"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use seawall_control::{MakeBuilderFn, PolicyLoader};
use seawall_model::Tick;
use seawall_ruleset::{
    Effort, RuleSet, RuleSetBuilder, Sandbox, SandboxLimits, ServerSettings, Sources, Terms,
};

const MEMBERS: usize = 850;

/// Returns a member's file of about a kilobyte.
fn part(n: usize, word: &str) -> String {
    let mut text = format!("policy 1\nsite \"m{n}.example\" {{\n");
    for rule in 0..14 {
        text.push_str(&format!(
            "  rule r{rule} {{ when path starts_with \"/{word}{rule}/\" then block 403 }}\n"
        ));
    }
    text.push_str("}\n");
    text.push_str(&format!(
        "test \"t\" {{ request GET \"https://m{n}.example/{word}1/x\" expect block 403 }}\n"
    ));
    text
}

fn save(folder: &Path, n: usize, word: &str) {
    fs::write(folder.join(format!("m{n}/a.wall")), part(n, word)).unwrap();
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let out = work();
    println!("{what:<36} {:>8.1} ms", began.elapsed().as_secs_f64() * 1e3);
    out
}

fn made(loader: &PolicyLoader, what: &str, sources: &Sources, before: Option<&RuleSet>) -> RuleSet {
    let built = timed(what, || loader.build_to_run(sources, Terms::new(before, Effort::Reload)));
    println!("  {} wrong, {} postponed", built.members.len(), built.postponed);
    built.rules.unwrap()
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let mut root = "policy 1\nfloor { rule env { when path == \"/.env\" then drop } }\n".to_owned();
    for n in 0..MEMBERS {
        root.push_str(&format!(
            "member m{n} {{ hosts {{ \"m{n}.example\" }} may {{ block, test }} file \"m{n}/a.wall\" }}\n"
        ));
        fs::create_dir(dir.path().join(format!("m{n}"))).unwrap();
        save(dir.path(), n, "a");
    }
    let file = dir.path().join("root.wall");
    fs::write(&file, &root).unwrap();
    let sandbox = Sandbox::new(SandboxLimits::default());
    let shared = sandbox.clone();
    let make: MakeBuilderFn = Arc::new(move |today| {
        RuleSetBuilder::new(ServerSettings { today, ..ServerSettings::default() }, shared.clone())
    });
    let now = Arc::new(|| Tick(1_790_000_000_000));
    let loader = PolicyLoader::new(&file, make, sandbox, now, None).unwrap();
    let sources = timed("gather, cold", || loader.gather());
    timed("gather, just written", || loader.gather());
    let first = made(&loader, "assemble, cold", &sources, None);
    std::thread::sleep(std::time::Duration::from_secs(6));
    timed("gather, quiet, first", || loader.gather());
    let sources = timed("gather, quiet", || loader.gather());
    let first = made(&loader, "assemble, nothing changed", &sources, Some(&first));
    save(dir.path(), 7, "b");
    let sources = timed("gather, one changed", || loader.gather());
    let one = made(&loader, "assemble, one changed", &sources, Some(&first));
    (0..MEMBERS).for_each(|n| save(dir.path(), n, "c"));
    let sources = timed("gather, all changed", || loader.gather());
    let all = made(&loader, "assemble, all changed", &sources, Some(&one));
    fs::write(&file, root.replace("/.env", "/.git")).unwrap();
    let sources = timed("gather, the host changed", || loader.gather());
    drop(made(&loader, "assemble, the host changed", &sources, Some(&all)));
}
