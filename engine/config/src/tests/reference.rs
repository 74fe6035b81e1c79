//! The generated files of the repository match the declarations.

use std::path::Path;

use crate::{reference, schema};

/// Compares a generated file of the repository, or writes it if `SEAWALL_WRITE_REFERENCE` is set.
#[track_caller]
fn compare(file: &str, generated: impl FnOnce(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let generated = generated(&found);
    if std::env::var_os("SEAWALL_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    } else {
        assert!(
            found == generated,
            "{file} is not what it is generated as: `cargo xtask reference`"
        );
    }
}

#[test]
fn the_table_of_settings_is_in_the_page_of_limits() {
    compare("docs/limits.md", |page| reference::replace(page).expect("the marks of the table"));
}

#[test]
fn the_schema_is_in_the_package() {
    compare("packaging/seawall.schema.json", |_| schema::text());
}
