//! Comparisons: the allowed combinations of types, and the resulting tests.

use super::build::Builder;
use super::expr::constant_key;
use super::habits::Written;
use super::names::Constant;
use super::operand::TypedOperand;
use super::search::{needle, search_of};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, nearest};
use crate::program::{Atom, AtomId, Check, Const, ListId, Operand as Built, Order};
use crate::schema::Type;
use crate::span::{Span, Spanned};
use crate::syntax::ast::{CompareOp, Literal, OpKind, Operand};

impl Builder<'_> {
    /// Builds `left op right`.
    pub(super) fn compare(
        &mut self,
        left: &Spanned<Operand>,
        op: &Spanned<CompareOp>,
        right: &Spanned<Operand>,
        whole: Span,
    ) -> Option<AtomId> {
        if is_error(&left.node) || is_error(&right.node) {
            return None;
        }
        let (left, op, right) = self.value_on_the_right(left, op, right);
        let typed = self.operand(&left)?;
        if typed.constant {
            self.error(
                Code::OperatorType,
                whole,
                "both sides are constants, so the result never changes",
            );
            return None;
        }
        if self.refuse_headers(typed, left.span) {
            return None;
        }
        let subject = self.text(left.span).to_owned();
        let (check, key) = match op.node.kind {
            OpKind::Eq => self.equality(typed, &right, &subject)?,
            OpKind::Less => self.order(Order::Less, typed, &right, &subject)?,
            OpKind::LessEq => self.order(Order::LessEq, typed, &right, &subject)?,
            OpKind::Greater => self.order(Order::Greater, typed, &right, &subject)?,
            OpKind::GreaterEq => self.order(Order::GreaterEq, typed, &right, &subject)?,
            OpKind::In => self.membership(typed, &right, &subject)?,
            _ => self.text_test(&op, typed, &right, &subject)?,
        };
        self.warn_never(Written { left: &left, op: &op, right: &right, whole });
        let text = self.text(whole).into();
        Some(self.atom(
            Atom { operand: typed.id, check, negated: op.node.negated, text },
            format!("{:?}{key}", op.node.kind),
        ))
    }

    /// Turns `10 < score` into `score > 10`: the constant moves to the right.
    fn value_on_the_right(
        &self,
        left: &Spanned<Operand>,
        op: &Spanned<CompareOp>,
        right: &Spanned<Operand>,
    ) -> (Spanned<Operand>, Spanned<CompareOp>, Spanned<Operand>) {
        let mirrored = match op.node.kind {
            OpKind::Eq => Some(OpKind::Eq),
            OpKind::Less => Some(OpKind::Greater),
            OpKind::LessEq => Some(OpKind::GreaterEq),
            OpKind::Greater => Some(OpKind::Less),
            OpKind::GreaterEq => Some(OpKind::LessEq),
            _ => None,
        };
        let is_value = |operand: &Operand| matches!(operand, Operand::Literal(_));
        match mirrored {
            Some(kind) if is_value(&left.node) && !is_value(&right.node) => {
                let op = CompareOp { kind, ..op.node };
                (right.clone(), Spanned::new(op, right.span), left.clone())
            }
            _ => (left.clone(), op.clone(), right.clone()),
        }
    }

    /// Returns the right side as a constant of the type of the left side.
    fn known_right(
        &mut self,
        ty: Type,
        right: &Spanned<Operand>,
        subject: &str,
    ) -> Option<Option<Const>> {
        let literal = match &right.node {
            Operand::Word(word) if matches!(ty, Type::Enum(_)) => {
                let is_let = self.let_value(word).is_some();
                let is_field = self.given.schema.field(word).is_some();
                match (is_let, is_field) {
                    (true, _) => self.constant_of(&right.node),
                    (false, true) => None,
                    (false, false) => Some(Literal::Word(word.clone())),
                }
            }
            other => self.constant_of(other),
        };
        match literal {
            None => Some(None),
            Some(literal) => self.constant(&literal, ty, right.span, subject).map(Some),
        }
    }

    fn equality(
        &mut self,
        left: TypedOperand,
        right: &Spanned<Operand>,
        subject: &str,
    ) -> Option<(Check, String)> {
        if left.ty == Type::Rate {
            return self.order(Order::GreaterEq, left, right, subject).and_then(|_| {
                self.error(
                    Code::OperatorType,
                    right.span,
                    "a rate rarely equals a value exactly; use `>` or `<`",
                );
                None
            });
        }
        if let Some(constant) = self.known_right(left.ty, right, subject)? {
            let constant = self.fold_case(left, constant);
            let key = constant_key(&constant);
            return Some((Check::Equal(constant), key));
        }
        let other = self.other_side(left, right, subject)?;
        Some((Check::SameAs(other.id), format!("#{}", other.id.0)))
    }

    /// Returns a host name in lower case, because hosts are compared in lower case.
    fn fold_case(&self, left: TypedOperand, constant: Const) -> Const {
        let lower = match self.program.operands.get(left.id.0 as usize) {
            Some(Built::Field(id)) => {
                let name = self.given.schema.spec(*id).map_or("", |spec| spec.name);
                matches!(name, "host" | "conn.sni" | "site.name")
            }
            _ => false,
        };
        match constant {
            Const::Bytes(bytes) if lower => Const::Bytes(bytes.to_ascii_lowercase().into()),
            other => other,
        }
    }

    /// Returns another value of the request, of the same type.
    fn other_side(
        &mut self,
        left: TypedOperand,
        right: &Spanned<Operand>,
        subject: &str,
    ) -> Option<TypedOperand> {
        let other = match left.ty {
            Type::Str => self.beside_string(right)?,
            _ => self.operand(right)?,
        };
        if other.ty == left.ty || (left.ty == Type::Cidr && other.ty == Type::Ip) {
            return Some(other);
        }
        let schema = self.given.schema;
        let text = self.text(right.span);
        let message = format!(
            "`{subject}` is {}, and `{text}` is {}",
            schema.type_name(left.ty),
            schema.type_name(other.ty)
        );
        self.error(Code::Mismatch, right.span, message);
        None
    }

    fn order(
        &mut self,
        order: Order,
        left: TypedOperand,
        right: &Spanned<Operand>,
        subject: &str,
    ) -> Option<(Check, String)> {
        if !self.has_order(left.ty) {
            let is = self.given.schema.type_name(left.ty);
            self.error(
                Code::OperatorType,
                right.span,
                format!("`{subject}` is {is}, which has no order; use `==`, `!=` or `in`"),
            );
            return None;
        }
        if left.ty == Type::Rate {
            self.rate_window(left, right, subject)?;
        }
        if let Some(constant) = self.known_right(left.ty, right, subject)? {
            let Const::Int(n) = constant else { return None };
            return Some((Check::Ordered(order, n), n.to_string()));
        }
        let other = self.other_side(left, right, subject)?;
        Some((Check::OrderedTo(order, other.id), format!("#{}", other.id.0)))
    }

    fn has_order(&self, ty: Type) -> bool {
        match ty {
            Type::Int | Type::Percent | Type::Duration | Type::Rate | Type::Size | Type::Date => {
                true
            }
            Type::Enum(id) => {
                id == self.given.schema.level
                    || self.given.schema.words(id).is_some_and(|spec| spec.ordered)
            }
            _ => false,
        }
    }

    /// Checks that a rate is compared in the window of its track. Another window would change the
    /// meaning.
    fn rate_window(
        &mut self,
        left: TypedOperand,
        right: &Spanned<Operand>,
        subject: &str,
    ) -> Option<()> {
        let window_ms = left.window_ms?;
        match self.constant_of(&right.node) {
            Some(Literal::Rate(rate)) if rate.window.ms() == window_ms => Some(()),
            Some(Literal::Rate(rate)) => {
                let window = crate::text::duration_ms(window_ms);
                self.complain(
                    Diagnostic::error(
                        Code::Window,
                        self.file,
                        right.span,
                        format!(
                            "`{subject}` is counted over {window}, and the comparison has \
                            another window"
                        ),
                    )
                    .label(format!("write the window of the track: `over {window}`"))
                    .fix(right.span, format!("{}/{window}", rate.n)),
                );
                None
            }
            Some(Literal::Int(n)) => {
                let window = crate::text::duration_ms(window_ms);
                self.complain(
                    Diagnostic::error(
                        Code::Mismatch,
                        self.file,
                        right.span,
                        format!("`{subject}` is a rate, and `{n}` is a whole number"),
                    )
                    .fix(right.span, format!("{n}/{window}")),
                );
                None
            }
            _ => Some(()),
        }
    }

    fn membership(
        &mut self,
        left: TypedOperand,
        right: &Spanned<Operand>,
        subject: &str,
    ) -> Option<(Check, String)> {
        match &right.node {
            Operand::Set(elements) => self.in_set(left, elements, subject),
            Operand::ListRef(name) => self.in_list(left, name, right.span, subject),
            Operand::Literal(literal @ (Literal::Cidr(..) | Literal::Ip(_)))
                if matches!(left.ty, Type::Ip | Type::Cidr) =>
            {
                let constant = self.constant(literal, Type::Cidr, right.span, subject)?;
                let Const::Net(net) = constant else { return None };
                Some((Check::InNet(net), net.to_string()))
            }
            Operand::Word(word) => match self.let_value(word) {
                Some(Constant::Set(elements)) => self.in_set(left, &elements, subject),
                Some(Constant::Literal(literal)) => {
                    let one = [Spanned::new(literal, right.span)];
                    self.in_set(left, &one, subject)
                }
                None => self.not_a_set(right, subject),
            },
            _ => self.not_a_set(right, subject),
        }
    }

    fn not_a_set(&mut self, right: &Spanned<Operand>, subject: &str) -> Option<(Check, String)> {
        let text = self.text(right.span);
        self.complain(
            Diagnostic::error(
                Code::OperatorType,
                self.file,
                right.span,
                format!("`{text}` is not a set of values for `{subject}`"),
            )
            .help("write a set `{ … }`, a list `@name` or, for addresses, a network after `in`"),
        );
        None
    }

    fn in_set(
        &mut self,
        left: TypedOperand,
        elements: &[Spanned<Literal>],
        subject: &str,
    ) -> Option<(Check, String)> {
        let mut set = self.set(elements, left.ty, subject)?;
        if let crate::set::Set::Strings(strings) = &mut set {
            *strings = strings
                .drain()
                .map(|bytes| match self.fold_case(left, Const::Bytes(bytes)) {
                    Const::Bytes(bytes) => bytes,
                    _ => Box::default(),
                })
                .collect();
        }
        let mut sorted: Vec<String> = elements.iter().map(|e| format!("{:?}", e.node)).collect();
        sorted.sort_unstable();
        Some((Check::InSet(set), sorted.join(",")))
    }

    fn in_list(
        &mut self,
        left: TypedOperand,
        name: &str,
        span: Span,
        subject: &str,
    ) -> Option<(Check, String)> {
        let (list, element) = self.list_named(name, span)?;
        let nets = |ty| matches!(ty, Type::Ip | Type::Cidr);
        if left.ty != element && !(nets(left.ty) && nets(element)) {
            self.elements_differ((left, subject), (name, element), span);
            return None;
        }
        Some((Check::InList(list), format!("@{}", list.0)))
    }

    /// Returns a list and the type of its elements. Reports an unknown name.
    pub(super) fn list_named(&mut self, name: &str, span: Span) -> Option<(ListId, Type)> {
        let full = self.resolve(&self.names.lists, name);
        if let Some(found) = full.and_then(|full| self.names.lists.get(&full).copied()) {
            return Some(found);
        }
        if self.is_declared("list", name) {
            return None;
        }
        let known = self.names.lists.keys();
        let near = nearest(name, known.map(|known| &**known)).map(String::from);
        let mut diagnostic = Diagnostic::error(
            Code::UnknownList,
            self.file,
            span,
            format!("there is no list `@{name}`"),
        );
        diagnostic = match near {
            Some(near) => {
                diagnostic.label(format!("did you mean `@{near}`?")).fix(span, format!("@{near}"))
            }
            None => diagnostic.help("declare it with `list`"),
        };
        self.complain(diagnostic);
        None
    }

    /// Reports that a value is never an element of a list, or never contains one.
    pub(super) fn elements_differ(
        &mut self,
        (left, subject): (TypedOperand, &str),
        (name, element): (&str, Type),
        span: Span,
    ) {
        let schema = self.given.schema;
        let message = format!(
            "`{subject}` is {}, and each element of `@{name}` is {}",
            schema.type_name(left.ty),
            schema.type_name(element)
        );
        self.error(Code::Mismatch, span, message);
    }

    /// Builds `contains`, `starts_with`, `ends_with`, `like` or `matches`.
    fn text_test(
        &mut self,
        op: &Spanned<CompareOp>,
        left: TypedOperand,
        right: &Spanned<Operand>,
        subject: &str,
    ) -> Option<(Check, String)> {
        if left.ty != Type::Str {
            let is = self.given.schema.type_name(left.ty);
            let message = format!("`{subject}` is {is}; this operator needs a string");
            let said = Diagnostic::error(Code::OperatorType, self.file, op.span, message);
            let help = self.instead_of_text_test(left.ty, subject);
            self.complain(match help {
                Some(help) => said.help(help),
                None => said,
            });
            return None;
        }
        let search = search_of(op.node);
        if let Some(search) = search
            && let Some(several) = self.several((search, op.span), left, right, subject)
        {
            return several;
        }
        let Some(bytes) = self.one_text(right, subject) else {
            self.not_written_out(search.is_some(), right);
            return None;
        };
        let (bytes, nocase) = (bytes?, op.node.nocase);
        let any_case = matches!(subject, "ua" | "content_type");
        if any_case && !nocase && op.node.kind != OpKind::Matches {
            let has_capital = bytes.iter().any(u8::is_ascii_uppercase);
            let written = self.text(right.span).to_owned();
            has_capital.then(|| self.warn_case(&written, op.span, right.span));
        }
        let key = format!("{nocase}{bytes:?}");
        let check = match (op.node.kind, search) {
            (_, Some(_)) if bytes.is_empty() => {
                self.refuse_empty(right.span, subject);
                return None;
            }
            (_, Some(search)) => needle(search, bytes),
            (OpKind::Like, _) => {
                Check::Matches(self.regex(&like_pattern(&bytes, nocase), right.span)?)
            }
            _ => {
                let pattern = String::from_utf8_lossy(&bytes).into_owned();
                let pattern = if nocase { format!("(?i-u){pattern}") } else { pattern };
                Check::Matches(self.regex(&pattern, right.span)?)
            }
        };
        Some((check, key))
    }

    /// Returns the correction of a text test on a value that is not a string.
    fn instead_of_text_test(&self, ty: Type, subject: &str) -> Option<String> {
        Some(match ty {
            Type::Enum(id) => {
                let spec = self.given.schema.words(id)?;
                let mut words = spec.words.iter();
                let (one, two) = (words.next()?, words.nth(1).or(words.next())?);
                let others = if spec.others.is_some() {
                    ", and a value that is not a word in quotes"
                } else {
                    ""
                };
                format!("write the values as a set: `{subject} in {{ {one}, {two} }}`{others}")
            }
            Type::Ip | Type::Cidr => {
                format!("compare networks: `{subject} in {{ 192.0.2.0/24, 2001:db8::/32 }}`")
            }
            Type::Asn => {
                format!("write the values as a set: `{subject} in {{ AS64496, AS64511 }}`")
            }
            Type::Int | Type::Percent | Type::Duration | Type::Size | Type::Rate | Type::Date => {
                format!("compare the value: `{subject} > …`")
            }
            Type::Str | Type::Bool | Type::Headers => return None,
        })
    }

    /// Reports a right side that must be a string, or a set or list of texts.
    fn not_written_out(&mut self, is_search: bool, right: &Spanned<Operand>) {
        let message = if is_search {
            "this operator needs a constant on its right side: a string, a set or a list"
        } else {
            "this operator needs one constant string on its right side"
        };
        let mut said = Diagnostic::error(Code::OperatorType, self.file, right.span, message);
        if matches!(right.node, Operand::Set(_) | Operand::ListRef(_)) || self.is_set(&right.node) {
            said = said.help(
                "use `contains`, `starts_with` or `ends_with` for a set or a list; join several \
                 patterns to one expression: `matches nocase r\"(a|b)\"`",
            );
        } else if let Operand::Word(word) = &right.node
            && self.given.schema.field(word).is_none()
        {
            let near = nearest(word, self.known_lets()).map(String::from);
            let near = near.unwrap_or_else(|| format!("\"{word}\""));
            said = said.label(format!("did you mean `{near}`?")).fix(right.span, near);
        }
        self.complain(said);
    }

    /// Warns about case: user agents are `Bot`, `bot` or `BOT`, and the client chooses the case.
    pub(super) fn warn_case(&mut self, written: &str, op: Span, value: Span) {
        let word = self.text(op).to_owned();
        self.complain(
            Diagnostic::error(
                Code::CaseTrap,
                self.file,
                value,
                format!("this test matches {written} in exactly this case"),
            )
            .warning()
            .help("user agents and types can have any case; use `nocase` to match all of them")
            .fix(op, format!("{word} nocase")),
        );
    }
}

