//! Groups tokens into clauses, for the formatter.
//!
//! A simplified parser that finds only the ends of clauses. It takes each token once and emits it
//! exactly once, so that it cannot lose a token, even if a group is wrong.

use super::layout::{BreakDecision, Doc};
use super::tokens::Piece;
use crate::syntax::lex::{Kind, Punct};

/// The layout of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// On one line, if it fits.
    Short,
    /// Each clause on its own line.
    Tall,
}

/// Returns the shape of a file.
pub(super) fn shape(pieces: &mut [Piece<'_>]) -> Doc {
    let mut shaper = Shaper { pieces, at: 0 };
    let mut docs = Vec::new();
    while shaper.kind() != Kind::Eof {
        shaper.begin_line(docs.is_empty());
        docs.push(Doc::Hard);
        docs.push(shaper.item());
    }
    shaper.begin_line(docs.is_empty());
    docs.extend([Doc::Hard, Doc::Above(shaper.at)]);
    Doc::All(docs)
}

struct Shaper<'p, 't> {
    pieces: &'p mut [Piece<'t>],
    at: usize,
}

impl<'t> Shaper<'_, 't> {
    fn piece(&self, ahead: usize) -> Option<&Piece<'t>> {
        self.pieces.get(self.at.saturating_add(ahead))
    }

    fn kind(&self) -> Kind {
        self.piece(0).map_or(Kind::Eof, |piece| piece.kind)
    }

    /// Returns the next token. Strings keep their quotes, so none is mistaken for a word.
    fn peek(&self) -> &'t str {
        self.piece(0).map_or("", |piece| piece.text)
    }

    fn is(&self, sign: Punct) -> bool {
        self.kind() == Kind::Punct(sign)
    }

    fn closes(&self) -> bool {
        self.is(Punct::Close) || self.kind() == Kind::Eof
    }

    /// Returns whether a comma follows the last token.
    fn has_comma(&self) -> bool {
        self.at.checked_sub(1).and_then(|n| self.pieces.get(n)).is_some_and(|piece| piece.comma)
    }

    fn set_comma(&mut self, comma: bool) {
        if let Some(piece) = self.at.checked_sub(1).and_then(|n| self.pieces.get_mut(n)) {
            piece.comma = comma;
        }
    }

    /// Marks the next token as the start of a line that can have a blank line before it.
    fn begin_line(&mut self, first: bool) {
        let Some(piece) = self.pieces.get_mut(self.at) else { return };
        piece.keeps_blanks = true;
        if first {
            match piece.above.first_mut() {
                Some(comment) => comment.blank = false,
                None => piece.blank = false,
            }
        }
    }

    fn take(&mut self) -> Doc {
        let doc = Doc::Piece(self.at);
        self.at = self.at.saturating_add(1);
        doc
    }

    /// Takes `n` tokens with blanks between them.
    fn take_words(&mut self, n: usize) -> Vec<Doc> {
        let mut docs = vec![self.take()];
        for _ in 1..n {
            docs.extend([Doc::Space, self.take()]);
        }
        docs
    }

    /// Takes `n` more tokens if `word` is the first of them.
    fn take_after(&mut self, docs: &mut Vec<Doc>, word: &str, n: usize) {
        if self.peek() == word {
            docs.push(Doc::Space);
            docs.extend(self.take_words(n));
        }
    }

    fn take_if(&mut self, docs: &mut Vec<Doc>, fits: fn(Kind) -> bool) {
        if fits(self.kind()) {
            docs.extend([Doc::Space, self.take()]);
        }
    }

    /// Returns the document that began at token `from`, as a group.
    fn group(&self, from: usize, inside: Vec<Doc>) -> Doc {
        let pieces = self.pieces.get(from..self.at).unwrap_or_default();
        let behind = pieces
            .split_last()
            .is_some_and(|(_, most)| most.iter().any(|piece| piece.behind.is_some()));
        let above = pieces.iter().skip(1).any(|piece| !piece.above.is_empty());
        Doc::Group(
            inside,
            if behind || above { BreakDecision::Broken } else { BreakDecision::Open },
        )
    }

    fn item(&mut self) -> Doc {
        match self.peek() {
            "rule" | "limit" | "track" | "level" | "adjust" | "shadow" => {
                self.block(Form::Short, Self::clause)
            }
            "member" | "extern" => self.block(Form::Tall, Self::clause),
            "guarantee" | "floor" | "defaults" | "site" | "under" => {
                self.block(Form::Tall, Self::item)
            }
            "test" => self.block(Form::Tall, Self::step),
            "decide" => self.block(Form::Tall, Self::threshold),
            "let" => {
                let mut docs = self.take_words(3);
                docs.extend([Doc::Space, self.operand()]);
                Doc::All(docs)
            }
            "list" => self.list(),
            "disable" => {
                let mut docs = self.take_words(2);
                self.take_after(&mut docs, "note", 2);
                Doc::All(docs)
            }
            "include" => Doc::All(self.take_words(2)),
            "policy" => {
                let mut docs = self.take_words(2);
                self.take_if(&mut docs, is_string);
                Doc::All(docs)
            }
            _ => self.take(),
        }
    }

    /// Returns a head and its block.
    fn block(&mut self, form: Form, each: fn(&mut Self) -> Doc) -> Doc {
        let from = self.at;
        let mut docs = self.head();
        docs.push(Doc::Space);
        docs.extend(self.braces(form, each));
        match form {
            Form::Short => self.group(from, docs),
            Form::Tall => Doc::All(docs),
        }
    }

    /// Returns everything before a `{`.
    fn head(&mut self) -> Vec<Doc> {
        let from = self.at;
        let (mut first, mut rest) = (vec![self.take()], Vec::new());
        while !self.is(Punct::Open) && self.kind() != Kind::Eof {
            if self.is(Punct::ParenOpen) {
                first.push(self.params());
            } else if self.has_comma() {
                rest.extend([Doc::Line, self.take()]);
            } else {
                first.extend([Doc::Space, self.take()]);
            }
        }
        if !rest.is_empty() {
            first.push(Doc::Indent(rest));
        }
        vec![self.group(from, first)]
    }

    /// Returns `(name: type, …)`.
    fn params(&mut self) -> Doc {
        let from = self.at;
        let open = self.take();
        let mut inside = Vec::new();
        while !self.is(Punct::ParenClose) && self.kind() != Kind::Eof {
            inside.push(if inside.is_empty() { Doc::Soft } else { Doc::Line });
            inside.extend([self.take(), self.take(), Doc::Space, self.take()]);
        }
        self.closed(from, open, inside, Doc::Soft)
    }

    /// Returns a bracket group. Comments above the closing sign stay inside the group.
    fn closed(&mut self, from: usize, open: Doc, mut inside: Vec<Doc>, line: Doc) -> Doc {
        let close = self.at;
        if self.piece(0).is_some_and(|piece| !piece.above.is_empty()) {
            inside.extend([Doc::Hard, Doc::Above(close)]);
        }
        let docs = self.enclosed(open, inside, line);
        self.group(from, docs)
    }

    /// Returns `{ … }` with one line for each part, or on one line.
    fn braces(&mut self, form: Form, each: fn(&mut Self) -> Doc) -> Vec<Doc> {
        let open = self.take();
        let mut inside = Vec::new();
        while !self.closes() {
            if form == Form::Tall {
                self.begin_line(inside.is_empty());
            }
            inside.push(line_of(form));
            inside.push(each(self));
        }
        let close = self.at;
        if self.piece(0).is_some_and(|piece| !piece.above.is_empty()) {
            if form == Form::Tall {
                self.begin_line(inside.is_empty());
            }
            inside.extend([Doc::Hard, Doc::Above(close)]);
        }
        if let Some(piece) = self.pieces.get_mut(close) {
            piece.blank = false;
        }
        self.enclosed(open, inside, line_of(form))
    }

    /// Takes the closing sign.
    fn enclosed(&mut self, open: Doc, inside: Vec<Doc>, line: Doc) -> Vec<Doc> {
        let behind = self.at.checked_sub(1).and_then(|n| self.pieces.get(n));
        let ends_line = behind.is_some_and(|piece| piece.behind.is_some());
        let mut docs = vec![open];
        if !inside.is_empty() || ends_line {
            docs.extend([Doc::Indent(inside), line]);
        }
        docs.push(Doc::Below(self.at));
        self.at = self.at.saturating_add(1);
        docs
    }

    fn list(&mut self) -> Doc {
        let from = self.at;
        let mut docs = self.take_words(2);
        docs.extend([self.take(), Doc::Space]);
        docs.extend(self.take_words(2));
        docs.push(Doc::Space);
        if self.is(Punct::Open) {
            docs.push(self.set());
            if self.peek() == "allow" {
                docs.push(Doc::Space);
                docs.extend(self.take_words(2));
            }
            return Doc::All(docs);
        }
        docs.extend(self.take_words(2));
        let mut rest = Vec::new();
        while matches!(self.peek(), "max" | "reload" | "on_error" | "allow") {
            rest.push(Doc::Line);
            rest.extend(self.take_words(2));
        }
        docs.push(Doc::Indent(rest));
        self.group(from, docs)
    }

    /// Returns one clause of any block: a keyword begins the same clause in every block.
    fn clause(&mut self) -> Doc {
        let from = self.at;
        let mut docs = match self.peek() {
            "when" | "unless" | "where" => return self.condition(1),
            "enter" => return self.condition(2),
            "per" => {
                let mut docs = self.take_words(1);
                docs.push(Doc::Space);
                docs.extend(self.keys());
                docs
            }
            "then" => self.actions(),
            "hosts" | "may" => {
                let word = self.take();
                vec![word, Doc::Space, self.operand()]
            }
            "leave" | "on_failure" => self.take_words(3),
            "count" => self.counted(),
            _ => self.take_words(2),
        };
        self.take_after(&mut docs, "burst", 2);
        self.take_after(&mut docs, "doubling", 3);
        self.take_after(&mut docs, "sha256", 2);
        self.group(from, docs)
    }

    fn counted(&mut self) -> Vec<Doc> {
        let word = self.take();
        match self.peek() {
            "requests" => vec![word, Doc::Space, self.take()],
            "bytes" => vec![word, Doc::Space, self.take(), Doc::Space, self.take()],
            _ => vec![word, Doc::Space, self.take(), Doc::Space, self.operand()],
        }
    }

    /// Returns `words` tokens and a condition.
    fn condition(&mut self, words: usize) -> Doc {
        let from = self.at;
        let mut docs = self.take_words(words);
        let (first, mut rest) = self.expr();
        docs.extend([Doc::Space, first]);
        if self.peek() == "sustained" {
            rest.push(Doc::Line);
            rest.extend(self.take_words(2));
        }
        docs.push(Doc::Indent(rest));
        self.group(from, docs)
    }

    fn actions(&mut self) -> Vec<Doc> {
        let word = self.take();
        let mut docs = vec![word, Doc::Space, self.action()];
        let mut rest = Vec::new();
        while self.has_comma() && !self.closes() {
            rest.extend([Doc::Line, self.action()]);
        }
        docs.push(Doc::Indent(rest));
        docs
    }

    fn action(&mut self) -> Doc {
        let word = self.peek();
        let mut docs = vec![self.take()];
        match word {
            "block" => {
                self.take_if(&mut docs, |kind| matches!(kind, Kind::Int(_)));
                self.take_after(&mut docs, "page", 2);
            }
            "ban" => {
                self.take_if(&mut docs, |kind| matches!(kind, Kind::Duration(_)));
                self.take_after(&mut docs, "per", 2);
            }
            "challenge" => {
                if matches!(self.peek(), "cookie" | "pow" | "page") {
                    docs.extend([Doc::Space, self.take()]);
                }
                self.take_after(&mut docs, "for", 2);
            }
            "throttle" => {
                self.take_after(&mut docs, "to", 2);
                if self.peek() == "per" {
                    docs.extend([Doc::Space, self.take(), Doc::Space]);
                    docs.extend(self.keys());
                }
            }
            "tarpit" | "tag" => docs.extend([Doc::Space, self.take()]),
            "score" => docs.extend([Doc::Space, self.take(), Doc::Space, self.take()]),
            "log" => self.take_if(&mut docs, is_string),
            _ => {}
        }
        Doc::All(docs)
    }

    /// Returns `a, b`.
    fn keys(&mut self) -> Vec<Doc> {
        let first = self.operand();
        let mut rest = Vec::new();
        while self.has_comma() && !self.closes() {
            rest.extend([Doc::Line, self.operand()]);
        }
        vec![first, Doc::Indent(rest)]
    }

    /// Returns the first term of a condition, and the others with their operators.
    fn expr(&mut self) -> (Doc, Vec<Doc>) {
        let first = self.term();
        let mut rest = Vec::new();
        while matches!(self.peek(), "and" | "or") {
            rest.extend([Doc::Line, self.take(), Doc::Space, self.term()]);
        }
        (first, rest)
    }

    fn term(&mut self) -> Doc {
        let mut docs = Vec::new();
        while self.peek() == "not" {
            docs.extend([self.take(), Doc::Space]);
        }
        docs.push(self.operand());
        if self.peek() == "is" {
            docs.push(Doc::Space);
            docs.extend(self.take_words(2));
            return Doc::All(docs);
        }
        let ahead = usize::from(self.peek() == "not");
        let Some(words) = self.piece(ahead).and_then(operator) else {
            return Doc::All(docs);
        };
        docs.push(Doc::Space);
        docs.extend(self.take_words(ahead.saturating_add(1)));
        if words == Words::Some && self.peek() == "nocase" {
            docs.extend([Doc::Space, self.take()]);
        }
        docs.extend([Doc::Space, self.operand()]);
        Doc::All(docs)
    }

    fn operand(&mut self) -> Doc {
        let from = self.at;
        if self.is(Punct::Open) {
            return self.set();
        }
        if self.is(Punct::ParenOpen) {
            let open = self.take();
            let (first, rest) = self.expr();
            let mut inside = vec![Doc::Soft, first];
            inside.extend(rest);
            return self.closed(from, open, inside, Doc::Soft);
        }
        let calls = match (self.piece(0), self.piece(1)) {
            (Some(word), Some(open)) => {
                let opens = open.kind == Kind::Punct(Punct::ParenOpen);
                word.kind == Kind::Word && opens && word.touches(open)
            }
            _ => false,
        };
        let first = self.take();
        if calls { self.call(from, first) } else { first }
    }

    /// Returns the arguments after a function name.
    fn call(&mut self, from: usize, name: Doc) -> Doc {
        let open = Doc::All(vec![name, self.take()]);
        let mut inside = Vec::new();
        while !self.is(Punct::ParenClose) && self.kind() != Kind::Eof {
            inside.push(if inside.is_empty() { Doc::Soft } else { Doc::Line });
            inside.push(self.operand());
        }
        self.closed(from, open, inside, Doc::Soft)
    }

    /// Returns `{ a, b }`, with as many elements in each line as fit.
    fn set(&mut self) -> Doc {
        let from = self.at;
        let open = self.take();
        let mut inside = Vec::new();
        while !self.closes() {
            inside.push(if inside.is_empty() { Doc::Line } else { Doc::Fill(self.at) });
            inside.push(self.take());
            let last = self.closes();
            self.set_comma(!last);
        }
        self.closed(from, open, inside, Doc::Line)
    }

    fn threshold(&mut self) -> Doc {
        let from = self.at;
        if self.peek() != "when" {
            let otherwise = self.take();
            return Doc::All(vec![otherwise, Doc::Space, self.action()]);
        }
        let when = self.take();
        let (first, mut rest) = self.expr();
        rest.extend([Doc::Line, self.take(), Doc::Space, self.action()]);
        self.group(from, vec![when, Doc::Space, first, Doc::Indent(rest)])
    }

    fn step(&mut self) -> Doc {
        let word = self.peek();
        let mut docs = vec![self.take(), Doc::Space];
        match word {
            "request" => {
                docs.extend(self.take_words(2));
                self.take_after(&mut docs, "from", 2);
                self.props(&mut docs);
                self.take_after(&mut docs, "times", 2);
                self.take_after(&mut docs, "over", 2);
            }
            "expect" => {
                docs.push(self.action());
                self.take_after(&mut docs, "by", 2);
            }
            "given" => {
                let list = self.kind() == Kind::ListRef;
                docs.extend(self.take_words(2));
                if list {
                    docs.extend([Doc::Space, self.set()]);
                } else {
                    self.props(&mut docs);
                }
            }
            _ => docs.push(self.take()),
        }
        Doc::All(docs)
    }

    /// Adds `{ header "accept" "*/*" … }` if present.
    fn props(&mut self, docs: &mut Vec<Doc>) {
        if !self.is(Punct::Open) {
            return;
        }
        let from = self.at;
        let inside = self.braces(Form::Short, Self::prop);
        docs.extend([Doc::Space, self.group(from, inside)]);
    }

    fn prop(&mut self) -> Doc {
        let word = self.peek();
        let mut docs = self.take_words(if matches!(word, "header" | "cookie") { 3 } else { 2 });
        match word {
            "answered" => self.take_after(&mut docs, "after", 2),
            "pass" => self.take_if(&mut docs, |kind| matches!(kind, Kind::Duration(_))),
            _ => {}
        }
        // Each begins with a keyword, so no commas are needed.
        self.set_comma(false);
        Doc::All(docs)
    }
}

const fn line_of(form: Form) -> Doc {
    match form {
        Form::Short => Doc::Line,
        Form::Tall => Doc::Hard,
    }
}

fn is_string(kind: Kind) -> bool {
    matches!(kind, Kind::Str | Kind::Raw)
}

/// Whether `nocase` can follow a comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    None,
    Some,
}

fn operator(piece: &Piece<'_>) -> Option<Words> {
    use Punct::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
    match (piece.kind, piece.text) {
        (Kind::Punct(Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual), _) => {
            Some(Words::None)
        }
        (Kind::Word, "in") => Some(Words::None),
        (Kind::Word, "contains" | "starts_with" | "ends_with" | "like" | "matches") => {
            Some(Words::Some)
        }
        _ => None,
    }
}
