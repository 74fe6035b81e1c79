//! A path with its ids taken out, so that a scan becomes one thing to count.
//!
//! Decision: a part of the path keeps its letters only where they are few and look like words;
//! whatever else it is becomes the name of its kind. So the number of shapes follows the site and
//! not the visitor, as far as that can be told from a path alone.
//!
//! Where this does not protect: a scan over words out of a dictionary has as many shapes as words.

mod part;

use part::Kind;

/// Bytes of a path that are read; no site of ours has longer ones, and 64 KiB must cost little.
const READ_BYTES_MAX: usize = 512;

/// Parts of a path that have a shape; what lies deeper becomes `/**`.
const PARTS_MAX: usize = 8;

/// The longest answer: eight parts of `/`, 24 letters and nothing more, an ending of `.` and 5
/// letters, and `/**`. 8 * 25 + 6 + 3.
pub const SHAPE_BYTES_MAX: usize = 209;

/// The shape of `path`: parts that are ids become `{n}` (a number), `{u}` (a UUID), `{h}` (hex),
/// `{d}` (a date), `{s}` (a slug with digits or many words), `{r}` (letters by chance) or `{t}`
/// (text of other kinds).
#[seawall_rule::export]
pub fn path_shape(path: &[u8]) -> String {
    let (read, cut) = match path.get(..READ_BYTES_MAX) {
        Some(read) => (read, path.len() > READ_BYTES_MAX),
        None => (path, false),
    };
    let mut parts = read.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).peekable();
    let mut shape = String::with_capacity(SHAPE_BYTES_MAX);
    let mut taken = 0;
    while let Some(part) = parts.next() {
        if taken == PARTS_MAX {
            shape.push_str("/**");
            return shape;
        }
        taken += 1;
        shape.push('/');
        if parts.peek().is_none() && !cut {
            push_last(&mut shape, part);
        } else {
            push(&mut shape, part);
        }
    }
    if cut {
        shape.push_str("/**");
    } else if shape.is_empty() {
        shape.push('/');
    }
    shape
}

/// The last part may be a file, whose ending tells more than its name.
fn push_last(shape: &mut String, part: &[u8]) {
    match part::split_ending(part) {
        Some((stem, ending)) => {
            push(shape, stem);
            shape.push('.');
            push_small(shape, ending);
        }
        None => push(shape, part),
    }
}

fn push(shape: &mut String, part: &[u8]) {
    // Whose pages they are is an id, and that they are somebody's is not.
    let (mark, name) = match part {
        [mark @ (b'~' | b'@'), name @ ..] if !name.is_empty() => (Some(*mark), name),
        _ => (None, part),
    };
    if let Some(mark) = mark {
        shape.push(char::from(mark));
        shape.push_str("{s}");
        return;
    }
    match part::kind(name) {
        Kind::Plain => push_small(shape, name),
        kind => shape.push_str(kind.name()),
    }
}

/// Plain parts are ASCII.
fn push_small(shape: &mut String, text: &[u8]) {
    shape.extend(text.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
}

#[cfg(test)]
mod tests;
