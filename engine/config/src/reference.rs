//! The generated part of `docs/limits.md`: one table for each section.

use crate::keys::{SECTIONS, keys_of};
use crate::limits::LIMITS;
use crate::setting::Kind;

/// The line before the generated part.
pub const BEGIN: &str = "<!-- generated: settings; `cargo xtask reference` writes this part -->";
/// The line after the generated part.
pub const END: &str = "<!-- end of the generated part -->";

/// Returns the generated part with both markers.
#[must_use]
pub fn settings() -> String {
    let mut page = format!("{BEGIN}\n");
    for section in SECTIONS {
        let numbers = || keys_of(section.name).filter(|key| matches!(key.kind, Kind::Number(_)));
        if numbers().next().is_none() {
            continue;
        }
        let (open, close) = if section.is_list { ("[[", "]]") } else { ("[", "]") };
        let (name, doc) = (section.name, section.doc());
        page.push_str(&format!("\n### `{open}{name}{close}`\n\n{doc}\n\n"));
        page.push_str("| key | default | range | description |\n|---|---|---|---|\n");
        for key in numbers() {
            let Kind::Number(number) = key.kind else { continue };
            let is_limit = LIMITS.iter().any(|limit| limit.key == *key);
            let default = match number.default {
                Some(default) => number.text(default),
                None if is_limit => "none".to_owned(),
                None => "the setting that it overrides".to_owned(),
            };
            let (name, range, doc) = (key.name, number.range_text(), key.doc.trim());
            page.push_str(&format!("| `{name}` | {default} | {range} | {doc} |\n"));
        }
    }
    page.push_str(&format!("\n{END}\n"));
    page
}

/// Returns `page` with a new generated part; `None` for a page without the two markers.
#[must_use]
pub fn replace(page: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{}{}", settings().trim_end(), after))
}
