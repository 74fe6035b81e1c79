//! The kept generations of each owner, whatever the others do.

use seawall_admin_api::{Changed, FileDigest, ReloadCause};

use super::*;

/// A history that is published to like the real one.
#[derive(Default)]
struct Published {
    history: VecDeque<Arc<Past>>,
    last: u64,
    parts: std::collections::BTreeMap<Box<str>, Marks>,
}

impl Published {
    fn push(&mut self, host: HostChange, members: &[&str], files: usize) {
        self.last += 1;
        for name in members.iter().filter(|_| files > 0) {
            let file =
                |n| FileDigest { path: format!("{name}/{n}"), sha256: self.last.to_string() };
            self.parts.insert((*name).into(), (0..files).map(file).collect::<Vec<_>>().into());
        }
        let members = members.iter().map(|name| Box::from(*name)).collect();
        self.history.push_back(Arc::new(Past {
            changed: Changed { host, members },
            parts: self.parts.clone(),
            ..crate::generations::test_past(self.last, ReloadCause::Change)
        }));
        trim(&mut self.history);
    }

    fn numbers(&self, is_wanted: impl Fn(&Past) -> bool) -> Vec<u64> {
        let wanted = self.history.iter().filter(|past| is_wanted(past));
        wanted.map(|past| past.generation).collect()
    }

    fn hosts(&self) -> Vec<u64> {
        self.numbers(|past| past.changed.host == HostChange::Policy)
    }

    fn of(&self, member: &str) -> usize {
        self.numbers(|past| past.changed.members.iter().any(|name| **name == *member)).len()
    }
}

#[test]
fn the_host_has_its_number_at_it_and_past_it() {
    let mut all = Published::default();
    for number in 1..=HISTORY_MAX as u64 + 1 {
        all.push(HostChange::Policy, &[], 1);
        assert_eq!(all.hosts().len() as u64, number.min(HISTORY_MAX as u64));
        assert_eq!(all.hosts().last(), Some(&number));
    }
    assert_eq!(all.hosts().first(), Some(&2));
}

#[test]
fn a_member_who_saves_ten_thousand_times_pushes_nobody_out() {
    let mut all = Published::default();
    (0..HISTORY_MAX).for_each(|_| all.push(HostChange::Policy, &[], 1));
    all.push(HostChange::None, &["bob"], 1);
    for saved in 1..=10_000 {
        all.push(HostChange::None, &["ann"], 1);
        assert_eq!(all.of("ann"), saved.min(MEMBER_HISTORY_MAX));
    }
    assert_eq!(all.hosts(), (1..=HISTORY_MAX as u64).collect::<Vec<_>>());
    assert_eq!(all.of("bob"), 1);
    assert_eq!(all.history.len(), HISTORY_MAX + 1 + MEMBER_HISTORY_MAX);
    assert_eq!(all.history.back().unwrap().generation, all.last, "what is in force stays");
}

#[test]
fn of_850_members_who_save_the_host_loses_nothing_and_who_has_most_loses_first() {
    let mut all = Published::default();
    all.push(HostChange::Policy, &[], 1);
    let names: Vec<String> = (0..850).map(|n| format!("m{n}")).collect();
    // Ten members save much more often than the others.
    for round in 0..20 {
        for (nth, name) in names.iter().enumerate() {
            if nth < 10 || round == 19 {
                all.push(HostChange::None, &[name], 0);
            }
        }
    }
    assert_eq!(all.hosts(), [1]);
    assert_eq!(all.history.len(), 1 + MEMBERS_HISTORY_MAX);
    assert!((0..850).all(|n| all.of(&names[n]) <= 1), "nobody has a second before each has one");
    assert_eq!(all.of("m849"), 1);
}

#[test]
fn whoever_has_few_is_not_pushed_out_by_those_who_have_many() {
    let mut all = Published::default();
    all.push(HostChange::None, &["quiet"], 1);
    for _ in 0..100 {
        for nth in 0..MEMBERS_HISTORY_MAX - 1 {
            all.push(HostChange::None, &[&format!("m{nth}")], 1);
        }
    }
    assert_eq!(all.of("quiet"), 1);
    assert_eq!(all.history.len(), MEMBERS_HISTORY_MAX);
}

#[test]
fn what_two_members_saved_at_once_is_remembered_as_long_as_one_needs_it() {
    let mut all = Published::default();
    all.push(HostChange::None, &["ann", "bob"], 1);
    (0..MEMBER_HISTORY_MAX * 2).for_each(|_| all.push(HostChange::None, &["ann"], 1));
    assert_eq!((all.of("bob"), all.of("ann")), (1, MEMBER_HISTORY_MAX + 1));
}

#[test]
fn a_list_that_a_script_renews_pushes_out_no_policy() {
    let mut all = Published::default();
    all.push(HostChange::Policy, &[], 1);
    for renewed in 1..=DATA_HISTORY_MAX + 1 {
        all.push(HostChange::Data, &[], 1);
        let data = all.numbers(|past| past.changed.host == HostChange::Data);
        assert_eq!(data.len(), renewed.min(DATA_HISTORY_MAX));
    }
    assert_eq!(all.hosts(), [1]);
}

#[test]
fn restarts_push_out_neither_the_host_nor_a_member() {
    let mut all = Published::default();
    all.push(HostChange::Policy, &["ann"], 1);
    all.push(HostChange::None, &["ann"], 1);
    (0..1_000).for_each(|_| all.push(HostChange::None, &[], 1));
    assert_eq!((all.hosts(), all.of("ann")), (vec![1], 2));
    assert_eq!(all.history.len(), 2 + MEMBER_HISTORY_MAX);
}

#[test]
fn files_of_members_parts_are_remembered_up_to_their_number() {
    const FILES: usize = 100;
    let fit = MEMBERS_HISTORY_FILES_MAX / FILES;
    let mut all = Published::default();
    let parts_gone =
        |all: &Published| -> usize { all.history.iter().map(|past| past.parts_gone).sum() };
    // Each edit of the operator changes files of four members: more than are kept in the end.
    for _ in 0..fit.div_ceil(4).min(HISTORY_MAX - 1) {
        all.push(HostChange::Policy, &["ann", "bob", "cid", "dan"], FILES);
    }
    let past = |all: &Published| {
        let mut rows = HashSet::new();
        let last = all.history.len() - 1;
        let older = all.history.iter().take(last).flat_map(|past| past.parts.values());
        older.filter(|marks| rows.insert(marks.address())).map(|marks| marks.len()).sum::<usize>()
    };
    assert!(past(&all) <= MEMBERS_HISTORY_FILES_MAX);
    assert_eq!(parts_gone(&all), 0, "at it");
    all.push(HostChange::Policy, &["ann", "bob", "cid", "dan"], FILES * 10);
    all.push(HostChange::Policy, &["ann", "bob", "cid", "dan"], FILES * 10);
    assert!(past(&all) <= MEMBERS_HISTORY_FILES_MAX);
    assert!(parts_gone(&all) > 0, "past it");
    assert_eq!(all.history.back().unwrap().parts.len(), 4, "those in force stay");
    assert_eq!(all.hosts().len(), HISTORY_MAX, "and so do the host's generations");
}
