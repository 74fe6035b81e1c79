//! Reading `seawall.toml` from the disk.

use std::path::Path;

use seawall_config::{CONFIG_BYTES_MAX, Config, ConfigError, EffectiveConfig};

use crate::policy_source::read_file;

/// Reads and checks the configuration file at `path`.
///
/// # Errors
/// Every error in it, each with its place; or why the file cannot be read.
pub fn load_config(path: &Path) -> Result<Config, ConfigError> {
    seawall_config::parse(path, &read(path)?)
}

/// Reads and checks as [`load_config`], and returns every effective value with its origin.
///
/// # Errors
/// Every error in it, each with its place; or why the file cannot be read.
pub fn effective_config(path: &Path) -> Result<EffectiveConfig, ConfigError> {
    seawall_config::effective(path, &read(path)?)
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    read_file::read(path, CONFIG_BYTES_MAX)
        .map_err(|error| ConfigError::whole(path, format!("the file cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = "[listen]\nhttp = [\"127.0.0.1:8080\"]\n[policy]\nfile = \"a.wall\"\n\
                            [state]\ndir = \"state\"\n[[site]]\nhosts = [\"a.example\"]\n\
                            origins = [\"http://127.0.0.1:9001\"]\n";

    #[test]
    fn the_file_has_a_largest_size_and_its_folder_is_the_start_of_paths() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seawall.toml");
        let mut text = SMALLEST.to_owned();
        let room = usize::try_from(CONFIG_BYTES_MAX).unwrap() - text.len();
        text.push_str(&"#".repeat(room));
        std::fs::write(&path, &text).unwrap();
        assert_eq!(load_config(&path).unwrap().state_dir, dir.path().join("state"));
        text.push('#');
        std::fs::write(&path, &text).unwrap();
        let said = load_config(&path).unwrap_err().to_string();
        assert!(said.ends_with(":1:1: the file cannot be read: it is larger than 1048576 bytes"));
    }

    #[test]
    fn a_file_that_does_not_exist_is_named() {
        let error = effective_config(Path::new("/nowhere/seawall.toml")).unwrap_err();
        let said = "/nowhere/seawall.toml:1:1: the file cannot be read: there is no such file";
        assert_eq!(error.to_string(), said);
    }
}
