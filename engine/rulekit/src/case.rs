//! Cases: what a rule must answer, as its author writes it, made ready for the sandbox.

use crate::describe::{Function, Kind};
use crate::files::case_files;
use anyhow::{Context, Result, anyhow, bail, ensure};
use seawall_model::HeaderView;
use seawall_wasm::{Answer, Arg, pack_headers};
use serde::Deserialize;
use std::net::IpAddr;
use std::path::Path;
use toml::{Spanned, Table, Value};

/// Bytes of one argument. The sandbox refuses longer ones by itself.
const ARG_BYTES_MAX: usize = 64 << 10;

/// What one call must answer.
#[derive(Debug, Clone)]
pub struct Case {
    /// `FILE:LINE: case `NAME``.
    pub place: String,
    /// What it shows.
    pub name: String,
    function: String,
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

/// The cases in `cases/*.toml` of a rule's folder.
///
/// # Errors
/// There are none, or one cannot be read; the message names file and line.
pub fn read_cases(rule: &Path) -> Result<Vec<Case>> {
    let mut all = Vec::new();
    for (file, text) in case_files(rule)? {
        all.extend(parse_cases(&file, &text)?);
    }
    ensure!(!all.is_empty(), "there are no cases: write some into `cases/*.toml`");
    Ok(all)
}

/// The cases of a text that stands in `file`.
///
/// # Errors
/// It is no list of cases; the message names file and line.
pub fn parse_cases(file: &str, text: &str) -> Result<Vec<Case>> {
    let cases: Cases = toml::from_str(text)
        .map_err(|error| anyhow!("{file}: {}", error.to_string().trim_end()))?;
    let made = cases.case.into_iter().map(|case| {
        let before = text.get(..case.span().start).unwrap_or_default();
        let line = before.matches('\n').count().saturating_add(1);
        let Written { name, function, expect, args } = case.into_inner();
        let place = format!("{file}:{line}: case `{}`", name.escape_debug());
        Case { place, name, function, expect, args }
    });
    Ok(made.collect())
}

/// A case that fits its component.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) place: String,
    /// Which of the component's functions.
    pub(crate) function: usize,
    args: Vec<Given>,
    pub(crate) expect: Answer,
}

#[derive(Debug, Clone)]
enum Given {
    Bool(bool),
    Int(i64),
    Bytes(Vec<u8>),
}

impl Call {
    pub(crate) fn args(&self) -> Vec<Arg<'_>> {
        let arg = |given| match given {
            &Given::Bool(value) => Arg::Bool(value),
            &Given::Int(value) => Arg::Int(value),
            Given::Bytes(bytes) => Arg::Bytes(bytes),
        };
        self.args.iter().map(arg).collect()
    }
}

impl Case {
    /// Makes it ready for these functions.
    pub(crate) fn call(&self, functions: &[Function]) -> Result<Call> {
        self.fitted(functions).with_context(|| self.place.clone())
    }

    fn fitted(&self, functions: &[Function]) -> Result<Call> {
        let at = functions.iter().position(|function| function.name() == self.function);
        let Some((at, function)) = at.and_then(|at| Some((at, functions.get(at)?))) else {
            let names: Vec<String> = functions.iter().map(|f| format!("`{}`", f.name())).collect();
            let names = names.join(", ");
            bail!("the component has no function `{}`; it has {names}", self.function);
        };
        let known = |name: &String| function.params.iter().any(|(param, _)| param == name);
        if let Some(extra) = self.args.keys().find(|name| !known(name)) {
            bail!("there is no parameter `{extra}`: the function is {function}");
        }
        let arg = |(name, kind): &(String, Kind)| {
            let value = self.args.get(name);
            let value = value
                .with_context(|| format!("`args` lacks `{name}`: the function is {function}"))?;
            given(*kind, value).with_context(|| format!("`{name}`"))
        };
        let args = function.params.iter().map(arg).collect::<Result<_>>()?;
        let expect = expected(function.result, &self.expect).with_context(|| {
            format!(
                "`expect` is of another type than the function's answer, {}",
                function.result.word()
            )
        })?;
        Ok(Call { place: self.place.clone(), function: at, args, expect })
    }
}

