//! Checks of the repository as a whole, as ordinary tests.
//!
//! The dependencies between the crates are one table here: a new one is a visible change of this
//! file, and its commit gives the reason. Each check is a function from text or names to errors,
//! and is itself tested with a planted error.

use cargo_metadata::{Metadata, MetadataCommand, Package};
use std::path::{Path, PathBuf};

/// Which of our crates a crate may name.
enum Known {
    These(&'static [&'static str]),
    Any,
}
use Known::{Any, These};

/// DESIGN: rooms and directions. A crate that is not in the table fails.
const MAY_KNOW: &[(&str, Known)] = &[
    ("seawall-model", These(&[])),
    ("seawall-admin-api", These(&["seawall-model"])),
    ("seawall-policy", These(&["seawall-model"])),
    ("seawall-state", These(&["seawall-model"])),
    ("seawall-sys", These(&[])),
    ("seawall-wasm", These(&["seawall-model", "seawall-sys"])),
    (
        "seawall-ruleset",
        These(&["seawall-model", "seawall-policy", "seawall-state", "seawall-wasm"]),
    ),
    ("seawall-config", These(&["seawall-model", "seawall-admin-api", "seawall-policy"])),
    (
        "seawall-proxy",
        These(&[
            "seawall-model",
            "seawall-admin-api",
            "seawall-config",
            "seawall-state",
            "seawall-ruleset",
            "seawall-sys",
        ]),
    ),
    (
        "seawall-control",
        These(&[
            "seawall-model",
            "seawall-admin-api",
            "seawall-config",
            "seawall-state",
            "seawall-sys",
            "seawall-wasm",
            "seawall-ruleset",
        ]),
    ),
    ("seawall-rulekit", These(&["seawall-model", "seawall-wasm"])),
    ("seawall", Any),
    ("xtask", These(&["seawall-admin-api", "seawall-rulekit"])),
    ("seawall-rule", These(&["seawall-rule-macros"])),
    ("seawall-rule-macros", These(&[])),
    // It sees what a client sees, and nothing of the engine.
    ("seawall-attack", These(&[])),
    ("seawall-tests", Any),
    ("seawall-benches", Any),
];

/// Heavy or telling crates, and who alone may name them. A name that ends in `*` is a prefix.
/// Tests and benches may name anything.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("pingora*", &["seawall-proxy"]),
    ("wasmtime*", &["seawall-wasm", "seawall-sys"]),
    ("nom", &["seawall-policy"]),
    ("axum", &["seawall-control"]),
    ("notify*", &["seawall-control"]),
    ("toml", &["seawall-config", "seawall-rulekit", "seawall-wasm"]),
    ("tokio", &["seawall-proxy", "seawall-control", "seawall", "seawall-attack"]),
    ("clap", &["seawall", "seawall-attack", "xtask"]),
    ("anyhow", &["seawall", "seawall-attack", "seawall-rulekit", "xtask"]),
    ("minisign", &["seawall-rulekit"]),
    ("minisign-verify", &["seawall-ruleset", "seawall-config"]),
    ("mimalloc", &["seawall"]),
    ("libmimalloc-sys", &["seawall-sys"]),
    ("rustix", &["seawall-sys", "seawall-attack"]),
    ("landlock", &["seawall-sys"]),
    ("seccompiler", &["seawall-sys"]),
    ("blake3", &["seawall-sys"]),
    ("nix", &["seawall-sys"]),
    ("wasmparser", &["seawall-rulekit", "seawall-wasm"]),
    ("wasm-encoder", &["seawall-rulekit"]),
    ("wit-*", &["seawall-rulekit"]),
    ("wat", &[]),
    ("criterion", &[]),
];

/// May name anything: they stand outside the product.
const OUTSIDE: [&str; 2] = ["seawall-tests", "seawall-benches"];

/// Crates that cannot inherit the workspace's lints, and why.
const OWN_LINTS: &[(&str, &str)] = &[
    ("seawall-sys", "the one crate that may hold `unsafe`, each place with its reason"),
    ("seawall-rule", "an author gets the folder as it is, without this workspace"),
    ("seawall-rule-macros", "travels with seawall-rule"),
];

