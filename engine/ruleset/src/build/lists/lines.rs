//! The lines of a list file as they lie on the disk.
//!
//! Editors, spreadsheets and other systems end lines in their own ways and put a mark at the front;
//! all of that is taken off here. What can be no list at all is told by its first bytes.

use super::element_kind::Kind;

/// The most bytes of a line of a list file: what one line describes is one element.
pub const LIST_LINE_BYTES_MAX: usize = 4_096;

/// What UTF-8 begins with where some editors saved it.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// A line that holds something, blanks around it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'f> {
    /// Where it begins in the file.
    pub(super) start: usize,
    pub(super) bytes: &'f [u8],
    /// It is the first one that is neither blank nor a comment.
    pub(super) is_first: bool,
    /// The file ends with it, without the end of a line: a part of it may be missing.
    pub(super) is_cut: bool,
    /// What stands behind it shows that nothing of it is missing: blanks, but that texts may have
    /// some in them.
    pub(super) is_followed: bool,
}

/// The lines of a list file that are not blank, comments included.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8], bool)> {
    let mark = if bytes.starts_with(MARK) { MARK.len() } else { 0 };
    let mut at = mark;
    let rest = bytes.get(mark..).unwrap_or_default();
    rest.split_inclusive(|byte| *byte == b'\n').filter_map(move |line| {
        let start = at;
        at = at.saturating_add(line.len());
        let (line, is_cut) = match line.strip_suffix(b"\n") {
            Some(line) => (line.strip_suffix(b"\r").unwrap_or(line), false),
            None => (line, true),
        };
        let lead = line.len().saturating_sub(line.trim_ascii_start().len());
        let line = line.get(lead..)?;
        (!line.is_empty()).then_some((start.saturating_add(lead), line, is_cut))
    })
}

/// The last line of a file, where it has no end and is not blank.
pub(super) fn unended(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    let (start, line, _) = lines(bytes.get(end..)?).next()?;
    Some((end.saturating_add(start), line))
}

/// Whether a line is a comment as a whole.
pub(super) fn is_comment(line: &[u8], kind: Kind) -> bool {
    line.starts_with(b"#") || (kind != Kind::Texts && line.starts_with(b";"))
}

/// Lines with a part that is no comment.
pub(super) fn content(bytes: &[u8], kind: Kind) -> impl Iterator<Item = Line<'_>> {
    let mut is_first = true;
    lines(bytes).filter(move |(_, line, _)| !is_comment(line, kind)).map(
        move |(start, line, is_cut)| {
            let bytes = line.trim_ascii_end();
            let is_followed = match kind {
                Kind::Texts => line.ends_with(b"\r"),
                _ => bytes.len() < line.len(),
            };
            Line { start, bytes, is_first: std::mem::take(&mut is_first), is_cut, is_followed }
        },
    )
}

/// The lines of a list of any kind, without comments and blanks.
pub(crate) fn bare_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    content(bytes, Kind::Texts).map(|line| {
        let end = comment_behind(line.bytes).unwrap_or(line.bytes.len());
        line.bytes.get(..end).unwrap_or_default().trim_ascii_end()
    })
}

/// Where a comment begins behind a text: at a `#` with white space before it. A `#` within a word is
/// part of the word.
pub(super) fn comment_behind(line: &[u8]) -> Option<usize> {
    let mut pairs = line.array_windows().enumerate();
    let found = pairs.find(|(_, [before, sign])| *sign == b'#' && before.is_ascii_whitespace());
    found.map(|(at, _)| at)
}

/// Why a file is no list, and what makes one of it.
pub(super) type NoList = (&'static str, &'static str);

/// What some files begin with that are no lists.
const BEGINNINGS: [(&[u8], NoList); 8] = [
    (b"\x1F\x8B", ("is compressed (gzip)", "unpack it first: `gunzip FILE`")),
    (b"PK\x03\x04", ("is an archive (zip)", "unpack it first: `unzip FILE`")),
    (b"\xFD7zXZ\0", ("is compressed (xz)", "unpack it first: `unxz FILE`")),
    (b"\x28\xB5\x2F\xFD", ("is compressed (zstd)", "unpack it first: `unzstd FILE`")),
    (b"BZh", ("is compressed (bzip2)", "unpack it first: `bunzip2 FILE`")),
    (b"\xFF\xFE", ("is UTF-16", "save it as UTF-8: `iconv -f UTF-16 -t UTF-8 FILE`")),
    (b"\xFE\xFF", ("is UTF-16", "save it as UTF-8: `iconv -f UTF-16 -t UTF-8 FILE`")),
    (b"%PDF", ("is a PDF document", "lists are plain text, one element on each line")),
];

/// What the pages begin with that servers send instead of a list, in lower case.
const PAGES: [&[u8]; 3] = [b"<!doctype", b"<html", b"<?xml"];

