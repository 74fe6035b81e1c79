//! The limit on tests in a condition. The number of rules has a limit of its own, but one rule can
//! be as long as a file, and its cost depends on its tests.

use super::build::Builder;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::program::{CondId, Op, Operand, Program};
use crate::span::Span;

/// Most tests of one condition, with those in parentheses.
pub const TESTS_MAX: usize = 1_000;
/// Tests of a member for each rule in the quota.
pub const MEMBER_TESTS_PER_RULE: i64 = 20;

/// Returns the number of tests of a condition and the conditions inside it.
fn apart<'p>(program: &'p Program, ops: &'p [Op]) -> (usize, impl Iterator<Item = CondId> + 'p) {
    let inner = |op: &Op| match op {
        Op::Test(atom) => {
            let atom = program.atoms.get(atom.0 as usize)?;
            match program.operands.get(atom.operand.0 as usize) {
                Some(Operand::Condition(condition)) => Some(*condition),
                _ => None,
            }
        }
        _ => None,
    };
    let is_test = |op: &&Op| matches!(op, Op::Test(_) | Op::Set(_)) && inner(op).is_none();
    (ops.iter().filter(is_test).count(), ops.iter().filter_map(inner))
}

/// Returns the number of all tests. Conditions refer to earlier conditions only, and the parser
/// limits the nesting.
fn tests_of(program: &Program, ops: &[Op]) -> usize {
    let (own, inner) = apart(program, ops);
    let of =
        |id: CondId| program.conditions.get(id.0 as usize).map_or(0, |ops| tests_of(program, ops));
    inner.map(of).fold(own, usize::saturating_add)
}

impl Builder<'_> {
    /// Returns whether the tests of a condition are within the limit. Reports an excess.
    pub(super) fn is_of_bounded_breadth(&mut self, ops: &[Op], span: Span) -> bool {
        let all = tests_of(&self.program, ops);
        if all > TESTS_MAX {
            let message = format!("this condition has {all} tests, the maximum is {TESTS_MAX}");
            self.complain(Diagnostic::error(Code::TooMany, self.file, span, message).help(
                "write the values for one field as a set, which is one test: `path in { … }`; or \
                 as a list",
            ));
            return false;
        }
        let own = apart(&self.program, ops).0;
        self.note_member_tests(i64::try_from(own).unwrap_or(i64::MAX), span);
        true
    }

    /// Counts tests against the quota of the member.
    fn note_member_tests(&mut self, tests: i64, span: Span) {
        let Some(entry) = self.entry() else { return };
        let most = entry.rules.saturating_mul(MEMBER_TESTS_PER_RULE);
        let before = entry.tests_used;
        entry.tests_used = before.saturating_add(tests);
        if before > most || entry.tests_used <= most {
            return;
        }
        let message = format!(
            "the conditions of the member `{}` have more than {most} tests: \
             {MEMBER_TESTS_PER_RULE} for each of {} rules",
            entry.name, entry.rules
        );
        self.complain(
            Diagnostic::error(Code::MemberQuota, self.file, span, message)
                .label("this condition exceeds the limit")
                .help(
                    "write the values for one field as a set, which is one test: `path in { … }`",
                ),
        );
    }
}
