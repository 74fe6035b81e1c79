//! Layout: decides where lines end.
//!
//! The usual scheme of Wadler: a group is written on one line if it fits. Otherwise all its own
//! breaks become line ends. A comment ends a line in every layout. Only the output handles
//! comments, so no shape can lose one.

use super::tokens::Piece;

/// Most characters of a line, without a comment at its end.
pub const LINE_CHARS_MAX: usize = 100;

/// Columns of one level of indentation.
const STEP: usize = 2;

/// A document to be written.
pub(super) enum Doc {
    /// A token, by its number, with the comments above and behind it.
    Piece(usize),
    /// Only the comments above a token.
    Above(usize),
    /// The token without its comments above.
    Below(usize),
    /// A blank.
    Space,
    /// A blank, or a line end if the group is broken.
    Line,
    /// Nothing, or a line end if the group is broken.
    Soft,
    /// A line end.
    Hard,
    /// A blank, or a line end if the group is broken and the numbered token does not fit.
    Fill(usize),
    /// A sequence.
    All(Vec<Doc>),
    /// An indented sequence.
    Indent(Vec<Doc>),
    /// A sequence on one line, if it fits.
    Group(Vec<Doc>, BreakDecision),
}

/// What is known about a group before its layout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BreakDecision {
    /// A comment inside ends a line.
    Broken,
    /// Its length decides.
    Open,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Flat,
    Broken,
}

/// The space before the next token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    None,
    Space,
    /// A line end of the shape.
    Line,
    /// A line end that only a comment requires: the next line is indented.
    Forced,
}

type LayoutTask<'d> = Vec<(usize, Mode, &'d Doc)>;

/// Returns the text of a document.
pub(super) fn lay_out(pieces: &[Piece<'_>], doc: &Doc) -> String {
    let mut page = Page { pieces, out: String::new(), column: 0, gap: Gap::Line };
    let mut todo: LayoutTask<'_> = vec![(0, Mode::Broken, doc)];
    while let Some((indent, mode, doc)) = todo.pop() {
        match doc {
            Doc::Piece(n) => {
                page.above(*n, indent);
                page.below(*n, indent);
            }
            Doc::Above(n) => page.above(*n, indent),
            Doc::Below(n) => page.below(*n, indent),
            Doc::Space => page.space(),
            Doc::Line if mode == Mode::Flat => page.space(),
            Doc::Soft if mode == Mode::Flat => {}
            Doc::Line | Doc::Soft | Doc::Hard => page.gap = Gap::Line,
            Doc::Fill(next) => page.fill(*next, indent, mode),
            Doc::All(inside) => todo.extend(inside.iter().rev().map(|d| (indent, mode, d))),
            Doc::Indent(inside) => {
                todo.extend(inside.iter().rev().map(|d| (indent.saturating_add(STEP), mode, d)));
            }
            Doc::Group(inside, fate) => {
                let flat = *fate == BreakDecision::Open
                    && (mode == Mode::Flat || page.fits(indent, inside, &todo));
                let mode = if flat { Mode::Flat } else { Mode::Broken };
                todo.extend(inside.iter().rev().map(|d| (indent, mode, d)));
            }
        }
    }
    page.out.push('\n');
    page.out
}

struct Page<'p, 't> {
    pieces: &'p [Piece<'t>],
    out: String,
    /// Characters of the current line.
    column: usize,
    gap: Gap,
}

impl Page<'_, '_> {
    fn space(&mut self) {
        if self.gap == Gap::None {
            self.gap = Gap::Space;
        }
    }

    fn fill(&mut self, next: usize, indent: usize, mode: Mode) {
        let Some(piece) = self.pieces.get(next) else { return };
        let due = matches!(self.gap, Gap::Line | Gap::Forced) || !piece.above.is_empty();
        let end = self.start(indent).saturating_add(1).saturating_add(piece.chars());
        if due || (mode == Mode::Broken && end > LINE_CHARS_MAX) {
            self.gap = Gap::Line;
        } else {
            self.space();
        }
    }

    /// Writes the comments above a token, each on its own line.
    fn above(&mut self, n: usize, indent: usize) {
        let Some(piece) = self.pieces.get(n) else { return };
        for comment in &piece.above {
            if self.gap != Gap::Line {
                self.gap = Gap::Forced;
            }
            let gap = self.gap;
            self.put(comment.text, comment.blank && piece.keeps_blanks, indent);
            self.gap = gap;
        }
    }

    fn below(&mut self, n: usize, indent: usize) {
        let Some(piece) = self.pieces.get(n) else { return };
        self.put(piece.text, piece.blank && piece.keeps_blanks, indent);
        self.gap = Gap::None;
        if piece.comma {
            self.push(",");
        }
        if let Some(comment) = piece.behind {
            self.push("  ");
            self.push(comment);
            self.gap = Gap::Forced;
        }
    }

    fn put(&mut self, text: &str, blank: bool, indent: usize) {
        let start = self.start(indent);
        match self.gap {
            Gap::None => {}
            Gap::Space => self.push(" "),
            Gap::Line | Gap::Forced => {
                if !self.out.is_empty() {
                    self.out.push_str(if blank { "\n\n" } else { "\n" });
                }
                self.out.extend(std::iter::repeat_n(' ', start));
                self.column = start;
            }
        }
        self.push(text);
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column = self.column.saturating_add(text.chars().count());
    }

    /// Returns the column of the next token.
    fn start(&self, indent: usize) -> usize {
        match self.gap {
            Gap::None => self.column,
            Gap::Space => self.column.saturating_add(1),
            Gap::Line => indent,
            Gap::Forced => indent.saturating_add(STEP),
        }
    }

    /// Returns whether `inside` and the text that must follow it fit on one line.
    fn fits(&self, indent: usize, inside: &[Doc], todo: &LayoutTask<'_>) -> bool {
        let mut column = self.start(indent);
        let mut flat: Vec<(Mode, &Doc)> = inside.iter().rev().map(|d| (Mode::Flat, d)).collect();
        let mut behind = todo.iter().rev().map(|(_, mode, doc)| (*mode, doc));
        let mut begun = false;
        while let Some((mode, doc)) = flat.pop().or_else(|| behind.next().map(|(m, d)| (m, *d))) {
            let chars = match doc {
                Doc::Piece(n) | Doc::Below(n) => {
                    let Some(piece) = self.pieces.get(*n) else { return true };
                    match (piece.above.is_empty(), begun) {
                        (false, true) => return true,
                        // Comments of the token end the line before it.
                        (false, false) => column = column.min(indent.saturating_add(STEP)),
                        (true, _) => {}
                    }
                    begun = true;
                    if piece.behind.is_some() {
                        return column.saturating_add(piece.chars()) <= LINE_CHARS_MAX;
                    }
                    piece.chars()
                }
                Doc::Above(_) | Doc::Hard => return true,
                Doc::Line | Doc::Soft | Doc::Fill(_) if mode == Mode::Broken => return true,
                Doc::Space | Doc::Line | Doc::Fill(_) => 1,
                Doc::Soft => 0,
                Doc::All(more) | Doc::Indent(more) | Doc::Group(more, _) => {
                    flat.extend(more.iter().rev().map(|d| (mode, d)));
                    0
                }
            };
            column = column.saturating_add(chars);
            if column > LINE_CHARS_MAX {
                return false;
            }
        }
        true
    }
}
