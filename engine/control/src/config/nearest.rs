//! The known word that a mistyped one is closest to.
//!
//! Two edits are the most that still look like a slip of the hand; beyond that a guess misleads.

/// Most edits between what was typed and what is offered.
const EDITS_MAX: usize = 2;
/// Longest word worth comparing, in characters: the table below is this squared.
const WORD_CHARS_MAX: usize = 64;

/// The word of `known` nearest to `typed`, if one is near.
pub(crate) fn nearest<'k>(typed: &str, known: &[&'k str]) -> Option<&'k str> {
    if typed.chars().count() > WORD_CHARS_MAX {
        return None;
    }
    known
        .iter()
        .map(|word| (edits(typed, word), *word))
        .filter(|(edits, word)| *edits <= EDITS_MAX && *edits < word.len())
        .min()
        .map(|(_, word)| word)
}

/// Insertions, deletions and replacements that lead from `a` to `b` (Levenshtein's distance).
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("htpp", "http", 1),
            ("é", "e", 1),
        ] {
            assert_eq!(edits(a, b), expected, "{a} {b}");
            assert_eq!(edits(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn two_edits_are_offered_and_three_are_not() {
        assert_eq!(nearest("lisen", &["limits", "listen"]), Some("listen"));
        assert_eq!(nearest("sockte", &["socket"]), Some("socket"));
        assert_eq!(nearest("sokctt", &["socket"]), None);
        assert_eq!(nearest(&"x".repeat(65), &["socket"]), None);
    }
}
