//! Small statistics, exact.

use num_rational::Ratio;

/// The percentile of unordered values with linear interpolation between the
/// two nearest ranks (numpy's default): rank = (n − 1) · percent / 100.
/// `None` without values; a percentile above 100 counts as 100.
pub fn percentile(values: &[Ratio<i128>], percent: u32) -> Option<Ratio<i128>> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let position = sorted.len().checked_sub(1)? * percent.min(100) as usize;
    let (index, share) = (position / 100, (position % 100) as i128);
    let below = *sorted.get(index)?;
    let above = sorted.get(index + 1).copied().unwrap_or(below);
    Some(below + (above - below) * Ratio::new(share, 100))
}

/// [`percentile`] of whole numbers, such as prices in paise.
pub fn percentile_of_integers(values: &[i64], percent: u32) -> Option<Ratio<i128>> {
    let exact: Vec<Ratio<i128>> =
        values.iter().map(|value| Ratio::from_integer(i128::from(*value))).collect();
    percentile(&exact, percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[i64], percent: u32, expected: (i128, i128)) {
        let expected = Ratio::new(expected.0, expected.1);
        assert_eq!(percentile_of_integers(values, percent), Some(expected), "{values:?}");
    }

    #[test]
    fn interpolates_between_ranks() {
        check(&[1, 2, 3, 4], 75, (13, 4));
        check(&[4, 1, 3, 2], 50, (5, 2));
        check(&[7], 75, (7, 1));
        check(&[1, 2], 0, (1, 1));
        check(&[1, 2], 100, (2, 1));
        check(&[1, 2], 400, (2, 1));
        let twenty: Vec<i64> = (1..=20).collect();
        check(&twenty, 75, (61, 4));
        assert_eq!(percentile(&[], 75), None);
    }

    proptest::proptest! {
        #[test]
        fn lies_between_the_extremes_and_grows(
            values in proptest::collection::vec(-1000_i64..1000, 1..30), percent in 0_u32..100,
        ) {
            let at = |percent| percentile_of_integers(&values, percent).expect("values");
            proptest::prop_assert!(at(0) <= at(percent) && at(percent) <= at(percent + 1));
            proptest::prop_assert_eq!(at(100), Ratio::from_integer(i128::from(*values.iter().max().expect("one"))));
        }
    }
}