/// Lines of a file, its unit tests apart.
const LINES_MAX: usize = 800;

/// Endings of files that are text of ours.
const TEXT: [&str; 13] =
    ["rs", "toml", "md", "wall", "txt", "html", "css", "wit", "js", "mjs", "ts", "py", "json"];

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap()
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The edges of one crate that the tables do not allow.
fn forbidden_edges(name: &str, dependencies: &[String], ours: &[String]) -> Vec<String> {
    let Some((_, known)) = MAY_KNOW.iter().find(|(room, _)| *room == name) else {
        return vec![format!("{name} is not in the table of rooms")];
    };
    let mut complaints = Vec::new();
    for dependency in dependencies {
        let allowed = match known {
            Any => true,
            These(rooms) => !ours.contains(dependency) || rooms.contains(&dependency.as_str()),
        };
        if !allowed {
            complaints.push(format!("{name} may not know {dependency}"));
        }
        let alone = ONLY_IN.iter().find(|(heavy, _)| match heavy.strip_suffix('*') {
            Some(prefix) => dependency.starts_with(prefix),
            None => dependency == heavy,
        });
        if let Some((_, rooms)) = alone
            && !rooms.contains(&name)
        {
            complaints.push(format!("{name} may not name {dependency}"));
        }
    }
    complaints
}

/// What a crate needs to be built; what only its tests need has no direction.
fn built_with(package: &Package) -> Vec<String> {
    let normal = |kind| !matches!(kind, cargo_metadata::DependencyKind::Development);
    let built = package.dependencies.iter().filter(|dependency| normal(dependency.kind));
    built.map(|dependency| dependency.name.clone()).collect()
}

/// Files of the repository: what `.gitignore` names from the root is left out.
fn files() -> Vec<PathBuf> {
    let root = root();
    let ignored = std::fs::read_to_string(root.join(".gitignore")).unwrap();
    let mut left_out: Vec<PathBuf> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('/'))
        .map(|line| root.join(line.trim_end_matches('/')))
        .collect();
    left_out.push(root.join(".git"));
    let mut found = Vec::new();
    walk(&root, &left_out, &mut found);
    assert!(found.len() > 50, "the walk has lost its way: {} files", found.len());
    found.sort();
    found
}

pub(crate) fn walk(dir: &Path, left_out: &[PathBuf], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if left_out.contains(&path) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            walk(&path, left_out, found);
        } else {
            found.push(path);
        }
    }
}

pub(crate) fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|end| endings.iter().any(|known| end == *known))
}

/// Every text file of ours with its text. `Cargo.lock` is cargo's.
pub(crate) fn texts() -> Vec<(String, String)> {
    let root = root();
    let script = |path: &Path| path.ends_with(".ci/run");
    files()
        .iter()
        .filter(|path| has_ending(path, &TEXT) || script(path))
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Returns the faults of a Rust file.
fn rust_complaints(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push(format!("{name} does not open with `//!`"));
    }
    let own = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines = own.lines().count();
    if lines > LINES_MAX && !name.ends_with("/tests.rs") {
        complaints.push(format!("{name} has {lines} lines, at most {LINES_MAX} are allowed"));
    }
    complaints
}

/// Marks of unfinished work without an issue: `TODO(#12)` is fine.
fn unfinished(name: &str, text: &str) -> Vec<String> {
    let marks = ["TO\u{44}O", "FIX\u{4d}E", "XX\u{58}"];
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for mark in marks {
            let Some((before, after)) = line.split_once(mark) else { continue };
            let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            let whole = !word(before.chars().last()) && !word(after.chars().next());
            let digits = after.strip_prefix("(#").unwrap_or_default();
            if whole && !digits.starts_with(|c: char| c.is_ascii_digit()) {
                complaints.push(format!("{name}:{number}: {mark} without an issue number"));
            }
        }
    }
    complaints
}

