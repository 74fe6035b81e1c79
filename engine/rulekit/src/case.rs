//! Reads the test vectors of a rule from its folder, and compares them with its functions.

use crate::describe::{Function, Kind};
use crate::files::case_files;
use anyhow::{Context, Result, anyhow, ensure};
use seawall_wasm::{Case, CaseCall, ParamKind, ResultKind, parse_cases};
use std::path::Path;

/// Returns the test vectors in `cases/*.toml` of a rule's folder.
///
/// # Errors
/// There are none, or one cannot be read; the message contains file and line.
pub fn read_cases(rule: &Path) -> Result<Vec<Case>> {
    let mut all = Vec::new();
    for (file, text) in case_files(rule)? {
        all.extend(parse_cases(&file, &text).map_err(|why| anyhow!(why))?);
    }
    ensure!(!all.is_empty(), "there are no component tests: add some in `cases/*.toml`");
    Ok(all)
}

/// A test vector that matches its component.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) place: String,
    /// The number of the function in the component.
    pub(crate) function: usize,
    pub(crate) asked: CaseCall,
}

impl Call {
    /// Converts a test vector to a call of one of these functions.
    pub(crate) fn new(case: &Case, functions: &[Function]) -> Result<Self> {
        let found = functions.iter().enumerate().find(|(_, have)| have.name() == case.function);
        let (at, function) = found.with_context(|| {
            let names: Vec<String> = functions.iter().map(|f| format!("`{}`", f.name())).collect();
            let names = names.join(", ");
            format!(
                "{}: the component has no function `{}`; it has {names}",
                case.place, case.function
            )
        })?;
        let handed = |(name, kind): &(String, Kind)| Some((name.clone(), param(*kind)?));
        let params: Option<Vec<_>> = function.params.iter().map(handed).collect();
        let (Some(params), Some(result)) = (params, result(function.result)) else {
            return Err(anyhow!(
                "{}: {function} has a type that policies do not support",
                case.place
            ));
        };
        let asked = case.call(&params, result).map_err(|why| anyhow!(why))?;
        Ok(Self { place: case.place.clone(), function: at, asked })
    }
}

/// Returns the kind of a parameter for the sandbox; `None` if a policy cannot pass it.
pub(crate) const fn param(kind: Kind) -> Option<ParamKind> {
    Some(match kind {
        Kind::Bool => ParamKind::Bool,
        Kind::Int => ParamKind::Int,
        Kind::Text => ParamKind::Text,
        Kind::Address => ParamKind::Address,
        Kind::Headers => ParamKind::Headers,
        Kind::Bytes => ParamKind::Bytes,
        Kind::Foreign => return None,
    })
}

/// Returns the kind of a result for the sandbox; `None` if a policy cannot use it.
pub(crate) const fn result(kind: Kind) -> Option<ResultKind> {
    match kind {
        Kind::Bool => Some(ResultKind::Bool),
        Kind::Int => Some(ResultKind::Int),
        Kind::Text | Kind::Bytes => Some(ResultKind::Text),
        Kind::Address | Kind::Headers | Kind::Foreign => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(params: &[(&str, Kind)], result: Kind) -> Result<Call> {
        let text = "[[case]]\nname = \"n\"\nfunction = \"a_b\"\nexpect = 1\nargs = { x = \"y\" }\n";
        let cases = parse_cases("cases/a.toml", text).unwrap();
        let params = params.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        let export = "a-b".to_owned();
        Call::new(&cases[0], &[Function { export, params, result }])
    }

    #[test]
    fn a_case_finds_its_function_by_the_policys_name() {
        let call = called(&[("x", Kind::Text)], Kind::Int).unwrap();
        assert_eq!((call.function, &*call.place), (0, "cases/a.toml:1: case `n`"));
        assert_eq!(call.asked.expect, seawall_wasm::CallValue::Int(1));
    }

    #[test]
    fn what_fits_no_function_says_so() {
        let cases = parse_cases("cases/a.toml", "[[case]]\nname=\"n\"\nfunction=\"f\"\nexpect=1\n");
        let none = Call::new(&cases.unwrap()[0], &[]).unwrap_err().to_string();
        assert!(none.contains("has no function `f`"), "{none}");
        for (params, result, part) in [
            (&[("x", Kind::Foreign)][..], Kind::Int, "policies do not support"),
            (&[("x", Kind::Text)], Kind::Headers, "policies do not support"),
            (&[("z", Kind::Text)], Kind::Int, "no parameter `x`"),
        ] {
            let error = called(params, result).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("cases/a.toml:1"), "{error}");
        }
    }
}