/// Returns whether the parser has already reported an operand.
pub(super) fn is_error(operand: &Operand) -> bool {
    match operand {
        Operand::Error | Operand::Literal(Literal::Error) => true,
        Operand::Set(elements) => elements.iter().any(|e| e.node == Literal::Error),
        _ => false,
    }
}

/// Returns a glob as an anchored regular expression over bytes.
fn like_pattern(glob: &[u8], nocase: bool) -> String {
    let mut pattern = String::from(if nocase { "(?is-u)^(?:" } else { "(?s-u)^(?:" });
    for byte in glob {
        match byte {
            b'*' => pattern.push_str(".*"),
            b'?' => pattern.push('.'),
            byte if byte.is_ascii_alphanumeric() => pattern.push(char::from(*byte)),
            byte => pattern.push_str(&format!("\\x{byte:02x}")),
        }
    }
    pattern.push_str(")$");
    pattern
}

#[cfg(test)]
mod tests {
    use super::like_pattern;

    #[test]
    fn a_glob_is_anchored_and_takes_its_signs_literally() {
        let like = |glob: &str, text: &[u8]| {
            regex::bytes::Regex::new(&like_pattern(glob.as_bytes(), false)).unwrap().is_match(text)
        };
        assert!(like("*.css", b"/a/b.css"));
        assert!(!like("*.css", b"/a/b.cssx"));
        assert!(like("/a?c", b"/a\xffc"), "`?` is one byte, whatever it is");
        assert!(!like("/a.c", b"/abc"));
        assert!(like("(*", b"(x\ny"), "`*` crosses line ends");
    }
}
