//! One search for many texts, at a cost that does not grow with their number.
//!
//! An Aho–Corasick automaton takes one step for each byte of the input, and at most one failure
//! step for it. The cost therefore depends only on the number of bytes. The search has no
//! prefilter, because a client writes the input and could send one that defeats it.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, Input, MatchKind, StartKind};
use hashbrown::HashSet;
use smallvec::SmallVec;

use crate::fuel::{Fuel, price};
use crate::set::Set;

/// Most bytes of all texts of one search: about twenty thousand texts. Their automaton is ten times
/// as large; a larger one would exceed the caches of the processor.
pub const SEARCH_TEXT_BYTES_MAX: usize = 256 << 10;

/// Largest automaton with a full row for each state. One step of it is one read. A smaller form
/// searches the transitions of a state and can go back. Beyond this size, the row form is slower.
const ROWS_BYTES_MAX: usize = 1 << 20;

/// The position of a text in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// `contains`
    Anywhere,
    /// `starts_with`
    Beginning,
    /// `ends_with`
    End,
}

/// A kind of search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Search {
    /// The position.
    pub position: Position,
    /// ASCII letters match in either case.
    pub nocase: bool,
}

impl Search {
    /// Number of kinds.
    pub const KINDS: usize = 6;

    /// Returns the number of this kind, below [`Search::KINDS`].
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

/// Why a search cannot be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSearch {
    /// The texts exceed [`SEARCH_TEXT_BYTES_MAX`] together.
    TooLarge {
        /// Their total in bytes.
        bytes: usize,
    },
    /// One text is empty and would be found in every input.
    Empty,
}

impl std::fmt::Display for NoSearch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge { bytes } => write!(
                f,
                "has search texts of {bytes} bytes; the maximum is {SEARCH_TEXT_BYTES_MAX}"
            ),
            Self::Empty => f.write_str("has an empty search text, which every text contains"),
        }
    }
}

/// Texts, prepared for one kind of search.
#[derive(Debug, Clone)]
pub struct Texts {
    search: Search,
    /// `None` without texts.
    automaton: Option<AhoCorasick>,
    /// Bytes of the longest text: for a prefix or suffix, no more of the input is read.
    longest: usize,
}

impl Texts {
    /// Creates a search for any of these texts.
    ///
    /// # Errors
    /// [`NoSearch`] names the cause: too many bytes, or an empty text.
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
            // State numbers have 31 bits; so many bytes cannot reach that.
            Err(_) => Err(NoSearch::TooLarge { bytes }),
        }
    }

    /// Returns the kind of search.
    #[must_use]
    pub const fn search(&self) -> Search {
        self.search
    }

    /// Returns whether one of the texts is found. If the fuel is exhausted, the result has no
    /// meaning.
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

    /// Returns the part of the input that is read.
    fn looked_at<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let len = text.len().min(self.longest);
        let part = match self.search.position {
            Position::Anywhere => return text,
            Position::Beginning => text.get(..len),
            Position::End => text.get(text.len().saturating_sub(len)..),
        };
        part.unwrap_or_default()
    }

    /// Returns the approximate memory in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let automaton = self.automaton.as_ref().map_or(0, AhoCorasick::memory_usage);
        size_of::<Self>().saturating_add(automaton)
    }
}

impl Search {
    /// Returns a text as the automaton reads it: in lower case if needed, reversed for a suffix.
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

/// Returns the maximum size of an automaton with a row for each state. It has one state for each
/// byte, and each row has four bytes for each class of bytes. Bytes in no needle share few classes.
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

/// The elements of one list, prepared for each kind of search that is used.
#[derive(Debug, Default)]
pub struct Searches {
    made: [OnceLock<Texts>; Search::KINDS],
}

impl Searches {
    /// Returns the search of this kind if it was created.
    #[must_use]
    pub fn get(&self, search: Search) -> Option<&Texts> {
        self.made.get(search.number())?.get()
    }

    /// Creates the search of this kind if there is none yet.
    ///
    /// # Errors
    /// [`NoSearch`] names the cause: too many bytes, or an empty element.
    pub fn ready(&self, search: Search, set: &Set) -> Result<(), NoSearch> {
        let Some(place) = self.made.get(search.number()) else { return Ok(()) };
        if place.get().is_none() {
            let none = &HashSet::new();
            let all = if let Set::Strings(all) = set { all } else { none };
            // Another thread can have created the same search first.
            let _same = place.set(Texts::new(search, all.iter().map(|text| &**text))?);
        }
        Ok(())
    }

    /// Returns the approximate memory of all searches in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let made = self.made.iter().filter_map(OnceLock::get);
        made.map(Texts::bytes).fold(0, usize::saturating_add)
    }
}

/// The texts of one test in the policy, prepared for the search.
#[derive(Debug)]
pub struct TextSet {
    all: Box<[Box<[u8]>]>,
    texts: Texts,
}

impl TextSet {
    /// Creates a search for any of these texts.
    ///
    /// # Errors
    /// [`NoSearch`] names the cause: too many bytes, or an empty text.
    pub fn new(search: Search, mut all: Vec<Box<[u8]>>) -> Result<Self, NoSearch> {
        if search.nocase {
            all.iter_mut().for_each(|text| text.make_ascii_lowercase());
        }
        all.sort_unstable();
        all.dedup();
        let texts = Texts::new(search, all.iter().map(|text| &**text))?;
        Ok(Self { all: all.into(), texts })
    }

    /// Returns the search.
    #[must_use]
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Returns each text once, sorted; in lower case if case does not matter.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.all.iter().map(|text| &**text)
    }

    /// Returns the number of texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns whether there are no texts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns the approximate memory in bytes, with the search.
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
