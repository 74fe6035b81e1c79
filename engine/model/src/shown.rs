//! Text of strangers as it is shown.
//!
//! What a member, an author of a rule or a visitor writes is printed to terminals and into logs. A
//! terminal acts on control characters, and a reader believes what stands at the beginning of a
//! line. So whatever is acted on, turns the direction of writing, ends a line or cannot be seen is
//! spelt out where text leaves the program, and is left as it is everywhere else.

use std::borrow::Cow;

/// Whether a character is spelt out: controls, signs that turn the direction of writing, ends of
/// lines, and what has no width.
#[must_use]
pub const fn is_spelt_out(c: char) -> bool {
    matches!(c,
        // Controls: C0, DEL and C1, of which U+009B begins a sequence as ESC [ does.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Signs that turn the direction of writing (UAX #9 §2).
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        // Ends of lines and paragraphs.
        | '\u{2028}' | '\u{2029}'
        // No width: spaces, joiners, fillers, the mark of byte order, notes to other programs.
        | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Text in which nothing is hidden and no line ends: for a log line, and for what is put into a
/// text of several lines. Doing it twice changes nothing more.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    spelt(text, is_spelt_out)
}

/// The same for a text whose lines are ours: its line feeds and tabs stay.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    spelt(text, |c| is_spelt_out(c) && !matches!(c, '\n' | '\t'))
}

/// JSON, in which such characters stand inside strings only, with each spelt out as JSON does it.
/// Line feeds stand between values.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    let is_out = |c: char| is_spelt_out(c) && c != '\n';
    if !text.contains(is_out) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_out(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units)
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn spelt(text: &str, is_out: impl Fn(char) -> bool + Copy) -> Cow<'_, str> {
    if !text.contains(is_out) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_out(c) {
            // As Rust and the policies themselves write it: `\n`, `\u{1b}`.
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_or_nobody_sees_is_spelt_out() {
        for (text, shown) in [
            ("a\nseawall: generation 99", "a\\nseawall: generation 99"),
            ("\u{1b}[2J\u{1b}]0;owned\u{7}", "\\u{1b}[2J\\u{1b}]0;owned\\u{7}"),
            ("\u{9b}31m\u{7f}\r\t", "\\u{9b}31m\\u{7f}\\r\\t"),
            ("a\u{202e}b\u{2066}c\u{61c}d\u{200f}", "a\\u{202e}b\\u{2066}c\\u{61c}d\\u{200f}"),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
            ("a\u{200b}\u{feff}\u{e0041}", "a\\u{200b}\\u{feff}\\u{e0041}"),
        ] {
            assert_eq!(one_line(text), shown);
            assert_eq!(one_line(shown), shown, "once is enough");
        }
        for text in ["Grüße, 東京, עברית, العربية 🙂", "C:\\temp \"x\"", ""] {
            assert!(matches!(one_line(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn lines_of_ours_stay_lines() {
        assert_eq!(lines("a\n\tb\r\u{1b}"), "a\n\tb\\r\\u{1b}");
        assert!(matches!(lines("a\n\tb"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_stays_json() {
        assert_eq!(
            json("{\n\"a\u{202e}\u{e0041}\u{7f}\"}"),
            "{\n\"a\\u202e\\udb40\\udc41\\u007f\"}"
        );
    }
}
