//! Return of freed memory from the allocator to the system.

// The allocator itself: linked, and called under its own name.
use libmimalloc_sys as _;

#[expect(
    unsafe_code,
    reason = "the crate declares it only with all of the allocator's other calls"
)]
// SAFETY: the declaration is that of `mimalloc.h`: `void mi_collect(bool force)`.
unsafe extern "C" {
    safe fn mi_collect(force: bool);
}

/// Returns unused memory of the allocator of this thread to the system. Takes milliseconds for a
/// large amount. Has no effect if the program uses another allocator.
pub fn give_back_memory() {
    mi_collect(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_asked_for_again_and_again_while_memory_is_in_use() {
        let held: Vec<Vec<u8>> = (0..100_u8).map(|n| vec![n; 10_000]).collect();
        for _ in 0..3 {
            give_back_memory();
        }
        assert!(held.iter().zip(0..).all(|(bytes, n)| bytes.iter().all(|byte| *byte == n)));
    }
}
