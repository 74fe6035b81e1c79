//! A bounded queue with three priorities, for requests that wait for a slot.
//!
//! The higher priority comes first, and within one priority the first request. If the queue is
//! full, a new request replaces the last one of the lowest priority below its own. A flood with low
//! priority therefore cannot keep others out of the queue or delay them.
//!
//! Limitation: low priority can starve while requests with a higher priority arrive. The owner of
//! the queue must set a deadline, or serve the lowest priority from time to time.

use std::collections::VecDeque;

/// The priority of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A known client with few requests in flight.
    High,
    /// A known client with many requests in flight, or a new client with few.
    Normal,
    /// A new client with many requests in flight.
    Low,
}

impl Priority {
    /// Returns the priority of a client with few requests in flight. `is_known` is whether its site
    /// knows it.
    #[must_use]
    pub const fn of(is_known: bool) -> Self {
        if is_known { Self::High } else { Self::Normal }
    }

    /// Returns the priority of the same client with many requests in flight.
    #[must_use]
    pub const fn demoted(self) -> Self {
        match self {
            Self::High => Self::Normal,
            Self::Normal | Self::Low => Self::Low,
        }
    }
}

/// The result of adding an entry to the queue.
#[derive(Debug, PartialEq, Eq)]
pub enum PushResult<T> {
    /// The entry waits.
    Queued,
    /// The entry waits in place of this one.
    Replaced(T),
    /// The queue has no space for the entry.
    Rejected(T),
}

/// A bounded queue.
#[derive(Debug)]
pub struct Line<T> {
    most: usize,
    classes: [VecDeque<T>; 3],
    /// For each priority, how many entries at its front were put back since the last `pop`.
    back: [usize; 3],
}

impl<T> Line<T> {
    /// Creates a queue for `most` entries.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most, classes: [const { VecDeque::new() }; 3], back: [0; 3] }
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).fold(0, usize::saturating_add)
    }

    /// Returns whether the queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.classes.iter().all(VecDeque::is_empty)
    }

    /// Adds an entry if there is space for it.
    pub fn offer(&mut self, class: Priority, one: T) -> PushResult<T> {
        let mut instead = None;
        if self.is_full() {
            let below = self.classes.iter_mut().skip((class as usize).saturating_add(1));
            instead = below.rev().find_map(VecDeque::pop_back);
            if instead.is_none() {
                return PushResult::Rejected(one);
            }
        }
        if let Some(line) = self.classes.get_mut(class as usize) {
            line.push_back(one);
        }
        instead.map_or(PushResult::Queued, PushResult::Replaced)
    }

    /// Returns whether the queue is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    /// Puts an entry back to its position: before entries that were never taken, after entries that
    /// were taken and put back earlier.
    pub fn requeue_front(&mut self, class: Priority, one: T) {
        let class = class as usize;
        if let (Some(line), Some(back)) = (self.classes.get_mut(class), self.back.get_mut(class)) {
            line.insert((*back).min(line.len()), one);
            *back = back.saturating_add(1);
        }
    }

    /// Removes and returns the first entry of the lowest priority.
    pub fn pop_lowest(&mut self) -> Option<T> {
        self.back = [0; 3];
        self.classes.iter_mut().rev().find_map(VecDeque::pop_front)
    }

    /// Removes and returns the next entry.
    pub fn pop(&mut self) -> Option<T> {
        self.back = [0; 3];
        self.classes.iter_mut().find_map(VecDeque::pop_front)
    }

    /// Keeps only the entries that still wait.
    pub fn retain(&mut self, mut waits: impl FnMut(&T) -> bool) {
        for line in &mut self.classes {
            line.retain(&mut waits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_class_goes_first_and_then_who_came_first() {
        let mut line = Line::new(9);
        for (class, one) in
            [(Priority::Low, 1), (Priority::High, 2), (Priority::Normal, 3), (Priority::High, 4)]
        {
            assert_eq!(line.offer(class, one), PushResult::Queued);
        }
        let order: Vec<_> = std::iter::from_fn(|| line.pop()).collect();
        assert_eq!(order, [2, 4, 3, 1]);
        assert!(line.is_empty());
    }

    #[test]
    fn a_full_line_has_room_for_the_better_and_never_grows() {
        let mut line = Line::new(3);
        for one in 0..3 {
            assert_eq!(line.offer(Priority::Low, one), PushResult::Queued);
        }
        assert_eq!(line.offer(Priority::Low, 3), PushResult::Rejected(3));
        assert_eq!(
            line.offer(Priority::Normal, 4),
            PushResult::Replaced(2),
            "the last, not the first"
        );
        assert_eq!(line.offer(Priority::High, 5), PushResult::Replaced(1));
        assert_eq!(line.offer(Priority::High, 6), PushResult::Replaced(0));
        assert_eq!(line.offer(Priority::High, 7), PushResult::Replaced(4));
        assert_eq!(line.offer(Priority::High, 8), PushResult::Rejected(8));
        assert_eq!(line.offer(Priority::Normal, 9), PushResult::Rejected(9));
        assert_eq!(line.len(), 3);
    }

    #[test]
    fn one_that_is_put_back_is_the_next_and_the_worst_can_be_called() {
        let mut line = Line::new(9);
        for (class, one) in [(Priority::Normal, 1), (Priority::Normal, 2), (Priority::Low, 3)] {
            line.offer(class, one);
        }
        let called = line.pop().unwrap();
        line.requeue_front(Priority::Normal, called);
        assert_eq!((line.pop(), line.pop_lowest(), line.pop()), (Some(1), Some(3), Some(2)));
    }

    #[test]
    fn those_who_are_put_back_stand_as_they_stood() {
        let mut line = Line::new(9);
        for one in 1..=4 {
            assert_eq!(line.offer(Priority::High, one), PushResult::Queued);
        }
        let called: Vec<_> = (0..3).filter_map(|_| line.pop()).collect();
        called.into_iter().for_each(|one| line.requeue_front(Priority::High, one));
        let order: Vec<_> = std::iter::from_fn(|| line.pop()).collect();
        assert_eq!(order, [1, 2, 3, 4]);
    }

    #[test]
    fn who_has_gone_leaves_room() {
        let mut line = Line::new(2);
        line.offer(Priority::High, 1);
        line.offer(Priority::High, 2);
        line.retain(|one| *one != 1);
        assert_eq!(line.offer(Priority::Low, 3), PushResult::Queued);
        assert_eq!(line.pop(), Some(2));
    }

    #[test]
    fn a_line_of_no_places_takes_nobody() {
        assert_eq!(Line::new(0).offer(Priority::High, 1), PushResult::Rejected(1));
    }

    #[test]
    fn much_under_way_costs_one_class() {
        let [known, new] = [true, false].map(Priority::of);
        assert!(known < known.demoted());
        assert_eq!(known.demoted(), new);
        assert!(new < new.demoted());
    }
}
