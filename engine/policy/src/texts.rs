//! Many texts looked for in one by one search, whatever their number.
//!
//! An automaton (Aho–Corasick) takes one step for each byte of what is searched and at most one back
//! for it, so what a search costs follows from the bytes that are searched and from nothing else. It
//! has no prefilter: who is looked for writes the text, and would write one that is useless to it.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, Input, MatchKind, StartKind};
use hashbrown::HashSet;
use smallvec::SmallVec;

use crate::fuel::{Fuel, price};
use crate::set::Set;

/// The most bytes of all texts of one search: some twenty thousand. Their automaton takes ten times
/// as many, and a larger one would leave the processor's caches.
pub const SEARCH_TEXT_BYTES_MAX: usize = 256 << 10;

/// The most bytes of an automaton that has a row for each state. One step of it is one read, where a
/// smaller one looks through the ways out of a state and may go back; beyond this it is the slower.
const ROWS_BYTES_MAX: usize = 1 << 20;

/// Where in a text another may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// `contains`
    Anywhere,
    /// `starts_with`
    Beginning,
    /// `ends_with`
    End,
}

/// How texts are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Search {
    /// Where.
    pub position: Position,
    /// Letters of ASCII match in either case.
    pub nocase: bool,
}

impl Search {
    /// How many kinds of search there are.
    pub const KINDS: usize = 6;

    /// The number of this kind, below [`Search::KINDS`].
    #[must_use]
    pub const fn number(self) -> usize {
        let position = match self.position {
            Position::Anywhere => 0,
            Position::Beginning => 2,
            Position::End => 4,
        };
        if self.nocase { position + 1 } else { position }
    }
}

/// Why there is no search for some texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSearch {
    /// They have more than [`SEARCH_TEXT_BYTES_MAX`] bytes together.
    TooLarge {
        /// How many they have.
        bytes: usize,
    },
    /// One of them is empty, and would be found in every text.
    Empty,
}

impl std::fmt::Display for NoSearch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge { bytes } => write!(
                f,
                "has texts of {bytes} bytes to look for; the most is {SEARCH_TEXT_BYTES_MAX}"
            ),
            Self::Empty => f.write_str("has an empty text to look for, which is in every text"),
        }
    }
}

/// Texts, made ready to be looked for in one way.
#[derive(Debug, Clone)]
pub struct Texts {
    search: Search,
    /// None where there are no texts.
    automaton: Option<AhoCorasick>,
    /// Bytes of the longest of them: no more of a beginning or an end is looked at.
    longest: usize,
}

impl Texts {
    /// Makes a search for any of these.
    ///
    /// # Errors
    /// They are too many bytes, or one is empty.
    pub fn new<'t>(
        search: Search,
        all: impl Iterator<Item = &'t [u8]> + Clone,
    ) -> Result<Self, NoSearch> {
        let bytes = all.clone().map(<[u8]>::len).fold(0, usize::saturating_add);
        if bytes > SEARCH_TEXT_BYTES_MAX {
            return Err(NoSearch::TooLarge { bytes });
        }
        let longest = all.clone().map(<[u8]>::len).max().unwrap_or(0);
        if all.clone().any(<[u8]>::is_empty) {
            return Err(NoSearch::Empty);
        }
        let needles: Vec<Vec<u8>> = all.map(|text| search.turned(text).into_vec()).collect();
        if needles.is_empty() {
            return Ok(Self { search, automaton: None, longest });
        }
        let anywhere = search.position == Position::Anywhere;
        let rows = rows_bytes(&needles, bytes) <= ROWS_BYTES_MAX;
        let made = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .start_kind(if anywhere { StartKind::Unanchored } else { StartKind::Anchored })
            .kind(Some(if rows { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA }))
            .prefilter(false)
            .build(&needles);
        match made {
            Ok(automaton) => Ok(Self { search, automaton: Some(automaton), longest }),
            // Its numbers of states have 31 bits, which so many bytes do not reach.
            Err(_) => Err(NoSearch::TooLarge { bytes }),
        }
    }

    /// How they are looked for.
    #[must_use]
    pub const fn search(&self) -> Search {
        self.search
    }

    /// Whether one of them stands there. Where that cannot be paid for, it is not known, and the
    /// fuel is empty.
    #[must_use]
    pub fn found_in(&self, text: &[u8], fuel: &Fuel) -> bool {
        let part = self.looked_at(text);
        if !fuel.take(price::search(part.len())) {
            return false;
        }
        let Some(automaton) = &self.automaton else { return false };
        let is_plain = !self.search.nocase && self.search.position != Position::End;
        let turned = if is_plain { SmallVec::new() } else { self.search.turned(part) };
        let bytes = if is_plain { part } else { &turned };
        let anchored = match self.search.position {
            Position::Anywhere => Anchored::No,
            Position::Beginning | Position::End => Anchored::Yes,
        };
        let input = Input::new(bytes).anchored(anchored).earliest(true);
        automaton.try_find(input).is_ok_and(|found| found.is_some())
    }

    /// What of a text is looked at.
    fn looked_at<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let len = text.len().min(self.longest);
        let part = match self.search.position {
            Position::Anywhere => return text,
            Position::Beginning => text.get(..len),
            Position::End => text.get(text.len().saturating_sub(len)..),
        };
        part.unwrap_or_default()
    }

    /// About how much memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let automaton = self.automaton.as_ref().map_or(0, AhoCorasick::memory_usage);
        size_of::<Self>().saturating_add(automaton)
    }
}

