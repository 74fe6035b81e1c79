//! Checks of the names of sections and keys: unknown, misplaced and renamed, with the correction.

use seawall_policy::diagnostic::nearest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostics::Diagnostics;
use crate::document::kind_of;
use crate::keys::{self, SECTIONS, Section};
use crate::renamed::{self, REPLACED_SECTION};
use crate::setting::{Key, Kind};

/// Sections, and keys as `section.key`, that are reserved for features that do not exist yet.
const RESERVED: &[&str] = &["geo", "pages", "fleet", "admin.http", "admin.token_file"];

/// Adds a diagnostic about a feature that does not exist. To ignore the key would be worse: the
/// operator would rely on a protection that is not there.
pub(crate) fn say_unsupported(what: &str, at: std::ops::Range<usize>, said: &mut Diagnostics<'_>) {
    let help = "remove it: this version would ignore it".to_owned();
    said.push(at, format!("{what} is not supported yet"), Some(help));
}

/// A key and its value, as written.
type Entry<'e, 'd> = (&'e Spanned<std::borrow::Cow<'d, str>>, &'e Spanned<DeValue<'d>>);

/// Checks the names of the whole file.
pub(crate) fn check(root: &DeTable<'_>, said: &mut Diagnostics<'_>) {
    for entry in root.iter() {
        if said.is_full() {
            return said.omit();
        }
        let name = entry.0.get_ref().as_ref();
        match keys::section(name).filter(|_| !name.contains('.')) {
            Some(section) => check_section(section, entry, said),
            None if RESERVED.contains(&name) => {
                say_unsupported(&format!("[{name}]"), entry.0.span(), said);
            }
            None if name == REPLACED_SECTION => check_replaced(entry, said),
            None => {
                said.set_incomplete();
                let (message, help) = unknown_at_root(entry);
                said.push(entry.0.span(), message, Some(help));
            }
        }
    }
}

/// Returns message and help for a name outside all sections.
fn unknown_at_root((key, value): Entry<'_, '_>) -> (String, String) {
    let name = key.get_ref().as_ref();
    let shown = name.escape_debug();
    if value.get_ref().is_table() || value.get_ref().is_array() {
        let known = SECTIONS.iter().map(|section| section.name).filter(|name| !name.contains('.'));
        return (format!("unknown section `{shown}`"), suggestion(name, known.collect()));
    }
    if let Some(home) = home_of(name) {
        return (
            format!("`{shown}` stands outside its section"),
            format!("write it under [{}]", home.section),
        );
    }
    (format!("unknown key `{shown}`"), "every key stands in a section".to_owned())
}

/// Checks the sections of one name: one table, or a list of tables.
fn check_section(section: &'static Section, entry: Entry<'_, '_>, said: &mut Diagnostics<'_>) {
    let (key, value) = entry;
    match (value.get_ref(), section.is_list) {
        (DeValue::Table(table), false) => check_keys(section, table, said),
        (DeValue::Array(items), true) => {
            for item in items.iter() {
                match item.get_ref() {
                    DeValue::Table(table) => check_keys(section, table, said),
                    _ => say_form(section, item, said),
                }
            }
        }
        (DeValue::Table(_), true) => {
            said.set_incomplete();
            let name = section.name;
            let help = format!("write [[{name}]] with two brackets: there can be more than one");
            said.push(key.span(), format!("[{name}] must be a list of sections"), Some(help));
        }
        _ => say_form(section, value, said),
    }
}

fn say_form(section: &Section, value: &Spanned<DeValue<'_>>, said: &mut Diagnostics<'_>) {
    said.set_incomplete();
    let Section { name, is_list, .. } = section;
    let (open, close) = if *is_list { ("[[", "]]") } else { ("[", "]") };
    let found = kind_of(value.get_ref());
    let help = format!("write {open}{name}{close} and its keys below it");
    said.push(value.span(), format!("`{name}` must be a section, not {found}"), Some(help));
}

fn check_keys(section: &'static Section, table: &DeTable<'_>, said: &mut Diagnostics<'_>) {
    for entry in table.iter() {
        if said.is_full() {
            return said.omit();
        }
        let name = entry.0.get_ref().as_ref();
        match keys::find(section.name, name) {
            Some(Key { kind: Kind::Sections(inner), .. }) => {
                let inner = keys::section(inner);
                inner.iter().for_each(|inner| check_section(inner, entry, said));
            }
            Some(_) => {}
            None => say_unknown(section.name, entry, said),
        }
    }
}

/// Adds a diagnostic about a key that the section does not have.
fn say_unknown(section: &str, (key, value): Entry<'_, '_>, said: &mut Diagnostics<'_>) {
    let name = key.get_ref().as_ref();
    if RESERVED.contains(&format!("{section}.{name}").as_str()) {
        say_unsupported(&format!("`{name}` in [{section}]"), key.span(), said);
        return;
    }
    said.set_incomplete();
    if let Some(renamed) = renamed::find(section, name) {
        let written = said.text(value.span());
        let (new, home) = (renamed.new, header(renamed.new_section));
        let line = renamed.line(value.get_ref(), written).unwrap_or_else(|| new.to_owned());
        let message = format!("`{name}` is now `{new}` in {home}");
        said.push(key.span(), message, Some(format!("write `{line}` under {home}")));
        return;
    }
    let known: Vec<&str> = keys::keys_of(section).map(|key| key.name).collect();
    let near = nearest(name, known.iter().copied());
    let help = match (near, home_of(name)) {
        (None, Some(home)) => format!("`{name}` belongs under {}", header(home.section)),
        _ => suggestion(name, known),
    };
    let message = format!("unknown key `{}` in {}", name.escape_debug(), header(section));
    said.push(key.span(), message, Some(help));
}

/// Checks the old section `[limits]`. Now each topic has its own section.
fn check_replaced((key, value): Entry<'_, '_>, said: &mut Diagnostics<'_>) {
    let before = said.count();
    if let Some(table) = value.get_ref().as_table() {
        table.iter().for_each(|entry| say_unknown_limit(entry, said));
    }
    if said.count() == before {
        said.set_incomplete();
        let help = "remove it: limits stand under [connections], [timeouts], [requests], \
                    [origins] and others (docs/limits.md)";
        let message = format!("unknown section `{REPLACED_SECTION}`");
        said.push(key.span(), message, Some(help.to_owned()));
    }
}

fn say_unknown_limit(entry: Entry<'_, '_>, said: &mut Diagnostics<'_>) {
    let name = entry.0.get_ref().as_ref();
    if renamed::find(REPLACED_SECTION, name).is_some() {
        say_unknown(REPLACED_SECTION, entry, said);
        return;
    }
    said.set_incomplete();
    let help = match home_of(name) {
        Some(home) => format!("write it under {}", header(home.section)),
        None => suggestion(name, keys::keys().map(|key| key.name).collect()),
    };
    let message = format!("unknown key `{}` in [{REPLACED_SECTION}]", name.escape_debug());
    said.push(entry.0.span(), message, Some(help));
}

/// Returns the first key of this name in any section.
fn home_of(name: &str) -> Option<&'static Key> {
    keys::keys().find(|key| key.name == name)
}

fn header(section: &str) -> String {
    match keys::section(section) {
        Some(section) if section.is_list => format!("[[{}]]", section.name),
        _ => format!("[{section}]"),
    }
}

/// Returns a text with the nearest of `known`, or with all of them if they are few.
fn suggestion(name: &str, known: Vec<&str>) -> String {
    match nearest(name, known.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None if known.len() <= 30 => format!("known here: {}", known.join(", ")),
        None => "every setting stands in docs/limits.md".to_owned(),
    }
}
