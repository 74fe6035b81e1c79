//! `[rules]`: the keys whose components are accepted.

use minisign_verify::PublicKey;
use toml::de::DeTable;

use crate::diagnostics::Diagnostics;
use crate::document::Part;

/// Most keys.
pub const TRUSTED_KEYS_MAX: usize = 64;

/// Returns the keys of `trusted_keys`. An empty list is an error: its meaning is unclear.
pub(crate) fn trusted_keys(root: &DeTable<'_>, said: &mut Diagnostics<'_>) -> Vec<Box<str>> {
    let part = Part::of_root(root, "rules");
    let Some(list) = part.texts("trusted_keys", said) else { return Vec::new() };
    if list.value.is_empty() || list.value.len() > TRUSTED_KEYS_MAX {
        let help = "remove it if components need no signature".to_owned();
        let message = format!("`trusted_keys` must have 1 to {TRUSTED_KEYS_MAX} keys");
        said.push(list.at, message, Some(help));
        return Vec::new();
    }
    let mut keys = Vec::with_capacity(list.value.len());
    for text in list.value {
        if PublicKey::from_base64(text.value).is_ok() {
            keys.push(text.value.into());
            continue;
        }
        let help = "write the second line of a `.pub` file of minisign: RW…".to_owned();
        let message = format!("`{}` is not a minisign public key", text.value.escape_debug());
        said.push(text.at, message, Some(help));
    }
    keys
}
