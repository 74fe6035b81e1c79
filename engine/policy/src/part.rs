//! A member's part of a program, and the linking of parts to one program.
//!
//! A part is compiled against the tables of the operator and extends them at their ends. It is
//! stored apart until it is linked. Then its entries are appended after those of the earlier parts,
//! and indexes that refer to its own entries are shifted. Indexes that refer to the operator's
//! entries stay. A part therefore contains nothing of another member and can be linked many times.

use seawall_model::{CounterId, RuleId};

use crate::diagnostic::{FileId, Files};
use crate::policy_test::{PolicyTest, TestStep};
use crate::program::{
    Atom, AtomId, Check, CondId, Counter, Counts, Extern, ExternId, Feed, Final, LimitStep, List,
    ListId, Op, Operand, OperandId, Program, Refused, RuleInfo, Scope, SiteLayer, Spared, Step,
};

/// The lengths of the tables of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lengths {
    conditions: usize,
    atoms: usize,
    operands: usize,
    /// Lists.
    pub lists: usize,
    /// Externs.
    pub externs: usize,
    /// Counters.
    pub counters: usize,
    /// Rules and limits.
    pub rules: usize,
    /// Layers of members.
    pub sites: usize,
    /// Feeds of the operator's tracks.
    pub(crate) feeds: usize,
    /// Policy tests.
    pub cases: usize,
}

impl Lengths {
    /// Returns the lengths for this program.
    #[must_use]
    pub fn of(program: &Program) -> Self {
        Self {
            conditions: program.conditions.len(),
            atoms: program.atoms.len(),
            operands: program.operands.len(),
            lists: program.lists.len(),
            externs: program.externs.len(),
            counters: program.counters.len(),
            rules: program.rules.len(),
            sites: program.sites.len(),
            feeds: program.feeds.len(),
            cases: program.cases.len(),
        }
    }
}

/// The entries that one member adds to the operator's program.
#[derive(Debug, Clone)]
pub struct Part {
    /// The lengths of the operator's tables against which the part was compiled.
    host: Lengths,
    /// The number of the operator's files.
    host_files: u32,
    /// The entries after the operator's.
    tail: Program,
}

impl Part {
    /// Removes the entries after the operator's tables and returns them.
    pub(crate) fn split_off(program: &mut Program, host: Lengths, host_files: u32) -> Self {
        let tail = Program {
            conditions: program.conditions.split_off(host.conditions),
            atoms: program.atoms.split_off(host.atoms),
            operands: program.operands.split_off(host.operands),
            lists: program.lists.split_off(host.lists),
            externs: program.externs.split_off(host.externs),
            counters: program.counters.split_off(host.counters),
            rules: program.rules.split_off(host.rules),
            sites: program.sites.split_off(host.sites),
            cases: program.cases.split_off(host.cases),
            ..Program::default()
        };
        Self { host, host_files, tail }
    }

    /// Returns the member's own entries. Indexes in them count from the operator's first entry.
    #[must_use]
    pub fn own(&self) -> &Program {
        &self.tail
    }

    /// Returns the lengths of the operator's tables against which the part was compiled.
    #[must_use]
    pub fn host(&self) -> Lengths {
        self.host
    }
}

/// The new position of a part.
struct Move {
    /// The lengths of the operator's tables.
    host: Lengths,
    host_files: u32,
    /// The lengths of the tables after which the part is appended.
    to: Lengths,
    files_by: u32,
}

/// Shifts an index beyond `host` to the new start of those entries.
fn moved(number: u32, host: usize, to: usize) -> u32 {
    let (from, by) = (number as usize, to.saturating_sub(host));
    if from < host { number } else { number.saturating_add(u32::try_from(by).unwrap_or(u32::MAX)) }
}

impl Move {
    fn cond(&self, id: CondId) -> CondId {
        CondId(moved(id.0, self.host.conditions, self.to.conditions))
    }

