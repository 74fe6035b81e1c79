//! Patterns of file names, and the natural order of file names.

/// Returns whether `name` matches the shell pattern `pattern` of one path component. `*` and `?`
/// have their meaning in a shell and never match a leading dot. The work is taken from `steps`; if
/// they are exhausted, nothing matches.
pub(super) fn fits(pattern: &str, name: &str, steps: &mut u64) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    // The state for a retry if the text after the last `*` does not match: one character later. One
    // level of backtracking is sufficient, so the work is at most the product of the lengths.
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let Some(left) = steps.checked_sub(1) else { return false };
        *steps = left;
        let mut ahead = pattern.clone();
        match (ahead.next(), name.clone().next()) {
            (Some('*'), _) => {
                pattern = ahead;
                retry = Some((pattern.clone(), name.clone()));
            }
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == '?' || wanted == given => {
                pattern = ahead;
                name.next();
            }
            _ => {
                let Some((after_star, mut from)) = retry.take() else { return false };
                if from.next().is_none() {
                    return false;
                }
                pattern = after_star.clone();
                name = from.clone();
                retry = Some((after_star, from));
            }
        }
    }
}

/// Returns whether a path or a component is a pattern.
pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?'])
}

/// Compares in natural order: runs of digits by value, everything else by bytes. Equal values of
/// different lengths are compared by bytes, so the order is total.
pub(super) fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let (mut x, mut y) = (a, b);
    loop {
        let ((x_digits, x_rest), (y_digits, y_rest)) = (digits(x), digits(y));
        let order = if x_digits.is_empty() || y_digits.is_empty() {
            let (mut xs, mut ys) = (x.chars(), y.chars());
            let order = xs.next().cmp(&ys.next());
            (x, y) = (xs.as_str(), ys.as_str());
            order
        } else {
            (x, y) = (x_rest, y_rest);
            let (p, q) = (x_digits.trim_start_matches('0'), y_digits.trim_start_matches('0'));
            p.len().cmp(&q.len()).then_with(|| p.cmp(q))
        };
        if order.is_ne() {
            return order;
        }
        if x.is_empty() && y.is_empty() {
            return a.cmp(b);
        }
    }
}

/// Returns the digits at the start of `text`, and the rest.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_fit_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?", "\u{e9}", true),
            ("?", "", false),
            ("*.wall", ".x.wall", false),
            (".*", ".x", true),
            ("**a", "ba", true),
        ] {
            assert_eq!(fits(pattern, name, &mut 1_000), expected, "{pattern} {name}");
        }
        let hard = format!("{}b", "*a".repeat(500));
        let mut steps = u64::MAX;
        assert!(!fits(&hard, &"a".repeat(5_000), &mut steps));
    }

    #[test]
    fn work_past_its_limit_fits_nothing() {
        let mut steps = 4;
        assert!(fits("abc", "abc", &mut steps));
        assert_eq!(steps, 0);
        assert!(!fits("abc", "abc", &mut 3));
    }

    #[test]
    fn counting_order_is_total() {
        let mut names = ["a10", "a9", "a", "b", "a009", "a9b", "10", "9", ""];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["", "9", "10", "a", "a009", "a9", "a9b", "a10", "b"]);
    }
}
