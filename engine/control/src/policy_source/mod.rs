//! Where a policy comes from: the files on the disk, good copies of lists, what a rollback pinned, and
//! the loader that reads them all and builds a policy of them.

pub(crate) mod hashing_store;
pub(crate) mod list_cache;
pub(crate) mod loader;
pub(crate) mod policy_dir;
pub(crate) mod read_file;
pub(crate) mod rollback_pin;