    fn atom_id(&self, id: AtomId) -> AtomId {
        AtomId(moved(id.0, self.host.atoms, self.to.atoms))
    }

    fn operand_id(&self, id: OperandId) -> OperandId {
        OperandId(moved(id.0, self.host.operands, self.to.operands))
    }

    fn list_id(&self, id: ListId) -> ListId {
        ListId(moved(id.0, self.host.lists, self.to.lists))
    }

    fn extern_id(&self, id: ExternId) -> ExternId {
        ExternId(moved(id.0, self.host.externs, self.to.externs))
    }

    fn counter_id(&self, id: CounterId) -> CounterId {
        CounterId(moved(id.0, self.host.counters, self.to.counters))
    }

    fn rule_id(&self, id: RuleId) -> RuleId {
        RuleId(moved(id.0, self.host.rules, self.to.rules))
    }

    fn file(&self, id: FileId) -> FileId {
        let is_hosts = id.0 < self.host_files;
        if is_hosts { id } else { FileId(id.0.saturating_add(self.files_by)) }
    }

    fn operand_ids(&self, ids: &[OperandId]) -> Box<[OperandId]> {
        ids.iter().map(|id| self.operand_id(*id)).collect()
    }

    fn op(&self, op: Op) -> Op {
        match op {
            Op::Test(atom) => Op::Test(self.atom_id(atom)),
            Op::Set(_) | Op::Not | Op::JumpIfTrue(_) | Op::JumpIfFalse(_) => op,
        }
    }

    fn atom(&self, atom: &Atom) -> Atom {
        let mut atom = atom.clone();
        atom.operand = self.operand_id(atom.operand);
        match &mut atom.check {
            Check::SameAs(id) | Check::OrderedTo(_, id) => *id = self.operand_id(*id),
            Check::InList(id) | Check::HasListed(id, _) => *id = self.list_id(*id),
            Check::True
            | Check::Present
            | Check::Equal(_)
            | Check::Ordered(..)
            | Check::InSet(_)
            | Check::InNet(_)
            | Check::Contains(_)
            | Check::StartsWith(_)
            | Check::EndsWith(_)
            | Check::HasOne(_)
            | Check::Matches(_) => {}
        }
        atom
    }

    fn operand(&self, operand: &Operand) -> Operand {
        match operand {
            Operand::Const(_) | Operand::Field(_) | Operand::Values(..) | Operand::Tagged(_) => {
                operand.clone()
            }
            Operand::CountOf(id) => Operand::CountOf(self.operand_id(*id)),
            Operand::Len(id) => Operand::Len(self.operand_id(*id)),
            Operand::Lower(id) => Operand::Lower(self.operand_id(*id)),
            Operand::Segment(id, n) => Operand::Segment(self.operand_id(*id), *n),
            Operand::Net(id, v4, v6) => Operand::Net(self.operand_id(*id), *v4, *v6),
            Operand::Sample(percent, id) => Operand::Sample(*percent, self.operand_id(*id)),
            Operand::Counter(read, id) => Operand::Counter(*read, self.counter_id(*id)),
            Operand::Extern(id, args) => {
                Operand::Extern(self.extern_id(*id), self.operand_ids(args))
            }
            Operand::Condition(id) => Operand::Condition(self.cond(*id)),
        }
    }

    fn list(&self, list: &List) -> List {
        let refused = list.refused.iter().map(|refused| self.refused(refused)).collect();
        List { file: self.file(list.file), refused, ..list.clone() }
    }

    fn refused(&self, refused: &Refused) -> Refused {
        let spared = |spared: &Spared| match spared {
            Spared::Nets(_) => spared.clone(),
            Spared::List(id) => Spared::List(self.list_id(*id)),
        };
        let spares = refused.spares.iter().map(spared).collect();
        Refused { file: self.file(refused.file), spares, ..refused.clone() }
    }

    fn extern_(&self, item: &Extern) -> Extern {
        Extern { file: self.file(item.file), ..item.clone() }
    }

