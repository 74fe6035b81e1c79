//! The parser: from tokens to a tree.
//!
//! The parser never fails. It reports all errors of a file at once and fills the tree with the
//! parts that it could read. One error gives one diagnostic; `recover` decides where the parser
//! continues.

mod action;
mod block;
mod clause;
mod expr;
mod input;
mod item;
mod recover;
mod statement;
mod test;
mod value;
mod words;

pub use input::NESTING_MAX;
pub use statement::RULES_MAX;
pub use words::RESERVED;

use input::{Context, Input, inner};
use item::FirstLine;
use recover::skip_statement;
use statement::recovered;

use super::ast::File;
use super::lex::{Kind, Punct, lex};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, FileId, nearest, tidy};
use crate::span::Span;

/// Most bytes of a file: 1 MiB. Longer data belongs in a list file.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// The language version that this program supports.
pub const VERSION: i64 = 1;

/// Parses one file.
///
/// All bytes are accepted. Unreadable parts are reported and omitted from the tree. The diagnostics
/// are in source order.
///
/// # Example
/// ```
/// use seawall_policy::{diagnostic::FileId, syntax::parse::parse};
/// let (file, said) = parse(FileId(0), b"policy 1\nfloor { rule a { when true then blok 403 } }");
/// assert_eq!(file.items.len(), 1);
/// assert_eq!(said.len(), 1, "one error, one diagnostic");
/// assert_eq!(said[0].fix.as_ref().unwrap().replacement, "block");
/// ```
#[must_use]
pub fn parse(file: FileId, bytes: &[u8]) -> (File, Vec<Diagnostic>) {
    let text = match text_of(file, bytes) {
        Ok(text) => text,
        Err(said) => return (File::default(), vec![*said]),
    };
    let lexed = lex(text);
    let cx = Context::new(text, file, &lexed.tokens);
    let tree = match read_file(&cx) {
        Ok(tree) => tree,
        // The tokens of another version can have another meaning, so nothing else is reported.
        Err(said) => return (File::default(), vec![*said]),
    };
    let mut said = lexed.diagnostics;
    for one in &mut said {
        one.file = file;
    }
    said.extend(cx.into_diagnostics());
    tidy(&mut said);
    (tree, said)
}

fn text_of(file: FileId, bytes: &[u8]) -> Result<&str, Box<Diagnostic>> {
    if bytes.len() > FILE_BYTES_MAX {
        let message =
            format!("the file has {} bytes; the maximum is {FILE_BYTES_MAX}", bytes.len());
        let said = Diagnostic::error(Code::TooLarge, file, Span::default(), message);
        return Err(Box::new(said.label("too large").help("move data to list files")));
    }
    let not_text = |at: usize, message, label| {
        let span = Span::new(at, at.saturating_add(1));
        Box::new(Diagnostic::error(Code::NotText, file, span, message).label(label))
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        not_text(error.valid_up_to(), "the file is not valid UTF-8", "the first invalid byte")
    })?;
    match memchr::memchr(0, bytes) {
        Some(at) => Err(not_text(at, "the file contains a NUL byte", "here")),
        None => Ok(text),
    }
}

fn read_file(cx: &Context<'_>) -> Result<File, Box<Diagnostic>> {
    let mut tree = File::default();
    let mut i = first_line(Input::new(cx), &mut tree)?;
    while !i.is_end() {
        if i.is(Punct::Close) {
            stray_close(i);
            i = i.next();
            continue;
        }
        let (rest, read) = recovered(i, |i| {
            item::item(i).inspect_err(|_| {
                // A `}` that remains from an unreadable part is not an error of its own.
                cx.outside_said.set(true);
            })
        });
        tree.items.extend(read);
        i = rest;
    }
    Ok(tree)
}

fn stray_close(i: Input<'_>) {
    if i.cx.outside_said.replace(true) || i.cx.braces_lost {
        return;
    }
    let span = i.peek().span;
    let said = i.cx.error(Code::Unexpected, span, "`}` has no matching `{`");
    i.cx.say(said.label("one too many").fix(span, ""));
}

fn first_line<'a>(i: Input<'a>, tree: &mut File) -> Result<Input<'a>, Box<Diagnostic>> {
    match item::first_line(i) {
        Ok((rest, FirstLine { version, revision })) => {
            if version.node != VERSION {
                let needed = version.node;
                let message = format!(
                    "the file needs language version {needed}; this program supports {VERSION}"
                );
                let said = i.cx.error(Code::OtherVersion, version.span, message);
                return Err(Box::new(said.label("another version")));
            }
            tree.version = Some(version);
            tree.revision = revision;
            Ok(rest)
        }
        Err(error) => Ok(no_version(i, inner(error, i).at)),
    }
}

fn no_version(i: Input<'_>, at: u32) -> Input<'_> {
    let (cx, token) = (i.cx, i.peek());
    let message = "the first line must contain the language version";
    let said = cx.error(Code::NoVersion, token.span, message).label("`policy 1` is missing");
    if i.word() == Some("policy") {
        // The keyword is present, but no number follows.
        if i.at(1).kind != Kind::Bad {
            let end = Span { start: token.span.end, end: token.span.end };
            cx.say(said.fix(end, format!(" {VERSION}")));
        }
        let next = i.next();
        let string = matches!(next.peek().kind, Kind::Str | Kind::Raw | Kind::Bad);
        return if string { next.next() } else { next };
    }
    let number = matches!(i.at(1).kind, Kind::Int(_));
    let misspelt = i.word().and_then(|found| nearest(found, ["policy"]));
    if let Some(word) = misspelt.filter(|_| number) {
        cx.say(said.fix(token.span, word));
        return skip_statement(i, at);
    }
    let start = if cx.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    cx.say(said.fix(Span::new(start, start), format!("policy {VERSION}\n")));
    i
}

#[cfg(test)]
mod tests;
