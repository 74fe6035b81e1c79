//! Creates the folder of a new rule. The SDK is embedded in the binary and is written to the
//! folder, so that a rule always builds with the SDK with which it was created.

use crate::Language;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

/// The name in the template.
const TEMPLATE_NAME: &str = "template-rule";

/// Longest name of a rule, in bytes. It is also the name of a file and of a function. 40.
const NAME_BYTES_MAX: usize = 40;

macro_rules! travels {
    ($base:literal: $($path:literal)*) => {
        &[$(($path, include_str!(concat!("../../../", $base, "/", $path)))),*]
    };
}

type Files = &'static [(&'static str, &'static str)];

const RUST: Files = travels!("engine/rulekit/template/rust":
    "Cargo.toml" "Cargo.lock" "README.md" "rule.toml" ".gitignore" "src/lib.rs" "cases/browsers.toml"
    "cases/tools.toml");

const RUST_SDK: Files = travels!("rule-sdk":
    "wit/seawall-rule.wit"
    "rust/Cargo.toml" "rust/src/address.rs" "rust/src/guest.rs" "rust/src/headers.rs"
    "rust/src/lib.rs"
    "rust-macros/Cargo.toml" "rust-macros/src/export.rs" "rust-macros/src/kinds.rs"
    "rust-macros/src/lib.rs");

const JAVASCRIPT: Files = travels!("engine/rulekit/template/js":
    "package.json" "package-lock.json" "README.md" "rule.toml" ".gitignore" "rule.js" "rule.test.js"
    "cases/browsers.toml" "cases/tools.toml");

const JAVASCRIPT_SDK: Files = travels!("rule-sdk/js":
    "package.json" "index.js" "index.d.ts" "glue.js" "guard.js");

const PYTHON: Files = travels!("engine/rulekit/template/python":
    "requirements.txt" "README.md" "rule.toml" ".gitignore" "rule.py" "test_rule.py"
    "cases/browsers.toml" "cases/tools.toml");

const PYTHON_SDK: Files = travels!("rule-sdk/python/seawall_rule":
    "__init__.py" "_glue.py" "_guard.py" "py.typed");

impl Language {
    /// Returns the template of a new rule, and the SDK.
    const fn template(self) -> (Files, Files) {
        match self {
            Self::Rust => (RUST, RUST_SDK),
            Self::JavaScript => (JAVASCRIPT, JAVASCRIPT_SDK),
            Self::Python => (PYTHON, PYTHON_SDK),
        }
    }

    /// Returns the path of the SDK in the folder.
    #[must_use]
    pub const fn sdk(self) -> &'static str {
        match self {
            Self::Rust | Self::JavaScript => "sdk",
            Self::Python => "seawall_rule",
        }
    }
}

/// Creates the folder `name` in `parent` with a rule that builds and passes its component tests.
/// `reserved` are words that are not valid names in a policy.
///
/// # Errors
/// The name is invalid, the folder exists, or it cannot be written. Then nothing remains.
pub fn scaffold(
    parent: &Path,
    name: &str,
    language: Language,
    reserved: &[&str],
) -> Result<Vec<PathBuf>> {
    check_name(name, language, reserved)?;
    let folder = parent.join(name);
    ensure!(
        !folder.exists() && !folder.is_symlink(),
        "{} already exists: choose another name, or remove it first",
        folder.display()
    );
    write(&folder, name, language).inspect_err(|_| {
        // An incomplete folder is not a rule, and would prevent the next attempt.
        let _ = std::fs::remove_dir_all(&folder);
    })
}

fn write(folder: &Path, name: &str, language: Language) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    let (template, sdk) = language.template();
    let template = template.iter().map(|(path, text)| (PathBuf::from(path), named(text, name)));
    let sdk_folder = Path::new(language.sdk());
    let sdk = sdk.iter().map(|(path, text)| (sdk_folder.join(path), (*text).to_owned()));
    for (path, text) in template.chain(sdk) {
        let full = folder.join(&path);
        let made = full.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&full, text))
            .with_context(|| format!("cannot write {}", full.display()))?;
        written.push(path);
    }
    Ok(written)
}

/// Returns the text with the rule's name in place of the template's.
fn named(text: &str, name: &str) -> String {
    let (crate_name, function) = (TEMPLATE_NAME, TEMPLATE_NAME.replace('-', "_"));
    text.replace(crate_name, name)
        .replace(&function, &name.replace('-', "_"))
        .replace(&camel(crate_name), &camel(name))
}