/// Why a file is no list at all, where its first bytes say so.
pub(super) fn no_list(bytes: &[u8], kind: Kind) -> Option<NoList> {
    let known = BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning));
    if let Some((_, why)) = known {
        return Some(*why);
    }
    if bytes.contains(&b'\r') && !bytes.contains(&b'\n') {
        return Some(("ends its lines with CR alone", "write LF: `tr '\\r' '\\n' < FILE`"));
    }
    let first = content(bytes, kind).next()?.bytes;
    let is_page =
        |page: &&[u8]| first.get(..page.len()).is_some_and(|head| head.eq_ignore_ascii_case(page));
    if PAGES.iter().any(is_page) {
        return Some((
            "is a page of HTML or XML",
            "it may be the error of a download: see what its address answers",
        ));
    }
    is_json_document(first).then(|| {
        let help = match kind {
            Kind::Nets => {
                "make a list of its networks: `jq -r '.. | strings | \
                 select(test(\"^[0-9a-fA-F:.]+/[0-9]+$\"))' FILE`"
            }
            _ => {
                "make a list of its texts: `jq -r '.. | strings' FILE`, or name the key: \
                  `jq -r '.[].KEY' FILE`"
            }
        };
        ("is one JSON document, not a line for each element", help)
    })
}

/// Whether a first line opens a document of JSON that continues behind it, or holds many elements.
fn is_json_document(first: &[u8]) -> bool {
    let rest = match first {
        [b'[' | b'{'] => return true,
        [b'[', rest @ ..] => rest,
        [b'{', rest @ ..] if first.len() > LIST_LINE_BYTES_MAX => rest,
        _ => return false,
    };
    matches!(rest.trim_ascii_start().first(), Some(b'"' | b'{' | b'['))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Vec<(usize, &[u8])> {
        content(bytes, Kind::Nets).map(|line| (line.start, line.bytes)).collect()
    }

    #[test]
    fn comments_and_blanks_are_no_content() {
        assert_eq!(
            found(b"# head\r\nAS1\r\n\n  AS2  # why\n;x\nAS3"),
            [(8, &b"AS1"[..]), (16, b"AS2  # why"), (30, b"AS3")]
        );
        assert_eq!(found(b"\xEF\xBB\xBFAS1\r\n"), [(3, &b"AS1"[..])]);
        assert_eq!(found(b"\xEF\xBB\xBF# only\n"), []);
        let texts: Vec<_> = content(b";a\n#b\n", Kind::Texts).map(|line| line.bytes).collect();
        assert_eq!(texts, [b";a"], "a text may begin with `;`");
    }

    #[test]
    fn a_last_line_without_its_end_is_known() {
        assert_eq!(unended(b"a\n# b"), Some((2, &b"# b"[..])));
        assert_eq!(unended(b"\xEF\xBB\xBFa"), Some((3, &b"a"[..])));
        for whole in [&b""[..], b"a\n", b"a\n ", b"\xEF\xBB\xBF"] {
            assert_eq!(unended(whole), None);
        }
        let cut = |bytes: &'static [u8]| {
            let last = content(bytes, Kind::Nets).last().unwrap();
            (last.is_cut, last.is_followed)
        };
        assert_eq!(cut(b"a\nb\n"), (false, false));
        assert_eq!(cut(b"a\nb"), (true, false));
        assert_eq!(cut(b"a\nb "), (true, true));
        assert_eq!(cut(b"a\nb\r"), (true, true));
        assert_eq!(cut(b"a\nb\n  "), (false, false), "blanks behind it are nobody's loss");
        let text = content(b"a\nb ", Kind::Texts).last().unwrap();
        assert!(!text.is_followed, "a word may be missing");
    }

    #[test]
    fn what_is_no_list_is_told_by_its_beginning() {
        for (bytes, why) in [
            (&b"\x1F\x8B\x08"[..], "gzip"),
            (b"\xFF\xFE1\0", "UTF-16"),
            (b"\n<!DOCTYPE html>\n", "HTML"),
            (b"<HTML><head>", "HTML"),
            (b"{\n \"prefixes\": [\n", "JSON"),
            (b"[\"192.0.2.0/24\",\"198.51.100.0/24\"]\n", "JSON"),
            (b"[\n", "JSON"),
            (b"192.0.2.0/24\r198.51.100.0/24\r", "CR"),
        ] {
            for kind in [Kind::Nets, Kind::Texts] {
                let no = no_list(bytes, kind).unwrap_or_else(|| panic!("{why}"));
                assert!(no.0.contains(why), "{no:?}");
            }
        }
        for list in
            [&b""[..], b"192.0.2.0/24", b"{\"cidr\":\"192.0.2.0/24\"}\n", b"[::1]\n", b"<b>\n"]
        {
            assert_eq!(no_list(list, Kind::Texts), None, "{}", String::from_utf8_lossy(list));
        }
        let long = format!("{{\"prefixes\":[{}]}}", "\"192.0.2.0/24\",".repeat(400));
        assert!(no_list(long.as_bytes(), Kind::Nets).is_some());
    }
}
