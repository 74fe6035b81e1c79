//! The sources of a policy: files on the disk, last good copies of lists, pinned generations, and
//! the loader that builds a policy from them.

pub(crate) mod hashing_store;
pub(crate) mod list_cache;
pub(crate) mod loader;
pub(crate) mod policy_dir;
pub(crate) mod read_file;
pub(crate) mod rollback_pin;
