//! Limits on what one member can write.
//!
//! The memory of each built part is counted, and so are the requests of the tests. At the first
//! excess a diagnostic is reported and nothing more of this member is built. A hostile file
//! therefore costs no more than the quota allows, whatever its length. For the operator only the
//! tests have a limit.

use std::collections::HashMap;

use super::build::Builder;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, FileId};
use crate::policy_test::{PolicyTest, TestRequest, TestStep};
use crate::program::{
    Atom, Check, Const, Counter, Extern, List, ListSource, Operand, RuleInfo, SiteLayer, Step,
};
use crate::span::Span;
use crate::text::bytes;

/// Most memory for everything built from one member's files. Counters and regular expressions have
/// quotas of their own.
pub const MEMBER_PROGRAM_BYTES_MAX: usize = 4 << 20;
/// Most `site` blocks of one member.
pub const MEMBER_SITES_MAX: usize = 1_000;
/// Most tests of one member.
pub const MEMBER_TESTS_MAX: usize = 200;
/// Most requests of all tests of one member.
pub const MEMBER_TEST_REQUESTS_MAX: u64 = 20_000;
/// Most requests of all tests of the operator.
pub const HOST_TEST_REQUESTS_MAX: u64 = 5_000_000;
/// Most diagnostics about one member's files. Beyond it, the rest of the files is not checked.
pub const MEMBER_COMPLAINTS_LOOKED_AT_MAX: usize = 1_000;

/// Memory of one entry in the tables used during the build.
const FILED_BYTES: usize = 64;

/// What one owner has used so far.
#[derive(Debug, Default)]
struct Used {
    bytes: usize,
    sites: usize,
    tests: usize,
    test_requests: u64,
    complaints: usize,
    /// Whether a quota is exceeded.
    is_spent: bool,
}

/// The lengths of the program's tables that are already counted.
#[derive(Debug, Default, Clone, Copy)]
struct Marks {
    atoms: usize,
    operands: usize,
    conditions: usize,
    rules: usize,
    lists: usize,
    externs: usize,
    counters: usize,
    sites: usize,
    cases: usize,
    complaints: usize,
}

/// Use by member; `None` for the operator.
#[derive(Debug, Default)]
pub(super) struct Usage {
    used: HashMap<Option<Box<str>>, Used>,
    marks: Marks,
    /// The position of the part that is being built, for diagnostics.
    place: (FileId, Span),
}

