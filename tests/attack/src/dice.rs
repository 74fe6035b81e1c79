//! Random numbers that are the same in every run: an attack must be repeatable.

/// Returns the n-th number of a fixed, well-mixed sequence (SplitMix64).
pub(crate) fn roll(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_the_same_in_every_run_and_does_not_repeat() {
        let rolls: std::collections::HashSet<u64> = (0..10_000).map(super::roll).collect();
        assert_eq!(rolls.len(), 10_000);
        // The first value of SplitMix64 with seed 0, as published with the algorithm.
        assert_eq!(super::roll(0), 0xe220_a839_7b1d_cdaf);
    }
}
