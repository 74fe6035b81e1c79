//! The order of modules within each crate: a module imports only from its own step of the table or
//! from earlier ones.
//!
//! The table is the layout that `ARCHITECTURE.md` describes. An import that it does not allow is a
//! visible change of this file. Modules of one step may import from each other. Test modules are
//! not read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};

use super::repository::{has_ending, root, walk};

/// A crate's steps, from the lowest one up. A module stands at the step of its longest prefix.
type Steps = &'static [&'static [&'static str]];

/// Every crate of the engine with more than a few modules.
const ORDER: &[(&str, Steps)] = &[
    (
        "proxy",
        &[
            &[
                "limits",
                "metrics",
                "error",
                "admission",
                "http1::head",
                "http1::chunked",
                "http1::timer",
                "http2::frames",
                "http2::frame_monitor",
                "listener::proxy_protocol",
                "listener::socket",
                "forward::body",
                "forward::buffer",
                "forward::response_error",
                "shutdown",
            ],
            &["fairness"],
            &["upstream", "routing"],
            &[
                "connection",
                "tls",
                "overload",
                "config",
                "context",
                "request::policy_log",
                "http2::forward_window",
            ],
            &[
                "request",
                "forward",
                "http1::body_buffer",
                "http1::stream",
                "http2::request_head",
                "upstream::health_check",
            ],
            &["http1", "http2"],
            &["listener", "shutdown::handle", "site_report", "engine_log_filter", "fuzzing", ""],
        ],
    ),
    (
        "control",
        &[
            &["util"],
            &["storage", "policy_source::read_file", "admin::rejection"],
            &[
                "config_file",
                "snapshot",
                "certificates",
                "reload::trigger",
                "reload::counter_report",
            ],
            &["policy_source", "compile", "generations", "members", "reload::status"],
            &["level_ticker", "observe::decision_totals", "observe::quarantine_log"],
            &["reload"],
            &["upgrade", "observe", "runtime::deps"],
            &["admin"],
            &["runtime", ""],
        ],
    ),
    (
        "state",
        &[
            &["key"],
            &["fairness", "resilience", "decisions"],
            &["snapshot", "counters", "fairness::known_clients", "bans", "levels", "state", ""],
        ],
    ),
    (
        "policy",
        &[
            &["span", "text", "code", "ids", "set"],
            &["diagnostic", "fuel", "functions"],
            &["syntax", "quantity"],
            &["schema", "expression", "texts", "policy_test", "program", "check::input"],
            &["eval", "index", "outline", "part"],
            &["check", ""],
        ],
    ),
    (
        "ruleset",
        &[
            &["http"],
            &["eval", "ruleset", "active", "build", "policy_tests", "inspect::diagnostics"],
            &["inspect", ""],
        ],
    ),
    (
        "seawall",
        &[&["cli::exit", "cli::common", "logger", "policy_loader"], &["server"], &["cli", ""]],
    ),
];

/// Imports against the order that stand for now, by the folders or modules between which they run.
/// The path to origins that the proxy will have of its own ends those of `proxy`.
const AGAINST: &[(&str, &str, &str)] = &[
    ("proxy", "fairness", "connection"),
    ("proxy", "fairness", "context"),
    ("proxy", "fairness", "overload"),
    ("proxy", "fairness", "routing"),
    ("proxy", "fairness", "upstream::queue"),
];

/// A module by its path, as `http1::head`; the crate's root is empty.
type Name = String;

/// What one module names.
#[derive(Debug, Default)]
struct Module {
    /// Paths that its code uses, from the crate's root.
    uses: BTreeSet<Vec<String>>,
    /// Names that it hands on, with the path behind each.
    exports: BTreeMap<String, Vec<String>>,
}

/// The modules of one crate.
type Modules = BTreeMap<Vec<String>, Module>;

/// Reads the uses of one file.
struct Reader<'m> {
    at: &'m [String],
    module: &'m mut Module,
}

impl Reader<'_> {
    /// The path from the crate's root, of one that begins with `crate`, `self` or `super`.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let mut base = self.at.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|word| word == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            _ => return None,
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    fn tree(&mut self, tree: &syn::UseTree, prefix: &[String], is_export: bool) {
        let with = |last: &syn::Ident| [prefix, &[last.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident), is_export),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.tree(item, prefix, is_export));
            }
            syn::UseTree::Name(name) if name.ident == "self" => self.named(prefix, None, is_export),
            syn::UseTree::Name(name) => self.named(&with(&name.ident), None, is_export),
            syn::UseTree::Rename(name) => {
                self.named(&with(&name.ident), Some(name.rename.to_string()), is_export);
            }
            _ => self.named(prefix, None, false),
        }
    }

    fn named(&mut self, path: &[String], alias: Option<String>, is_export: bool) {
        let Some(path) = self.absolute(path) else { return };
        if let (true, Some(last)) = (is_export, alias.or_else(|| path.last().cloned())) {
            self.module.exports.insert(last, path);
        } else {
            self.module.uses.insert(path);
        }
    }
}

