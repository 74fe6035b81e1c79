//! What the requests of one tool have in common, as a short text to count by.
//!
//! Addresses are cheap for an attacker and programs are not: ten thousand rented machines mostly run
//! one tool, which sends the same fields in the same order. Decision: only what one client repeats
//! counts (names and their order, and the values that a program sets rather than a person), and
//! nothing that can be varied for free: fields that nobody knows count once however many there are,
//! and digits in the User-Agent and the languages are alike.
//!
//! Where this does not protect: all people with the same browser share a print, and whoever copies
//! that browser whole shares it too.

mod fields;
mod hash;

use fields::Field;
use hash::Hash;
use seawall_rule::Headers;

/// Fields that are read, in the order of the wire.
const FIELDS_MAX: usize = 128;

/// Bytes of one value that are read: a browser's are shorter.
const VALUE_BYTES_MAX: usize = 256;

/// Bytes of all values together that are read: a browser sends about 500 of them.
const VALUES_BYTES_MAX: usize = 2_048;

/// The longest answer: a letter, three digits, `-` and 16 digits.
pub const PRINT_BYTES_MAX: usize = 21;

/// The print of a request: a letter for what its User-Agent claims (`c` Chromium, `f` Firefox, `s`
/// Safari, `m` a machine that says so, `o` something else, `n` nothing), the number of fields that
/// count, and a hash of these, such as `c12-8f3a9c1d20b4e675`.
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
