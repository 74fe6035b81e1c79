//! Builds a world from the functions that `rule.toml` declares.
//!
//! Decision: some languages cannot express the types of the contract, so `rule.toml` declares the
//! types in one way for all of them. The author of the `extern` needs them there anyway.

use crate::Language;
use crate::component::world;
use crate::describe::{Function, Kind};
use anyhow::{Context, Result, bail, ensure};

/// Most parameters of a function. 6, as in the contract.
const PARAMS_MAX: usize = 6;

/// Most functions of a rule. 32, as in the sandbox.
const FUNCTIONS_MAX: usize = 32;

/// A function as written in `rule.toml`.
pub(crate) struct Written<'m> {
    pub(crate) name: &'m str,
    /// Each as `name: type`.
    pub(crate) params: Option<&'m [String]>,
    pub(crate) result: Option<&'m str>,
}

/// Returns the functions with their types.
pub(crate) fn functions<'m>(
    written: impl Iterator<Item = Written<'m>>,
    language: Language,
) -> Result<Vec<Function>> {
    let mut found: Vec<Function> = Vec::new();
    for function in written {
        let name = function.name;
        let read = read(&function, language).with_context(|| format!("function `{name}`"))?;
        ensure!(
            !found.iter().any(|have| have.export == read.export),
            "there are two functions \
            `{name}`"
        );
        found.push(read);
    }
    ensure!(
        (1..=FUNCTIONS_MAX).contains(&found.len()),
        "rule.toml declares {} functions; a rule in {} needs 1 to {FUNCTIONS_MAX}, each below \
         `[[function]]` with `params` and `result`",
        found.len(),
        language.name()
    );
    Ok(found)
}

fn read(written: &Written<'_>, language: Language) -> Result<Function> {
    let export = name(written.name)?;
    ensure!(
        !language.taken().contains(&written.name),
        "the name is a keyword of {}: use `{}_rule`",
        language.name(),
        written.name
    );
    let (Some(params), Some(result)) = (written.params, written.result) else {
        bail!(
            "`params` and `result` are missing, such as `params = [\"ua: string\"]` and `result = \"int\"`"
        );
    };
    ensure!(params.len() <= PARAMS_MAX, "the function has more than {PARAMS_MAX} parameters");
    let mut kinds: Vec<(String, Kind)> = Vec::new();
    for param in params {
        let read = self::param(param)?;
        ensure!(
            !kinds.iter().any(|(have, _)| *have == read.0),
            "there are two parameters `{}`",
            read.0
        );
        kinds.push(read);
    }
    let result = match result {
        "bool" => Kind::Bool,
        "int" => Kind::Int,
        "string" => Kind::Text,
        other => bail!("`result` is `{}`: use bool, int or string", other.escape_debug()),
    };
    Ok(Function { export, params: kinds, result })
}

fn param(text: &str) -> Result<(String, Kind)> {
    let Some((param, kind)) = text.split_once(':') else {
        bail!(
            "`{}` is not a valid parameter: write one such as \"ua: string\"",
            text.escape_debug()
        );
    };
    let kind = match kind.trim() {
        "bool" => Kind::Bool,
        "int" => Kind::Int,
        "string" => Kind::Text,
        "ip" => Kind::Address,
        "headers" => Kind::Headers,
        other => bail!(
            "`{param}` has the type `{}`: use bool, int, string, ip or headers",
            other.escape_debug()
        ),
    };
    name(param.trim())?;
    Ok((param.trim().to_owned(), kind))
}

/// Returns the name in the component: `-` for `_`.
fn name(name: &str) -> Result<String> {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    ensure!(
        name.split('_').all(is_word),
        "`{}` is not a valid name: use lower-case words joined by `_`, each beginning with a \
         letter",
        name.escape_debug()
    );
    Ok(name.replace('_', "-"))
}

/// Returns the world of a rule with these functions.
pub(crate) fn world_of(name: &str, functions: &[Function]) -> String {
    world(name, &functions.iter().map(export_line).collect::<String>())
}

fn export_line(function: &Function) -> String {
    let word = |kind: &Kind| match kind {
        Kind::Bool => "bool",
        Kind::Int => "s64",
        Kind::Address => "address",
        Kind::Headers => "headers",
        Kind::Text | Kind::Bytes | Kind::Foreign => "text",
    };
    let param =
        |(name, kind): &(String, Kind)| format!("%{}: {}", name.replace('_', "-"), word(kind));
    let params: Vec<String> = function.params.iter().map(param).collect();
    format!(
        "export %{}: func({}) -> {};\n",
        function.export,
        params.join(", "),
        word(&function.result)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, params: &[&str], result: &str) -> Result<Vec<Function>> {
        let params: Vec<String> = params.iter().map(ToString::to_string).collect();
        let written = Written { name, params: Some(&params), result: Some(result) };
        functions(std::iter::once(written), Language::JavaScript)
    }

    #[test]
    fn declared_functions_make_a_world() {
        let params = ["ok: bool", "n: int", "ua:string", "who : ip", "all_of: headers"];
        let made = one("header_oddness", &params, "string").unwrap();
        assert_eq!(made[0].name(), "header_oddness");
        assert_eq!(
            world_of("x", &made),
            "package seawall:built;\n\nworld %x {\nuse seawall:rule/types@0.1.0.{text, address, \
             headers};\nexport %header-oddness: func(%ok: bool, %n: s64, %ua: text, %who: address, \
             %all-of: headers) -> text;\n}\n"
        );
    }

    #[test]
    fn mistakes_name_the_function_and_the_fix() {
        for (name, params, result, part) in [
            ("a-b", vec![], "int", "lower-case words joined by `_`"),
            ("a_1", vec![], "int", "beginning with a letter"),
            ("delete", vec![], "int", "a keyword of JavaScript: use `delete_rule`"),
            ("a", vec!["ua"], "int", "such as \"ua: string\""),
            ("a", vec!["ua: text"], "int", "string, ip or headers"),
            ("a", vec!["U: int"], "int", "`U` is not a valid name"),
            ("a", vec!["b: int", "b: int"], "int", "two parameters `b`"),
            ("a", vec!["b: int"; 7], "int", "more than 6"),
            ("a", vec![], "ip", "use bool, int or string"),
        ] {
            let error = format!("{:#}", one(name, &params, result).unwrap_err());
            assert!(error.contains(part) && error.contains(&format!("`{name}`")), "{error}");
        }
        let none = functions(std::iter::empty(), Language::Python).unwrap_err().to_string();
        assert!(none.contains("`[[function]]`") && none.contains("Python"), "{none}");
        let bare = || Written { name: "a", params: None, result: Some("int") };
        let error =
            format!("{:#}", functions(std::iter::once(bare()), Language::Python).unwrap_err());
        assert!(error.contains("`params` and `result` are missing"), "{error}");
        let whole = || Written { params: Some(&[]), ..bare() };
        let error = functions([whole(), whole()].into_iter(), Language::Python).unwrap_err();
        assert!(error.to_string().contains("two functions `a`"), "{error}");
        let many = (0..33).map(|_| whole());
        assert!(functions(many, Language::Python).is_err());
    }
}
