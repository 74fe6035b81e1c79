//! The reference of fields, functions and enumerations.
//!
//! The data are the tables of the checker. A test checks the example of every function.

use seawall_policy::check::field_cost;
pub use seawall_policy::functions::{FUNCTIONS, FunctionLine};
use seawall_policy::schema::{FieldSpec, Form, Phase, Presence, Type};

use crate::http::SCHEMA;

/// A field, for the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldLine {
    /// Its syntax: `path`, `header("…")`.
    pub written: String,
    /// Its name only.
    pub name: &'static str,
    /// The word of its type.
    pub ty: &'static str,
    /// The enumeration of its words.
    pub of: Option<&'static str>,
    /// When it has a value.
    pub present: String,
    /// Whether a client can send any value.
    pub forgeable: bool,
    /// The cost of reading it.
    pub cost: &'static str,
    /// Its description.
    pub doc: &'static str,
}

/// An enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnumLine {
    /// The word of its type.
    pub name: &'static str,
    /// The description of one of its words.
    pub doc: &'static str,
    /// Its words.
    pub words: &'static [&'static str],
    /// Whether `<` and `>` are allowed.
    pub ordered: bool,
}

/// Returns the fields, in the order of the table.
#[must_use]
pub fn field_lines() -> Vec<FieldLine> {
    SCHEMA.fields.iter().map(field_line).collect()
}

/// Returns the enumerations, in the order of the table.
#[must_use]
pub fn enum_lines() -> Vec<EnumLine> {
    let enums = SCHEMA.enums.iter();
    let line = |spec: &'static seawall_policy::schema::EnumSpec| EnumLine {
        name: short(spec.name),
        doc: spec.name,
        words: spec.words,
        ordered: spec.ordered,
    };
    enums.map(line).collect()
}

/// Returns the name here for a name in another tool.
#[must_use]
pub fn alias(theirs: &str) -> Option<&'static str> {
    let found = SCHEMA.aliases.iter().find(|(name, _)| name.eq_ignore_ascii_case(theirs));
    found.map(|(_, ours)| *ours)
}

fn field_line(spec: &'static FieldSpec) -> FieldLine {
    let of = match spec.ty {
        Type::Enum(id) => SCHEMA.words(id).map(|words| short(words.name)),
        _ => None,
    };
    let present = match (spec.phase, spec.presence) {
        (Phase::Response, _) => "in tracks `on response`".to_owned(),
        (_, Presence::Always) => "always".to_owned(),
        (_, Presence::Maybe) => "if the request has it".to_owned(),
        (_, Presence::Source(source)) => format!("if `{source}` is configured"),
    };
    FieldLine {
        written: match spec.form {
            Form::Plain => spec.name.to_owned(),
            Form::Named => format!("{}(\"…\")", spec.name),
        },
        name: spec.name,
        ty: of.unwrap_or_else(|| word(spec)),
        of,
        present,
        forgeable: spec.forgeable,
        cost: field_cost(spec).word(),
        doc: spec.doc,
    }
}

/// Returns the word of a type in the policy language.
const fn word(spec: &FieldSpec) -> &'static str {
    match (spec.ty, spec.form) {
        (Type::Str, Form::Named) => "multi<string>",
        (Type::Str, Form::Plain) => "string",
        (Type::Bool, _) => "bool",
        (Type::Int, _) => "int",
        (Type::Percent, _) => "percent",
        (Type::Ip, _) => "ip",
        (Type::Cidr, _) => "cidr",
        (Type::Asn, _) => "asn",
        (Type::Duration, _) => "duration",
        (Type::Rate, _) => "rate",
        (Type::Size, _) => "size",
        (Type::Date, _) => "date",
        (Type::Headers, _) => "headers",
        (Type::Enum(_), _) => "word",
    }
}

/// Returns the last word of `an HTTP method` or `a kind of pass` as the word of the type.
fn short(name: &'static str) -> &'static str {
    name.rsplit(' ').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        MemoryStore, Purpose, RuleSetBuilder, Sandbox, SandboxLimits, ServerSettings, Sources,
    };

    fn loads(condition: &str) -> Result<(), Vec<String>> {
        let text = format!(
            "policy 1\n\
             track t {{ count requests per client over 10s keys 100 }}\n\
             track d {{ count distinct path per client over 10s keys 100 }}\n\
             track b {{ count bytes bytes_out on response per client over 10s keys 100 }}\n\
             floor {{ rule x {{ when {condition} then drop }} }}\n"
        );
        let sandbox = Sandbox::new(SandboxLimits::default());
        let store = MemoryStore::default().with("root.wall", &*text);
        let sources = Sources::gather("root.wall", &store);
        let workshop = RuleSetBuilder::new(ServerSettings::default(), sandbox);
        let made = workshop.build(&sources, Purpose::Check, None);
        let said = made.diagnostics.iter().map(crate::Diagnostic::one_line).collect();
        made.rules.map(|_| ()).ok_or(said)
    }

    #[test]
    fn every_function_is_known_to_the_checker_as_it_is_shown() {
        for function in FUNCTIONS {
            assert_eq!(loads(function.example), Ok(()), "{}", function.name);
            assert!(function.example.contains(&format!("{}(", function.name)));
        }
        let said = loads("no_such_function(1)").unwrap_err().join("\n");
        assert!(said.contains("no_such_function"), "{said}");
    }

    #[test]
    fn every_field_of_the_table_is_shown_and_its_presence_is_what_the_checker_reads() {
        let lines = field_lines();
        assert_eq!(lines.len(), SCHEMA.fields.len());
        for line in lines.iter().filter(|line| line.name != "headers") {
            let read = loads(&format!("{} is present", line.written.replace('…', "x")));
            assert_eq!(read.is_ok(), line.present != "in tracks `on response`", "{}", line.name);
        }
    }

    #[test]
    fn lines_say_type_presence_and_trust() {
        let of = |name: &str| field_lines().into_iter().find(|line| line.name == name).unwrap();
        assert_eq!(of("header").written, "header(\"…\")");
        assert_eq!(of("header").ty, "multi<string>");
        assert_eq!(of("method").of, Some("method"));
        assert_eq!(of("pass.kind").ty, "pass");
        assert_eq!(of("client.asn").present, "if `geo.asn` is configured");
        assert!(of("ua").forgeable && !of("client.ip").forgeable);
        assert_eq!(alias("User_Agent"), Some("ua"));
        assert_eq!(alias("nothing"), None);
        let levels = enum_lines().into_iter().find(|line| line.name == "level").unwrap();
        assert!(levels.ordered);
    }
}
