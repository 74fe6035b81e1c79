//! A JSON schema of the configuration file, for completion and checks in editors.

use serde_json::{Map, Value, json};

use crate::keys::{SECTIONS, Section, keys_of};
use crate::setting::{Key, Kind, Number, Unit};

/// Durations and sizes in the grammar of the policy language.
const DURATION: &str = "^([0-9]+(us|ms|s|m|h|d|w))+$";
const SIZE: &str = "^[0-9]+(B|KiB|MiB|GiB)$";

/// Required sections.
const REQUIRED_SECTIONS: &[&str] = &["listen", "policy", "state", "site"];
/// Required keys of a section, if the section is in the file.
const REQUIRED_KEYS: &[(&str, &str)] = &[
    ("policy", "file"),
    ("state", "dir"),
    ("site", "hosts"),
    ("site", "origins"),
    ("site.route", "path_prefix"),
    ("tls.certificate", "cert"),
    ("tls.certificate", "key"),
    ("trusted_proxies", "networks"),
];

/// Returns the schema (draft 7, which editors of TOML know).
#[must_use]
pub fn schema() -> Value {
    let sections = SECTIONS.iter().filter(|section| !section.name.contains('.'));
    let properties: Map<String, Value> =
        sections.map(|section| (section.name.to_owned(), of_section(section))).collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "seawall.toml",
        "description": "The configuration file of Seawall.",
        "type": "object",
        "additionalProperties": false,
        "required": REQUIRED_SECTIONS,
        "properties": properties,
    })
}

/// Returns the schema as the text of its file.
#[must_use]
pub fn text() -> String {
    let mut text = format!("{:#}", schema());
    text.push('\n');
    text
}

fn of_section(section: &Section) -> Value {
    let properties: Map<String, Value> =
        keys_of(section.name).map(|key| (key.name.to_owned(), of_key(key))).collect();
    let required: Vec<&str> =
        REQUIRED_KEYS.iter().filter(|(of, _)| *of == section.name).map(|(_, key)| *key).collect();
    let mut table = json!({
        "type": "object",
        "description": section.doc(),
        "additionalProperties": false,
        "properties": properties,
    });
    if let (Some(table), false) = (table.as_object_mut(), required.is_empty()) {
        table.insert("required".to_owned(), json!(required));
    }
    if section.is_list { json!({ "type": "array", "items": table }) } else { table }
}

fn of_key(key: &Key) -> Value {
    let mut value = match key.kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Sections(name) => crate::keys::section(name).map_or(Value::Null, of_section),
        Kind::Number(number) => of_number(number),
    };
    if let (Some(value), Kind::Number(number)) = (value.as_object_mut(), key.kind) {
        let description = format!("{} From {}.", key.doc.trim(), number.range());
        value.insert("description".to_owned(), json!(description));
        if let Some(default) = number.default {
            value.insert("default".to_owned(), default_of(number, default));
        }
    } else if let Some(value) = value.as_object_mut() {
        value.insert("description".to_owned(), json!(key.doc.trim()));
    }
    value
}

fn of_number(number: Number) -> Value {
    let integer = json!({ "type": "integer", "minimum": number.min, "maximum": number.max });
    match number.unit {
        Unit::Time => json!({ "type": "string", "pattern": DURATION }),
        Unit::Bytes | Unit::BytesPerSecond => {
            json!({ "anyOf": [integer, { "type": "string", "pattern": SIZE }] })
        }
        _ => integer,
    }
}

fn default_of(number: Number, default: u64) -> Value {
    let text = number.toml(default);
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) => json!(text),
        None => json!(default),
    }
}
