//! Untrusted text, escaped for display.
//!
//! Texts of members, rule authors and clients are printed to terminals and written to logs. A
//! terminal acts on control characters, and a forged line end looks like a line of the program. So
//! control characters, direction marks, line ends and invisible characters are escaped when a text
//! leaves the program. Everywhere else the text stays unchanged.

use std::borrow::Cow;

/// Returns whether a character is escaped: control characters, direction marks, line ends and
/// characters without width.
#[must_use]
pub const fn is_spelt_out(c: char) -> bool {
    matches!(c,
        // Control characters: C0, DEL and C1. In C1, U+009B begins a sequence as ESC [ does.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Direction marks (UAX #9 §2).
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        // Line and paragraph separators.
        | '\u{2028}' | '\u{2029}'
        // No width: spaces, joiners, fillers, byte order mark, annotations.
        | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Returns the text with all such characters escaped, line ends too. For a log line, or for a part
/// of a text of several lines. A second call changes nothing.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    spelt(text, is_spelt_out)
}

/// Returns the text escaped, but keeps its line feeds and tabs. For a text whose line ends are
/// ours.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    spelt(text, |c| is_spelt_out(c) && !matches!(c, '\n' | '\t'))
}

/// Returns JSON with such characters escaped as JSON does it. They occur inside strings only; line
/// feeds stand between values.
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
            // The notation of Rust and of policies: `\n`, `\u{1b}`.
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