impl Builder<'_> {
    /// Returns whether the next part of the current member can be built; it begins at this
    /// position.
    pub(super) fn begins(&mut self, span: Span) -> bool {
        self.usage.place = (self.file, span);
        !self.is_spent()
    }

    /// Returns whether the current member has exceeded a quota.
    pub(super) fn is_spent(&self) -> bool {
        self.member.is_some() && self.usage.used.get(&self.member).is_some_and(|used| used.is_spent)
    }

    /// Stops building for this member. The reason was already reported.
    pub(super) fn spend(&mut self) {
        self.used().is_spent = true;
    }

    fn used(&mut self) -> &mut Used {
        self.usage.used.entry(self.member.clone()).or_default()
    }

    /// Adds the memory built since the last call to the use of its owner.
    pub(super) fn weigh(&mut self) {
        let (grown, complaints) = self.grown();
        let Some(member) = self.member.clone() else { return };
        let used = self.used();
        let before = used.is_spent;
        used.bytes = used.bytes.saturating_add(grown);
        used.complaints = used.complaints.saturating_add(complaints);
        let is_heavy = used.bytes > MEMBER_PROGRAM_BYTES_MAX;
        used.is_spent |= is_heavy || used.complaints > MEMBER_COMPLAINTS_LOOKED_AT_MAX;
        if is_heavy && !before {
            self.too_much(
                format!(
                    "the policy of the member `{member}` needs more memory than the limit of {}",
                    bytes(MEMBER_PROGRAM_BYTES_MAX)
                ),
                "shorten the policy, or move long sets to a list file: `list … = file \"…\"`",
            );
        }
    }

    /// Returns the memory built since the last call, and the number of diagnostics.
    fn grown(&mut self) -> (usize, usize) {
        let (program, marks) = (&self.program, self.usage.marks);
        let now = Marks {
            atoms: program.atoms.len(),
            operands: program.operands.len(),
            conditions: program.conditions.len(),
            rules: program.rules.len(),
            lists: program.lists.len(),
            externs: program.externs.len(),
            counters: program.counters.len(),
            sites: program.sites.len(),
            cases: program.cases.len(),
            complaints: self.diagnostics.len(),
        };
        if self.member.is_none() {
            self.usage.marks = now;
            return (0, 0);
        }
        let grown = [
            sum(&program.atoms, marks.atoms, atom),
            sum(&program.operands, marks.operands, operand),
            sum(&program.conditions, marks.conditions, |ops| {
                size_of_val(ops).saturating_add(size_of_val(&**ops))
            }),
            sum(&program.rules, marks.rules, rule),
            sum(&program.lists, marks.lists, list),
            sum(&program.externs, marks.externs, extern_item),
            sum(&program.counters, marks.counters, counter),
            sum(&program.sites, marks.sites, site),
            sum(&program.cases, marks.cases, case),
        ];
        self.usage.marks = now;
        let said = now.complaints.saturating_sub(marks.complaints);
        (grown.into_iter().fold(0, usize::saturating_add), said)
    }

    /// Returns whether a set of the owner can have this number of elements; reports an excess.
    pub(super) fn may_hold(&mut self, elements: usize) -> bool {
        let Some(member) = &self.member else { return true };
        let most = MEMBER_PROGRAM_BYTES_MAX.checked_div(size_of::<Const>()).unwrap_or(0);
        if elements > most {
            self.too_much(
                format!("a set of the member `{member}` has more than {most} elements"),
                "move long sets to a list file: `list … = file \"…\"`",
            );
        }
        elements <= most
    }

    /// Counts a `site` block.
    pub(super) fn note_member_site(&mut self) {
        let Some(member) = self.member.clone() else { return };
        let used = self.used();
        used.sites = used.sites.saturating_add(1);
        if used.sites > MEMBER_SITES_MAX {
            self.too_much(
                format!("the member `{member}` has more than {MEMBER_SITES_MAX} `site` blocks"),
                "use one block for several hosts: `site \"a.example\", \"b.example\" { … }`",
            );
        }
    }

    /// Counts a test. Returns whether it is within the quota.
    pub(super) fn note_case(&mut self, built: &PolicyTest) -> bool {
        let used = self.used();
        used.tests = used.tests.saturating_add(1);
        let before = used.test_requests;
        used.test_requests = before.saturating_add(built.requests());
        let (tests, sent) = (used.tests, used.test_requests);
        let (whose, most) = match self.member.clone() {
            None => ("the operator".to_owned(), HOST_TEST_REQUESTS_MAX),
            Some(member) => (format!("the member `{member}`"), MEMBER_TEST_REQUESTS_MAX),
        };
        if self.member.is_some() && tests > MEMBER_TESTS_MAX {
            self.too_much(
                format!("{whose} has more than {MEMBER_TESTS_MAX} tests"),
                "combine related tests: one test can have several requests and expectations",
            );
            return false;
        }
        // Reported once, at the test that exceeds the quota.
        if sent > most && before <= most {
            self.too_much(
                format!(
                    "the tests of {whose} send {sent} requests up to here; the maximum is \
                    {most}"
                ),
                "reduce the numbers after `times`: a few requests above a limit are enough to test \
                 it",
            );
        }
        sent <= most
    }

    /// Reports an excess, and that the rest is not checked.
    fn too_much(&mut self, message: String, help: &str) {
        let (file, span) = self.usage.place;
        let code = if self.member.is_some() { Code::MemberQuota } else { Code::TooMany };
        self.spend();
        self.complain(
            Diagnostic::error(code, file, span, message).label("this exceeds the limit").help(help),
        );
    }
}

