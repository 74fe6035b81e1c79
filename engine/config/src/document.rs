//! The parsed file, and reading values of one kind from it.
//!
//! A value of the wrong kind causes a diagnostic and is skipped. The caller uses a default, because
//! a configuration with a diagnostic is never used.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use crate::diagnostics::Diagnostics;
use crate::quantity;
use crate::setting::{Key, Kind, Number, Unit};

/// A string and its place.
pub(crate) type Text<'d> = Placed<&'d str>;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) at: Range<usize>,
}

/// A section of the file. An absent section has no keys.
#[derive(Debug, Clone)]
pub(crate) struct Part<'d> {
    pub(crate) name: &'static str,
    /// The place of its header; the start of the file for an absent section.
    pub(crate) at: Range<usize>,
    table: Option<&'d DeTable<'d>>,
}

/// Returns the word for the kind of a value.
pub(crate) const fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

/// Adds a diagnostic: the value of `key` is of another kind than `expected`.
fn wrong_kind(key: &str, expected: &str, value: &Spanned<DeValue<'_>>, said: &mut Diagnostics<'_>) {
    let found = kind_of(value.get_ref());
    said.push(value.span(), format!("`{key}` must be {expected}, not {found}"), None);
    said.set_incomplete();
}

impl<'d> Part<'d> {
    /// Returns the section `name` of the file.
    pub(crate) fn of_root(root: &'d DeTable<'d>, name: &'static str) -> Self {
        let found = root.get(name);
        let table = found.and_then(|value| value.get_ref().as_table());
        let at = found.map_or(0..0, Spanned::span);
        Self { name, at, table }
    }

    /// Returns the sections `name` of the file.
    pub(crate) fn all_of_root(root: &'d DeTable<'d>, name: &'static str) -> Vec<Self> {
        let found = root.get(name).and_then(|value| value.get_ref().as_array());
        Self::all(found, name)
    }

    fn all(found: Option<&'d DeArray<'d>>, name: &'static str) -> Vec<Self> {
        let one = |item: &'d Spanned<DeValue<'d>>| {
            let table = Some(item.get_ref().as_table()?);
            Some(Self { name, at: item.span(), table })
        };
        found.into_iter().flat_map(|items| items.iter()).filter_map(one).collect()
    }

    /// Returns the sections in the list `key` of this section.
    pub(crate) fn parts(&self, key: &str, name: &'static str) -> Vec<Self> {
        Self::all(self.get(key).and_then(|value| value.get_ref().as_array()), name)
    }

    pub(crate) const fn is_there(&self) -> bool {
        self.table.is_some()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.table?.get(key)
    }

    pub(crate) fn text(&self, key: &str, said: &mut Diagnostics<'_>) -> Option<Text<'d>> {
        let value = self.get(key)?;
        let Some(text) = value.get_ref().as_str() else {
            wrong_kind(key, "a string", value, said);
            return None;
        };
        Some(Placed { value: text, at: value.span() })
    }

    pub(crate) fn texts(
        &self,
        key: &str,
        said: &mut Diagnostics<'_>,
    ) -> Option<Placed<Vec<Text<'d>>>> {
        let value = self.get(key)?;
        let Some(items) = value.get_ref().as_array() else {
            wrong_kind(key, "a list of strings", value, said);
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(Placed { value: text, at: item.span() }),
                None => wrong_kind(key, "a list of strings", item, said),
            }
        }
        Some(Placed { value: texts, at: value.span() })
    }

    pub(crate) fn boolean(&self, key: &str, said: &mut Diagnostics<'_>) -> Option<Placed<bool>> {
        let value = self.get(key)?;
        let Some(found) = value.get_ref().as_bool() else {
            wrong_kind(key, "`true` or `false`", value, said);
            return None;
        };
        Some(Placed { value: found, at: value.span() })
    }

    /// Returns the number of a key, if it is in its range. A duration is in milliseconds.
    pub(crate) fn number(&self, key: &Key, said: &mut Diagnostics<'_>) -> Option<u64> {
        let Kind::Number(number) = key.kind else { return None };
        let value = self.get(key.name)?;
        let read = match value.get_ref() {
            DeValue::Integer(integer) => whole(key.name, integer, number),
            DeValue::String(text) => quantity_of(key.name, text, number),
            other => Err(WrongNumber::Kind(kind_of(other))),
        };
        let (message, help) = match read {
            Ok(found) if (number.min..=number.max).contains(&found) => return Some(found),
            Ok(_) | Err(WrongNumber::Range) => {
                let default = number.default.map(|default| number.toml(default));
                let help = default.map(|default| format!("the default is {default}"));
                (format!("`{}` must be from {}", key.name, number.range()), help)
            }
            Err(WrongNumber::Kind(found)) => {
                (format!("`{}` must be {}, not {found}", key.name, expected(number.unit)), None)
            }
            Err(WrongNumber::Said(message, help)) => (message, Some(help)),
        };
        said.push(value.span(), message, help);
        None
    }
}

