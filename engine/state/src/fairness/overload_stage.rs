//! The overload stage of the whole server for one resource.
//!
//! Shares divide resources among sites. The stages apply when all sites together need more than the
//! machine has. The use of each resource is measured in percent, and each stage has stronger
//! measures. A stage ends only well below its threshold, so that a value near the threshold does
//! not switch it at every measurement.

/// The overload stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Step {
    /// The resource is sufficient.
    #[default]
    Calm,
    /// The resource becomes scarce: idle connections are closed early.
    Tight,
    /// New clients are rejected.
    Scarce,
    /// Work that can be dropped is shed.
    Last,
}

/// The percentages at which the stages begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverloadThresholds {
    /// To [`Step::Tight`].
    pub warning: u8,
    /// To [`Step::Scarce`].
    pub shedding: u8,
    /// To [`Step::Last`].
    pub critical: u8,
}

/// Percentage points below the threshold of a stage at which it ends.
const LEFT_BELOW: u8 = 5;

impl Step {
    /// All stages, the mildest first.
    pub const ALL: [Self; 4] = [Self::Calm, Self::Tight, Self::Scarce, Self::Last];

    /// Returns the name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Tight => "tight",
            Self::Scarce => "scarce",
            Self::Last => "last",
        }
    }

    /// Returns the stage with this number; the last one for larger numbers.
    #[must_use]
    pub const fn of(number: u8) -> Self {
        match number {
            0 => Self::Calm,
            1 => Self::Tight,
            2 => Self::Scarce,
            _ => Self::Last,
        }
    }

    /// Returns the stage that follows this one at this percentage of use.
    #[must_use]
    pub fn next(self, percent: u8, terms: &OverloadThresholds) -> Self {
        let begins = [0, terms.warning, terms.shedding, terms.critical];
        let reached = |percent: u8| {
            let steps = Self::ALL.iter().zip(begins);
            steps.rev().find(|(_, begins)| percent >= *begins).map_or(Self::Calm, |(step, _)| *step)
        };
        let up = reached(percent);
        if up >= self { up } else { reached(percent.saturating_add(LEFT_BELOW)).min(self) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: OverloadThresholds =
        OverloadThresholds { warning: 80, shedding: 90, critical: 95 };

    #[test]
    fn a_step_is_entered_at_its_percentage_and_left_well_below() {
        let mut step = Step::Calm;
        for (percent, is) in [
            (79, Step::Calm),
            (80, Step::Tight),
            (96, Step::Last),
            (91, Step::Last),
            (89, Step::Scarce),
            (86, Step::Scarce),
            (84, Step::Tight),
            (76, Step::Tight),
            (74, Step::Calm),
            (100, Step::Last),
            (0, Step::Calm),
        ] {
            step = step.next(percent, &TERMS);
            assert_eq!(step, is, "at {percent} %");
        }
    }

    proptest! {
        #[test]
        fn more_is_never_milder(step in 0_u8..4, less in 0_u8..=100, more in 0_u8..=100) {
            let step = Step::of(step);
            let (less, more) = (less.min(more), less.max(more));
            prop_assert!(step.next(less, &TERMS) <= step.next(more, &TERMS));
        }

        #[test]
        fn the_same_again_changes_nothing(step in 0_u8..4, percent in 0_u8..=100) {
            let once = Step::of(step).next(percent, &TERMS);
            prop_assert_eq!(once.next(percent, &TERMS), once);
        }
    }
}
