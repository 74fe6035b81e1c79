//! Positions in a file: byte offsets inside, lines and columns only for display.

/// A range of bytes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// Creates the span from `start` to before `end`. Files are at most 1 MiB, so an offset always
    /// fits.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        let fit = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { start: fit(start), end: fit(end.max(start)) }
    }

    /// Returns the smallest span that contains both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Returns the span as a range of indexes.
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub node: T,
    /// Its position.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Creates `node` at `span`.
    pub const fn new(node: T, span: Span) -> Self {
        Self { node, span }
    }
}

/// Returns line and column, both from 1. The column counts characters, as editors do.
#[must_use]
pub fn line_column(text: &str, offset: u32) -> (u32, u32) {
    let before = text.as_bytes().get(..offset as usize).unwrap_or(text.as_bytes());
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at.saturating_add(1));
    let lines = before.iter().filter(|b| **b == b'\n').count();
    let tail = before.get(line_start..).unwrap_or_default();
    // Continuation bytes of UTF-8 do not start a character.
    let column = tail.iter().filter(|b| (**b & 0xC0) != 0x80).count();
    let number = |n: usize| u32::try_from(n.saturating_add(1)).unwrap_or(u32::MAX);
    (number(lines), number(column))
}

#[cfg(test)]
mod tests {
    use super::line_column;

    #[test]
    fn columns_count_characters_not_bytes() {
        let text = "one\nzwö lf\n";
        assert_eq!(line_column(text, 0), (1, 1));
        assert_eq!(line_column(text, 4), (2, 1));
        assert_eq!(line_column(text, 8), (2, 4), "after the two-byte ö");
        assert_eq!(line_column(text, 9999), (3, 1));
    }
}