/// Paths of one machine and hosts of registries, which are nobody else's business.
fn machine_traces(name: &str, text: &str) -> Vec<String> {
    // Written with escapes, so that this file is not its own first finding.
    let traces = [
        "/\u{72}oot/",
        "/\u{68}ome/",
        "/\u{55}sers/",
        "/\u{77}ork/",
        "index.crates\u{2e}io",
        "static.crates\u{2e}io",
        "registry.npmjs\u{2e}org",
        "files.pythonhosted\u{2e}org",
        "deb.debian\u{2e}org",
        "replace\u{2d}with",
    ];
    let found = traces.iter().filter(|trace| text.contains(*trace));
    found.map(|trace| format!("{name} holds `{trace}`")).collect()
}

/// Targets by which `engine/seawall/src/logger.rs` knows the class of a line.
const LOG_TARGETS: [&str; 5] = ["policy", "rules", "levels", "state", "server"];

/// Lines of the log without a target: their class would follow from the name of a file.
fn without_target(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for level in ["error", "warn", "info", "debug", "trace"] {
        let call = format!("log::{level}!(");
        let calls = text.split(call.as_str()).skip(1);
        let target = |call: &&str| {
            let named = call.trim_start().strip_prefix("target: \"seawall::");
            named.and_then(|rest| rest.split_once('"')).map(|(target, _)| target.to_owned())
        };
        let wrong = calls.filter(|call| {
            !target(call).is_some_and(|target| LOG_TARGETS.contains(&target.as_str()))
        });
        complaints.extend(wrong.map(|_| format!("{name}: log::{level}! without a known target")));
    }
    complaints
}

/// Where limits are declared: the file, and what stands before the fields.
const LIMITS: [(&str, &str); 2] = [
    ("engine/proxy/src/limits.rs", "\nlimits! {"),
    ("engine/wasm/src/limits.rs", "pub struct SandboxLimits {"),
];

/// The public fields of a struct, by its text.
fn fields_of<'t>(text: &'t str, head: &str) -> Vec<&'t str> {
    let Some((_, rest)) = text.split_once(head) else { return Vec::new() };
    let body = rest.split("\n}").next().unwrap_or_default();
    let fields = body.lines().filter_map(|line| line.trim().strip_prefix("pub "));
    fields.filter_map(|field| field.split(':').next()).collect()
}

fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn rooms_know_only_whom_they_may() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let ours: Vec<String> = packages.iter().map(|package| package.name.to_string()).collect();
    let gone = MAY_KNOW.iter().filter(|(room, _)| !ours.iter().any(|name| name == room));
    let mut complaints: Vec<String> =
        gone.map(|(room, _)| format!("{room} is in the table and nowhere else")).collect();
    for package in packages {
        if !OUTSIDE.contains(&package.name.as_str()) {
            complaints.extend(forbidden_edges(&package.name, &built_with(package), &ours));
        }
    }
    none(&complaints);
}

#[test]
fn the_direction_check_catches_planted_edges() {
    let ours = ["seawall-state".to_owned(), "seawall-model".to_owned()];
    let edges =
        |name: &str, dependency: &str| forbidden_edges(name, &[dependency.to_owned()], &ours);
    assert_eq!(
        edges("seawall-policy", "seawall-state"),
        ["seawall-policy may not know seawall-state"]
    );
    assert_eq!(edges("seawall-policy", "tokio"), ["seawall-policy may not name tokio"]);
    assert_eq!(
        edges("seawall-control", "pingora-core"),
        ["seawall-control may not name pingora-core"]
    );
    assert_eq!(edges("seawall-new", "log"), ["seawall-new is not in the table of rooms"]);
    none(&edges("seawall-policy", "seawall-model"));
    none(&edges("seawall-proxy", "pingora-core"));
}

#[test]
fn every_crate_inherits_the_lints() {
    let mut complaints = Vec::new();
    for package in metadata().workspace_packages() {
        let name = package.name.as_str();
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        let inherits = manifest.contains("[lints]\nworkspace = true");
        let excused = OWN_LINTS.iter().any(|(excused, _)| *excused == name);
        if inherits == excused {
            complaints.push(format!("{name}: inherits the lints: {inherits}, excused: {excused}"));
        }
    }
    none(&complaints);
}

