//! A new rule's folder. The SDK travels inside the binary and is written beside the rule, so a rule
//! that was begun today builds with the same SDK in ten years.

use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

/// The language of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Rust.
    Rust,
}

/// The name that the template bears.
const TEMPLATE_NAME: &str = "template-rule";

/// The longest name of a rule, in bytes: it is a file's and a function's name too. 40.
const NAME_BYTES_MAX: usize = 40;

macro_rules! travels {
    ($base:literal: $($path:literal)*) => {
        &[$(($path, include_str!(concat!("../../../", $base, "/", $path)))),*]
    };
}

type Files = &'static [(&'static str, &'static str)];

const TEMPLATE: Files = travels!("engine/rulekit/template/rust":
    "Cargo.toml" "Cargo.lock" "README.md" "rule.toml" ".gitignore" "src/lib.rs" "cases/browsers.toml"
    "cases/tools.toml");

const SDK: Files = travels!("rule-sdk":
    "wit/seawall-rule.wit"
    "rust/Cargo.toml" "rust/src/address.rs" "rust/src/guest.rs" "rust/src/headers.rs"
    "rust/src/lib.rs"
    "rust-macros/Cargo.toml" "rust-macros/src/export.rs" "rust-macros/src/kinds.rs"
    "rust-macros/src/lib.rs");

/// What no crate or function may be called in Rust.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "seawall-rule",
    "seawall-rule-macros",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Makes the folder `name` in `parent` with a rule that builds and passes its cases. `reserved` are
/// words that a policy does not take for a name.
///
/// # Errors
/// The name will not do, the folder is there, or it cannot be written; then nothing of it stays.
pub fn scaffold(
    parent: &Path,
    name: &str,
    language: Language,
    reserved: &[&str],
) -> Result<Vec<PathBuf>> {
    check_name(name, reserved)?;
    let Language::Rust = language;
    let folder = parent.join(name);
    ensure!(
        !folder.exists() && !folder.is_symlink(),
        "{} is there already: choose another name, or take it away first",
        folder.display()
    );
    write(&folder, name).inspect_err(|_| {
        // What was begun is no rule, and would be in the way of the next try.
        let _ = std::fs::remove_dir_all(&folder);
    })
}

fn write(folder: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    let template = TEMPLATE.iter().map(|(path, text)| (PathBuf::from(path), named(text, name)));
    let sdk = SDK.iter().map(|(path, text)| (Path::new("sdk").join(path), (*text).to_owned()));
    for (path, text) in template.chain(sdk) {
        let full = folder.join(&path);
        let made = full.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&full, text))
            .with_context(|| format!("cannot write {}", full.display()))?;
        written.push(path);
    }
    Ok(written)
}

/// The text with the rule's name in the template's place.
fn named(text: &str, name: &str) -> String {
    let (crate_name, function) = (TEMPLATE_NAME, TEMPLATE_NAME.replace('-', "_"));
    text.replace(crate_name, name).replace(&function, &name.replace('-', "_"))
}

pub(crate) fn check_name(name: &str, reserved: &[&str]) -> Result<()> {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    ensure!(
        name.len() <= NAME_BYTES_MAX && name.split('-').all(is_word),
        "`{}` cannot be a rule's name: take lower-case words joined by `-`, each beginning with a \
         letter, at most {NAME_BYTES_MAX} characters in all, such as `header-oddness`",
        name.escape_debug()
    );
    let function = name.replace('-', "_");
    if TAKEN.contains(&name) {
        bail!("`{name}` is a word of Rust and cannot be a rule's name: `{name}-rule` can");
    }
    if reserved.contains(&function.as_str()) {
        bail!("`{function}` is a word of the policy language: `{name}-rule` can be a rule's name");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn all_of_the_sdk_and_of_the_template_travels() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (base, within, files_inside) in [
            ("rule-sdk", "wit", SDK),
            ("rule-sdk", "rust", SDK),
            ("rule-sdk", "rust-macros", SDK),
            ("engine/rulekit/template/rust", "", TEMPLATE),
        ] {
            for path in files(&root.join(base).join(within)).unwrap() {
                let path = path.strip_prefix(root.join(base)).unwrap().display().to_string();
                assert!(files_inside.iter().any(|(known, _)| *known == path), "{base}/{path}");
            }
        }
    }

    #[test]
    fn the_template_pins_the_versions_that_our_own_rules_are_built_with() {
        let (_, lock) = TEMPLATE.iter().find(|(path, _)| *path == "Cargo.lock").unwrap();
        let ours = include_str!("../../../rules/Cargo.lock");
        let entries = lock.split("\n\n").filter(|entry| entry.contains("checksum"));
        let checksums: Vec<&str> =
            entries.map(|entry| entry.split("checksum = ").nth(1).unwrap().trim()).collect();
        assert_eq!(checksums.len(), 4);
        let old = checksums
            .iter()
            .filter(|sum| !ours.contains(sum.lines().next().unwrap()))
            .collect::<Vec<_>>();
        assert!(old.is_empty(), "{old:?}");
    }

    #[test]
    fn names_are_words_and_a_bad_one_comes_with_the_fix() {
        for good in ["hello", "header-oddness", "a1-b2", &"a".repeat(40)] {
            check_name(good, &["path"]).unwrap();
        }
        for bad in ["", "Hello", "1st", "a_b", "a--b", "-a", "../a", "a/b", "é", &"a".repeat(41)] {
            let error = check_name(bad, &[]).unwrap_err().to_string();
            assert!(error.contains("such as `header-oddness`"), "{error}");
        }
        let error = check_name("match", &[]).unwrap_err().to_string();
        assert!(error.contains("`match-rule` can"), "{error}");
        let error = check_name("client-ip", &["client_ip"]).unwrap_err().to_string();
        assert!(error.contains("`client-ip-rule` can"), "{error}");
    }

    #[test]
    fn a_folder_that_is_there_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let written = scaffold(parent.path(), "hello", Language::Rust, &[]).unwrap();
        assert!(written.contains(&PathBuf::from("sdk/rust/src/lib.rs")));
        let lib = parent.path().join("hello/src/lib.rs");
        assert!(std::fs::read_to_string(&lib).unwrap().contains("fn hello("));
        std::fs::write(&lib, "mine").unwrap();
        let error = scaffold(parent.path(), "hello", Language::Rust, &[]).unwrap_err();
        assert!(error.to_string().contains("is there already"), "{error}");
        assert_eq!(std::fs::read_to_string(&lib).unwrap(), "mine");
    }
}