/// The reason why a value is not valid as a number of a setting.
enum WrongNumber {
    Range,
    Kind(&'static str),
    Said(String, String),
}

const fn expected(unit: Unit) -> &'static str {
    match unit {
        Unit::Time => "a duration such as \"10s\"",
        Unit::Bytes | Unit::BytesPerSecond => "a whole number or a size such as \"64KiB\"",
        _ => "a whole number",
    }
}

/// Returns a whole number; a duration needs a unit.
fn whole(key: &str, integer: &DeInteger<'_>, number: Number) -> Result<u64, WrongNumber> {
    if number.unit == Unit::Time {
        return Err(without_unit(key, integer.as_str()));
    }
    u64::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| WrongNumber::Range)
}

fn without_unit(key: &str, digits: &str) -> WrongNumber {
    let digits = digits.trim_start_matches('-');
    let help = format!(
        "write `{key} = \"{digits}s\"` for seconds or `{key} = \"{digits}ms\"` for milliseconds"
    );
    WrongNumber::Said(format!("`{key}` is a duration without a unit"), help)
}

/// Returns a string as a duration or as a size.
fn quantity_of(key: &str, text: &str, number: Number) -> Result<u64, WrongNumber> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match number.unit {
        Unit::Time if is_digits => Err(without_unit(key, text)),
        Unit::Time => milliseconds(key, text),
        Unit::Bytes | Unit::BytesPerSecond if is_digits => {
            let help = format!("write `{key} = {text}`, or a size such as \"64KiB\"");
            Err(WrongNumber::Said(format!("`{key}` is a size without a unit"), help))
        }
        Unit::Bytes | Unit::BytesPerSecond => seawall_policy::quantity::size_bytes(text)
            .ok_or_else(|| {
                let help = "a size is a whole number with `B`, `KiB`, `MiB` or `GiB`: \"64KiB\"";
                let message = format!("`{key}`: `{}` is not a size", text.escape_debug());
                WrongNumber::Said(message, help.to_owned())
            }),
        _ => Err(WrongNumber::Kind("a string")),
    }
}

fn milliseconds(key: &str, text: &str) -> Result<u64, WrongNumber> {
    let Some(us) = seawall_policy::quantity::duration_us(text) else {
        let help =
            "a duration is a whole number with `ms`, `s`, `m`, `h` or `d`: \"90s\", \"1h30m\"";
        let message = format!("`{key}`: `{}` is not a duration", text.escape_debug());
        return Err(WrongNumber::Said(message, help.to_owned()));
    };
    if !us.is_multiple_of(1_000) {
        let help = format!("write `{key} = \"{}\"`", quantity::time(us.div_ceil(1_000)));
        let message = format!("`{key}` is measured in whole milliseconds");
        return Err(WrongNumber::Said(message, help));
    }
    us.checked_div(1_000).ok_or(WrongNumber::Range)
}
