//! Component tests: test vectors inside a component. The author writes them, the builder stores
//! them in a custom section, and the loader can run them.
//!
//! Limitation: the author of the component writes the vectors. They detect a rule that was built
//! incorrectly, gets wrong arguments or is too expensive for its `extern`. They do not detect
//! malice.

use crate::headers::pack_headers;
use crate::{Arg, CallValue, ParamKind, ResultKind};
use seawall_model::HeaderView;
use serde::Deserialize;
use std::net::IpAddr;
use toml::{Spanned, Table, Value};
use wasmparser::{Chunk, Parser, Payload};

/// The custom section with the test vectors of a component.
pub const CASES_SECTION: &str = "seawall:cases";
/// Most bytes of that section.
pub const CASES_BYTES_MAX: usize = 1 << 20;
/// Most bytes of one argument. The sandbox rejects longer ones itself.
const ARG_BYTES_MAX: usize = 64 << 10;

/// Why test vectors are invalid, as a message for their author.
pub type CaseError = String;

/// A test vector: one call and its expected result.
#[derive(Debug, Clone)]
pub struct Case {
    /// `FILE:LINE: case `NAME``.
    pub place: String,
    /// Its name.
    pub name: String,
    /// The function, by its name in the policy.
    pub function: String,
    expect: Value,
    args: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    #[serde(default)]
    case: Vec<Spanned<Written>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    function: String,
    expect: Value,
    #[serde(default)]
    args: Table,
}

/// Returns the text of the test vectors inside a component; empty if there are none.
///
/// # Errors
/// The text is not UTF-8 or too long, or the bytes are not a component.
pub fn cases_inside(component: &[u8]) -> Result<String, CaseError> {
    let (mut parser, mut rest, mut found) = (Parser::new(0), component, Vec::new());
    loop {
        let chunk = parser.parse(rest, true).map_err(|error| error.message().to_owned())?;
        // All bytes are present, so the parser never needs more.
        let Chunk::Parsed { consumed, payload } = chunk else { break };
        let mut passed = consumed;
        match payload {
            // Nested parts do not belong to the component itself, and can be megabytes.
            Payload::ModuleSection { unchecked_range: inside, .. }
            | Payload::ComponentSection { unchecked_range: inside, .. } => passed += inside.len(),
            Payload::CustomSection(section) if section.name() == CASES_SECTION => {
                found.extend_from_slice(section.data());
            }
            Payload::End(_) => break,
            _ => {}
        }
        rest = rest.get(passed..).unwrap_or_default();
    }
    if found.len() > CASES_BYTES_MAX {
        return Err(format!("the component tests have more than {CASES_BYTES_MAX} bytes"));
    }
    String::from_utf8(found).map_err(|_| "the component tests are not valid UTF-8".to_owned())
}

/// Parses the test vectors in a text from `file`.
///
/// # Errors
/// The text is not a list of test vectors; the message contains file and line.
pub fn parse_cases(file: &str, text: &str) -> Result<Vec<Case>, CaseError> {
    let cases: Cases = toml::from_str(text)
        .map_err(|error| format!("{file}: {}", error.to_string().trim_end()))?;
    let made = cases.case.into_iter().map(|case| {
        let before = text.get(..case.span().start).unwrap_or_default();
        let line = before.matches('\n').count().saturating_add(1);
        let Written { name, function, expect, args } = case.into_inner();
        let place = format!("{file}:{line}: case `{}`", name.escape_debug());
        Case { place, name, function, expect, args }
    });
    Ok(made.collect())
}

/// A test vector as a call.
#[derive(Debug, Clone)]
pub struct CaseCall {
    args: Vec<Given>,
    /// The expected result.
    pub expect: CallValue,
}

#[derive(Debug, Clone)]
enum Given {
    Bool(bool),
    Int(i64),
    Bytes(Vec<u8>),
}

impl CaseCall {
    /// Returns its arguments.
    #[must_use]
    pub fn args(&self) -> Vec<Arg<'_>> {
        let arg = |given| match given {
            &Given::Bool(value) => Arg::Bool(value),
            &Given::Int(value) => Arg::Int(value),
            Given::Bytes(bytes) => Arg::Bytes(bytes),
        };
        self.args.iter().map(arg).collect()
    }
}

