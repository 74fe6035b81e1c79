//! Declarations: tracks, levels and externs.

use super::build::{Builder, Place, number};
use super::literal::own_type;
use super::names::{TrackCounts, TrackName, TrackPer};
use super::operand::TypedOperand;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, nearest};
use crate::program::{
    CondId, Const, Counter, Counts, Extern, ExternId, ExternType, Feed, Level, LevelId,
    Operand as Built, OperandId, Scope,
};
use crate::schema::Type;
use crate::span::{Span, Spanned};
use crate::syntax::ast::{self, Counted, Decl, Literal, Name, Operand};

/// Most keys of one counter.
pub const COUNTER_KEYS_MAX: i64 = 10_000_000;
/// Keys of a limit of the operator that does not set a number.
pub const LIMIT_KEYS_DEFAULT: usize = 100_000;
/// Longest window of a counter: a week, because counters are in memory.
pub const WINDOW_MAX_MS: u64 = 604_800_000;
/// Most parameters of an extern.
pub const EXTERN_PARAMS_MAX: usize = 6;
/// Most fuel of one call of an extern.
pub const FUEL_MAX: i64 = 1_000_000_000;
/// Most memory of one instance of an extern.
pub const EXTERN_MEMORY_BYTES_MAX: u64 = 64 << 20;
/// Wall time of a call of an extern that does not set one.
pub const EXTERN_TIME_DEFAULT_MS: u64 = 5;
/// Most wall time of one call of an extern.
pub const EXTERN_TIME_MAX_MS: u64 = 100;