/// Returns the memory of the entries of a table from a position on.
fn sum<T>(all: &[T], from: usize, weight: impl Fn(&T) -> usize) -> usize {
    all.get(from..).unwrap_or_default().iter().map(weight).fold(0, usize::saturating_add)
}

fn atom(atom: &Atom) -> usize {
    let check = match &atom.check {
        Check::InSet(set) => set.bytes(),
        Check::Equal(value) => value_bytes(value),
        Check::Contains(needle) | Check::StartsWith(needle) | Check::EndsWith(needle) => {
            needle.bytes.len()
        }
        Check::HasOne(set) => set.bytes(),
        _ => 0,
    };
    size_of_val(atom)
        .saturating_add(FILED_BYTES)
        .saturating_add(atom.text.len().saturating_mul(2))
        .saturating_add(check)
}

fn operand(operand: &Operand) -> usize {
    let more = match operand {
        Operand::Values(_, text) | Operand::Tagged(text) => text.len(),
        Operand::Extern(_, args) => size_of_val(&**args),
        Operand::Const(value) => value_bytes(value),
        _ => 0,
    };
    size_of_val(operand).saturating_add(FILED_BYTES).saturating_add(more.saturating_mul(2))
}

fn value_bytes(value: &Const) -> usize {
    match value {
        Const::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

fn rule(rule: &RuleInfo) -> usize {
    size_of_val(rule)
        .saturating_add(FILED_BYTES)
        .saturating_add(rule.name.len().saturating_mul(2))
        .saturating_add(rule.note.as_ref().map_or(0, |note| note.len()))
}

fn list(list: &List) -> usize {
    let held = match &list.source {
        ListSource::Inline(set) => set.bytes(),
        ListSource::File { path, .. } => path.len(),
    };
    size_of_val(list).saturating_add(list.name.len().saturating_mul(2)).saturating_add(held)
}

fn extern_item(item: &Extern) -> usize {
    let texts = [item.name.len(), item.module.len(), item.function.len()];
    texts.into_iter().fold(size_of_val(item), usize::saturating_add)
}

fn counter(counter: &Counter) -> usize {
    size_of_val(counter)
        .saturating_add(counter.name.len().saturating_mul(2))
        .saturating_add(counter.identity.len())
        .saturating_add(size_of_val(&*counter.per))
}

fn step(step: &Step) -> usize {
    size_of_val(step).saturating_add(size_of_val(&*step.then.effects))
}

fn site(site: &SiteLayer) -> usize {
    let changed = site.defaults.iter().flat_map(|defaults| defaults.changed());
    let steps = site.steps.iter().chain(changed).map(step);
    let hosts = site.hosts.len().saturating_mul(size_of::<seawall_model::HostPattern>());
    steps
        .fold(size_of_val(site), usize::saturating_add)
        .saturating_add(hosts.saturating_mul(2))
        .saturating_add(FILED_BYTES)
}

fn case(case: &PolicyTest) -> usize {
    let lists = case.lists.iter().map(|(_, set)| set.bytes());
    let steps = case.steps.iter().map(|step| match step {
        TestStep::Request(request) => request_bytes(request),
        _ => 0,
    });
    lists
        .chain(steps)
        .fold(size_of_val(case), usize::saturating_add)
        .saturating_add(case.name.len())
        .saturating_add(size_of_val(&*case.steps))
        .saturating_add(size_of_val(&*case.clients))
}

fn request_bytes(request: &TestRequest) -> usize {
    let headers = request.headers.iter().map(|(name, value)| {
        size_of::<(Box<str>, Box<[u8]>)>().saturating_add(name.len()).saturating_add(value.len())
    });
    headers
        .fold(size_of_val(request), usize::saturating_add)
        .saturating_add(request.target.len())
        .saturating_add(request.authority.len())
}