/// Returns a name in the notation of JavaScript.
pub(crate) fn camel(name: &str) -> String {
    let mut words = name.split('-');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

pub(crate) fn check_name(name: &str, language: Language, reserved: &[&str]) -> Result<()> {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    ensure!(
        name.len() <= NAME_BYTES_MAX && name.split('-').all(is_word),
        "`{}` is not a valid rule name: use lower-case words joined by `-`, each beginning with a \
         letter, at most {NAME_BYTES_MAX} characters in total, such as `header-oddness`",
        name.escape_debug()
    );
    let function = name.replace('-', "_");
    if language.taken().contains(&name) {
        let language = language.name();
        bail!("`{name}` is a keyword of {language} and not a valid rule name: use `{name}-rule`");
    }
    if reserved.contains(&function.as_str()) {
        bail!(
            "`{function}` is a keyword of the policy language and not a valid rule name: use \
            `{name}-rule`"
        );
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
            ("rule-sdk", "wit", RUST_SDK),
            ("rule-sdk", "rust", RUST_SDK),
            ("rule-sdk", "rust-macros", RUST_SDK),
            ("rule-sdk/js", "", JAVASCRIPT_SDK),
            ("rule-sdk/python/seawall_rule", "", PYTHON_SDK),
            ("engine/rulekit/template/rust", "", RUST),
            ("engine/rulekit/template/js", "", JAVASCRIPT),
            ("engine/rulekit/template/python", "", PYTHON),
        ] {
            for path in files(&root.join(base).join(within)).unwrap() {
                let path = path.strip_prefix(root.join(base)).unwrap().display().to_string();
                // The tests and pages of the SDKs are not copied.
                if base.starts_with("rule-sdk") && (path.contains("test") || path.ends_with(".md"))
                {
                    continue;
                }
                assert!(files_inside.iter().any(|(known, _)| *known == path), "{base}/{path}");
            }
        }
    }

    #[test]
    fn the_template_pins_the_versions_that_our_own_rules_are_built_with() {
        let (_, lock) = RUST.iter().find(|(path, _)| *path == "Cargo.lock").unwrap();
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
            check_name(good, Language::Rust, &["path"]).unwrap();
        }
        for bad in ["", "Hello", "1st", "a_b", "a--b", "-a", "../a", "a/b", "é", &"a".repeat(41)] {
            let error = check_name(bad, Language::Rust, &[]).unwrap_err().to_string();
            assert!(error.contains("such as `header-oddness`"), "{error}");
        }
        for (word, language) in [
            ("match", Language::Rust),
            ("delete", Language::JavaScript),
            ("lambda", Language::Python),
        ] {
            let error = check_name(word, language, &[]).unwrap_err().to_string();
            assert!(error.contains(&format!("use `{word}-rule`")), "{error}");
            assert!(error.contains(language.name()), "{error}");
        }
        check_name("match", Language::Python, &[]).unwrap();
        let error =
            check_name("client-ip", Language::Python, &["client_ip"]).unwrap_err().to_string();
        assert!(error.contains("use `client-ip-rule`"), "{error}");
    }

    #[test]
    fn a_new_rule_bears_its_name_everywhere() {
        for (language, file, function) in [
            (Language::Rust, "src/lib.rs", "fn odd_one("),
            (Language::JavaScript, "rule.js", "function oddOne("),
            (Language::JavaScript, "rule.test.js", "oddOne(\"curl"),
            (Language::Python, "rule.py", "def odd_one("),
            (Language::Python, "test_rule.py", "odd_one(b\"curl"),
        ] {
            let parent = tempfile::tempdir().unwrap();
            let written = scaffold(parent.path(), "odd-one", language, &[]).unwrap();
            let folder = parent.path().join("odd-one");
            let text = |path: &Path| std::fs::read_to_string(folder.join(path)).unwrap();
            assert!(text(Path::new(file)).contains(function), "{file}");
            assert!(written.iter().any(|path| path.starts_with(language.sdk())));
            for path in &written {
                let text = text(path).to_lowercase();
                let traces = ["template-rule", "template_rule", "templaterule"];
                assert!(!traces.iter().any(|trace| text.contains(trace)), "{}", path.display());
            }
        }
    }

    #[test]
    fn names_are_written_as_javascript_writes_them() {
        assert_eq!(camel("header-oddness"), "headerOddness");
        assert_eq!(camel("one"), "one");
        assert_eq!(camel("a1-b2-c3"), "a1B2C3");
    }

    #[test]
    fn packages_are_named_to_the_last_number() {
        let list = |files: Files, name: &str| {
            files.iter().find(|(path, _)| *path == name).map(|(_, text)| *text).unwrap()
        };
        for line in list(PYTHON, "requirements.txt").lines() {
            assert!(line.contains("=="), "{line}");
        }
        let (package, lock) =
            (list(JAVASCRIPT, "package.json"), list(JAVASCRIPT, "package-lock.json"));
        for builder in ["\"componentize-qjs\": \"0.4.3\"", "\"esbuild\": \"0.28.2\""] {
            assert!(package.contains(builder) && lock.contains(builder), "{builder}");
        }
        // Every package in the list has a hash, except the rule itself.
        let entries = lock.matches("\"node_modules/").count();
        assert_eq!(lock.matches("\"integrity\"").count(), entries);
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
        assert!(error.to_string().contains("already exists"), "{error}");
        assert_eq!(std::fs::read_to_string(&lib).unwrap(), "mine");
    }
}