impl Builder<'_> {
    /// Reports a word that is not one of the known words.
    pub(super) fn one_of(&mut self, word: &str, span: Span, what: &str, known: &[&'static str]) {
        let mut diagnostic = Diagnostic::error(
            Code::UnknownWord,
            self.file,
            span,
            format!("`{word}` is not {what} in this context"),
        )
        .help(format!("possible here: {}", known.join(", ")));
        if let Some(near) = nearest(word, known.iter().copied()) {
            diagnostic = diagnostic.label(format!("did you mean `{near}`?")).fix(span, near);
        }
        self.complain(diagnostic);
    }

    /// Returns a number if it is between two bounds.
    pub(super) fn in_range(
        &mut self,
        what: &str,
        n: &Spanned<i64>,
        least: i64,
        most: i64,
    ) -> Option<i64> {
        if (least..=most).contains(&n.node) {
            return Some(n.node);
        }
        self.error(
            Code::OutOfRange,
            n.span,
            format!("`{what}` must be between {least} and {most}"),
        );
        None
    }

    /// Returns the milliseconds of a window.
    pub(super) fn window_ms(&mut self, window: &Spanned<ast::Duration>) -> Option<u64> {
        let ms = window.node.ms();
        if ms == 0 || ms > WINDOW_MAX_MS || !window.node.us.is_multiple_of(1_000) {
            self.error(
                Code::OutOfRange,
                window.span,
                "a window must be between 1ms and 1w, in whole milliseconds",
            );
            return None;
        }
        Some(ms)
    }

    /// Declares a track with its name and its counted value, so that conditions anywhere can read
    /// it.
    pub(super) fn declare_track(&mut self, track: &ast::Track) {
        if !self.begins(track.name.span) {
            return;
        }
        self.may("track", track.name.span);
        let Some(full) = self.claim("track", &track.name) else { return };
        if track.meta.broken && (track.count.is_none() || track.over.is_none()) {
            return;
        }
        let Some(count) = &track.count else {
            return self.missing(
                track.name.span,
                "a track",
                "count",
                "add what the track counts: `count requests`, `count bytes bytes_out` or `count \
                 distinct path`",
            );
        };
        let counted = match &count.node {
            Counted::Requests => TrackCounts::Requests,
            Counted::Bytes(_) => TrackCounts::Bytes,
            Counted::Distinct(_) => TrackCounts::Distinct,
        };
        self.no_expiry(&track.meta, "a track");
        let Some(over) = &track.over else {
            return self.missing(track.name.span, "a track", "over", "add the window: `over 1m`");
        };
        let Some(window_ms) = self.window_ms(over) else { return };
        let Some(keys) = self.track_keys(track) else { return };
        let counter = self.next_counter();
        let per = match track.per.as_slice() {
            [] => TrackPer::Nothing,
            [Spanned { node: Operand::Word(word), .. }] if &**word == "site.name" => TrackPer::Site,
            _ => TrackPer::Request,
        };
        let reading = self.track_reading(track);
        let name = TrackName { counter, counted, window_ms, per, reading };
        self.names.tracks.insert(full.clone(), name);
        self.note_member_counter(
            counter,
            track.keys.is_some() || track.per.is_empty(),
            track.name.span,
        );
        self.program.counters.push(Counter {
            name: full,
            identity: Box::default(),
            counts: Counts::Requests,
            scope: Scope::Host,
            per: Box::default(),
            window_ms,
            keys,
            heavy: false,
        });
    }

    fn track_keys(&mut self, track: &ast::Track) -> Option<usize> {
        match (&track.keys, track.per.is_empty()) {
            (None, true) => Some(1),
            (None, false) if track.meta.broken => None,
            (None, false) => {
                self.missing(
                    track.name.span,
                    "a track with `per`",
                    "keys",
                    "add the maximum number of keys: `keys 50k`",
                );
                None
            }
            (Some(keys), _) => {
                let n = self.in_range("keys", keys, 1, COUNTER_KEYS_MAX)?;
                usize::try_from(n).ok()
            }
        }
    }

    /// Builds a declaration.
    pub(super) fn build_decl(&mut self, decl: &Decl) {
        if !self.begins(decl.name().span) {
            return;
        }
        match decl {
            Decl::Let(item) => self.check_let(item),
            Decl::List(_) => {}
            Decl::Track(track) => self.build_track(track),
        }
        self.weigh();
    }

    fn check_let(&mut self, item: &ast::Let) {
        if let Operand::Literal(literal) = &item.value.node
            && let Some(ty) = own_type(literal)
        {
            let name = item.name.node.clone();
            self.constant(literal, ty, item.value.span, &name);
        }
    }

    fn build_track(&mut self, track: &ast::Track) {
        let full = self.qualified(&track.name.node);
        let Some(known) = self.names.tracks.get(&full).copied() else { return };
        let on_response = track.on_response.as_ref().is_some_and(|on| on.node);
        self.place = if on_response { Place::Answer } else { Place::Track };
        self.warn_empty([track.condition.as_ref(), None]);
        let condition = match &track.condition {
            None => Some(None),
            Some(expr) => self.condition(expr).map(Some),
        };
        let key = self.key(&track.per);
        let counts = track.count.as_ref().and_then(|count| self.counts(count));
        self.place = Place::Walk;
        let (Some(condition), Some((per, key_text)), Some((counts, counts_text))) =
            (condition, key, counts)
        else {
            return;
        };
        // At the top level of a member's file, a track counts requests to that member's hosts only.
        let scope = match (self.scope, self.member_number()) {
            (Scope::Host, Some(number)) => Scope::Member(number),
            (scope, _) => scope,
        };
        let identity = format!("{full}|{key_text}|{counts_text}");
        if let Some(counter) = self.program.counters.get_mut(known.counter.0 as usize) {
            counter.identity = identity.into();
            counter.counts = counts;
            counter.scope = scope;
            counter.per = per;
        }
        self.program.feeds.push(Feed { counter: known.counter, condition, on_response });
    }

    fn counts(&mut self, count: &Spanned<Counted>) -> Option<(Counts, String)> {
        match &count.node {
            Counted::Requests => Some((Counts::Requests, "requests".to_owned())),
            Counted::Bytes(field) => {
                let operand = Spanned::new(Operand::Word(field.node.clone()), field.span);
                let typed = self.operand(&operand)?;
                match self.program.operands.get(typed.id.0 as usize) {
                    Some(Built::Field(id)) if matches!(typed.ty, Type::Size) => {
                        Some((Counts::Bytes(*id), format!("bytes {}", field.node)))
                    }
                    _ => {
                        let text = format!("`{}` is not a number of bytes", field.node);
                        self.error(Code::Mismatch, field.span, text);
                        None
                    }
                }
            }
            Counted::Distinct(operand) => {
                let typed = self.operand(operand)?;
                let text = self.text(operand.span);
                Some((Counts::Distinct(typed.id), format!("distinct {text}")))
            }
        }
    }

    /// Returns the operands of `per` and the text that identifies them.
    pub(super) fn key(&mut self, per: &[Spanned<Operand>]) -> Option<(Box<[OperandId]>, String)> {
        let mut ids = Vec::with_capacity(per.len());
        let mut texts = Vec::with_capacity(per.len());
        let mut good = true;
        for operand in per {
            match self.operand(operand) {
                Some(TypedOperand { constant: true, .. }) => {
                    self.error(
                        Code::OperatorType,
                        operand.span,
                        "a key must differ between requests, but this value is constant",
                    );
                    good = false;
                }
                Some(typed) => ids.push(typed.id),
                None => good = false,
            }
            let text: String = self.text(operand.span).split_whitespace().collect();
            texts.push(text);
        }
        good.then(|| (ids.into(), texts.join(",")))
    }

    /// Declares a level. Levels are ordered by declaration.
    pub(super) fn declare_level(&mut self, level: &ast::Level) {
        if &*level.name.node == "normal" {
            return self.error(
                Code::ReservedName,
                level.name.span,
                "the level `normal` always exists, below all other levels",
            );
        }
        if self.claim("level", &level.name).is_some() {
            let id = LevelId(u16::try_from(self.names.levels.len() + 1).unwrap_or(u16::MAX));
            self.names.levels.insert(level.name.node.clone(), id);
            self.names.level_words.push(level.name.node.clone());
        }
    }

    /// Returns the level with this name.
    pub(super) fn level_id(&mut self, word: &str, span: Span) -> Option<LevelId> {
        if word == "normal" {
            return Some(LevelId::default());
        }
        if let Some(id) = self.names.levels.get(word) {
            return Some(*id);
        }
        let known = self.names.level_words.clone();
        let mut diagnostic = Diagnostic::error(
            Code::UnknownLevel,
            self.file,
            span,
            format!("there is no level `{word}`"),
        );
        diagnostic = match nearest(word, known.iter().map(|name| &**name)) {
            Some(near) => diagnostic.label(format!("did you mean `{near}`?")).fix(span, near),
            None if known.is_empty() => diagnostic.help("declare it with `level`"),
            None => diagnostic.help(format!("levels: normal, {}", known.join(", "))),
        };
        self.complain(diagnostic);
        None
    }

    /// Builds the conditions of a level.
    pub(super) fn build_level(&mut self, level: &ast::Level) {
        if level.meta.broken && (level.enter.is_none() || level.leave_after.is_none()) {
            return;
        }
        let Some(enter) = &level.enter else {
            return self.missing(
                level.name.span,
                "a level",
                "enter when",
                "add when the level is entered: `enter when rate(all) > 20k/10s sustained 20s`",
            );
        };
        let Some(leave) = &level.leave_after else {
            return self.missing(
                level.name.span,
                "a level",
                "leave after",
                "add after which time without the condition the level is left: `leave after 10m`",
            );
        };
        self.place = Place::Level;
        let built: Option<CondId> = self.condition(enter);
        self.place = Place::Walk;
        if let Some(enter) = built {
            self.lint_level(level);
            self.program.levels.push(Level {
                name: level.name.node.clone(),
                per_site: level.per_site,
                enter,
                sustained_ms: level.sustained.as_ref().map_or(0, |d| d.node.ms()),
                leave_after_ms: leave.node.ms(),
            });
        }
    }

    /// Declares an extern.
    pub(super) fn declare_extern(&mut self, item: &ast::Extern) {
        if !self.begins(item.name.span) {
            return;
        }
        self.may("extern", item.name.span);
        let Some(full) = self.claim("extern", &item.name) else { return };
        if let Some(module) = &item.module {
            self.own_path(module);
        }
        let params = self.extern_params(item);
        let result = self.extern_type(&item.result, &["bool", "int", "string"]);
        let (Some(params), Some(result)) = (params, result) else { return };
        let Some((module, fuel, memory_bytes, on_failure)) = self.extern_clauses(item, result)
        else {
            return;
        };
        let time_ms = item.time.as_ref().map_or(EXTERN_TIME_DEFAULT_MS, |time| time.node.ms());
        if time_ms == 0 || time_ms > EXTERN_TIME_MAX_MS {
            let span = item.time.as_ref().map_or(item.name.span, |time| time.span);
            return self.error(Code::OutOfRange, span, "`time` must be between 1ms and 100ms");
        }
        let function = item.function.as_ref().map_or_else(
            || item.name.node.replace('_', "-").into(),
            |function| function.node.clone(),
        );
        let sha256 = item.sha256.as_ref().map(|digest| digest.node.to_ascii_lowercase().into());
        let id = ExternId(number(self.program.externs.len()));
        self.names.externs.insert(full.clone(), id);
        self.program.externs.push(Extern {
            name: full,
            params,
            result,
            module,
            sha256,
            function,
            fuel,
            time_ms,
            memory_bytes,
            on_failure,
            isolated: item.isolate.is_some(),
            file: self.file,
            span: item.module.as_ref().map_or(item.name.span, |module| module.span),
        });
    }

    fn extern_clauses(
        &mut self,
        item: &ast::Extern,
        result: ExternType,
    ) -> Option<(Box<str>, u64, u64, Const)> {
        let span = item.name.span;
        let need = "an extern";
        if item.broken
            && [
                item.module.is_none(),
                item.fuel.is_none(),
                item.memory.is_none(),
                item.on_failure.is_none(),
            ]
            .contains(&true)
        {
            return None;
        }
        if item.module.is_none() {
            self.missing(span, need, "module", "add the component: `module \"wasm/name.wasm\"`");
        }
        if item.fuel.is_none() {
            self.missing(span, need, "fuel", "add a limit on the work of one call: `fuel 50k`");
        }
        if item.memory.is_none() {
            self.missing(span, need, "memory", "add a limit on the memory: `memory 1MiB`");
        }
        if item.on_failure.is_none() {
            self.missing(
                span,
                need,
                "on_failure return",
                "add the result of a failed call, which determines whether the rule fails open or \
                 closed",
            );
        }
        let fuel = self.in_range("fuel", item.fuel.as_ref()?, 1, FUEL_MAX)?;
        let memory = item.memory.as_ref()?;
        if memory.node < 65_536 || memory.node > EXTERN_MEMORY_BYTES_MAX {
            self.error(Code::OutOfRange, memory.span, "`memory` must be between 64KiB and 64MiB");
            return None;
        }
        let failure = item.on_failure.as_ref()?;
        let ty = match result {
            ExternType::Bool => Type::Bool,
            ExternType::Int => Type::Int,
            _ => Type::Str,
        };
        let on_failure = self.constant(&failure.node, ty, failure.span, &item.name.node)?;
        let module = item.module.as_ref()?.node.clone();
        Some((module, u64::try_from(fuel).unwrap_or(1), memory.node, on_failure))
    }

    fn extern_params(&mut self, item: &ast::Extern) -> Option<Vec<ExternType>> {
        if item.params.len() > EXTERN_PARAMS_MAX {
            self.error(
                Code::TooMany,
                item.name.span,
                format!("an extern has at most {EXTERN_PARAMS_MAX} parameters"),
            );
            return None;
        }
        let known = ["bool", "int", "string", "ip", "headers"];
        item.params.iter().map(|param| self.extern_type(&param.ty, &known)).collect()
    }

    fn extern_type(&mut self, name: &Name, known: &[&'static str]) -> Option<ExternType> {
        let types = [
            ("bool", ExternType::Bool),
            ("int", ExternType::Int),
            ("string", ExternType::Str),
            ("ip", ExternType::Ip),
            ("headers", ExternType::Headers),
        ];
        let ty = types.iter().find(|(word, _)| *word == &*name.node && known.contains(word));
        if ty.is_none() {
            self.one_of(&name.node, name.span, "a type", known);
        }
        ty.map(|(_, ty)| *ty)
    }

    /// Builds a call of an extern.
    pub(super) fn extern_call(
        &mut self,
        name: &Name,
        args: &[Spanned<Operand>],
        span: Span,
    ) -> Option<TypedOperand> {
        let full = self.resolve(&self.names.externs, &name.node)?;
        let id = *self.names.externs.get(&full)?;
        let item = self.program.externs.get(id.0 as usize)?;
        let (params, result) = (item.params.clone(), item.result);
        if params.len() != args.len() {
            return self.arguments(name, &format!("{} values", params.len()), span);
        }
        let mut ids = Vec::with_capacity(args.len());
        for (arg, param) in args.iter().zip(params) {
            ids.push(self.extern_argument(arg, param)?);
        }
        let ty = match result {
            ExternType::Bool => Type::Bool,
            ExternType::Int => Type::Int,
            _ => Type::Str,
        };
        Some(self.typed(Built::Extern(id, ids.into()), ty))
    }

    fn extern_argument(&mut self, arg: &Spanned<Operand>, param: ExternType) -> Option<OperandId> {
        let typed = self.operand(arg)?;
        let fits = match param {
            ExternType::Bool => typed.ty == Type::Bool,
            ExternType::Int => matches!(
                typed.ty,
                Type::Int | Type::Percent | Type::Size | Type::Asn | Type::Rate | Type::Duration
            ),
            ExternType::Str => typed.ty == Type::Str,
            ExternType::Ip => typed.ty == Type::Ip,
            ExternType::Headers => typed.ty == Type::Headers,
        };
        if fits {
            return Some(typed.id);
        }
        let is = self.given.schema.type_name(typed.ty);
        let text = self.text(arg.span);
        self.error(
            Code::Arguments,
            arg.span,
            format!("`{text}` is {is}, but the parameter has another type"),
        );
        None
    }

    /// Rejects a value that is valid only as an argument of a WASM rule.
    pub(super) fn refuse_headers(&mut self, typed: TypedOperand, span: Span) -> bool {
        if typed.ty == Type::Headers {
            self.error(
                Code::OperatorType,
                span,
                "`headers` is valid only as an argument of an extern; use `header(\"…\")` for a \
                 single header",
            );
        }
        typed.ty == Type::Headers
    }
}

/// Returns the text of a literal if it is a string.
pub(super) fn text_of(literal: &Literal) -> Option<String> {
    match literal {
        Literal::Str(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Literal::Word(word) => Some(word.to_string()),
        _ => None,
    }
}
