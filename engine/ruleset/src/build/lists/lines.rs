//! The lines of a list file, independent of the editor that wrote it.
//!
//! Editors, spreadsheets and operating systems use different line ends and byte order marks. This
//! module removes them. It also detects files that are not lists by their first bytes.

use super::element_kind::Kind;

/// Most bytes of a line of a list file. One line contains one element.
pub const LIST_LINE_BYTES_MAX: usize = 4_096;

/// The byte order mark that some editors write before UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// A line with content, without the blanks around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'f> {
    /// Its offset in the file.
    pub(super) start: usize,
    pub(super) bytes: &'f [u8],
    /// Whether it is the first line that is neither blank nor a comment.
    pub(super) is_first: bool,
    /// Whether the file ends with it, without a line end: a part of it may be missing.
    pub(super) is_cut: bool,
    /// Whether blanks follow, which show that the line is complete. Texts can themselves contain
    /// blanks.
    pub(super) is_followed: bool,
}

/// Returns the lines of a list file that are not blank, with comments.
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

/// Returns the last line of a file if it has no line end and is not blank.
pub(super) fn unended(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    let (start, line, _) = lines(bytes.get(end..)?).next()?;
    Some((end.saturating_add(start), line))
}

/// Returns whether a whole line is a comment.
pub(super) fn is_comment(line: &[u8], kind: Kind) -> bool {
    line.starts_with(b"#") || (kind != Kind::Texts && line.starts_with(b";"))
}

/// Returns the lines with content other than a comment.
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

/// Returns the lines of a list of any kind, without comments and blanks.
pub(crate) fn bare_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    content(bytes, Kind::Texts).map(|line| {
        let end = comment_behind(line.bytes).unwrap_or(line.bytes.len());
        line.bytes.get(..end).unwrap_or_default().trim_ascii_end()
    })
}

/// Returns the start of a comment after a text: a `#` with white space before it. A `#` inside a
/// word is part of the word.
pub(super) fn comment_behind(line: &[u8]) -> Option<usize> {
    let mut pairs = line.array_windows().enumerate();
    let found = pairs.find(|(_, [before, sign])| *sign == b'#' && before.is_ascii_whitespace());
    found.map(|(at, _)| at)
}

/// Why a file is not a list, and how to correct it.
pub(super) type NoList = (&'static str, &'static str);

/// First bytes of files that are not lists.
const BEGINNINGS: [(&[u8], NoList); 8] = [
    (b"\x1F\x8B", ("is compressed (gzip)", "unpack it first: `gunzip FILE`")),
    (b"PK\x03\x04", ("is an archive (zip)", "unpack it first: `unzip FILE`")),
    (b"\xFD7zXZ\0", ("is compressed (xz)", "unpack it first: `unxz FILE`")),
    (b"\x28\xB5\x2F\xFD", ("is compressed (zstd)", "unpack it first: `unzstd FILE`")),
    (b"BZh", ("is compressed (bzip2)", "unpack it first: `bunzip2 FILE`")),
    (b"\xFF\xFE", ("is UTF-16", "save it as UTF-8: `iconv -f UTF-16 -t UTF-8 FILE`")),
    (b"\xFE\xFF", ("is UTF-16", "save it as UTF-8: `iconv -f UTF-16 -t UTF-8 FILE`")),
    (b"%PDF", ("is a PDF document", "use plain text with one element in each line")),
];

/// The beginnings of pages that servers send instead of a list, in lower case.
const PAGES: [&[u8]; 3] = [b"<!doctype", b"<html", b"<?xml"];

/// Returns why a file is not a list, if its first bytes show it.
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
            "the download may have failed: check the response of its address",
        ));
    }
    is_json_document(first).then(|| {
        let help = match kind {
            Kind::Nets => {
                "extract the networks: `jq -r '.. | strings | select(test(\"^[0-9a-fA-F:.]+/[0-9]+$\"))' FILE`"
            }
            _ => {
                "extract the texts: `jq -r '.. | strings' FILE`, or one key: `jq -r '.[].KEY' FILE`"
            }
        };
        ("is one JSON document, not a line for each element", help)
    })
}

/// Returns whether a first line opens a JSON document that continues after it, or contains many
/// elements.
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
