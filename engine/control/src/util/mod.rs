//! Small parts that know nothing of Seawall: clocks, threads, flags.

pub(crate) mod clock;
pub(crate) mod join_timeout;
pub(crate) mod periodic_task;
pub(crate) mod random;
pub(crate) mod stop_flag;
