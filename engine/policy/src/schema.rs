//! What there is to look at, as data.
//!
//! The language does not know HTTP. Whoever runs it says which fields, enumerations and sources
//! exist, and answers for them through [`crate::eval::Context`]. The checker, `seawall fields` and
//! the reference all read this one table, so they cannot disagree.

use seawall_model::Prefix;

use crate::diagnostic::nearest_within;
use crate::syntax::ast::OpKind;

/// An enumeration of bare words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnumId(pub u16);

/// A field of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u16);

/// The type of a value. There is no float: ratios are percentages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// True or false.
    Bool,
    /// 64 bits with a sign.
    Int,
    /// Whole percent.
    Percent,
    /// Bytes.
    Str,
    /// An address of either family.
    Ip,
    /// A network of either family.
    Cidr,
    /// An autonomous system.
    Asn,
    /// Microseconds.
    Duration,
    /// So many in the window of a track.
    Rate,
    /// Bytes counted.
    Size,
    /// A moment.
    Date,
    /// A word of an enumeration.
    Enum(EnumId),
    /// All header fields, as an extern's argument only.
    Headers,
}

/// Whether a field always has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Every request has it.
    Always,
    /// A request may come without it.
    Maybe,
    /// Only where the host has configured this source.
    Source(&'static str),
}

/// When a field is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// When the request's head has come.
    Request,
    /// When the answer has ended: in tracks with `on response` only.
    Response,
}

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `path`
    Plain,
    /// `header("name")`: any number of values.
    Named,
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec {
    /// As it is written.
    pub name: &'static str,
    /// Of one value.
    pub ty: Type,
    /// How it is written.
    pub form: Form,
    /// Whether it always has a value.
    pub presence: Presence,
    /// When it is known.
    pub phase: Phase,
    /// Whether a stranger can claim any value.
    pub forgeable: bool,
    /// What it is, in a line.
    pub doc: &'static str,
}

/// Says of bytes why they are no value of an enumeration.
pub type IsValue = fn(&[u8]) -> Result<(), &'static str>;

/// One enumeration.
#[derive(Debug, Clone, Copy)]
pub struct EnumSpec {
    /// Its name in messages: `an HTTP method`.
    pub name: &'static str,
    /// Its words, for the reference and for suggestions.
    pub words: &'static [&'static str],
    /// Whether `<` and `>` make sense: the words stand in ascending order.
    pub ordered: bool,
    /// Whether case matters.
    pub exact_case: bool,
    /// Where it has more values than words: says of a string why it is none of them.
    pub others: Option<IsValue>,
    /// What its words are called elsewhere.
    pub elsewhere: &'static [Alias],
}

impl EnumSpec {
    /// The number of a word.
    #[must_use]
    pub fn code(&self, word: &str) -> Option<i64> {
        let same = |known: &&str| {
            if self.exact_case { **known == *word } else { known.eq_ignore_ascii_case(word) }
        };
        self.words.iter().position(same).and_then(|at| i64::try_from(at).ok())
    }

    /// The word that others write so, or the one that is nearest to what is written. Of words of two
    /// letters none is near enough to another to be meant, and where a value need not be a word, only
    /// a slip of one letter is.
    #[must_use]
    pub fn meant(&self, written: &str) -> Option<&'static str> {
        let alias = self.elsewhere.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(written));
        if let Some((_, ours)) = alias {
            return Some(ours);
        }
        let slips = if self.others.is_some() { 1 } else { 2 };
        let is_short = self.words.iter().all(|word| word.len() <= 2);
        let near = nearest_within(written, self.words.iter().copied(), slips);
        near.filter(|_| !is_short)
    }

    /// The word as the table writes it.
    #[must_use]
    pub fn word(&self, code: i64) -> Option<&'static str> {
        self.words.get(usize::try_from(code).ok()?).copied()
    }
}

/// What counters weigh where this policy will run, and how much they may.
#[derive(Debug, Clone, Copy)]
pub struct CounterMemory {
    /// Bytes for each key of a limit on a rate.
    pub limit_key: usize,
    /// Bytes for each key of a limit on requests under way.
    pub concurrent_key: usize,
    /// Bytes for each key of a track of requests.
    pub requests_key: usize,
    /// Bytes for each key of a track of bytes.
    pub bytes_key: usize,
    /// Bytes for each key of a track of different things.
    pub distinct_key: usize,
    /// Bytes more for a track that is asked for `share` or `top`.
    pub heavy: usize,
    /// The most that all counters of a policy may take.
    pub most: usize,
}