/// Whether what bears these is compiled for tests only.
pub(crate) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        let mut tests = attribute.path().is_ident("test");
        let _no_list = attribute.parse_nested_meta(|meta| {
            tests |= is_cfg && meta.path.is_ident("test");
            Ok(())
        });
        tests
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            let is_export = !matches!(item.vis, syn::Visibility::Inherited);
            let rooted = |path: &syn::UsePath| {
                ["crate", "self", "super"].iter().any(|word| path.ident == word)
            };
            // A bare name that is handed on is a submodule's: `mod wire; pub use wire::Writer;`.
            let is_bare = !matches!(&item.tree, syn::UseTree::Path(path) if rooted(path));
            let at: &[String] = if is_export && is_bare { &["self".to_owned()] } else { &[] };
            self.tree(&item.tree, at, is_export);
        }
    }

    /// `pub(super)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if let Some(absolute) = self.absolute(&words).filter(|_| words[0] != "self") {
            self.module.uses.insert(absolute);
        }
        visit::visit_path(self, path);
    }
}

/// Reads the modules of the sources below `root`.
fn modules(root: &Path) -> Modules {
    let mut modules = Modules::new();
    let mut files = Vec::new();
    walk(root, &[], &mut files);
    for file in files.iter().filter(|file| has_ending(file, &["rs"])) {
        let (name, text) =
            (file.strip_prefix(root).unwrap(), std::fs::read_to_string(file).unwrap());
        let name = name.to_str().unwrap().trim_end_matches(".rs");
        let mut at: Vec<String> = name.split('/').map(str::to_owned).collect();
        if at.iter().any(|part| part == "tests" || part.ends_with("_tests")) {
            continue;
        }
        if matches!(at.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            at.pop();
        }
        let mut module = Module::default();
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Reader { at: &at, module: &mut module }.visit_file(&file);
        modules.insert(at, module);
    }
    modules
}

/// The module in which `path` ends, through what other modules hand on.
fn resolve<'m>(modules: &'m Modules, path: &[String], depth: u8) -> &'m [String] {
    for len in (0..=path.len()).rev() {
        let Some((at, module)) = modules.get_key_value(&path[..len]) else { continue };
        let handed_on = path.get(len).and_then(|next| module.exports.get(next));
        return match handed_on {
            Some(onward) if depth < 8 && onward != path => {
                resolve(modules, &[onward, &path[len + 1..]].concat(), depth + 1)
            }
            _ => at,
        };
    }
    &[]
}

/// Whether a module is `folder` or stands in it; all stand in the root.
fn stands_in(module: &str, folder: &str) -> bool {
    let longer = module.strip_prefix(folder);
    folder.is_empty() || longer.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The step at which a module stands.
fn step(steps: &[&[&str]], module: &str) -> Option<usize> {
    let rows = steps.iter().enumerate();
    let all = rows.flat_map(|(nth, row)| row.iter().map(move |prefix| (nth, *prefix)));
    let fitting = all.filter(|(_, prefix)| stands_in(module, prefix));
    let (nth, prefix) = fitting.max_by_key(|(_, prefix)| prefix.len())?;
    (module.is_empty() || !prefix.is_empty()).then_some(nth)
}

/// Imports from a later step, as pairs of modules; and modules at no step.
fn against(steps: &[&[&str]], modules: &Modules) -> BTreeSet<(Name, Name)> {
    let mut found = BTreeSet::new();
    for (at, module) in modules {
        let from = at.join("::");
        let Some(mine) = step(steps, &from) else {
            found.insert((from, "no step".to_owned()));
            continue;
        };
        for path in &module.uses {
            let to = resolve(modules, path, 0).join("::");
            // The root hands on what it cannot hand on otherwise: its own items are few.
            if !to.is_empty() && step(steps, &to).is_some_and(|theirs| theirs > mine) {
                found.insert((from.clone(), to));
            }
        }
    }
    found
}

#[test]
fn modules_import_only_from_earlier_steps() {
    let root = root();
    let mut complaints = Vec::new();
    let mut needed = BTreeSet::new();
    for (name, steps) in ORDER {
        let modules = modules(&root.join("engine").join(name).join("src"));
        assert!(modules.len() > 3, "{name} is read");
        for (from, to) in against(steps, &modules) {
            let known = AGAINST
                .iter()
                .position(|(of, a, b)| of == name && stands_in(&from, a) && stands_in(&to, b));
            match known {
                Some(nth) => _ = needed.insert(nth),
                None => complaints.push(format!("{name}: {from} imports from {to}")),
            }
        }
    }
    let over = AGAINST.iter().enumerate().filter(|(nth, _)| !needed.contains(nth));
    complaints.extend(over.map(|(_, (of, from, to))| format!("{of}: {from} → {to} is no longer")));
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn the_order_check_catches_planted_imports() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod low; mod high; pub use high::Top;");
    write("low/mod.rs", "pub(crate) mod a; mod b;");
    write("low/a.rs", "use crate::low::b::B; #[cfg(test)] mod tests { use crate::high::X; }");
    write("low/b.rs", "fn f() -> crate::Top { panic!() }");
    write("high.rs", "use crate::low::a; pub struct Top;");
    write("other.rs", "");
    let steps: Steps = &[&["low"], &["high", ""]];
    let found = against(steps, &modules(folder.path()));
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(Vec::from_iter(found), [pair("low::b", "high"), pair("other", "no step")]);
}
