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

/// Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b` (the
/// optimal string alignment). A swap is the commonest slip of all, so it counts as one.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX);
    // The rows of the table for the last two characters of `a`.
    let mut earlier: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = at(&row, j).saturating_add(usize::from(x != *y));
            let removed = at(&row, j + 1).saturating_add(1);
            let added = at(&next, j).saturating_add(1);
            let before = j.checked_sub(1).filter(|before| b.get(*before) == Some(&x));
            let swapped = match before {
                Some(before) if last == Some(*y) => at(&earlier, before).saturating_add(1),
                _ => usize::MAX,
            };
            next.push(replaced.min(removed).min(added).min(swapped));
        }
        earlier = std::mem::replace(&mut row, next);
        last = Some(x);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_slips_of_the_hand() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("htpp", "http", 1),
            ("é", "e", 1),
            ("lgo", "log", 1),
            ("ab", "bca", 3),
        ] {
            assert_eq!(edits(a, b), expected, "{a} {b}");
            assert_eq!(edits(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn two_edits_are_offered_and_three_are_not() {
        assert_eq!(nearest("lisen", &["limits", "listen"]), Some("listen"));
        assert_eq!(nearest("sockte", &["socket"]), Some("socket"));
        assert_eq!(nearest("sokctx", &["socket"]), None);
        assert_eq!(nearest("lgo", &["geo", "log"]), Some("log"));
        assert_eq!(nearest(&"x".repeat(65), &["socket"]), None);
    }
}
