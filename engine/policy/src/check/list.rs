//! Lists: their type, the source of their elements, and the networks that are valid elements.

use std::net::IpAddr;

use seawall_model::{OWNED_V4_BITS_MIN, OWNED_V6_BITS_MIN, Prefix};

use super::build::{Builder, number};
use super::names::Constant;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::program::{List, ListId, ListSource, OnListError};
use crate::schema::{EnumId, Type};
use crate::set::{NetSet, Set};
use crate::span::Spanned;
use crate::syntax::ast::{self, Literal, Name};

/// Most elements of one list.
pub const LIST_MAX: i64 = 10_000_000;
/// Shortest `reload` of a list: the polling interval of the server for all files.
pub const LIST_RELOAD_MS_MIN: u64 = 30_000;

impl Builder<'_> {
    /// Declares a list.
    pub(super) fn declare_list(&mut self, list: &ast::List) {
        if !self.begins(list.name.span) {
            return;
        }
        let element = self.element_type(list.element);
        self.may("list", list.name.span);
        let Some(full) = self.claim("list", &list.name) else { return };
        let is_nets = matches!(element, Type::Ip | Type::Cidr);
        if let Some(span) = list.allow_wide.filter(|_| !is_nets) {
            let message = "`allow wide` is valid only for a list of networks";
            return self.error(Code::OperatorType, span, message);
        }
        let Some(source) = self.list_source(list, element) else { return };
        let span = match &list.source {
            ast::ListSource::File { path, .. } => path.span,
            _ => list.name.span,
        };
        let id = ListId(number(self.program.lists.len()));
        self.names.lists.insert(full.clone(), (id, element));
        self.program.lists.push(List {
            name: full,
            element,
            source,
            allows_wide: list.allow_wide.is_some(),
            file: self.file,
            span,
            refused: Vec::new(),
        });
        self.weigh();
    }

    /// Returns the type of a list's keyword.
    fn element_type(&self, word: &str) -> Type {
        let country = || self.given.schema.enums.iter().position(|spec| spec.name == "a country");
        match word {
            "cidr" => Type::Cidr,
            "ip" => Type::Ip,
            "asn" => Type::Asn,
            "country" => country()
                .and_then(|at| u16::try_from(at).ok())
                .map_or(Type::Str, |at| Type::Enum(EnumId(at))),
            _ => Type::Str,
        }
    }

    fn list_source(&mut self, list: &ast::List, element: Type) -> Option<ListSource> {
        match &list.source {
            ast::ListSource::Error => None,
            ast::ListSource::Set(elements) => {
                let name = format!("@{}", list.name.node);
                let terms = (element, list.allow_wide.is_some());
                self.list_elements(&elements.node, terms, &name).map(ListSource::Inline)
            }
            ast::ListSource::File { path, max, reload, on_error } => {
                self.own_path(path);
                if let Some(reload) = reload
                    && reload.node.ms() < LIST_RELOAD_MS_MIN
                {
                    self.complain(
                        Diagnostic::error(
                            Code::OutOfRange,
                            self.file,
                            reload.span,
                            "every file is checked every 30s, and when the system reports a change",
                        )
                        .help("use `reload 30s` or more, or remove `reload`"),
                    );
                }
                let Some(max) = max else {
                    self.missing(
                        path.span,
                        "a list from a file",
                        "max",
                        "add the maximum number of elements: `max 5k`",
                    );
                    return None;
                };
                let max = self.in_range("max", max, 1, LIST_MAX)?;
                Some(ListSource::File {
                    path: path.node.clone(),
                    max: usize::try_from(max).unwrap_or(usize::MAX),
                    on_error: on_error.as_ref().map_or(OnListError::Keep, |word| word.node),
                })
            }
        }
    }

    /// Returns the elements of a list in a policy. A network is a valid element only if its
    /// addresses are clear.
    pub(super) fn list_elements(
        &mut self,
        elements: &[Spanned<Literal>],
        (element, allows_wide): (Type, bool),
        subject: &str,
    ) -> Option<Set> {
        if elements.is_empty() {
            return Some(empty_set(element));
        }
        if !matches!(element, Type::Ip | Type::Cidr) {
            return self.set(elements, element, subject);
        }
        let mut kept = Vec::with_capacity(elements.len());
        for element in elements {
            for literal in self.literals_of(element) {
                let literal = Spanned::new(literal, element.span);
                kept.extend(self.sure_network(literal, allows_wide, subject));
            }
            if !self.may_hold(kept.len()) {
                return None;
            }
        }
        if kept.is_empty() { Some(empty_set(element)) } else { self.set(&kept, element, subject) }
    }

    /// Returns the literals of an element: a `let` name gives its values.
    fn literals_of(&self, element: &Spanned<Literal>) -> Vec<Literal> {
        let Literal::Word(word) = &element.node else { return vec![element.node.clone()] };
        match self.let_value(word) {
            Some(Constant::Literal(one)) => vec![one],
            Some(Constant::Set(all)) => all.into_iter().map(|one| one.node).collect(),
            None => vec![element.node.clone()],
        }
    }

    /// Returns an element of a list of networks. A network with bits behind its prefix becomes its
    /// single address, and a network that is too wide is omitted.
    fn sure_network(
        &mut self,
        literal: Spanned<Literal>,
        allows_wide: bool,
        subject: &str,
    ) -> Option<Spanned<Literal>> {
        let Literal::Cidr(net, written) = literal.node else { return Some(literal) };
        if net.range().is_wide() && !allows_wide {
            let said = Diagnostic::error(
                Code::WideEntry,
                self.file,
                literal.span,
                wide_words(&written_network(&net, written)),
            );
            let help = format!("to accept it in `{subject}`, write `allow wide` after the list");
            self.complain(said.warning().label("not a valid element").help(help));
            return None;
        }
        let Some(address) = written else { return Some(literal) };
        let said = Diagnostic::error(
            Code::HostBits,
            self.file,
            literal.span,
            host_bits_words(&net, address),
        );
        self.complain(
            said.warning()
                .label("bits behind the prefix are set")
                .help(host_bits_help(&net, address)),
        );
        Some(Spanned::new(Literal::Ip(address), literal.span))
    }

    /// Returns the elements of a list in a test. The declaration of the list applies to them.
    pub(super) fn given_elements(
        &mut self,
        (list, element): (ListId, Type),
        name: &Name,
        elements: &Spanned<Vec<Spanned<Literal>>>,
    ) -> Option<Set> {
        let subject = format!("@{}", name.node);
        let declared = self.program.lists.get(list.0 as usize);
        let allows_wide = declared.is_some_and(|list| list.allows_wide);
        let set = self.list_elements(&elements.node, (element, allows_wide), &subject)?;
        self.refuse_empty_given(list, &set, elements.span);
        Some(set)
    }
}