#[test]
fn every_rust_file_opens_with_what_it_is_and_is_short_enough() {
    let texts = texts();
    let rust = texts.iter().filter(|(name, _)| name.ends_with(".rs"));
    none(&rust.flat_map(|(name, text)| rust_complaints(name, text)).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_unfinished_without_an_issue() {
    none(&texts().iter().flat_map(|(name, text)| unfinished(name, text)).collect::<Vec<_>>());
}

#[test]
fn no_file_tells_of_one_machine() {
    none(&texts().iter().flat_map(|(name, text)| machine_traces(name, text)).collect::<Vec<_>>());
}

#[test]
fn every_line_of_the_control_planes_log_names_its_class() {
    let texts = texts();
    let control = texts.iter().filter(|(name, _)| name.starts_with("engine/control/src/"));
    none(&control.flat_map(|(name, text)| without_target(name, text)).collect::<Vec<_>>());
}

#[test]
fn every_limit_is_in_the_page_of_limits() {
    let page = std::fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let mut complaints = Vec::new();
    for (file, head) in LIMITS {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let fields = fields_of(&text, head);
        assert!(fields.len() > 5, "{file} declares no limits as `{head}`");
        let missing = fields.iter().filter(|field| !page.contains(&format!("| `{field}` |")));
        complaints.extend(missing.map(|field| format!("docs/limits.md lacks `{field}` of {file}")));
    }
    none(&complaints);
}

/// A key that is accepted and then not used would be a protection that is not there.
#[test]
fn every_limit_of_the_configuration_is_used_by_the_engine() {
    let texts = texts();
    let used = texts.iter().filter(|(name, _)| {
        let is_config = name.starts_with("engine/config/") && !name.ends_with("src/limits.rs");
        name.starts_with("engine/") && name.ends_with(".rs") && !is_config
    });
    let code: String = used.flat_map(|(_, text)| text.split_whitespace()).collect();
    let is_read = |key: &seawall_config::Key| {
        let field = format!(".{}.{}", key.section, key.name);
        code.match_indices(&field).any(|(at, _)| {
            let behind = code.get(at + field.len()..).unwrap_or_default();
            let is_longer = behind.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            let is_set =
                behind.starts_with('=') && !behind.starts_with("==") && !behind.starts_with("=>");
            !is_longer && !is_set
        })
    };
    let unread = seawall_config::LIMITS.iter().filter(|limit| !is_read(&limit.key));
    let complaints = unread.map(|limit| {
        format!("[{}] {} is accepted and used nowhere", limit.key.section, limit.key.name)
    });
    none(&complaints.collect::<Vec<_>>());
}

#[test]
fn the_text_checks_catch_planted_mistakes() {
    let at = format!("//! x\n{}", "\n".repeat(LINES_MAX - 1));
    none(&rust_complaints("a.rs", &at));
    assert_eq!(rust_complaints("a.rs", &format!("{at}\n")).len(), 1);
    assert_eq!(rust_complaints("a.rs", "use std;\n").len(), 1);
    let mark = "TO\u{44}O";
    assert_eq!(unfinished("a.rs", &format!("x\n// {mark}: later")).len(), 1);
    none(&unfinished("a.rs", &format!("// {mark}(#12): later")));
    none(&unfinished("a.rs", &format!("const {mark}S: u8")));
    assert_eq!(machine_traces("a.md", "see /\u{68}ome/someone/x").len(), 1);
    let logs = |arguments: &str| without_target("a.rs", &format!("log::warn!({arguments});"));
    assert_eq!(logs("\"x\"").len(), 1);
    assert_eq!(logs("target: \"seawall::polcy\", \"x\"").len(), 1);
    none(&logs("\n    target: \"seawall::policy\",\n    \"x\",\n"));
    assert_eq!(
        fields_of("pub struct A {\n    pub x: u8,\n    y: u8,\n}\n", "pub struct A {"),
        ["x"]
    );
    none(&machine_traces("a.md", "see https://example.org/"));
}
