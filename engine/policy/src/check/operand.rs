//! Values: fields, constants and functions, each with its type.

use seawall_model::CounterId;

use super::build::{Builder, Place};
use super::compare::is_error;
use super::literal::own_type;
use super::names::{Constant, TrackCounts, TrackPer};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, nearest};
use crate::functions::FUNCTIONS;
use crate::program::{Const, Operand as Built, OperandId, Read};
use crate::schema::{FieldSpec, Form, Phase, Type};
use crate::span::{Span, Spanned};
use crate::syntax::ast::{Literal, Name, Operand};

/// A built value with its properties.
#[derive(Debug, Clone, Copy)]
pub(super) struct TypedOperand {
    pub(super) id: OperandId,
    pub(super) ty: Type,
    /// The window of the track from which a rate was read.
    pub(super) window_ms: Option<u64>,
    /// Whether it is a constant.
    pub(super) constant: bool,
}

impl Builder<'_> {
    pub(super) fn typed(&mut self, operand: Built, ty: Type) -> TypedOperand {
        TypedOperand { id: self.operand_id(operand), ty, window_ms: None, constant: false }
    }

    /// Builds a value that has its own type.
    pub(super) fn operand(&mut self, operand: &Spanned<Operand>) -> Option<TypedOperand> {
        match &operand.node {
            Operand::Literal(literal) => self.literal_operand(literal, operand.span),
            Operand::Word(word) => self.word_operand(word, operand.span),
            Operand::Call { name, args } => self.call(name, args, operand.span),
            Operand::Group(inner) => {
                let condition = self.condition(inner)?;
                Some(self.typed(Built::Condition(condition), Type::Bool))
            }
            Operand::ListRef(_) | Operand::Set(_) => {
                self.error(
                    Code::OperatorType,
                    operand.span,
                    "a list or set is valid only after `in`, `contains`, `starts_with` and \
                     `ends_with`",
                );
                None
            }
            Operand::Error => None,
        }
    }

    fn literal_operand(&mut self, literal: &Literal, span: Span) -> Option<TypedOperand> {
        let ty = own_type(literal)?;
        let constant = self.constant(literal, ty, span, "this")?;
        let mut typed = self.typed(Built::Const(constant), ty);
        typed.constant = true;
        Some(typed)
    }

    fn word_operand(&mut self, word: &str, span: Span) -> Option<TypedOperand> {
        if let Some((id, spec)) = self.given.schema.field(word) {
            let spec = *spec;
            if spec.form == Form::Named {
                self.complain(
                    Diagnostic::error(
                        Code::Arguments,
                        self.file,
                        span,
                        format!("`{word}` needs a name: `{word}(\"…\")`"),
                    )
                    .label("which one?"),
                );
                return None;
            }
            self.may_read(&spec, span)?;
            return Some(self.typed(Built::Field(id), spec.ty));
        }
        if let Some(constant) = self.let_value(word) {
            return match constant {
                Constant::Literal(Literal::Word(inner)) => self.unknown_field(&inner, span, false),
                Constant::Literal(literal) => self.literal_operand(&literal, span),
                Constant::Set(_) => {
                    self.error(
                        Code::OperatorType,
                        span,
                        format!("`{word}` is a set, which is valid only after `in` or `not in`"),
                    );
                    None
                }
            };
        }
        self.unknown_field(word, span, false)
    }

    /// Builds the right side of a comparison with a string. An unknown word probably lacks its
    /// quotes.
    pub(super) fn beside_string(&mut self, operand: &Spanned<Operand>) -> Option<TypedOperand> {
        match &operand.node {
            Operand::Word(word)
                if self.given.schema.field(word).is_none() && self.let_value(word).is_none() =>
            {
                self.unknown_field(word, operand.span, true)
            }
            _ => self.operand(operand),
        }
    }

    fn unknown_field(&mut self, word: &str, span: Span, quotable: bool) -> Option<TypedOperand> {
        let schema = self.given.schema;
        let alias = schema.aliases.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(word));
        let near = alias.map(|(_, ours)| (*ours).to_owned()).or_else(|| {
            let fields = schema.fields.iter().map(|field| field.name);
            nearest(word, fields.chain(self.known_lets())).map(String::from)
        });
        let near = near.or_else(|| quotable.then(|| format!("\"{word}\"")));
        let mut diagnostic = Diagnostic::error(
            Code::UnknownField,
            self.file,
            span,
            format!("there is no field `{word}`"),
        );
        diagnostic = match near {
            Some(near) => diagnostic.label(format!("did you mean `{near}`?")).fix(span, near),
            None => diagnostic.help("run `seawall fields` for the complete list"),
        };
        self.complain(diagnostic);
        None
    }

    /// Checks that the current condition may read the field.
    fn may_read(&mut self, spec: &FieldSpec, span: Span) -> Option<()> {
        if spec.phase == Phase::Response && self.place != Place::Answer {
            self.complain(
                Diagnostic::error(
                    Code::ResponseOnly,
                    self.file,
                    span,
                    format!("`{}` is known only at the end of the response", spec.name),
                )
                .help(
                    "use the field in a `track` with `on response`, and read the track in a rule",
                ),
            );
            return None;
        }
        let of_origin = spec.name.starts_with("origin.") || spec.name == "cpu.load";
        if self.place == Place::Level && !of_origin {
            self.complain(
                Diagnostic::error(
                    Code::Forbidden,
                    self.file,
                    span,
                    format!(
                        "a `level` cannot read `{}`, because a level has no request",
                        spec.name
                    ),
                )
                .help("use tracks, `origin.…` or `cpu.load`"),
            );
            return None;
        }
        let of_walk = matches!(spec.name, "score" | "level");
        if of_walk && matches!(self.place, Place::Track | Place::Answer | Place::Level) {
            self.forbidden(spec.name, span);
            return None;
        }
        Some(())
    }

    pub(super) fn forbidden(&mut self, what: &str, span: Span) {
        let place = if self.place == Place::Level { "a `level`" } else { "the `where` of a track" };
        self.error(
            Code::Forbidden,
            span,
            format!(
                "{place} cannot read `{what}`, which is known only during the evaluation of \
                rules"
            ),
        );
    }

    fn call(&mut self, name: &Name, args: &[Spanned<Operand>], span: Span) -> Option<TypedOperand> {
        if args.iter().any(|arg| is_error(&arg.node)) {
            return None;
        }
        match &*name.node {
            "header" | "cookie" | "query" => self.named_field(name, args, span),
            "tagged" => {
                if self.place != Place::Walk {
                    self.forbidden("tagged", span);
                    return None;
                }
                let tag = self.text_argument(name, args, span)?;
                if let [arg] = args {
                    self.warn_tag(&tag, arg.span);
                }
                Some(self.typed(Built::Tagged(tag), Type::Bool))
            }
            "rate" | "count" | "distinct" | "bytes" | "share" | "top" => {
                self.track_function(name, args, span)
            }
            "len" => self.of_string(name, args, span, (Built::Len, Type::Int)),
            "lower" => self.of_string(name, args, span, (Built::Lower, Type::Str)),
            "count_of" => {
                let [arg] = args else { return self.arguments(name, "one value", span) };
                let of = self.operand(arg)?;
                if self.refuse_headers(of, arg.span) {
                    return None;
                }
                Some(self.typed(Built::CountOf(of.id), Type::Int))
            }
            "segment" => self.segment(name, args, span),
            "net" => self.net(name, args, span),
            "sample" => self.sample(name, args, span),
            _ if self.resolve(&self.names.externs, &name.node).is_some() => {
                self.extern_call(name, args, span)
            }
            _ => self.unknown_function(name),
        }
    }

    fn unknown_function(&mut self, name: &Name) -> Option<TypedOperand> {
        if self.is_declared("extern", &name.node) {
            return None;
        }
        let externs: Vec<Box<str>> = self.names.externs.keys().cloned().collect();
        let named = self.given.schema.fields.iter().filter(|field| field.form == Form::Named);
        let own: Vec<&str> =
            FUNCTIONS.iter().map(|line| line.name).chain(named.map(|field| field.name)).collect();
        let hers = externs.iter();
        let known = own.iter().copied().chain(hers.map(|name| &**name));
        let mut diagnostic = Diagnostic::error(
            Code::UnknownFunction,
            self.file,
            name.span,
            format!("there is no function `{}`", name.node),
        );
        diagnostic = match nearest(&name.node, known) {
            Some(near) => diagnostic.label(format!("did you mean `{near}`?")).fix(name.span, near),
            None => diagnostic.help(format!("functions: {}", own.join(", "))),
        };
        self.complain(diagnostic);
        None
    }

    /// Reports wrong arguments of a function.
    pub(super) fn arguments(
        &mut self,
        name: &Name,
        wants: &str,
        span: Span,
    ) -> Option<TypedOperand> {
        self.error(Code::Arguments, span, format!("`{}` needs {wants}", name.node));
        None
    }

    fn text_argument(
        &mut self,
        name: &Name,
        args: &[Spanned<Operand>],
        span: Span,
    ) -> Option<Box<str>> {
        if let [arg] = args
            && let Operand::Literal(Literal::Str(bytes)) = &arg.node
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return Some(text.into());
        }
        self.arguments(name, "one name in quotes", span);
        None
    }

    fn named_field(
        &mut self,
        name: &Name,
        args: &[Spanned<Operand>],
        span: Span,
    ) -> Option<TypedOperand> {
        let (id, spec) = self.given.schema.field(&name.node)?;
        let spec = *spec;
        self.may_read(&spec, span)?;
        let mut key = self.text_argument(name, args, span)?;
        if let [arg] = args {
            self.warn_name(id, &key, arg.span);
        }
        if &*name.node == "header" {
            // Field names are case-insensitive (RFC 9110 §5.1).
            key = key.to_ascii_lowercase().into();
        }
        Some(self.typed(Built::Values(id, key), spec.ty))
    }

    fn of_string(
        &mut self,
        name: &Name,
        args: &[Spanned<Operand>],
        span: Span,
        (make, ty): (fn(OperandId) -> Built, Type),
    ) -> Option<TypedOperand> {
        let [arg] = args else { return self.arguments(name, "one string", span) };
        let of = self.operand(arg)?;
        if of.ty != Type::Str {
            return self.arguments(name, "a string", arg.span);
        }
        Some(self.typed(make(of.id), ty))
    }

    fn segment(
        &mut self,
        name: &Name,
        args: &[Spanned<Operand>],
        span: Span,
    ) -> Option<TypedOperand> {
        const WANTS: &str = "a string and the number of a segment, from 1 to 64";
        let [of, n] = args else { return self.arguments(name, WANTS, span) };
        let of = self.operand(of)?;
        match (&n.node, of.ty) {
            (Operand::Literal(Literal::Int(n)), Type::Str) if (1..=64).contains(n) => {
                let n = u32::try_from(*n).unwrap_or(1);
                Some(self.typed(Built::Segment(of.id, n), Type::Str))
            }
            _ => self.arguments(name, WANTS, span),
        }
    }

    fn net(&mut self, name: &Name, args: &[Spanned<Operand>], span: Span) -> Option<TypedOperand> {
        const WANTS: &str = "an address and two prefix lengths, as in `net(client.ip, 24, 56)`";
        let [of, v4, v6] = args else { return self.arguments(name, WANTS, span) };
        let of = self.operand(of)?;
        let bits = |arg: &Spanned<Operand>, most: i64| match &arg.node {
            Operand::Literal(Literal::Int(n)) if (0..=most).contains(n) => u8::try_from(*n).ok(),
            _ => None,
        };
        match (of.ty, bits(v4, 32), bits(v6, 128)) {
            (Type::Ip, Some(v4), Some(v6)) => {
                Some(self.typed(Built::Net(of.id, v4, v6), Type::Cidr))
            }
            _ => self.arguments(name, WANTS, span),
        }
    }

    fn sample(
        &mut self,
        name: &Name,
        args: &[Spanned<Operand>],
        span: Span,
    ) -> Option<TypedOperand> {
        const WANTS: &str = "a percentage from 0% to 100% and a key, as in `sample(10%, client)`";
        let [percent, key] = args else { return self.arguments(name, WANTS, span) };
        let key = self.operand(key)?;
        match &percent.node {
            Operand::Literal(Literal::Percent(n)) if (0..=100).contains(n) => {
                let n = u8::try_from(*n).unwrap_or(100);
                Some(self.typed(Built::Sample(n, key.id), Type::Bool))
            }
            _ => self.arguments(name, WANTS, span),
        }
    }

    fn track_function(
        &mut self,
        name: &Name,
        args: &[Spanned<Operand>],
        span: Span,
    ) -> Option<TypedOperand> {
        if matches!(self.place, Place::Track | Place::Answer) {
            self.error(
                Code::Forbidden,
                span,
                "the `where` of a track cannot read tracks, because all tracks are updated \
                 together",
            );
            return None;
        }
        let (track, rest) = match args {
            [Spanned { node: Operand::Word(track), span }, rest @ ..] => ((track, *span), rest),
            _ => return self.arguments(name, "the name of a track", span),
        };
        let full = self.resolve(&self.names.tracks, track.0);
        let Some(known) = full.and_then(|full| self.names.tracks.get(&full).copied()) else {
            return self.unknown_track(track.0, track.1);
        };
        if self.place == Place::Level && known.per == TrackPer::Request {
            self.complain(
                Diagnostic::error(
                    Code::Forbidden,
                    self.file,
                    track.1,
                    format!(
                        "a `level` cannot read `{}`, whose key is a value of the request",
                        track.0
                    ),
                )
                .help(
                    "use tracks without `per`; a level `per site` can also read tracks `per \
                     site.name`",
                ),
            );
            return None;
        }
        let (read, ty, wants) = match (&*name.node, rest) {
            ("rate", []) => (Read::Count, Type::Rate, Some(TrackCounts::Requests)),
            ("count", []) => (Read::Count, Type::Int, Some(TrackCounts::Requests)),
            ("bytes", []) => (Read::Bytes, Type::Size, Some(TrackCounts::Bytes)),
            ("distinct", []) => (Read::Distinct, Type::Int, Some(TrackCounts::Distinct)),
            ("share", []) => (Read::Share, Type::Percent, None),
            ("top", [n]) => (Read::Top(self.top_n(name, n)?), Type::Bool, None),
            ("top", _) => return self.arguments(name, "a track and a number", span),
            _ => return self.arguments(name, "one track", span),
        };
        self.asks_what_is_counted(name, (track.0, track.1), known.counted, wants)?;
        self.note_heavy(read, known.counter, track.1)?;
        let mut typed = self.typed(Built::Counter(read, known.counter), ty);
        typed.window_ms = (ty == Type::Rate).then_some(known.window_ms);
        Some(typed)
    }

    /// Adds the sketch that `share` and `top` need to a counter. A member can read the sketch of an
    /// operator's counter, but cannot add one.
    fn note_heavy(&mut self, read: Read, counter: CounterId, span: Span) -> Option<()> {
        let asks = matches!(read, Read::Share | Read::Top(_));
        let is_hosts = (counter.0 as usize) < self.host.counters;
        match self.program.counters.get_mut(counter.0 as usize) {
            Some(counter) if asks && !counter.heavy => {
                if is_hosts {
                    self.complain(
                        Diagnostic::error(
                            Code::MemberMay,
                            self.file,
                            span,
                            "no rule of the operator reads `share` or `top` of this track, so the \
                             track does not count heavy hitters",
                        )
                        .help("declare your own track, or ask the operator"),
                    );
                    return None;
                }
                counter.heavy = true;
            }
            _ => {}
        }
        Some(())
    }

    fn top_n(&mut self, name: &Name, arg: &Spanned<Operand>) -> Option<u32> {
        match &arg.node {
            Operand::Literal(Literal::Int(n)) if (1..=100).contains(n) => u32::try_from(*n).ok(),
            _ => {
                self.arguments(name, "a track and a number from 1 to 100", arg.span);
                None
            }
        }
    }

    fn asks_what_is_counted(
        &mut self,
        name: &Name,
        (track, span): (&str, Span),
        counted: TrackCounts,
        wants: Option<TrackCounts>,
    ) -> Option<()> {
        if wants.is_none_or(|wants| wants == counted) {
            return Some(());
        }
        let counts = match counted {
            TrackCounts::Requests => "requests",
            TrackCounts::Bytes => "bytes",
            TrackCounts::Distinct => "distinct values",
        };
        self.complain(
            Diagnostic::error(
                Code::NotCounted,
                self.file,
                span,
                format!("`{}({track})` reads a value that `{track}` does not count", name.node),
            )
            .label(format!("`{track}` counts {counts}")),
        );
        None
    }

    fn unknown_track(&mut self, track: &str, span: Span) -> Option<TypedOperand> {
        if self.is_declared("track", track) {
            return None;
        }
        let known = self.names.tracks.keys();
        let near = nearest(track, known.map(|name| &**name)).map(String::from);
        let mut diagnostic = Diagnostic::error(
            Code::UnknownTrack,
            self.file,
            span,
            format!("there is no track `{track}`"),
        );
        diagnostic = match near {
            Some(near) => diagnostic.label(format!("did you mean `{near}`?")).fix(span, near),
            None => diagnostic.help("declare it with `track`"),
        };
        self.complain(diagnostic);
        None
    }

    /// Returns the value of a `let` with a single value.
    pub(super) fn constant_of(&self, operand: &Operand) -> Option<Literal> {
        match operand {
            Operand::Literal(literal) => Some(literal.clone()),
            Operand::Word(word) => match self.let_value(word)? {
                Constant::Literal(literal) => Some(literal),
                Constant::Set(_) => None,
            },
            _ => None,
        }
    }

    /// Returns the names of the constants that can be used here, in their form here.
    pub(super) fn known_lets(&self) -> impl Iterator<Item = &str> {
        let own = self.member.as_deref().map(|member| format!("{member}."));
        self.names
            .lets
            .keys()
            .map(move |name| own.as_deref().and_then(|own| name.strip_prefix(own)).unwrap_or(name))
    }

    /// Returns the value of a `let` here.
    pub(super) fn let_value(&self, word: &str) -> Option<Constant> {
        let full = self.resolve(&self.names.lets, word)?;
        self.names.lets.get(&full).cloned()
    }

    /// Returns the bytes of a constant if it is a string.
    pub(super) fn const_bytes(constant: Const) -> Option<Box<[u8]>> {
        match constant {
            Const::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}
