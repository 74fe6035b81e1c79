//! The kinds of path segments.

use rule_support::words::{Look, look};

/// Most letters of a plain segment; a longer one is a title.
const PLAIN_BYTES_MAX: usize = 24;

/// Fewest words of a title.
const TITLE_WORDS_MIN: usize = 4;

/// Fewest hex digits of an id with letters and digits.
const HEX_MIN: usize = 8;

/// Fewest changes between letters and digits, or between cases, of a random segment without
/// separators: `aB3x` has three, `chapter12` one.
const CHANGES_MIN: usize = 3;

/// Extensions that stay. The list is fixed, because an attacker could invent any number of
/// extensions.
const ENDINGS: [&[u8]; 48] = [
    b"php", b"html", b"htm", b"xml", b"json", b"js", b"css", b"asp", b"aspx", b"jsp", b"cgi",
    b"pl", b"py", b"rb", b"do", b"svc", b"txt", b"csv", b"md", b"rss", b"atom", b"png", b"jpg",
    b"jpeg", b"gif", b"webp", b"avif", b"svg", b"ico", b"bmp", b"mp3", b"mp4", b"webm", b"m3u8",
    b"woff", b"woff2", b"ttf", b"pdf", b"zip", b"gz", b"tgz", b"bz2", b"7z", b"rar", b"sql",
    b"bak", b"map", b"wasm",
];

/// The kind of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One word or a few: chosen by the site.
    Plain,
    Number,
    Uuid,
    Hex,
    Date,
    Slug,
    Chance,
    Text,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Number => "{n}",
            Self::Uuid => "{u}",
            Self::Hex => "{h}",
            Self::Date => "{d}",
            Self::Slug => "{s}",
            Self::Chance => "{r}",
            Self::Text => "{t}",
        }
    }
}

/// The result of one pass over a segment.
#[derive(Default)]
struct Counts {
    digits: usize,
    letters: usize,
    hex: usize,
    separators: usize,
    others: usize,
    changes: usize,
}

impl Counts {
    fn of(part: &[u8]) -> Self {
        let mut counts = Self::default();
        let mut before = 0;
        for byte in part {
            let class = match byte {
                b'0'..=b'9' => 1,
                b'a'..=b'z' => 2,
                b'A'..=b'Z' => 3,
                b'-' | b'_' | b'.' | b'+' | b'~' | b':' | b'@' | b'!' | b',' | b' ' => 4,
                _ => 5,
            };
            counts.digits += usize::from(class == 1);
            counts.letters += usize::from(class == 2 || class == 3);
            counts.hex += usize::from(byte.is_ascii_hexdigit());
            counts.separators += usize::from(class == 4);
            counts.others += usize::from(class == 5);
            // An upper-case letter before lower-case letters starts a word.
            let word = before == 3 && class == 2;
            counts.changes += usize::from(before != 0 && before != class && !word);
            before = class;
        }
        counts
    }
}

/// Returns the stem and the extension, if the extension stays.
pub(crate) fn split_ending(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = part.iter().rposition(|byte| *byte == b'.')?;
    let (stem, ending) = (part.get(..dot)?, part.get(dot + 1..)?);
    let stays = ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending));
    (!stem.is_empty() && stays).then_some((stem, ending))
}

/// Returns the kind of `part`, without its extension.
pub(crate) fn kind(part: &[u8]) -> Kind {
    let counts = Counts::of(part);
    if counts.others > 0 || counts.letters + counts.digits == 0 {
        return Kind::Text;
    }
    if counts.letters == 0 {
        return if is_date(part) { Kind::Date } else { Kind::Number };
    }
    if is_uuid(part) {
        return Kind::Uuid;
    }
    if counts.separators > 0 {
        return slug(part, &counts);
    }
    if counts.digits > 0 { mixed(part, &counts) } else { letters(part) }
}

fn slug(part: &[u8], counts: &Counts) -> Kind {
    let words = || part.split(|byte| !byte.is_ascii_alphanumeric());
    if words().any(|word| matches!(look(word), Look::Chance(_))) {
        return Kind::Chance;
    }
    let title = words().filter(|word| !word.is_empty()).count() >= TITLE_WORDS_MIN;
    if counts.digits > 0 || title || part.len() > PLAIN_BYTES_MAX {
        Kind::Slug
    } else {
        Kind::Plain
    }
}

/// Returns the kind of letters and digits without a separator.
fn mixed(part: &[u8], counts: &Counts) -> Kind {
    if counts.hex == part.len() && part.len() >= HEX_MIN {
        Kind::Hex
    } else if counts.changes >= CHANGES_MIN {
        Kind::Chance
    } else if is_version(part) {
        Kind::Plain
    } else {
        Kind::Slug
    }
}

fn letters(part: &[u8]) -> Kind {
    if matches!(look(part), Look::Chance(_)) {
        Kind::Chance
    } else if part.len() > PLAIN_BYTES_MAX {
        Kind::Slug
    } else {
        Kind::Plain
    }
}

/// Returns whether a segment is `v1` to `v99`: chosen by the site, and few.
fn is_version(part: &[u8]) -> bool {
    matches!(part, [b'v' | b'V', rest @ ..] if matches!(rest.len(), 1 | 2) && all_digits(rest))
}

fn is_uuid(part: &[u8]) -> bool {
    part.len() == 36
        && part.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Returns whether a segment is `2026-11-22`, `2026_11_22`, `2026.11.22`, `20261122` or `2026-11`.
fn is_date(part: &[u8]) -> bool {
    let mut digits = [0_u8; 8];
    let mut count = 0;
    for (at, byte) in part.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                let Some(place) = digits.get_mut(count) else { return false };
                *place = byte - b'0';
                count += 1;
            }
            b'-' | b'_' | b'.' if matches!(at, 4 | 7) => {}
            _ => return false,
        }
    }
    let [a, b, c, d, e, f, g, h] = digits.map(u32::from);
    let (year, month, day) = (a * 1_000 + b * 100 + c * 10 + d, e * 10 + f, g * 10 + h);
    let sensible = (1900..2100).contains(&year) && (1..=12).contains(&month);
    match (part.len(), count) {
        (8 | 10, 8) => sensible && (1..=31).contains(&day),
        (7, 6) => sensible,
        _ => false,
    }
}

fn all_digits(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}