impl Case {
    /// Converts it to a call of a function with these parameters and this result.
    ///
    /// # Errors
    /// It does not match; the message contains the test vector and the argument.
    pub fn call(
        &self,
        params: &[(String, ParamKind)],
        result: ResultKind,
    ) -> Result<CaseCall, CaseError> {
        self.fitted(params, result).map_err(|why| format!("{}: {why}", self.place))
    }

    fn fitted(
        &self,
        params: &[(String, ParamKind)],
        result: ResultKind,
    ) -> Result<CaseCall, CaseError> {
        let shown = || {
            let params = params.iter().map(|(name, kind)| format!("{name}: {}", kind.word()));
            let params: Vec<String> = params.collect();
            format!("{}({}) -> {}", self.function, params.join(", "), result.word())
        };
        let known = |name: &String| params.iter().any(|(param, _)| param == name);
        if let Some(extra) = self.args.keys().find(|name| !known(name)) {
            return Err(format!("there is no parameter `{extra}`: the function is {}", shown()));
        }
        let arg = |(name, kind): &(String, ParamKind)| {
            let value = self.args.get(name);
            let value = value
                .ok_or_else(|| format!("`args` lacks `{name}`: the function is {}", shown()))?;
            given(*kind, value).map_err(|why| format!("`{name}`: {why}"))
        };
        let args = params.iter().map(arg).collect::<Result<_, CaseError>>()?;
        let expect = expected(result, &self.expect).ok_or_else(|| {
            let is = result.word();
            format!("`expect` has another type than the result of the function, {is}")
        })?;
        Ok(CaseCall { args, expect })
    }
}

fn given(kind: ParamKind, value: &Value) -> Result<Given, CaseError> {
    use ParamKind::{Address, Bool, Bytes, Headers, Int, Text};
    let why = match (kind, value) {
        (Bool, Value::Boolean(value)) => return Ok(Given::Bool(*value)),
        (Int, Value::Integer(value)) => return Ok(Given::Int(*value)),
        (Text | Bytes, Value::String(text)) => return Ok(Given::Bytes(text.clone().into_bytes())),
        (Address, Value::String(text)) => return address(text).map(Given::Bytes),
        (Headers | Bytes, Value::Array(fields)) => return headers(fields).map(Given::Bytes),
        (Bool, _) => "the type is bool: write `true` or `false`",
        (Int, _) => "the type is int: write a whole number",
        (Text | Bytes, _) => "the type is text: write it in quotes",
        (Address, _) => "the type is address: write it in quotes",
        (Headers, _) => "the type is headers: write [[\"name\", \"value\"], …]",
    };
    Err(why.to_owned())
}

fn address(text: &str) -> Result<Vec<u8>, CaseError> {
    let address: IpAddr = text.parse().map_err(|_| {
        format!("`{}` is not an IP address: write one such as \"192.0.2.1\"", text.escape_debug())
    })?;
    // As the server passes it: an IPv4-mapped address is an IPv4 address.
    Ok(match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    })
}

struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl HeaderView for Fields<'_> {
    fn any_value<'s>(&'s self, name: &str, visit: &mut dyn FnMut(&'s [u8]) -> bool) -> bool {
        self.0.iter().any(|(have, value)| *have == name && visit(value.as_bytes()))
    }

    fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(have, _)| *have == name).map(|(_, value)| value.as_bytes())
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.0.iter().for_each(|(name, value)| visit(name.as_bytes(), value.as_bytes()));
    }
}

fn headers(fields: &[Value]) -> Result<Vec<u8>, CaseError> {
    let field = |value| match Value::as_array(value).map(Vec::as_slice) {
        Some([Value::String(name), Value::String(value)]) => Ok((name.as_str(), value.as_str())),
        _ => Err("a header must be a pair of texts: [\"name\", \"value\"]".to_owned()),
    };
    let fields = Fields(fields.iter().map(field).collect::<Result<_, CaseError>>()?);
    let mut packed = Vec::new();
    pack_headers(&fields, &mut packed, ARG_BYTES_MAX).map_err(|error| error.to_string())?;
    Ok(packed)
}

