//! Removes exports of a foreign builder from a component.
//!
//! The builders of JavaScript and Python start the language runtime to the point where the rule's
//! functions can be called, and export its entry. The entry is not a function of the rule, and a
//! component with it would be rejected. Removing an export shifts the numbers of later items, so
//! the outer component is written again. Its content is copied byte for byte. Custom sections are
//! omitted: names for debuggers, which take megabytes.

use anyhow::{Result, anyhow, ensure};
use std::convert::Infallible;
use wasm_encoder::reencode::{Error, ReencodeComponent};
use wasm_encoder::{Component, ComponentExportSection, ComponentSectionId, RawSection};
use wasmparser::{
    ComponentExport, ComponentExportSectionReader, ComponentExternalKind, CustomSectionReader,
    Parser, Payload, Validator,
};

/// Returns the component with only the exports with these names.
///
/// # Errors
/// It is invalid, or a kept export needs a removed one.
pub(crate) fn expose(component: &[u8], names: &[&str]) -> Result<Vec<u8>> {
    let mut writer = Writer { names, funcs: Vec::new(), instances: Vec::new() };
    writer.find_hidden(component)?;
    let mut out = Component::new();
    writer
        .parse_component(&mut out, Parser::new(0), component)
        .map_err(|error| anyhow!("the component cannot be rewritten: {error}"))?;
    let out = out.finish();
    Validator::new().validate_all(&out).map_err(|error| {
        anyhow!(
            "the additional exports of the component cannot be removed: \
            {error}"
        )
    })?;
    Ok(out)
}

struct Writer<'n> {
    names: &'n [&'n str],
    /// Numbers of the functions of removed exports, in order.
    funcs: Vec<u32>,
    instances: Vec<u32>,
}

impl Writer<'_> {
    fn hides(&self, export: &ComponentExport<'_>) -> bool {
        let is_type = export.kind == ComponentExternalKind::Type;
        !is_type && !self.names.contains(&export.name.name)
    }

    /// Finds the removed exports. An export creates a new number: the next of its kind.
    fn find_hidden(&mut self, component: &[u8]) -> Result<()> {
        let (mut validator, mut depth) = (Validator::new(), 0_u32);
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload?;
            match &payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    let types = validator.types(0).ok_or_else(|| {
                        anyhow!(
                            "the file is not a \
                        component"
                        )
                    })?;
                    let counts =
                        (types.component_function_count(), types.component_instance_count());
                    self.note(exports.clone(), counts)?;
                }
                _ => {}
            }
            validator.payload(&payload)?;
        }
        Ok(())
    }

    fn note(
        &mut self,
        exports: ComponentExportSectionReader<'_>,
        (mut funcs, mut instances): (u32, u32),
    ) -> Result<()> {
        for export in exports {
            let export = export?;
            let (count, hidden) = match export.kind {
                ComponentExternalKind::Func => (&mut funcs, &mut self.funcs),
                ComponentExternalKind::Instance => (&mut instances, &mut self.instances),
                ComponentExternalKind::Type => continue,
                _ => {
                    let name = export.name.name;
                    ensure!(
                        !self.hides(&export),
                        "the component exports `{name}`, which is not a \
                        function"
                    );
                    continue;
                }
            };
            let number = *count;
            *count = count.saturating_add(1);
            if !self.names.contains(&export.name.name) {
                hidden.push(number);
            }
        }
        Ok(())
    }
}

/// Returns a number without the removed ones before it.
fn shifted(number: u32, hidden: &[u32]) -> u32 {
    let before = hidden.partition_point(|gone| *gone < number);
    number.saturating_sub(u32::try_from(before).unwrap_or(u32::MAX))
}

type Wrote = Result<(), Error<Infallible>>;

impl wasm_encoder::reencode::Reencode for Writer<'_> {
    type Error = Infallible;
}

impl ReencodeComponent for Writer<'_> {
    fn component_func_index(&mut self, number: u32) -> u32 {
        shifted(number, &self.funcs)
    }

    fn component_instance_index(&mut self, number: u32) -> u32 {
        shifted(number, &self.instances)
    }

    fn parse_component_submodule(
        &mut self,
        out: &mut Component,
        _: Parser,
        module: &[u8],
    ) -> Wrote {
        out.section(&RawSection { id: ComponentSectionId::CoreModule.into(), data: module });
        Ok(())
    }

    fn parse_component_subcomponent(
        &mut self,
        out: &mut Component,
        _: Parser,
        inner: &[u8],
        _: &[u8],
    ) -> Wrote {
        out.section(&RawSection { id: ComponentSectionId::Component.into(), data: inner });
        Ok(())
    }

    fn parse_component_custom_section(
        &mut self,
        _: &mut Component,
        _: CustomSectionReader<'_>,
    ) -> Wrote {
        Ok(())
    }

    fn parse_component_export_section(
        &mut self,
        out: &mut ComponentExportSection,
        exports: ComponentExportSectionReader<'_>,
    ) -> Wrote {
        for export in exports {
            let export = export?;
            if !self.hides(&export) {
                self.parse_component_export(out, export)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe;

    /// The output of a builder: an entry, an interface, and the rule's functions after them.
    const LEFT: &str = r#"(component
      (component $inner
        (core module $m
          (func (export "init") (result i32) (i32.const 0))
          (func (export "one") (result i64) (i64.const 1))
          (func (export "two") (result i32) (i32.const 2)))
        (core instance $i (instantiate $m))
        (func (export "init") (result bool) (canon lift (core func $i "init")))
        (func (export "one") (result s64) (canon lift (core func $i "one")))
        (func (export "two") (result bool) (canon lift (core func $i "two"))))
      (instance $i (instantiate $inner))
      (alias export $i "init" (func $init))
      (export "init" (func $init))
      (instance $more (export "init" (func $init)))
      (export "exports" (instance $more))
      (alias export $i "one" (func $one))
      (export "one" (func $one))
      (alias export $i "two" (func $two))
      (export "two" (func $two)))"#;

    #[test]
    fn what_is_no_function_of_the_rule_is_gone_and_the_rest_is_what_it_was() {
        let left = wat::parse_str(LEFT).unwrap();
        let told = describe(&expose(&left, &["one", "two"]).unwrap()).unwrap();
        let functions: Vec<String> = told.functions.iter().map(ToString::to_string).collect();
        assert_eq!(functions, ["one() -> int", "two() -> bool"]);
        let told = describe(&expose(&left, &["two"]).unwrap()).unwrap();
        assert_eq!(told.functions[0].to_string(), "two() -> bool");
        let error = expose(&left[..left.len() / 2], &["one"]).unwrap_err().to_string();
        assert!(!error.is_empty());
    }

    #[test]
    fn what_is_not_a_function_or_an_interface_is_named() {
        let module = r#"(component (core module $m) (export "m" (core module $m)))"#;
        let error = expose(&wat::parse_str(module).unwrap(), &[]).unwrap_err().to_string();
        assert!(error.contains("`m`, which is not a function"), "{error}");
    }
}
