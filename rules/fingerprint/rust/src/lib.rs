//! Returns what the requests of one tool have in common, as a short text for counters.
//!
//! Attackers can change addresses more easily than programs: ten thousand rented machines mostly
//! run one tool with the same fields in the same order. Decision: only properties that one client
//! repeats count: names, their order, and values that a program sets. Properties that cost nothing
//! to vary do not count: all unknown fields count once, and digits in the User-Agent and the
//! languages are equal.
//!
//! Limitation: all clients with the same browser have the same fingerprint, and so has a complete
//! copy of that browser.

mod fields;
mod hash;

use fields::Field;
use hash::Hash;
use seawall_rule::Headers;

/// Most fields that are read, in the order of arrival.
const FIELDS_MAX: usize = 128;

/// Most bytes of one value that are read; those of a browser are shorter.
const VALUE_BYTES_MAX: usize = 256;

/// Most bytes of all values together that are read; a browser sends about 500.
const VALUES_BYTES_MAX: usize = 2_048;

/// Longest result: a letter, three digits, `-` and 16 digits.
pub const PRINT_BYTES_MAX: usize = 21;

/// Returns the fingerprint of a request: a letter for the claim of its User-Agent (`c` Chromium,
/// `f` Firefox, `s` Safari, `m` a declared machine, `o` other, `n` none), the number of used
/// fields, and their hash, such as `c12-8f3a9c1d20b4e675`.
#[seawall_rule::export]
pub fn fingerprint(all: Headers<'_>) -> String {
    let mut hash = Hash::new();
    let mut counted = 0_usize;
    let mut claim = 'n';
    let mut unknown = false;
    let mut bytes_left = VALUES_BYTES_MAX;
    for (name, value) in all.take(FIELDS_MAX) {
        let field = fields::field(name);
        let read = value.get(..VALUE_BYTES_MAX.min(bytes_left)).unwrap_or(value);
        match field {
            Field::Passing => continue,
            Field::Unknown => {
                unknown = true;
                continue;
            }
            Field::Name => hash.text(name),
            Field::Value => {
                hash.text(name);
                hash.text(read);
                bytes_left -= read.len();
            }
            Field::Folded => {
                hash.text(name);
                hash.folded(read);
                bytes_left -= read.len();
                if claim == 'n' && name == b"user-agent" {
                    claim = fields::claim(read);
                }
            }
        }
        counted += 1;
    }
    hash.text(if unknown { b"?" } else { b"" });
    format!("{claim}{counted}-{:016x}", hash.finish())
}

#[cfg(test)]
mod tests;
