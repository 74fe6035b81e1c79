//! Errors of the TOML syntax as diagnostics.

use toml::de::Error;

use crate::diagnostics::Diagnostics;

/// Adds a diagnostic about a syntax error.
pub(crate) fn say(error: &Error, text: &str, said: &mut Diagnostics<'_>) {
    let at = error.span().unwrap_or(0..0);
    if !error.message().starts_with("duplicate key") {
        said.push(at, error.message().to_owned(), None);
        return;
    }
    let (start, line) = line_at(text, at.start);
    let written = line.trim();
    let is_section = written.starts_with('[');
    let before = text.get(..start).unwrap_or_default();
    let first = before.lines().position(|line| {
        let line = line.trim();
        if is_section { line.starts_with(written) } else { is_same_key(line, written) }
    });
    let name = said.text(at.clone());
    let what = if is_section { "section" } else { "key" };
    let help = match (is_section, first) {
        (true, Some(line)) => {
            format!("move its keys to the section in line {}", line.saturating_add(1))
        }
        (false, Some(line)) => format!("remove it here or in line {}", line.saturating_add(1)),
        (_, None) => "remove one of the two".to_owned(),
    };
    said.push(at, format!("the {what} `{name}` is there twice"), Some(help));
}

fn is_same_key(line: &str, other: &str) -> bool {
    let key = |line: &str| line.split_once('=').map(|(key, _)| key.trim().to_owned());
    key(line).is_some_and(|one| Some(one) == key(other))
}

/// Returns the line that contains a byte, and the start of the line.
fn line_at(text: &str, byte: usize) -> (usize, &str) {
    let before = text.get(..byte).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
    let line = text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
    (start, line)
}
