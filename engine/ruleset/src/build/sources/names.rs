//! The names in policy files, cached by the digest of the text.

use std::collections::HashMap;
use std::sync::Arc;

use seawall_policy::diagnostic::FileId;
use seawall_policy::syntax::ast::{Decl, Item, ListSource, Literal, Stmt};
use seawall_policy::syntax::parse::parse;

/// Something that a policy file names.
#[derive(Debug)]
pub(super) enum Named {
    Include(Box<str>),
    List { name: Box<str>, path: Box<str> },
    Component(Box<str>),
    Member { name: Box<str>, grants: Arc<[Box<str>]>, file: Option<Box<str>> },
}

/// A cache of the names in all policy files of the last reading. An unchanged text is not parsed
/// again.
#[derive(Debug, Default)]
pub struct Memo {
    names: HashMap<[u8; 32], Arc<[Named]>>,
    /// The names found in the current reading.
    used: HashMap<[u8; 32], Arc<[Named]>>,
}

impl Memo {
    /// Returns the names in the text `bytes`, in source order.
    pub(super) fn names(&mut self, digest: [u8; 32], bytes: &[u8]) -> Arc<[Named]> {
        let known = self.used.get(&digest).or_else(|| self.names.get(&digest)).cloned();
        let names = known.unwrap_or_else(|| names(bytes));
        self.used.insert(digest, Arc::clone(&names));
        names
    }

    /// Ends a reading and drops the entries that it did not use.
    pub(super) fn settle(&mut self) {
        self.names = std::mem::take(&mut self.used);
    }
}

fn names(bytes: &[u8]) -> Arc<[Named]> {
    let (tree, _) = parse(FileId::default(), bytes);
    let mut names = Vec::new();
    for item in &tree.items {
        match item {
            Item::Include(pattern) => names.push(Named::Include(pattern.node.clone())),
            Item::Member(member) => {
                let granted = member.may.iter().flat_map(|may| &may.node);
                names.push(Named::Member {
                    name: member.name.node.clone(),
                    grants: granted.filter_map(|word| word_of(&word.node)).collect(),
                    file: member.file.as_ref().map(|path| path.node.clone()),
                });
            }
            Item::Extern(item) => {
                names.extend(item.module.iter().map(|path| Named::Component(path.node.clone())));
            }
            Item::Decl(decl) => decl_names(decl, &mut names),
            Item::Layer(layer) => stmt_names(&layer.stmts, &mut names),
            Item::Site(site) => stmt_names(&site.stmts, &mut names),
            Item::Level(_) | Item::Test(_) => {}
        }
    }
    names.into()
}

fn word_of(literal: &Literal) -> Option<Box<str>> {
    match literal {
        Literal::Str(bytes) => Some(String::from_utf8_lossy(bytes).into()),
        Literal::Word(word) => Some(word.clone()),
        _ => None,
    }
}

fn stmt_names(stmts: &[Stmt], names: &mut Vec<Named>) {
    for stmt in stmts {
        match stmt {
            Stmt::Decl(decl) => decl_names(decl, names),
            Stmt::Under(under) => stmt_names(&under.stmts, names),
            _ => {}
        }
    }
}

fn decl_names(decl: &Decl, names: &mut Vec<Named>) {
    if let Decl::List(list) = decl
        && let ListSource::File { path, .. } = &list.source
    {
        let (name, path) = (list.name.node.clone(), path.node.clone());
        names.push(Named::List { name, path });
    }
}
