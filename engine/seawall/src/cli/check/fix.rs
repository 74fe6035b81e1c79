//! `seawall check --fix`: what can be mended by itself, mended in place.
//!
//! Mending one thing may bring up another, so the policy is checked again after each round until
//! nothing is left to mend. A file is replaced by a rename, so that a running server never reads
//! half of one, and nothing outside the policy root is touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use seawall_control::PolicyLoader;
use seawall_ruleset::{Diagnostic, Fix, Purpose, Severity, Sources};

use crate::cli::fmt::replace;

/// The most rounds of checking and mending: 10. Fixes that undo each other end there.
const ROUNDS_MAX: usize = 10;

/// Mends all that `file` reaches and says what was changed, a change a line.
///
/// # Errors
/// A file that has to change cannot be, or lies outside the policy root.
pub(super) fn apply_fixes(
    file: &Path,
    loader: &PolicyLoader,
    purpose: Purpose,
) -> Result<Vec<String>, String> {
    let folder = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut told = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let sources = loader.gather_settled();
        let built = loader.build(&sources, purpose, None);
        let changes = apply(&built.everything(), &sources);
        if changes.is_empty() {
            break;
        }
        // All are looked at before the first is written.
        let mut places = Vec::with_capacity(changes.len());
        for (name, change) in &changes {
            places.push((place(folder, name, &change.before)?, change));
        }
        for (path, change) in places {
            replace(&path, change.after.as_bytes())
                .map_err(|why| format!("{}: {why}", path.display()))?;
            told.extend(change.told.iter().cloned());
        }
    }
    Ok(told)
}

/// A file as it was and as it will be.
#[derive(Debug, PartialEq, Eq)]
struct FixEdit {
    before: String,
    after: String,
    told: Vec<String>,
}

/// The files that change, with all fixes of errors and warnings that do not overlap.
fn apply(diagnostics: &[Diagnostic], sources: &Sources) -> BTreeMap<Box<str>, FixEdit> {
    let mut fixes: BTreeMap<Box<str>, Vec<(&Diagnostic, &Fix)>> = BTreeMap::new();
    for diagnostic in diagnostics.iter().filter(|d| d.severity != Severity::Note) {
        let mine = diagnostic.fixes.iter().map(|fix| (diagnostic, fix));
        fixes.entry(diagnostic.file.clone()).or_default().extend(mine);
    }
    let change = |(name, mut fixes): (Box<str>, Vec<(&Diagnostic, &Fix)>)| {
        fixes.sort_by_key(|(_, fix)| (fix.bytes.start, fix.bytes.end));
        let before = sources.text(&name).into_owned();
        let (after, told) = patch(&before, &fixes);
        (after != before).then_some((name, FixEdit { before, after, told }))
    };
    fixes.into_iter().filter_map(change).collect()
}

/// The text with the fixes made, which stand in order; one that overlaps the one before is left
/// for the next round.
fn patch(text: &str, fixes: &[(&Diagnostic, &Fix)]) -> (String, Vec<String>) {
    let (mut out, mut told) = (String::with_capacity(text.len()), Vec::new());
    let (mut at, mut last) = (0_usize, None);
    for (diagnostic, fix) in fixes {
        // Two insertions at one place would depend on their order.
        if fix.bytes.start < at || last.as_ref() == Some(&fix.bytes) {
            continue;
        }
        let (Some(kept), Some(old)) = (text.get(at..fix.bytes.start), text.get(fix.bytes.clone()))
        else {
            continue;
        };
        out.push_str(kept);
        out.push_str(&fix.replacement);
        at = fix.bytes.end;
        last = Some(fix.bytes.clone());
        let (old, new) = (old.escape_debug(), fix.replacement.escape_debug());
        let Diagnostic { file, code, .. } = diagnostic;
        told.push(format!("{file}:{}:{}: `{old}` became `{new}` ({code})", fix.line, fix.column));
    }
    out.push_str(text.get(at..).unwrap_or_default());
    (out, told)
}