fn given(kind: Kind, value: &Value) -> Result<Given> {
    Ok(match (kind, value) {
        (Kind::Bool, Value::Boolean(value)) => Given::Bool(*value),
        (Kind::Int, Value::Integer(value)) => Given::Int(*value),
        (Kind::Text | Kind::Bytes, Value::String(text)) => Given::Bytes(text.clone().into_bytes()),
        (Kind::Address, Value::String(text)) => Given::Bytes(address(text)?),
        (Kind::Headers | Kind::Bytes, Value::Array(fields)) => Given::Bytes(headers(fields)?),
        (Kind::Bool, _) => bail!("it is a bool: write `true` or `false`"),
        (Kind::Int, _) => bail!("it is an int: write a whole number"),
        (Kind::Text | Kind::Bytes, _) => bail!("it is a text: write it between quotes"),
        (Kind::Address, _) => bail!("it is an address: write it between quotes"),
        (Kind::Headers, _) => bail!("they are headers: write [[\"name\", \"value\"], …]"),
        (Kind::Foreign, _) => bail!("it is of a type that no policy can hand over"),
    })
}

fn address(text: &str) -> Result<Vec<u8>> {
    let address: IpAddr = text.parse().with_context(|| {
        format!("`{}` is no address: write one such as \"192.0.2.1\"", text.escape_debug())
    })?;
    // As the host hands it over: an IPv4 address in IPv6 clothes is an IPv4 address.
    Ok(match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    })
}

struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl HeaderView for Fields<'_> {
    fn any_value(&self, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.iter().any(|(have, value)| *have == name && visit(value.as_bytes()))
    }

    fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(have, _)| *have == name).map(|(_, value)| value.as_bytes())
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.0.iter().for_each(|(name, value)| visit(name.as_bytes(), value.as_bytes()));
    }
}

fn headers(fields: &[Value]) -> Result<Vec<u8>> {
    let field = |value| match Value::as_array(value).map(Vec::as_slice) {
        Some([Value::String(name), Value::String(value)]) => Ok((name.as_str(), value.as_str())),
        _ => bail!("a field is a pair of texts: [\"name\", \"value\"]"),
    };
    let fields = Fields(fields.iter().map(field).collect::<Result<_>>()?);
    let mut packed = Vec::new();
    pack_headers(&fields, &mut packed, ARG_BYTES_MAX)?;
    Ok(packed)
}

fn expected(result: Kind, value: &Value) -> Option<Answer> {
    match (result, value) {
        (Kind::Bool, Value::Boolean(value)) => Some(Answer::Bool(*value)),
        (Kind::Int, Value::Integer(value)) => Some(Answer::Int(*value)),
        (Kind::Text | Kind::Bytes, Value::String(text)) => {
            Some(Answer::Text(text.clone().into_bytes()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function() -> Function {
        let kinds = [Kind::Bool, Kind::Int, Kind::Text, Kind::Address, Kind::Headers];
        let params = ["a", "b", "c", "d", "e"].map(str::to_owned).into_iter().zip(kinds).collect();
        Function { export: "all-kinds".into(), params, result: Kind::Text }
    }

    fn call(text: &str) -> Result<Call> {
        parse_cases("cases/a.toml", text)?.first().unwrap().call(&[function()])
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
        assert_eq!(call.expect, Answer::Text(b"x".to_vec()));
        assert_eq!(call.place, "cases/a.toml:3: case `n`");
    }

    #[test]
    fn mistakes_are_named_with_place_and_fix() {
        for (from, to, part) in [
            ("all_kinds", "none", "it has `all_kinds`"),
            ("a = true", "a = 1", "`a`: it is a bool"),
            ("b = -1", "b = \"1\"", "`b`: it is an int"),
            ("c = \"é\"", "c = 1", "`c`: it is a text"),
            ("::ffff:192.0.2.1", "here", "`d`: `here` is no address"),
            ("[[\"Host\", \"h\"]]", "[\"Host\"]", "`e`: a field is a pair"),
            ("a = true, ", "", "lacks `a`"),
            ("a = true, ", "a = true, z = 1, ", "no parameter `z`"),
            ("expect = \"x\"", "expect = 1", "answer, string"),
            ("expect = \"x\"", "expects = \"x\"", "expects"),
        ] {
            let error = format!("{:#}", call(&GOOD.replace(from, to)).unwrap_err());
            assert!(error.contains(part) && error.contains("cases/a.toml"), "{error}");
        }
    }
}
