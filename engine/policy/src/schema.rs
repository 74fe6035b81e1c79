//! The facts that a policy can read, as data.
//!
//! The language does not depend on HTTP. The embedding crate defines the fields, enumerations and
//! sources, and provides their values through [`crate::eval::Context`]. The checker, `seawall
//! fields` and the reference all use this one table, so they cannot differ.

use seawall_model::Prefix;

use crate::diagnostic::nearest_within;
use crate::syntax::ast::OpKind;

/// An enumeration of bare words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnumId(pub u16);

/// A field of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u16);

/// The type of a value. There are no floating-point numbers; ratios are percentages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// True or false.
    Bool,
    /// A signed 64-bit number.
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
    /// A number in the window of a track.
    Rate,
    /// A number of bytes.
    Size,
    /// A date.
    Date,
    /// A word of an enumeration.
    Enum(EnumId),
    /// All header fields; valid only as an argument of an extern.
    Headers,
}

/// Whether a field has a value for every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Every request has a value.
    Always,
    /// A request can lack it.
    Maybe,
    /// Only if the operator has configured this source.
    Source(&'static str),
}

/// The time at which a field is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// After the request header.
    Request,
    /// After the end of the response: only in tracks with `on response`.
    Response,
}

/// The syntax of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `path`
    Plain,
    /// `header("name")`: can have several values.
    Named,
}

/// A field.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec {
    /// Its name.
    pub name: &'static str,
    /// The type of one value.
    pub ty: Type,
    /// Its syntax.
    pub form: Form,
    /// Whether it always has a value.
    pub presence: Presence,
    /// The time at which it is known.
    pub phase: Phase,
    /// Whether a client can send any value.
    pub forgeable: bool,
    /// A description in one line.
    pub doc: &'static str,
}

/// Returns the reason why bytes are not a value of an enumeration.
pub type IsValue = fn(&[u8]) -> Result<(), &'static str>;

/// An enumeration.
#[derive(Debug, Clone, Copy)]
pub struct EnumSpec {
    /// Its name in messages: `an HTTP method`.
    pub name: &'static str,
    /// Its words, for the reference and for suggestions.
    pub words: &'static [&'static str],
    /// Whether `<` and `>` are allowed: the words are in ascending order.
    pub ordered: bool,
    /// Whether case matters.
    pub exact_case: bool,
    /// If there are values other than the words: returns why a string is not such a value.
    pub others: Option<IsValue>,
    /// The names of its words in other tools.
    pub elsewhere: &'static [Alias],
}

impl EnumSpec {
    /// Returns the number of a word.
    #[must_use]
    pub fn code(&self, word: &str) -> Option<i64> {
        let same = |known: &&str| {
            if self.exact_case { **known == *word } else { known.eq_ignore_ascii_case(word) }
        };
        self.words.iter().position(same).and_then(|at| i64::try_from(at).ok())
    }

    /// Returns the word with this alias, or the nearest word. Words of two letters are too short
    /// for a suggestion. If other values are valid, only a difference of one letter counts.
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

    /// Returns the word for a number.
    #[must_use]
    pub fn word(&self, code: i64) -> Option<&'static str> {
        self.words.get(usize::try_from(code).ok()?).copied()
    }
}

/// Memory of counters where this policy will run, and the limit on it.
#[derive(Debug, Clone, Copy)]
pub struct CounterMemory {
    /// Bytes for each key of a rate limit.
    pub limit_key: usize,
    /// Bytes for each key of a limit on requests in flight.
    pub concurrent_key: usize,
    /// Bytes for each key of a track of requests.
    pub requests_key: usize,
    /// Bytes for each key of a track of bytes.
    pub bytes_key: usize,
    /// Bytes for each key of a track of distinct values.
    pub distinct_key: usize,
    /// Additional bytes for a track that `share` or `top` reads.
    pub heavy: usize,
    /// Maximum memory of all counters of a policy.
    pub most: usize,
}

/// A name in another tool, and the name here.
pub type Alias = (&'static str, &'static str);

/// The transformation of a text before a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// None.
    Plain,
    /// `lower(…)`
    Lower,
    /// `segment(…, n)`
    Segment,
}

/// A text that a field is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The field.
    pub field: FieldId,
    /// The name of a named field; empty for a plain field.
    pub name: &'a str,
    /// The transformation of its value.
    pub made: Made,
    /// The comparison: `==` or a word. Each element of a set is a separate `==`.
    pub op: OpKind,
    /// Whether case is ignored.
    pub nocase: bool,
    /// The text, glob or regular expression.
    pub text: &'a str,
}

/// The correction of a comparison that no request meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mend {
    /// Only its author can decide.
    Nothing,
    /// Another field or value on the left side.
    Left(String),
    /// This text.
    Text(String),
    /// Another condition.
    Whole(String),
    /// A test whether the value is absent.
    Absent,
}

/// The reason why no request meets a comparison, and the probable intention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Never {
    /// The reason, as the end of a sentence.
    pub why: &'static str,
    /// How to correct it.
    pub help: &'static str,
    /// The correction.
    pub mend: Mend,
}

/// Knowledge about the values of fields beyond their types.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Returns why no value meets a comparison.
    pub text: fn(&Asked<'_>) -> Option<Never>,
    /// Returns why no request has a named field of this name, with another name.
    pub name: fn(FieldId, &str) -> Option<Never>,
    /// Returns the least and the greatest value of a number.
    pub range: fn(FieldId) -> Option<(i64, i64)>,
    /// Returns the fewest bytes of a text.
    pub len_min: fn(FieldId) -> i64,
    /// Returns the most values of a named field.
    pub values_max: fn(FieldId) -> i64,
    /// Returns why the field never has a value in this network.
    pub network: fn(FieldId, &Prefix) -> Option<Never>,
    /// Returns whether an empty value means the same as an absent one and is rare.
    pub empty_is_absent: fn(FieldId) -> bool,
}

/// All facts that a policy can read.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The fields; [`FieldId`] is the position.
    pub fields: &'static [FieldSpec],
    /// The enumerations; [`EnumId`] is the position.
    pub enums: &'static [EnumSpec],
    /// The names of fields in other tools.
    pub aliases: &'static [Alias],
    /// The enumeration whose words the policy declares.
    pub level: EnumId,
    /// The field that holds the level.
    pub level_field: FieldId,
    /// The field that holds the score.
    pub score_field: FieldId,
    /// Fields whose values occur often from many clients, so that caching a search pays off. A
    /// named field has a name here, a plain field has none.
    pub repeating: &'static [(FieldId, &'static str)],
    /// The memory of counters.
    pub counters: CounterMemory,
    /// Knowledge about values.
    pub habits: Habits,
}

impl Schema {
    /// Returns the field with this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<(FieldId, &FieldSpec)> {
        let at = self.fields.iter().position(|field| field.name == name)?;
        Some((FieldId(u16::try_from(at).ok()?), self.fields.get(at)?))
    }

    /// Returns the description of a field.
    #[must_use]
    pub fn spec(&self, id: FieldId) -> Option<&FieldSpec> {
        self.fields.get(usize::from(id.0))
    }

    /// Returns the description of an enumeration.
    #[must_use]
    pub fn words(&self, id: EnumId) -> Option<&EnumSpec> {
        self.enums.get(usize::from(id.0))
    }

    /// Returns whether the values of a field occur often.
    #[must_use]
    pub fn repeats(&self, field: FieldId, name: &str) -> bool {
        self.repeating.contains(&(field, name))
    }

    /// Returns the name of a type for the author of a policy.
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