/// Names that other tools use for what is here.
pub type Alias = (&'static str, &'static str);

/// What a text is made of before it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// As the field gives it.
    Plain,
    /// `lower(…)`
    Lower,
    /// `segment(…, n)`
    Segment,
}

/// A text that a field is held against.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The field.
    pub field: FieldId,
    /// The name of a named field; empty of a plain one.
    pub name: &'a str,
    /// What is made of its value first.
    pub made: Made,
    /// How it is compared: `==`, or a word; each element of a set by itself, as `==`.
    pub op: OpKind,
    /// In either case.
    pub nocase: bool,
    /// The text, glob or regular expression.
    pub text: &'a str,
}

/// How a comparison that no request meets is mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mend {
    /// Only its author can tell.
    Nothing,
    /// With another field or value on the left.
    Left(String),
    /// With this text.
    Text(String),
    /// With another condition.
    Whole(String),
    /// By asking whether it is absent.
    Absent,
}

/// Why no request meets a comparison, and what was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Never {
    /// Why, as the end of a sentence.
    pub why: &'static str,
    /// What to do about it.
    pub help: &'static str,
    /// The change.
    pub mend: Mend,
}

/// What is known of the values of fields beyond their types.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Why no value is as asked.
    pub text: fn(&Asked<'_>) -> Option<Never>,
    /// Why no request has a named field of this name; the change is another name.
    pub name: fn(FieldId, &str) -> Option<Never>,
    /// The least and the most that a number can be.
    pub range: fn(FieldId) -> Option<(i64, i64)>,
    /// The fewest bytes of a text.
    pub len_min: fn(FieldId) -> i64,
    /// The most values of a named field.
    pub values_max: fn(FieldId) -> i64,
    /// Why a network is never this one.
    pub network: fn(FieldId, &Prefix) -> Option<Never>,
    /// Whether an empty value is as good as none, and rarely sent.
    pub empty_is_absent: fn(FieldId) -> bool,
}

/// Everything there is to look at.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The fields; [`FieldId`] is the place in it.
    pub fields: &'static [FieldSpec],
    /// The enumerations; [`EnumId`] is the place in it.
    pub enums: &'static [EnumSpec],
    /// What the field is called elsewhere, and here.
    pub aliases: &'static [Alias],
    /// The enumeration whose words a policy declares itself.
    pub level: EnumId,
    /// The field that holds the level.
    pub level_field: FieldId,
    /// The field that holds the score.
    pub score_field: FieldId,
    /// Fields whose values come again and again from different visitors, so that what was found for
    /// one is worth remembering; a named field with the name, a plain one with none.
    pub repeating: &'static [(FieldId, &'static str)],
    /// What counters weigh.
    pub counters: CounterMemory,
    /// What no value is.
    pub habits: Habits,
}

impl Schema {
    /// The field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<(FieldId, &FieldSpec)> {
        let at = self.fields.iter().position(|field| field.name == name)?;
        Some((FieldId(u16::try_from(at).ok()?), self.fields.get(at)?))
    }

    /// The description of a field.
    #[must_use]
    pub fn spec(&self, id: FieldId) -> Option<&FieldSpec> {
        self.fields.get(usize::from(id.0))
    }

    /// The description of an enumeration.
    #[must_use]
    pub fn words(&self, id: EnumId) -> Option<&EnumSpec> {
        self.enums.get(usize::from(id.0))
    }

    /// Whether the values of a field come again and again.
    #[must_use]
    pub fn repeats(&self, field: FieldId, name: &str) -> bool {
        self.repeating.contains(&(field, name))
    }

    /// A type as a policy's author would say it.
    #[must_use]
    pub fn type_name(&self, ty: Type) -> &'static str {
        match ty {
            Type::Bool => "true or false",
            Type::Int => "a whole number",
            Type::Percent => "a percentage",
            Type::Str => "a string",
            Type::Ip => "an address",
            Type::Cidr => "a network",
            Type::Asn => "an AS number",
            Type::Duration => "a duration",
            Type::Rate => "a rate",
            Type::Size => "a size",
            Type::Date => "a date",
            Type::Enum(id) => self.words(id).map_or("a word", |spec| spec.name),
            Type::Headers => "the header fields",
        }
    }
}
