//! Values of a request as text.
//!
//! The values come from clients and are printed to terminals. Control and invisible characters are
//! therefore escaped, and no text is longer than [`VALUE_CHARS_MAX`].

use seawall_policy::eval::{Context, Value};
use seawall_policy::program::{Atom, AtomId, Check, Operand, OperandId, Read};
use seawall_policy::schema::{FieldId, Type};
use seawall_policy::text::duration_ms;

use crate::eval::context::EvalContext;
use crate::eval::trace::{EvaluatedTest, TestTrace};
use crate::http::SCHEMA;

/// Most characters shown of a value, or of the text of a test: 120.
pub const VALUE_CHARS_MAX: usize = 120;

/// Most values shown of one header field: 4.
const VALUES_MAX: usize = 4;

impl TestTrace {
    pub(crate) fn made(&self, judging: &EvalContext<'_>, id: AtomId, holds: bool) {
        let program = &judging.rules.program;
        let Some(atom) = program.atoms.get(id.0 as usize) else { return };
        let operand = program.operands.get(atom.operand.0 as usize);
        // A condition in parentheses has already recorded its own tests.
        if matches!(operand, Some(Operand::Condition(_))) || self.busy.replace(true) {
            return;
        }
        let made =
            EvaluatedTest { text: one_line(&atom.text), holds, value: value(judging, atom, holds) };
        self.busy.set(false);
        self.tests.borrow_mut().push(made);
    }
}

/// Returns the tested value and the result: `203.0.113.7 is not in it`.
pub(super) fn value(judging: &EvalContext<'_>, atom: &Atom, holds: bool) -> String {
    let Some(shown) = looked_at(judging, atom.operand) else { return "it is absent".to_owned() };
    shorten(&match &atom.check {
        Check::InSet(_) | Check::InList(_) | Check::InNet(_) => {
            let inside = holds != atom.negated;
            let room = VALUE_CHARS_MAX.saturating_sub(" is not in it".len());
            let shown = cut(&shown, room);
            format!("{shown} {}", if inside { "is in it" } else { "is not in it" })
        }
        Check::SameAs(other) | Check::OrderedTo(_, other) => {
            let other = looked_at(judging, *other).unwrap_or_else(|| "absent".to_owned());
            let room = VALUE_CHARS_MAX.saturating_sub("it is , the other is ".len()) / 2;
            format!("it is {}, the other is {}", cut(&shown, room), cut(&other, room))
        }
        _ => format!("it is {shown}"),
    })
}

/// Returns the value of an operand; `None` if it is absent.
fn looked_at(judging: &EvalContext<'_>, id: OperandId) -> Option<String> {
    let program = &judging.rules.program;
    let operand = program.operands.get(id.0 as usize)?;
    if let Operand::Values(field, name) = operand {
        return all_values(judging, *field, name);
    }
    let ty = match operand {
        Operand::Field(field) => SCHEMA.spec(*field).map(|spec| spec.ty),
        Operand::Counter(Read::Share, _) => Some(Type::Percent),
        Operand::Counter(Read::Bytes, _) => Some(Type::Size),
        _ => None,
    };
    Some(match program.value(id, judging) {
        Value::Absent => return None,
        Value::Bool(value) => value.to_string(),
        Value::Int(n) => number(judging, n, ty.unwrap_or(Type::Int)),
        Value::Bytes(bytes) => text(&bytes),
        Value::Ip(ip) => ip.to_string(),
        Value::Net(net) => net.to_string(),
        Value::Headers => "the header fields".to_owned(),
    })
}

fn all_values(judging: &EvalContext<'_>, field: FieldId, name: &str) -> Option<String> {
    let (mut shown, mut more) = (Vec::new(), 0_usize);
    judging.any_value(field, name, &mut |bytes| {
        if shown.len() < VALUES_MAX {
            shown.push(text(bytes));
        } else {
            more = more.saturating_add(1);
        }
        false
    });
    let room = (VALUE_CHARS_MAX / 2).checked_div(shown.len())?;
    let mut out: Vec<String> = shown.iter().map(|value| cut(value, room.max(20))).collect();
    if more > 0 {
        out.push(format!("{more} more"));
    }
    Some(out.join(", "))
}

/// Returns a number in the notation of its type.
fn number(judging: &EvalContext<'_>, n: i64, ty: Type) -> String {
    match ty {
        Type::Percent => format!("{n}%"),
        Type::Size => format!("{n}B"),
        Type::Asn => format!("AS{n}"),
        Type::Duration => match u64::try_from(n) {
            Ok(us) if us < 1_000 && us > 0 => format!("{us}us"),
            Ok(us) => duration_ms(us / 1_000),
            Err(_) => n.to_string(),
        },
        Type::Enum(id) => {
            let at = usize::try_from(n).ok();
            let word = if id == SCHEMA.level {
                let levels = &judging.rules.program.levels;
                let declared = at.and_then(|at| at.checked_sub(1)).and_then(|at| levels.get(at));
                Some(declared.map_or("normal", |level| &*level.name))
            } else {
                at.and_then(|at| SCHEMA.words(id)?.words.get(at).copied())
            };
            word.unwrap_or("none of the known words").to_owned()
        }
        _ => n.to_string(),
    }
}

/// Returns bytes in quotes, shortened to the limit.
pub(super) fn text(bytes: &[u8]) -> String {
    // One character has at most four bytes.
    let head = bytes.get(..VALUE_CHARS_MAX.saturating_mul(4)).unwrap_or(bytes);
    let mut out = String::new();
    for chunk in head.utf8_chunks() {
        chunk.valid().chars().for_each(|c| out.push_str(&spelt(c, true)));
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
    }
    let room = VALUE_CHARS_MAX.saturating_sub("it is \"\"".len());
    format!("\"{}\"", cut(&out, room))
}

/// Returns a part of a policy on one line.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().map(|c| spelt(c, false)).collect();
    shorten(&line)
}

/// Returns a character for display; control and invisible characters are escaped.
fn spelt(c: char, quoted: bool) -> String {
    match c {
        '"' | '\\' if quoted => format!("\\{c}"),
        c if c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() => c.to_string(),
        c => c.escape_default().to_string(),
    }
}

fn shorten(text: &str) -> String {
    cut(text, VALUE_CHARS_MAX)
}

/// Returns the first characters of a text; a shortened text ends in `…`.
fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let head: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_could_act_on_is_spelt_out() {
        assert_eq!(text(b"a\x1b[2J\r\n\"\\"), r#""a\u{1b}[2J\r\n\"\\""#);
        assert_eq!(text("ü\u{202e}\u{200b}".as_bytes()), r#""ü\u{202e}\u{200b}""#);
        assert_eq!(text(b"\xff\x00"), r#""\xff\u{0}""#);
        assert_eq!(one_line("a ==\n   \"b\"\u{7}"), "a == \"b\"\\u{7}");
    }

    #[test]
    fn nothing_is_longer_than_its_limit() {
        let fits = text(&[b'a'; VALUE_CHARS_MAX - 8]);
        assert!(!fits.contains('…'), "{fits}");
        assert_eq!(format!("it is {fits}").chars().count(), VALUE_CHARS_MAX);
        for long in [vec![b'a'; VALUE_CHARS_MAX - 7], vec![0_u8; 100_000], vec![0xff; 5_000]] {
            let shown = text(&long);
            assert!(shown.contains('…'), "{shown}");
            assert_eq!(format!("it is {shown}").chars().count(), VALUE_CHARS_MAX);
        }
    }
}
