//! Tables in two layers: the operator's entries, and above them those of one member.
//!
//! A member uses the entries of the operator and its own. The entries of another member are removed
//! before the next member is compiled.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// A table whose upper layer can be emptied.
#[derive(Debug)]
pub(super) struct Layered<K, V> {
    host: HashMap<K, V>,
    /// `Some` while a member is compiled.
    member: Option<HashMap<K, V>>,
}

impl<K, V> Default for Layered<K, V> {
    fn default() -> Self {
        Self { host: HashMap::new(), member: None }
    }
}

impl<K: Eq + Hash, V> Layered<K, V> {
    /// From here on, new entries belong to a member.
    pub(super) fn begin_member(&mut self) {
        self.member = Some(HashMap::new());
    }

    /// Removes the entries since then.
    pub(super) fn end_member(&mut self) {
        self.member = None;
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let own = self.member.as_ref().and_then(|own| own.get(key));
        own.or_else(|| self.host.get(key))
    }

    pub(super) fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.get(key).is_some()
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.member.as_mut().unwrap_or(&mut self.host).insert(key, value);
    }

    pub(super) fn len(&self) -> usize {
        self.host.len().saturating_add(self.member.as_ref().map_or(0, HashMap::len))
    }

    /// Returns all entries, those of the member first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.member.iter().flatten().chain(&self.host)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::Layered;

    #[test]
    fn a_members_entries_hide_the_hosts_and_go_with_her() {
        let mut table = Layered::default();
        table.insert("a", 1);
        table.begin_member();
        table.insert("a", 2);
        table.insert("b", 3);
        assert_eq!((table.get("a"), table.get("b")), (Some(&2), Some(&3)));
        table.end_member();
        assert_eq!((table.get("a"), table.get("b"), table.len()), (Some(&1), None, 1));
    }
}