    fn rule(&self, rule: &RuleInfo) -> RuleInfo {
        RuleInfo { file: self.file(rule.file), ..rule.clone() }
    }

    fn counter(&self, counter: &Counter) -> Counter {
        let counts = match counter.counts {
            Counts::Distinct(id) => Counts::Distinct(self.operand_id(id)),
            Counts::Limit | Counts::Concurrent | Counts::Requests | Counts::Bytes(_) => {
                counter.counts
            }
        };
        let scope = match counter.scope {
            Scope::SiteBlock(site) => Scope::SiteBlock(moved(site, self.host.sites, self.to.sites)),
            Scope::Host | Scope::PerSite | Scope::Member(_) => counter.scope,
        };
        Counter { counts, scope, per: self.operand_ids(&counter.per), ..counter.clone() }
    }

    fn feed(&self, feed: &Feed) -> Feed {
        let condition = feed.condition.map(|id| self.cond(id));
        Feed { counter: self.counter_id(feed.counter), condition, ..*feed }
    }

    fn step(&self, step: &Step) -> Step {
        let mut then = step.then.clone();
        if let Some(Final::Throttle { counter, .. }) = &mut then.last {
            *counter = self.counter_id(*counter);
        }
        let counted =
            |limit: &LimitStep| LimitStep { counter: self.counter_id(limit.counter), ..*limit };
        Step {
            rule: self.rule_id(step.rule),
            when: step.when.map(|id| self.cond(id)),
            unless: step.unless.map(|id| self.cond(id)),
            limit: step.limit.as_ref().map(counted),
            then,
            ..*step
        }
    }

    fn site(&self, site: &SiteLayer) -> SiteLayer {
        SiteLayer {
            member: site.member.clone(),
            number: site.number,
            space: site.space.clone(),
            hosts: site.hosts.clone(),
            steps: site.steps.iter().map(|step| self.step(step)).collect(),
            defaults: site.defaults.as_ref().map(|all| all.map(|step| self.step(step))),
            feeds: site.feeds.iter().map(|feed| self.feed(feed)).collect(),
        }
    }

    fn case(&self, case: &PolicyTest) -> PolicyTest {
        let mut case = case.clone();
        case.file = self.file(case.file);
        for (list, _) in &mut case.lists {
            *list = self.list_id(*list);
        }
        for step in &mut case.steps {
            if let TestStep::Expect { by: Some(rule), .. } = step {
                *rule = self.rule_id(*rule);
            }
        }
        case
    }
}

impl Program {
    /// Appends a member's part after all others, and the member's files after all other `files`.
    ///
    /// The part must have been compiled against the same operator's pages with which this program
    /// begins.
    pub fn link(&mut self, part: &Part, files: &mut Files, hers: &Files) {
        let to = Lengths::of(self);
        let files_by = files.count().saturating_sub(part.host_files);
        files.append(hers);
        let by = Move { host: part.host, host_files: part.host_files, to, files_by };
        let own = &part.tail;
        let ops = |ops: &[Op]| ops.iter().map(|op| by.op(*op)).collect();
        self.conditions.extend(own.conditions.iter().map(|condition| ops(condition)));
        self.atoms.extend(own.atoms.iter().map(|atom| by.atom(atom)));
        self.operands.extend(own.operands.iter().map(|operand| by.operand(operand)));
        self.lists.extend(own.lists.iter().map(|list| by.list(list)));
        self.externs.extend(own.externs.iter().map(|item| by.extern_(item)));
        self.counters.extend(own.counters.iter().map(|counter| by.counter(counter)));
        self.rules.extend(own.rules.iter().map(|rule| by.rule(rule)));
        self.sites.extend(own.sites.iter().map(|site| by.site(site)));
        self.cases.extend(own.cases.iter().map(|case| by.case(case)));
    }

    /// Removes the entries after `to`, which [`Program::link`] had appended.
    pub fn unlink(&mut self, to: Lengths) {
        let _taken = Part::split_off(self, to, 0);
    }
}
