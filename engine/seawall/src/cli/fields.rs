//! `seawall fields`: lists the fields, functions and enumerations, from the table of the checker.

use clap::Args;
use seawall_ruleset::{
    EnumLine, FUNCTIONS, FieldLine, FunctionLine, alias, enum_lines, field_lines,
};
use serde_json::{Value, json};

use crate::cli::exit::{ExitStatus, fail, print_json, print_out};

/// List the fields and functions of the policy language.
#[derive(Debug, Args)]
pub(crate) struct Fields {
    /// Show this field, function or enumeration, and all fields that begin with `NAME.`
    name: Option<String>,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

/// The entries to show.
#[derive(Debug, Default)]
struct Found {
    fields: Vec<FieldLine>,
    functions: Vec<FunctionLine>,
    enums: Vec<EnumLine>,
}

impl Fields {
    pub(crate) fn run(&self) -> ExitStatus {
        let Some(found) = find(self.name.as_deref()) else {
            let name = self.name.as_deref().unwrap_or_default().escape_debug();
            return fail(
                ExitStatus::Failure,
                format!("there is no field or function `{name}`; `seawall fields` lists all"),
            );
        };
        if self.json {
            print_json(as_json(&found));
        } else {
            lines(&found, self.name.is_some()).iter().for_each(print_out);
        }
        ExitStatus::Success
    }
}

/// All entries, or those of this name. Names of other tools are accepted, too.
fn find(name: Option<&str>) -> Option<Found> {
    let Some(name) = name else {
        let (fields, functions) = (field_lines(), FUNCTIONS.to_vec());
        return Some(Found { fields, functions, enums: enum_lines() });
    };
    let name = name.split('(').next().unwrap_or_default();
    let name = alias(name).unwrap_or(name);
    let below = format!("{name}.");
    let fields: Vec<FieldLine> = field_lines()
        .into_iter()
        .filter(|field| field.name == name || field.name.starts_with(&below))
        .collect();
    let functions: Vec<FunctionLine> =
        FUNCTIONS.iter().filter(|function| function.name == name).copied().collect();
    let of = fields.iter().find(|field| field.name == name).and_then(|field| field.of);
    let enums: Vec<EnumLine> = enum_lines()
        .into_iter()
        .filter(|line| line.name == name || of == Some(line.name))
        .collect();
    let any = !(fields.is_empty() && functions.is_empty() && enums.is_empty());
    any.then_some(Found { fields, functions, enums })
}

/// One line for each entry, with all its values `in_full`.
fn lines(found: &Found, in_full: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for field in &found.fields {
        let trust = if field.forgeable { "forgeable" } else { "" };
        let FieldLine { written, ty, present, cost, doc, .. } = field;
        lines.push(format!("{written:<16} {ty:<14} {present:<32} {cost:<6} {trust:<9} {doc}"));
    }
    let head = |title: &str, lines: &mut Vec<String>| {
        if !in_full {
            lines.extend([String::new(), title.to_owned()]);
        }
    };
    if !found.functions.is_empty() {
        head("functions", &mut lines);
    }
    for FunctionLine { written, ty, doc, example, .. } in &found.functions {
        lines.push(format!("{written:<22} {ty:<8} {doc}"));
        if in_full {
            lines.push(format!("  example: {example}"));
        }
    }
    if !found.enums.is_empty() {
        head("words", &mut lines);
    }
    for EnumLine { name, words, ordered, .. } in &found.enums {
        let order = if *ordered { ", in ascending order" } else { "" };
        let words = match words.get(..WORDS_MAX) {
            Some(first) if !in_full && words.len() > WORDS_MAX => {
                format!("{} and {} more", first.join(" "), words.len() - WORDS_MAX)
            }
            _ => words.join(" "),
        };
        lines.push(format!("{name:<16} {words}{order}"));
    }
    lines
}

/// The most values of an enumeration that the list of all entries shows: 16.
const WORDS_MAX: usize = 16;

fn as_json(found: &Found) -> Value {
    let field = |f: &FieldLine| {
        json!({
            "name": f.name, "written": f.written, "type": f.ty, "words_of": f.of,
            "present": f.present, "forgeable": f.forgeable, "cost": f.cost, "doc": f.doc,
        })
    };
    let function = |f: &FunctionLine| {
        json!({
            "name": f.name, "written": f.written, "type": f.ty, "doc": f.doc,
            "example": f.example,
        })
    };
    let words = |e: &EnumLine| json!({ "name": e.name, "doc": e.doc, "words": e.words, "ordered": e.ordered });
    json!({
        "fields": found.fields.iter().map(field).collect::<Vec<_>>(),
        "functions": found.functions.iter().map(function).collect::<Vec<_>>(),
        "enums": found.enums.iter().map(words).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str) -> Vec<&'static str> {
        let found = find(Some(name)).unwrap_or_default();
        let fields = found.fields.iter().map(|f| f.name);
        let functions = found.functions.iter().map(|f| f.name);
        fields.chain(functions).chain(found.enums.iter().map(|e| e.name)).collect()
    }

    #[test]
    fn a_name_finds_fields_functions_words_and_what_others_call_them() {
        assert_eq!(names("path"), ["path", "path.ext", "path.script"]);
        assert_eq!(names("user_agent"), ["ua"]);
        assert_eq!(names("header(\"x\")"), ["header"]);
        assert_eq!(names("rate"), ["rate"]);
        assert_eq!(names("method"), ["method", "method"]);
        assert_eq!(names("country"), ["client.country", "country"]);
        assert!(names("nothing").is_empty() && find(Some("nothing")).is_none());
    }

    #[test]
    fn the_list_and_its_json_are_complete() {
        let all = find(None).unwrap();
        let lines = lines(&all, false);
        let wanted = "ua               string         if the request has it            \
                      text   forgeable the User-Agent header";
        assert!(lines.iter().any(|line| line == wanted), "{lines:#?}");
        let countries = lines.iter().find(|line| line.starts_with("country ")).unwrap();
        assert!(countries.ends_with(" more") && countries.len() < 100, "{countries}");
        let json = as_json(&all);
        assert_eq!(json["fields"].as_array().map(Vec::len), Some(all.fields.len()));
        assert_eq!(json["functions"].as_array().map(Vec::len), Some(FUNCTIONS.len()));
        assert_eq!(json["fields"][0]["forgeable"], false);
    }
}