/// Returns a network as its author wrote it.
fn written_network(net: &Prefix, written: Option<IpAddr>) -> String {
    format!("{}/{}", written.unwrap_or(net.addr()), net.len())
}

/// Returns the message that a list entry is wider than any network of one owner.
#[must_use]
pub fn wide_words(entry: &str) -> String {
    format!(
        "`{entry}` is wider than any network of one owner (/{OWNED_V4_BITS_MIN} of IPv4, \
         /{OWNED_V6_BITS_MIN} of IPv6), and is skipped"
    )
}

/// Returns the message that a list entry has bits behind its prefix.
#[must_use]
pub fn host_bits_words(net: &Prefix, written: IpAddr) -> String {
    format!(
        "`{written}/{}` has bits behind its prefix; only the address `{written}` is used",
        net.len()
    )
}

/// Returns the help with the intended notation.
#[must_use]
pub fn host_bits_help(net: &Prefix, written: IpAddr) -> String {
    format!("write `{net}` for the network, or `{written}` for the address")
}

/// Returns the empty set of a type. Its kind is visible only in a dump.
#[must_use]
pub fn empty_set(element: Type) -> Set {
    match element {
        Type::Str => Set::Strings(hashbrown::HashSet::new()),
        Type::Ip | Type::Cidr => Set::Nets(NetSet::default()),
        _ => Set::ints(Vec::new()),
    }
}
