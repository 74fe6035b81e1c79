//! `seawall check --fix`: applies the fixes that diagnostics suggest.
//!
//! A fix may bring up another diagnostic, so the policy is checked again after each round until no
//! fix remains. A file is replaced by a rename, so that a running server never reads half of it.
//! Files outside the policy root are not changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use seawall_control::PolicyLoader;
use seawall_ruleset::{Diagnostic, Fix, Purpose, Severity, Sources};

use crate::cli::fmt::replace;

/// The most rounds of checking and fixing: 10. They bound fixes that undo each other.
const ROUNDS_MAX: usize = 10;

/// Applies all fixes in `file` and the files that it includes, and returns one line for each.
///
/// # Errors
/// A file cannot be changed, or is outside the policy root.
pub(super) fn apply_fixes(
    file: &Path,
    loader: &PolicyLoader,
    purpose: Purpose,
) -> Result<Vec<String>, String> {
    let folder = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut applied = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let sources = loader.gather_settled();
        let built = loader.build(&sources, purpose, None);
        let changes = apply(&built.everything(), &sources);
        if changes.is_empty() {
            break;
        }
        // Every file is checked before the first one is written.
        let mut paths = Vec::with_capacity(changes.len());
        for (name, change) in &changes {
            paths.push((resolve(folder, name, &change.before)?, change));
        }
        for (path, change) in paths {
            replace(&path, change.after.as_bytes())
                .map_err(|why| format!("{}: {why}", path.display()))?;
            applied.extend(change.applied.iter().cloned());
        }
    }
    Ok(applied)
}

/// The text of a file before and after its fixes.
#[derive(Debug, PartialEq, Eq)]
struct FixEdit {
    before: String,
    after: String,
    /// One line for each fix.
    applied: Vec<String>,
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
        let (after, applied) = patch(&before, &fixes);
        (after != before).then_some((name, FixEdit { before, after, applied }))
    };
    fixes.into_iter().filter_map(change).collect()
}

/// Returns the text with the sorted fixes applied, and one line for each. A fix that overlaps the
/// one before waits for the next round.
fn patch(text: &str, fixes: &[(&Diagnostic, &Fix)]) -> (String, Vec<String>) {
    let (mut out, mut applied) = (String::with_capacity(text.len()), Vec::new());
    let (mut at, mut last) = (0_usize, None);
    for (diagnostic, fix) in fixes {
        // The result of two insertions at one position would depend on their order.
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
        applied.push(format!(
            "{file}:{}:{}: replaced `{old}` by `{new}` ({code})",
            fix.line, fix.column
        ));
    }
    out.push_str(text.get(at..).unwrap_or_default());
    (out, applied)
}

/// Returns the path of a policy file with links resolved.
///
/// # Errors
/// The file may not be changed.
fn resolve(folder: &Path, name: &str, before: &str) -> Result<PathBuf, String> {
    let error = |why: &dyn std::fmt::Display| format!("{}: {why}", folder.join(name).display());
    let root = folder.canonicalize().map_err(|why| error(&why))?;
    // A link stays a link; its target is replaced.
    let path = folder.join(name).canonicalize().map_err(|why| error(&why))?;
    if !path.starts_with(&root) {
        return Err(error(&"is outside the folder of the policy and is not changed"));
    }
    let metadata = path.metadata().map_err(|why| error(&why))?;
    if metadata.permissions().readonly() {
        return Err(error(&"is read-only and is not changed"));
    }
    let now = std::fs::read(&path).map_err(|why| error(&why))?;
    if now != before.as_bytes() {
        return Err(error(&"has changed since it was read, or is not UTF-8, and is not changed"));
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
    const FIXED: &str = "policy 1\nfloor {\n  rule a { when path == \"/a\" and method == GET then \
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
    fn all_fixes_are_applied_and_reported() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wall");
        fs::write(&file, WRONG).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let applied = run(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), FIXED);
        assert_eq!(applied.len(), 3, "{applied:#?}");
        assert!(
            applied.iter().any(|t| t.starts_with("a.wall:3:17: replaced `pth` by `path` (")),
            "{applied:?}"
        );
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(run(&file), Ok(Vec::new()));
    }

    #[test]
    fn an_included_file_is_fixed_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let (root, part) = (dir.path().join("a.wall"), dir.path().join("b.wall"));
        let text = "policy 1\ninclude \"b.wall\"\n";
        fs::write(&root, text).unwrap();
        fs::write(&part, WRONG).unwrap();
        assert_eq!(run(&root).unwrap().len(), 3);
        assert_eq!(fs::read_to_string(&part).unwrap(), FIXED);
        assert_eq!(fs::read_to_string(&root).unwrap(), text);
    }

    #[test]
    fn a_read_only_file_is_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wall");
        fs::write(&file, WRONG).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        let said = run(&file).unwrap_err();
        assert!(said.contains("a.wall: is read-only"), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), WRONG);
    }

    #[test]
    fn a_file_outside_the_root_or_changed_meanwhile_is_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(dir.path().join("out.wall"), WRONG).unwrap();
        fs::write(root.join("in.wall"), WRONG).unwrap();
        symlink("../out.wall", root.join("link.wall")).unwrap();
        symlink("in.wall", root.join("near.wall")).unwrap();
        for name in ["link.wall", "../out.wall"] {
            let said = resolve(&root, name, WRONG).unwrap_err();
            assert!(said.contains("outside"), "{said}");
        }
        let real = root.canonicalize().unwrap().join("in.wall");
        assert_eq!(resolve(&root, "near.wall", WRONG), Ok(real));
        assert!(resolve(&root, "in.wall", "other").unwrap_err().contains("has changed"));
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
            let (text, applied) = patch("abcdef", &all);
            (text, applied.len())
        };
        assert_eq!(patched(&[of(0, 2, "X"), of(1, 3, "Y"), of(3, 4, "")]), ("Xcef".into(), 2));
        assert_eq!(patched(&[of(2, 2, "1"), of(2, 2, "2")]), ("ab1cdef".into(), 1));
        assert_eq!(patched(&[of(4, 99, "X")]), ("abcdef".into(), 0));
    }
}