impl Search {
    /// A text as it goes through the automaton: letters folded, an end from the last byte on.
    fn turned(self, text: &[u8]) -> SmallVec<[u8; 256]> {
        let mut turned = SmallVec::from_slice(text);
        if self.nocase {
            turned.make_ascii_lowercase();
        }
        if self.position == Position::End {
            turned.reverse();
        }
        turned
    }
}

/// The most that an automaton with a row for each state takes: a state for each byte, and in its row
/// four bytes for each class of bytes. Bytes that no needle has are of few classes.
fn rows_bytes(needles: &[Vec<u8>], bytes: usize) -> usize {
    let mut is_used = [false; 256];
    for byte in needles.iter().flatten() {
        if let Some(used) = is_used.get_mut(usize::from(*byte)) {
            *used = true;
        }
    }
    let used = is_used.iter().filter(|used| **used).count();
    let classes = used.saturating_mul(2).saturating_add(1).min(256).next_power_of_two();
    bytes.saturating_add(4).saturating_mul(classes).saturating_mul(4)
}

/// The elements of one list, made ready for each way in which they are looked for.
#[derive(Debug, Default)]
pub struct Searches {
    made: [OnceLock<Texts>; Search::KINDS],
}

impl Searches {
    /// The search of this kind, where it was made.
    #[must_use]
    pub fn get(&self, search: Search) -> Option<&Texts> {
        self.made.get(search.number())?.get()
    }

    /// Makes the search of this kind, where there is none yet.
    ///
    /// # Errors
    /// The elements are too many bytes, or one is empty.
    pub fn ready(&self, search: Search, set: &Set) -> Result<(), NoSearch> {
        let Some(place) = self.made.get(search.number()) else { return Ok(()) };
        if place.get().is_none() {
            let none = &HashSet::new();
            let all = if let Set::Strings(all) = set { all } else { none };
            // Another thread may have been faster, with the same.
            let _same = place.set(Texts::new(search, all.iter().map(|text| &**text))?);
        }
        Ok(())
    }

    /// About how much memory all take together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let made = self.made.iter().filter_map(OnceLock::get);
        made.map(Texts::bytes).fold(0, usize::saturating_add)
    }
}

/// Texts that a policy writes out, made ready to be looked for.
#[derive(Debug)]
pub struct TextSet {
    all: Box<[Box<[u8]>]>,
    texts: Texts,
}

impl TextSet {
    /// Makes a search for any of these.
    ///
    /// # Errors
    /// They are too many bytes, or one is empty.
    pub fn new(search: Search, mut all: Vec<Box<[u8]>>) -> Result<Self, NoSearch> {
        if search.nocase {
            all.iter_mut().for_each(|text| text.make_ascii_lowercase());
        }
        all.sort_unstable();
        all.dedup();
        let texts = Texts::new(search, all.iter().map(|text| &**text))?;
        Ok(Self { all: all.into(), texts })
    }

