//! The top level of a component: its custom sections and imports.

use anyhow::Result;
use wasmparser::{ComponentTypeRef, Parser, Payload, TypeBounds};

/// The custom section with the test vectors of a rule.
pub(crate) const CASES: &str = "seawall:cases";

/// The only allowed import: the interface with type names. A world that uses them imports the
/// instance and each name; neither can be called.
const TYPES: &str = "seawall:rule/types@0.1.";

/// Returns the bytes of all custom sections with this name at the top level of a module or
/// component, concatenated.
pub(crate) fn section(wasm: &[u8], name: &str) -> Result<Vec<u8>> {
    let (mut found, mut depth) = (Vec::new(), 0_u32);
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        depth = deeper(&payload, depth);
        if let Payload::CustomSection(section) = payload
            && section.name() == name
            && depth == 0
        {
            found.extend_from_slice(section.data());
        }
    }
    Ok(found)
}

/// Returns how many modules and components are open after this payload.
fn deeper(payload: &Payload<'_>, depth: u32) -> u32 {
    match payload {
        Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth.saturating_add(1),
        Payload::End(_) => depth.saturating_sub(1),
        _ => depth,
    }
}

/// Returns the imports of a component. Type names are ignored.
pub(crate) fn imports(component: &[u8]) -> Result<Vec<String>> {
    let (mut found, mut depth) = (Vec::new(), 0_u32);
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        depth = deeper(&payload, depth);
        let Payload::ComponentImportSection(imports) = payload else { continue };
        for import in imports.into_iter().filter(|_| depth == 0) {
            let import = import?;
            let name = import.name.name;
            let only_names = match import.ty {
                ComponentTypeRef::Type(TypeBounds::Eq(_)) => true,
                ComponentTypeRef::Instance(_) => name.starts_with(TYPES),
                _ => false,
            };
            if !only_names {
                found.push(name.to_owned());
            }
        }
    }
    Ok(found)
}