fn expected(result: ResultKind, value: &Value) -> Option<CallValue> {
    match (result, value) {
        (ResultKind::Bool, Value::Boolean(value)) => Some(CallValue::Bool(*value)),
        (ResultKind::Int, Value::Integer(value)) => Some(CallValue::Int(*value)),
        (ResultKind::Text, Value::String(text)) => Some(CallValue::Text(text.clone().into_bytes())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str) -> Result<CaseCall, CaseError> {
        use ParamKind::{Address, Bool, Headers, Int, Text};
        let kinds = [Bool, Int, Text, Address, Headers];
        let params: Vec<_> =
            ["a", "b", "c", "d", "e"].map(str::to_owned).into_iter().zip(kinds).collect();
        parse_cases("cases/a.toml", text)?.first().unwrap().call(&params, ResultKind::Text)
    }

    const GOOD: &str = "# first\n\n[[case]]\nname = \"n\"\nfunction = \"all_kinds\"\nexpect = \"x\"\n\
        args = { a = true, b = -1, c = \"é\", d = \"::ffff:192.0.2.1\", e = [[\"Host\", \"h\"]] }\n";

    #[test]
    fn every_kind_is_made_ready() {
        let call = call(GOOD).unwrap();
        let want: [Arg<'_>; 5] = [
            Arg::Bool(true),
            Arg::Int(-1),
            Arg::Bytes("é".as_bytes()),
            Arg::Bytes(&[192, 0, 2, 1]),
            Arg::Bytes(b"\x04\0\x01\0\0\0hosth"),
        ];
        assert!(call.args() == want);
        assert_eq!(call.expect, CallValue::Text(b"x".to_vec()));
        let cases = parse_cases("cases/a.toml", GOOD).unwrap();
        assert_eq!(cases[0].place, "cases/a.toml:3: case `n`");
    }

    #[test]
    fn mistakes_are_named_with_place_and_fix() {
        for (from, to, part) in [
            ("a = true", "a = 1", "`a`: the type is bool"),
            ("b = -1", "b = \"1\"", "`b`: the type is int"),
            ("c = \"é\"", "c = 1", "`c`: the type is text"),
            ("::ffff:192.0.2.1", "here", "`d`: `here` is not an IP address"),
            ("[[\"Host\", \"h\"]]", "[\"Host\"]", "`e`: a header must be a pair"),
            ("a = true, ", "", "lacks `a`: the function is all_kinds(a: bool, b: int, c: string"),
            ("a = true, ", "a = true, z = 1, ", "no parameter `z`"),
            ("expect = \"x\"", "expect = 1", "the result of the function, string"),
            ("expect = \"x\"", "expects = \"x\"", "expects"),
        ] {
            let error = call(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(part) && error.contains("cases/a.toml"), "{error}");
        }
    }

    fn with_sections(sections: &str) -> Vec<u8> {
        wat::parse_str(format!("(component {sections})")).unwrap()
    }

    #[test]
    fn the_cases_inside_are_those_of_the_component_itself() {
        let two = "(@custom \"seawall:cases\" \"one\") (@custom \"other\" \"x\")
            (component (@custom \"seawall:cases\" \"within\"))
            (@custom \"seawall:cases\" \" two\")";
        assert_eq!(cases_inside(&with_sections(two)).unwrap(), "one two");
        assert_eq!(cases_inside(&with_sections("")).unwrap(), "");
        let bytes = "(@custom \"seawall:cases\" \"\\ff\")";
        assert!(cases_inside(&with_sections(bytes)).unwrap_err().contains("not valid UTF-8"));
        let of = |length| format!("(@custom \"seawall:cases\" \"{}\")", "x".repeat(length));
        assert!(cases_inside(&with_sections(&of(CASES_BYTES_MAX))).is_ok());
        let long = cases_inside(&with_sections(&of(CASES_BYTES_MAX + 1))).unwrap_err();
        assert!(long.contains("more than 1048576 bytes"), "{long}");
    }
}
