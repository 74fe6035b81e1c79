//! Describes a component without running it.

use crate::component::sections::{CASES, imports, section};
use crate::sha256;
use anyhow::{Context, Result, bail};
use std::fmt;
use wasmparser::{Parser, Payload, Validator};
use wit_parser::decoding::{DecodedWasm, decode};
use wit_parser::{Resolve, Type, TypeDefKind, WorldItem};

/// Bytes of a page of linear memory, unless a module says otherwise.
const PAGE_LOG2: u32 = 16;

/// The type of a parameter or result, in the policy language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `bool`
    Bool,
    /// `s64`
    Int,
    /// `text`
    Text,
    /// `address`
    Address,
    /// `headers`
    Headers,
    /// `list<u8>` under an alias that is not in the contract.
    Bytes,
    /// A type that no policy can pass.
    Foreign,
}

impl Kind {
    /// Returns the word of the type.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Text => "string",
            Self::Address => "ip",
            Self::Headers => "headers",
            Self::Bytes => "bytes",
            Self::Foreign => "something else",
        }
    }
}

/// An exported function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name in the component, with `-`.
    pub export: String,
    /// Names and types, in order. The names are those of the policy.
    pub params: Vec<(String, Kind)>,
    /// The type of its result.
    pub result: Kind,
}

impl Function {
    /// Returns its name in a policy.
    #[must_use]
    pub fn name(&self) -> String {
        plain(&self.export)
    }

    /// Returns its parameters as a policy declares them.
    #[must_use]
    pub fn params_text(&self) -> String {
        let params: Vec<String> =
            self.params.iter().map(|(name, kind)| format!("{name}: {}", kind.word())).collect();
        params.join(", ")
    }
}

/// The start of its `extern`.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}) -> {}", self.name(), self.params_text(), self.result.word())
    }
}

/// The description of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Bytes of the file.
    pub bytes: usize,
    /// The SHA-256 of the file.
    pub sha256: String,
    /// What it exports.
    pub functions: Vec<Function>,
    /// The imports; a rule has none.
    pub imports: Vec<String>,
    /// Initial bytes of linear memory.
    pub memory_bytes: u64,
    /// Maximum bytes of linear memory, if the component declares one.
    pub memory_bytes_max: Option<u64>,
    /// The text of the test vectors inside.
    pub cases: String,
}

/// Reads a component.
///
/// # Errors
/// It is invalid: truncated, damaged, or not a component.
pub fn describe(wasm: &[u8]) -> Result<Description> {
    Validator::new()
        .validate_all(wasm)
        .context("the file is truncated, damaged or not WebAssembly")?;
    if Parser::is_core_wasm(wasm) {
        bail!("the file is a core module, not a component: build it with `seawall rule build`");
    }
    let (memory_bytes, memory_bytes_max) = memory(wasm)?;
    Ok(Description {
        bytes: wasm.len(),
        sha256: sha256(wasm),
        functions: functions(wasm)?,
        imports: imports(wasm)?,
        memory_bytes,
        memory_bytes_max,
        cases: String::from_utf8(section(wasm, CASES)?).context(
            "the component tests are not valid \
            UTF-8",
        )?,
    })
}

/// Returns the initial and the maximum size of all memories inside.
fn memory(wasm: &[u8]) -> Result<(u64, Option<u64>)> {
    let (mut least, mut most) = (0_u64, Some(0_u64));
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::MemorySection(memories) = payload? else { continue };
        for memory in memories {
            let memory = memory?;
            let page = 1_u64.checked_shl(memory.page_size_log2.unwrap_or(PAGE_LOG2)).unwrap_or(1);
            least = least.saturating_add(memory.initial.saturating_mul(page));
            let max = memory.maximum.map(|pages| pages.saturating_mul(page));
            most = most.zip(max).map(|(sum, max)| sum.saturating_add(max));
        }
    }
    Ok((least, most))
}

