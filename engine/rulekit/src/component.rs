//! Builds a component with its test vectors from a core module of the SDK.

pub(crate) mod sections;

use self::sections::{CASES, imports, section};
use crate::describe::{Function, describe};
use crate::strip_exports::expose;
use anyhow::{Context, Result, bail, ensure};
use wasmparser::{Parser, Payload, Validator};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// The contract between Seawall and its rules.
pub const CONTRACT: &str = include_str!("../../../rule-sdk/wit/seawall-rule.wit");

/// Builds a valid component from the core module of the rule `name`, with its test vectors.
///
/// # Errors
/// The module exports nothing, imports something, or violates the contract.
pub fn assemble(module: Vec<u8>, name: &str, cases: &str) -> Result<Vec<u8>> {
    let mut component = encode(module, name)?;
    append_section(&mut component, CASES, cases.as_bytes());
    Validator::new().validate_all(&component).context("the component is invalid")?;
    if let Some(import) = imports(&component)?.first() {
        bail!("the component imports `{import}`; a rule cannot have imports");
    }
    Ok(component)
}

/// Builds a valid component from the output of another builder, with only the rule's functions and
/// its test vectors.
///
/// # Errors
/// It imports something, or lacks a function.
pub fn into_component(component: &[u8], functions: &[Function], cases: &str) -> Result<Vec<u8>> {
    let names: Vec<&str> = functions.iter().map(|function| function.export.as_str()).collect();
    let mut component = expose(component, &names)?;
    append_section(&mut component, CASES, cases.as_bytes());
    if let Some(import) = imports(&component)?.first() {
        bail!("the component imports `{import}`; a rule cannot have imports");
    }
    let told = describe(&component)?;
    for function in functions {
        ensure!(
            told.functions.contains(function),
            "the component has no function {function}, which rule.toml declares"
        );
    }
    Ok(component)
}

fn encode(mut module: Vec<u8>, name: &str) -> Result<Vec<u8>> {
    if let Some(import) = core_imports(&module)?.first() {
        bail!(
            "the rule imports `{import}`; a rule cannot have imports: remove uses of clock, files, \
             network and random numbers, also in libraries"
        );
    }
    let exports = section(&module, "seawall:exports")?;
    ensure!(
        !exports.is_empty(),
        "the rule exports no function: write `#[seawall_rule::export]` before a `fn`"
    );
    let exports = String::from_utf8(exports).context(
        "the section `seawall:exports` is not valid \
        UTF-8",
    )?;
    let mut resolve = Resolve::default();
    resolve.push_str("seawall-rule.wit", CONTRACT).context("rule-sdk/wit/seawall-rule.wit")?;
    let world = world(name, &exports);
    let package =
        resolve.push_str("world.wit", &world).with_context(|| format!("the world is\n{world}"))?;
    let world = resolve.select_world(&[package], None)?;
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().validate(true).module(&module)?.encode()
}

/// Returns the world of the rule: its exports, and the type names that it uses.
pub(crate) fn world(name: &str, exports: &str) -> String {
    let used: Vec<&str> = ["text", "address", "headers"]
        .into_iter()
        .filter(|kind| {
            exports.contains(&format!(": {kind}")) || exports.contains(&format!("> {kind}"))
        })
        .collect();
    let names = match used.as_slice() {
        [] => String::new(),
        used => format!("use seawall:rule/types@0.1.0.{{{}}};\n", used.join(", ")),
    };
    format!("package seawall:built;\n\nworld %{name} {{\n{names}{exports}}}\n")
}

/// Appends a custom section: id 0, the size of the rest, the length of the name, the name, the
/// data.
fn append_section(wasm: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut body = leb128(name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(data);
    wasm.push(0);
    wasm.extend(leb128(body.len()));
    wasm.extend(body);
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        // The mask keeps seven bits.
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

/// Returns the imports of a core module, as `module::name`.
fn core_imports(module: &[u8]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(imports) = payload? {
            for import in imports.into_imports() {
                let import = import?;
                found.push(format!("{}::{}", import.module, import.name));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a core module as the attribute and the compiler produce it: one type, one function,
    /// its export, its body, and the line of WIT.
    pub(crate) fn module(wit: &str) -> Vec<u8> {
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        wasm.extend([1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f]);
        wasm.extend([3, 2, 1, 0]);
        wasm.extend([7, 7, 1, 3, b'n', b'o', b't', 0, 0]);
        wasm.extend([10, 7, 1, 5, 0, 0x20, 0, 0x45, 0x0b]);
        if !wit.is_empty() {
            append_section(&mut wasm, "seawall:exports", wit.as_bytes());
        }
        wasm
    }

    #[test]
    fn a_module_becomes_a_component_that_imports_nothing() {
        let wit = "export %not: func(%it: bool) -> bool;\n";
        let component = assemble(module(wit), "not", "[[case]]\n").unwrap();
        assert_eq!(section(&component, CASES).unwrap(), b"[[case]]\n");
        assert!(imports(&component).unwrap().is_empty());
    }

    #[test]
    fn a_module_without_an_export_names_the_fix() {
        let error = encode(module(""), "not").unwrap_err().to_string();
        assert!(error.contains("#[seawall_rule::export]"), "{error}");
    }

    #[test]
    fn a_module_that_asks_for_something_is_refused_by_the_name_of_it() {
        let wat = r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#;
        let error = encode(wat::parse_str(wat).unwrap(), "not").unwrap_err().to_string();
        assert!(error.contains("`wasi_snapshot_preview1::fd_write`"), "{error}");
    }

    #[test]
    fn a_world_that_the_module_does_not_serve_is_refused() {
        let wit = "export %other: func() -> s64;\n";
        assert!(encode(module(wit), "other").is_err());
        let no_wit = "export %not: func(%it: nonsense) -> bool;\n";
        let error = format!("{:#}", encode(module(no_wit), "not").unwrap_err());
        assert!(error.contains("nonsense"), "{error}");
    }

    #[test]
    fn a_world_uses_the_names_that_it_needs() {
        let plain = world("a", "export %a: func(%text: bool) -> s64;\n");
        assert!(!plain.contains("use"), "{plain}");
        let both = world("a", "export %a: func(%it: headers) -> text;\n");
        assert!(both.contains("types@0.1.0.{text, headers};"), "{both}");
    }

    #[test]
    fn lengths_are_written_as_wasm_wants_them() {
        assert_eq!(leb128(0), [0]);
        assert_eq!(leb128(127), [127]);
        assert_eq!(leb128(128), [0x80, 1]);
        assert_eq!(leb128(624_485), [0xe5, 0x8e, 0x26]);
    }

    #[test]
    fn the_contract_is_the_one_that_its_page_describes() {
        let page = include_str!("../../../docs/rule-abi.md");
        let hash = crate::sha256(CONTRACT.as_bytes());
        assert!(page.contains(&hash), "the contract changed: describe it, then pin {hash}");
    }
}
