//! Returns a path without its ids, so that all requests of a scan have one key.
//!
//! Decision: a segment keeps its letters only if they are few and look like words; any other
//! segment becomes the name of its kind. The number of shapes therefore depends on the site and not
//! on the client, as far as a path alone can show.
//!
//! Limitation: a scan with words of a dictionary has as many shapes as words.

mod part;

use part::Kind;

/// Most bytes of a path that are read; normal paths are shorter, and 64 KiB must cost little.
const READ_BYTES_MAX: usize = 512;

/// Most segments with a shape; deeper ones become `/**`.
const PARTS_MAX: usize = 8;

/// Longest result: eight segments of `/` and 24 letters, an extension of `.` and 5 letters, and
/// `/**`. 8 * 25 + 6 + 3.
pub const SHAPE_BYTES_MAX: usize = 209;

/// Returns the shape of `path`. Ids become `{n}` (a number), `{u}` (a UUID), `{h}` (hex), `{d}` (a
/// date), `{s}` (a slug with digits or many words), `{r}` (random letters) or `{t}` (other text).
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

/// Adds the last segment, which can be a file: its extension says more than its name.
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
    // The name of a user is an id; the mark that it is a user stays.
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

/// Adds an ASCII segment in lower case.
fn push_small(shape: &mut String, text: &[u8]) {
    shape.extend(text.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
}

#[cfg(test)]
mod tests;
