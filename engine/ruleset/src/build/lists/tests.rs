//! Tests of the texts about lists.

use super::*;

#[test]
fn an_age_is_told_in_its_largest_unit() {
    for (seconds, words) in [
        (0, "0 seconds"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (7_300, "2 hours"),
        (86_400, "1 day"),
    ] {
        assert_eq!(age_words(Duration::from_secs(seconds)), words);
    }
}