    /// The search.
    #[must_use]
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Each text once, in order; in lower case where case does not matter.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.all.iter().map(|text| &**text)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// About how much memory they take with their search.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = self.all.iter().map(|text| text.len().saturating_add(size_of::<Box<[u8]>>()));
        texts.fold(self.texts.bytes(), usize::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(position: Position, nocase: bool) -> Search {
        Search { position, nocase }
    }

    fn made(search: Search, all: &[&str]) -> Texts {
        Texts::new(search, all.iter().map(|text| text.as_bytes())).unwrap()
    }

    fn found(texts: &Texts, text: &str) -> bool {
        texts.found_in(text.as_bytes(), &Fuel::new(u64::MAX))
    }

    #[test]
    fn a_text_is_found_where_it_is_looked_for_and_nowhere_else() {
        let anywhere = made(search(Position::Anywhere, false), &["Bot", "spider"]);
        assert!(found(&anywhere, "aBot") && found(&anywhere, "spiders"));
        assert!(!found(&anywhere, "abot") && !found(&anywhere, "Bo"));
        let beginning = made(search(Position::Beginning, true), &["/Admin", "/wp-"]);
        assert!(found(&beginning, "/admin/x") && found(&beginning, "/WP-login"));
        assert!(
            !found(&beginning, "/a/admin") && !found(&beginning, "/wp") && !found(&beginning, "")
        );
        let end = made(search(Position::End, true), &[".php", ".example"]);
        assert!(found(&end, "/a.PHP") && found(&end, "WWW.EXAMPLE") && found(&end, ".php"));
        assert!(!found(&end, ".phpx") && !found(&end, "php"));
    }

    #[test]
    fn none_are_found_nowhere_and_an_empty_one_is_refused() {
        for number in 0..Search::KINDS {
            let position = [Position::Anywhere, Position::Beginning, Position::End][number / 2];
            let search = search(position, number % 2 == 1);
            assert_eq!(search.number(), number);
            let none = made(search, &[]);
            assert!(!found(&none, "") && !found(&none, "x"));
            let empty = Texts::new(search, [&b"a"[..], b""].into_iter());
            assert_eq!(empty.err(), Some(NoSearch::Empty));
        }
    }

    #[test]
    fn what_a_search_costs_follows_from_the_text_alone() {
        let few = made(search(Position::Anywhere, true), &["abc"]);
        let many: Vec<String> = (0..20_000).map(|n| format!("agent-{n:05}")).collect();
        let many: Vec<&str> = many.iter().map(|text| &**text).collect();
        let many = made(search(Position::Anywhere, true), &many);
        for text in ["", "x", &"agent-0000".repeat(300)] {
            let spent = |texts: &Texts| {
                let fuel = Fuel::new(1 << 40);
                assert!(!texts.found_in(text.as_bytes(), &fuel));
                (1 << 40) - fuel.left()
            };
            assert_eq!(spent(&few), spent(&many), "{} bytes", text.len());
            assert_eq!(spent(&few), price::search(text.len()));
        }
        assert!(found(&many, "Agent-19999"));
    }

    #[test]
    fn what_cannot_be_paid_for_is_not_searched() {
        let texts = made(search(Position::Anywhere, false), &["bot"]);
        let fuel = Fuel::new(price::search(3) - 1);
        assert!(!texts.found_in(b"bot", &fuel) && fuel.is_empty());
        let fuel = Fuel::new(price::search(3));
        assert!(texts.found_in(b"bot", &fuel) && !fuel.is_empty());
    }

    #[test]
    fn the_bytes_of_one_search_have_their_limit() {
        let most = vec![b'x'; SEARCH_TEXT_BYTES_MAX];
        let search = search(Position::Beginning, false);
        assert!(Texts::new(search, [&*most].into_iter()).is_ok());
        let over = Texts::new(search, [&*most, b"y"].into_iter()).err();
        assert_eq!(over, Some(NoSearch::TooLarge { bytes: SEARCH_TEXT_BYTES_MAX + 1 }));
    }

    proptest::proptest! {
        #[test]
        fn one_search_finds_what_one_after_the_other_finds(
            all in proptest::collection::vec("[abA]{1,4}", 0..20),
            text in "[abcABC]{0,20}",
            number in 0..Search::KINDS,
        ) {
            let position = [Position::Anywhere, Position::Beginning, Position::End][number / 2];
            let nocase = number % 2 == 1;
            let texts = Texts::new(search(position, nocase), all.iter().map(|t| t.as_bytes())).unwrap();
            let folded = |text: &str| if nocase { text.to_lowercase() } else { text.to_owned() };
            let naive = all.iter().any(|one| match position {
                Position::Anywhere => folded(&text).contains(&folded(one)),
                Position::Beginning => folded(&text).starts_with(&folded(one)),
                Position::End => folded(&text).ends_with(&folded(one)),
            });
            proptest::prop_assert_eq!(found(&texts, &text), naive);
        }
    }
}