/// Where a file of the policy really is, if it may be changed.
fn place(folder: &Path, name: &str, before: &str) -> Result<PathBuf, String> {
    let told = |why: &dyn std::fmt::Display| format!("{}: {why}", folder.join(name).display());
    let root = folder.canonicalize().map_err(|why| told(&why))?;
    // A link stays a link; what it leads to is replaced.
    let path = folder.join(name).canonicalize().map_err(|why| told(&why))?;
    if !path.starts_with(&root) {
        return Err(told(&"lies outside the policy's folder and is not changed"));
    }
    let metadata = path.metadata().map_err(|why| told(&why))?;
    if metadata.permissions().readonly() {
        return Err(told(&"is read-only and is not changed"));
    }
    let now = std::fs::read(&path).map_err(|why| told(&why))?;
    if now != before.as_bytes() {
        return Err(told(&"has changed meanwhile, or is no UTF-8, and is not changed"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use seawall_control::clock;

    use super::*;

    const WRONG: &str = "policy 1\nfloor {\n  rule a { when pth == \"/a\" and metod == GET then \
                         blok }\n}\n";
    const MENDED: &str = "policy 1\nfloor {\n  rule a { when path == \"/a\" and method == GET then \
                          block }\n}\n";

    fn run(file: &Path) -> Result<Vec<String>, String> {
        let loader = crate::policy_loader::loader(
            file,
            &crate::policy_loader::PolicyHost::default(),
            clock(),
        )
        .unwrap();
        apply_fixes(file, &loader, Purpose::Check)
    }

    #[test]
    fn all_that_can_be_mended_is_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wall");
        fs::write(&file, WRONG).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let told = run(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), MENDED);
        assert_eq!(told.len(), 3, "{told:#?}");
        assert!(
            told.iter().any(|t| t.starts_with("a.wall:3:17: `pth` became `path` (")),
            "{told:?}"
        );
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(run(&file), Ok(Vec::new()));
    }

    #[test]
    fn a_file_that_is_included_is_mended_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (root, part) = (dir.path().join("a.wall"), dir.path().join("b.wall"));
        let text = "policy 1\ninclude \"b.wall\"\n";
        fs::write(&root, text).unwrap();
        fs::write(&part, WRONG).unwrap();
        assert_eq!(run(&root).unwrap().len(), 3);
        assert_eq!(fs::read_to_string(&part).unwrap(), MENDED);
        assert_eq!(fs::read_to_string(&root).unwrap(), text);
    }

    #[test]
    fn a_read_only_file_is_left_alone_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wall");
        fs::write(&file, WRONG).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        let said = run(&file).unwrap_err();
        assert!(said.contains("a.wall: is read-only"), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), WRONG);
    }

    #[test]
    fn what_lies_outside_the_root_or_has_changed_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(dir.path().join("out.wall"), WRONG).unwrap();
        fs::write(root.join("in.wall"), WRONG).unwrap();
        symlink("../out.wall", root.join("link.wall")).unwrap();
        symlink("in.wall", root.join("near.wall")).unwrap();
        for name in ["link.wall", "../out.wall"] {
            let said = place(&root, name, WRONG).unwrap_err();
            assert!(said.contains("outside"), "{said}");
        }
        let real = root.canonicalize().unwrap().join("in.wall");
        assert_eq!(place(&root, "near.wall", WRONG), Ok(real));
        assert!(place(&root, "in.wall", "other").unwrap_err().contains("meanwhile"));
    }

    #[test]
    fn fixes_that_overlap_wait_for_the_next_round() {
        let of = |start: usize, end: usize, replacement: &str| Fix {
            line: 1,
            column: 1,
            end_line: 1,
            end_column: 1,
            replacement: replacement.to_owned(),
            bytes: start..end,
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wall");
        fs::write(&file, WRONG).unwrap();
        let loader = crate::policy_loader::loader(
            &file,
            &crate::policy_loader::PolicyHost::default(),
            clock(),
        )
        .unwrap();
        let sources = loader.gather_settled();
        let said = loader.build(&sources, Purpose::Check, None).everything();
        let one = said.first().unwrap();
        let patched = |fixes: &[Fix]| {
            let all: Vec<_> = fixes.iter().map(|fix| (one, fix)).collect();
            let (text, told) = patch("abcdef", &all);
            (text, told.len())
        };
        assert_eq!(patched(&[of(0, 2, "X"), of(1, 3, "Y"), of(3, 4, "")]), ("Xcef".into(), 2));
        assert_eq!(patched(&[of(2, 2, "1"), of(2, 2, "2")]), ("ab1cdef".into(), 1));
        assert_eq!(patched(&[of(4, 99, "X")]), ("abcdef".into(), 0));
    }
}