fn functions(wasm: &[u8]) -> Result<Vec<Function>> {
    let DecodedWasm::Component(resolve, world) = decode(wasm).context("its types")? else {
        bail!("the file is a WIT package, not a component");
    };
    let world = resolve.worlds.get(world).context("its world")?;
    let items = world.exports.values();
    let functions = items.filter_map(|item| match item {
        WorldItem::Function(function) => Some(Function {
            export: function.name.clone(),
            params: function
                .params
                .iter()
                .map(|param| (plain(&param.name), kind(&resolve, param.ty)))
                .collect(),
            result: function.result.map_or(Kind::Foreign, |ty| kind(&resolve, ty)),
        }),
        _ => None,
    });
    Ok(functions.collect())
}

/// Converts a name of WIT to a name in a policy.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// Resolves type aliases until a type is known.
fn kind(resolve: &Resolve, mut ty: Type) -> Kind {
    loop {
        let id = match ty {
            Type::Bool => return Kind::Bool,
            Type::S64 => return Kind::Int,
            Type::Id(id) => id,
            _ => return Kind::Foreign,
        };
        let Some(def) = resolve.types.get(id) else { return Kind::Foreign };
        let is_bytes = is_bytes(resolve, ty);
        match def.name.as_deref() {
            Some("text") if is_bytes => return Kind::Text,
            Some("address") if is_bytes => return Kind::Address,
            Some("headers") if is_bytes => return Kind::Headers,
            _ => {}
        }
        match def.kind {
            TypeDefKind::Type(inner) => ty = inner,
            TypeDefKind::List(Type::U8) => return Kind::Bytes,
            _ => return Kind::Foreign,
        }
    }
}

fn is_bytes(resolve: &Resolve, mut ty: Type) -> bool {
    while let Type::Id(id) = ty {
        match resolve.types.get(id).map(|def| &def.kind) {
            Some(TypeDefKind::Type(inner)) => ty = *inner,
            Some(TypeDefKind::List(Type::U8)) => return true,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assemble, component::tests::module};

    const GUESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/guests");

    fn guest(name: &str) -> Vec<u8> {
        wat::parse_file(format!("{GUESTS}/{name}.wat")).unwrap()
    }

    #[test]
    fn a_built_component_tells_names_kinds_and_cases() {
        let wit = "export %not: func(%it: bool) -> bool;\n";
        let wasm = assemble(module(wit), "not", "[[case]]\n").unwrap();
        let told = describe(&wasm).unwrap();
        assert_eq!(told.functions[0].to_string(), "not(it: bool) -> bool");
        assert_eq!((told.bytes, told.cases.as_str()), (wasm.len(), "[[case]]\n"));
        assert!(told.imports.is_empty() && told.sha256.len() == 64);
    }

    #[test]
    fn imports_memory_and_foreign_kinds_are_told() {
        let told = describe(&guest("import-wasi")).unwrap();
        assert_eq!(told.imports, ["wasi:clocks/monotonic-clock@0.2.0"]);
        let told = describe(&guest("wrong-kind")).unwrap();
        let kinds = told.functions.iter().flat_map(|f| f.params.iter().map(|(_, kind)| *kind));
        assert!(kinds.chain(told.functions.iter().map(|f| f.result)).any(|k| k == Kind::Foreign));
        assert!(describe(&guest("wide-memory")).unwrap().memory_bytes > 1 << 20);
    }

    #[test]
    fn what_is_cut_off_is_refused_or_lacks_something() {
        let whole = guest("honest");
        let all = describe(&whole).unwrap();
        for len in 0..whole.len() {
            // Cut between two sections, it is still a component, with less content.
            assert!(describe(&whole[..len]).map_or(true, |told| told != all), "{len} bytes");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x11;
            // For any damage, reading ends.
            let _ = describe(&damaged);
        }
        let error = format!("{:#}", describe(&whole[..whole.len() / 2]).unwrap_err());
        assert!(error.contains("truncated"), "{error}");
        let error = describe(&guest("core-module")).unwrap_err().to_string();
        assert!(error.contains("seawall rule build"), "{error}");
    }
}
