//! Conversion of literals to values of a type.

use seawall_model::Prefix;

use super::build::Builder;
use super::names::Constant;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::program::Const;
use crate::schema::{EnumId, Type};
use crate::set::Set;
use crate::span::{Span, Spanned};
use crate::syntax::ast::Literal;

/// Returns the type of a literal without context.
pub(super) fn own_type(literal: &Literal) -> Option<Type> {
    Some(match literal {
        Literal::Str(_) => Type::Str,
        Literal::Int(_) => Type::Int,
        Literal::Percent(_) => Type::Percent,
        Literal::Duration(_) => Type::Duration,
        Literal::Rate(_) => Type::Rate,
        Literal::Size(_) => Type::Size,
        Literal::Asn(_) => Type::Asn,
        Literal::Ip(_) => Type::Ip,
        Literal::Cidr(..) => Type::Cidr,
        Literal::Date(_) => Type::Date,
        Literal::Bool(_) => Type::Bool,
        Literal::Word(_) | Literal::Error => return None,
    })
}

fn saturate(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Builder<'_> {
    /// Returns `literal` as a value of type `ty`; reports a literal of another type. `subject` is
    /// the other side of the comparison, as written.
    pub(super) fn constant(
        &mut self,
        literal: &Literal,
        ty: Type,
        span: Span,
        subject: &str,
    ) -> Option<Const> {
        Some(match (ty, literal) {
            (_, Literal::Error) => return None,
            (Type::Bool, Literal::Bool(value)) => Const::Bool(*value),
            (Type::Int | Type::Size, Literal::Int(n)) | (Type::Percent, Literal::Percent(n)) => {
                Const::Int(*n)
            }
            (Type::Size, Literal::Size(n)) => Const::Int(saturate(*n)),
            (Type::Duration, Literal::Duration(d)) => Const::Int(saturate(d.us)),
            (Type::Rate, Literal::Rate(rate)) => Const::Int(saturate(rate.n)),
            (Type::Asn, Literal::Asn(n)) => Const::Int(i64::from(*n)),
            (Type::Str, Literal::Str(bytes)) => Const::Bytes(bytes.clone()),
            (Type::Ip, Literal::Ip(ip)) => Const::Ip(*ip),
            (Type::Cidr, Literal::Ip(ip)) => Const::Net(Prefix::host(*ip)),
            (Type::Cidr, Literal::Cidr(net, written)) => {
                self.note_host_bits(written.is_some(), net, span);
                Const::Net(*net)
            }
            (Type::Date, Literal::Date(date)) => Const::Int(date.unix_s),
            (Type::Enum(id), Literal::Word(word)) => Const::Int(self.word_code(id, word, span)?),
            (Type::Enum(id), Literal::Str(bytes)) if self.has_others(id, bytes) => {
                self.other_value(id, bytes, span)?
            }
            _ => {
                self.mismatch(literal, ty, span, subject);
                return None;
            }
        })
    }

    pub(super) fn note_host_bits(&mut self, cleared: bool, net: &Prefix, span: Span) {
        if cleared {
            self.complain(
                Diagnostic::error(
                    Code::HostBits,
                    self.file,
                    span,
                    format!("this network is read as `{net}`"),
                )
                .note()
                .label("bits behind the prefix are set")
                .fix(span, net.to_string()),
            );
        }
    }

    fn mismatch(&mut self, literal: &Literal, ty: Type, span: Span, subject: &str) {
        let schema = self.given.schema;
        let is = schema.type_name(ty);
        let written = self.text(span).to_owned();
        let (code, this, fix) = match (ty, literal) {
            (Type::Ip, Literal::Cidr(..)) => (Code::AddressNetwork, "a network", None),
            (Type::Ip | Type::Cidr, Literal::Str(bytes)) => {
                (Code::Mismatch, "a string", Some(String::from_utf8_lossy(bytes).into_owned()))
            }
            (Type::Asn, Literal::Int(n)) => (Code::Mismatch, "a number", Some(format!("AS{n}"))),
            (Type::Asn, Literal::Str(bytes)) => {
                let text = String::from_utf8_lossy(bytes).to_ascii_uppercase();
                let digits = text.strip_prefix("AS").unwrap_or(&text).trim();
                let number = digits.parse::<u32>().ok();
                (Code::Mismatch, "a string", number.map(|n| format!("AS{n}")))
            }
            (Type::Str, Literal::Word(word)) => {
                (Code::Mismatch, "a word", Some(format!("\"{word}\"")))
            }
            (Type::Enum(id), Literal::Str(bytes)) => {
                let word = String::from_utf8_lossy(bytes).into_owned();
                let spec = schema.words(id);
                let known = spec.is_some_and(|spec| spec.code(&word).is_some());
                let meant = || spec.and_then(|spec| spec.meant(&word)).map(String::from);
                (Code::Mismatch, "a string", if known { Some(word) } else { meant() })
            }
            (Type::Percent, Literal::Int(n)) => {
                (Code::Mismatch, "a whole number", Some(format!("{n}%")))
            }
            _ => (
                Code::Mismatch,
                own_type(literal).map_or("a word", |own| schema.type_name(own)),
                None,
            ),
        };
        let mut diagnostic = Diagnostic::error(
            code,
            self.file,
            span,
            if code == Code::AddressNetwork {
                "an address never equals a network".to_owned()
            } else {
                format!("`{subject}` is {is}, and `{written}` is {this}")
            },
        )
        .label(format!("this is {this}"));
        if code == Code::AddressNetwork {
            diagnostic = diagnostic.help("to test whether the address is in the network, use `in`");
        }
        if let Some(fix) = fix {
            diagnostic = diagnostic.fix(span, fix);
        }
        self.complain(diagnostic);
    }

    /// Returns whether a string is a valid value of an enumeration. The enumeration must have
    /// values other than its words, and the string must not be a word.
    fn has_others(&self, id: EnumId, bytes: &[u8]) -> bool {
        let spec = self.given.schema.words(id);
        spec.is_some_and(|spec| {
            spec.others.is_some() && !spec.words.iter().any(|word| word.as_bytes() == bytes)
        })
    }

    /// Returns a value of an enumeration that is not one of its words.
    pub(super) fn other_value(&mut self, id: EnumId, bytes: &[u8], span: Span) -> Option<Const> {
        let spec = *self.given.schema.words(id)?;
        let written = self.text(span).to_owned();
        if let Err(why) = spec.others?(bytes) {
            self.complain(
                Diagnostic::error(
                    Code::OutOfRange,
                    self.file,
                    span,
                    format!("{written} can never be {}: it {why}", spec.name),
                )
                .label("not one"),
            );
            return None;
        }
        if !bytes.iter().any(u8::is_ascii_uppercase) && bytes.iter().any(u8::is_ascii_lowercase) {
            let upper = String::from_utf8_lossy(bytes).to_ascii_uppercase();
            let known = spec.words.contains(&&*upper);
            let meant = if known { upper } else { format!("\"{upper}\"") };
            self.complain(
                Diagnostic::error(
                    Code::CaseTrap,
                    self.file,
                    span,
                    format!("case matters here: {written} is not `{meant}`"),
                )
                .warning()
                .label("lower case")
                .help("methods are upper case, for clients and servers")
                .fix(span, meant),
            );
        }
        Some(Const::Bytes(bytes.into()))
    }

    /// Returns the number of a word of an enumeration.
    pub(super) fn word_code(&mut self, id: EnumId, word: &str, span: Span) -> Option<i64> {
        if id == self.given.schema.level {
            if word == "normal" {
                return Some(0);
            }
            return self.level_id(word, span).map(|level| i64::from(level.0));
        }
        let spec = *self.given.schema.words(id)?;
        if let Some(code) = spec.code(word) {
            return Some(code);
        }
        let near = spec.meant(word);
        let mut diagnostic = Diagnostic::error(
            Code::UnknownWord,
            self.file,
            span,
            format!("`{word}` is not {} of the policy language", spec.name),
        );
        diagnostic = match near {
            Some(near) => diagnostic.label(format!("did you mean `{near}`?")).fix(span, near),
            None if spec.words.len() <= 12 => {
                diagnostic.help(format!("possible here: {}", spec.words.join(", ")))
            }
            None if spec.others.is_some() => diagnostic.help(format!(
                "run `seawall fields` for all words; write another value in quotes: `\"{word}\"`"
            )),
            None => diagnostic.help("run `seawall fields` for the complete list"),
        };
        self.complain(diagnostic);
        None
    }

    /// Returns a set of values of type `ty`.
    pub(super) fn set(
        &mut self,
        elements: &[Spanned<Literal>],
        ty: Type,
        subject: &str,
    ) -> Option<Set> {
        if self.is_spent() {
            return None;
        }
        let mut consts = Vec::with_capacity(elements.len());
        let mut good = true;
        for element in elements {
            // An address in a set of networks becomes the network with this address only.
            let element_ty = if ty == Type::Ip { Type::Cidr } else { ty };
            match self.set_element(&element.node, element_ty, element.span, subject) {
                Some(mut all) => consts.append(&mut all),
                None => good = false,
            }
            // A short `let` name can stand for very many values.
            if !self.may_hold(consts.len()) {
                return None;
            }
        }
        good.then(|| set_of(consts))
    }

    /// Returns the values of one element. The name of a `let` set gives all its elements.
    fn set_element(
        &mut self,
        literal: &Literal,
        ty: Type,
        span: Span,
        subject: &str,
    ) -> Option<Vec<Const>> {
        if let Literal::Word(word) = literal
            && let Some(constant) = self.let_value(word)
        {
            let literals = match constant {
                Constant::Literal(one) => vec![Spanned::new(one, span)],
                Constant::Set(all) => all,
            };
            return literals
                .iter()
                .map(|one| self.constant(&one.node, ty, span, subject))
                .collect();
        }
        self.constant(literal, ty, span, subject).map(|one| vec![one])
    }
}

/// Returns constants of one type as a set.
pub(super) fn set_of(consts: Vec<Const>) -> Set {
    let mut strings = hashbrown::HashSet::new();
    let mut ints = Vec::new();
    let mut nets = Vec::new();
    for constant in consts {
        match constant {
            Const::Bytes(bytes) => {
                strings.insert(bytes);
            }
            Const::Int(n) => ints.push(n),
            Const::Ip(ip) => nets.push(Prefix::host(ip)),
            Const::Net(net) => nets.push(net),
            Const::Bool(value) => ints.push(i64::from(value)),
        }
    }
    if !nets.is_empty() {
        Set::Nets(nets.into_iter().collect())
    } else if !ints.is_empty() {
        Set::words(ints, strings)
    } else {
        Set::Strings(strings)
    }
}
