//! A set of ids in little memory: those of a table are nearly always consecutive numbers.

/// The most ranges of consecutive ids; they take 8 MB, and twice that while the set grows.
const RANGES_MAX: usize = 500_000;

/// Ids as ranges of consecutive numbers.
#[derive(Debug, Default)]
pub(super) struct IdSet {
    /// The first and the last id of each range. Sorted and disjoint, unless ids were just added.
    ranges: Vec<(i64, i64)>,
}

/// The ids have more than [`RANGES_MAX`] ranges.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooScattered;

impl IdSet {
    /// Collects ids, fastest if they nearly rise.
    pub(super) fn collect<E>(
        ids: impl Iterator<Item = Result<i64, E>>,
    ) -> Result<Result<Self, TooScattered>, E> {
        let mut set = Self::default();
        for id in ids {
            let id = id?;
            match set.ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(id) => *last = id,
                _ => set.ranges.push((id, id)),
            }
            if set.ranges.len() > 2 * RANGES_MAX {
                set.merge();
                if set.ranges.len() > RANGES_MAX {
                    return Ok(Err(TooScattered));
                }
            }
        }
        set.merge();
        Ok(if set.ranges.len() > RANGES_MAX {
            Err(TooScattered)
        } else {
            Ok(set)
        })
    }

    fn merge(&mut self) {
        self.ranges.sort_unstable();
        self.ranges.dedup_by(|next, range| {
            let touches = next.0 <= range.1.saturating_add(1);
            if touches {
                range.1 = range.1.max(next.1);
            }
            touches
        });
        self.ranges.shrink_to_fit();
    }

    pub(super) fn contains(&self, id: i64) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= id);
        after
            .checked_sub(1)
            .is_some_and(|range| id <= self.ranges[range].1)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use proptest::prelude::*;

    fn collect(ids: impl Iterator<Item = i64>) -> Result<IdSet, TooScattered> {
        IdSet::collect(ids.map(Ok::<_, Infallible>)).unwrap_or_else(|never| match never {})
    }

    #[test]
    fn consecutive_ids_take_one_range_in_any_order_and_scattered_ones_have_a_limit() {
        let set = collect((0..100_000).chain((-100_000..0).rev())).unwrap();
        assert_eq!(set.ranges, [(-100_000, 99_999)]);
        let scattered = |count: usize| collect((0..).step_by(2).take(count)).map(|_| ());
        assert_eq!(scattered(RANGES_MAX), Ok(()));
        assert_eq!(scattered(RANGES_MAX + 1), Err(TooScattered));
        assert_eq!(scattered(3 * RANGES_MAX), Err(TooScattered));
    }

    proptest! {
        #[test]
        fn it_contains_what_was_collected_and_nothing_else(
            ids in prop::collection::vec(prop_oneof![-9..9_i64, Just(i64::MAX), Just(i64::MIN), any::<i64>()], 0..40),
            others in prop::collection::vec(prop_oneof![-12..12_i64, any::<i64>()], 0..40),
        ) {
            let set = collect(ids.iter().copied()).unwrap();
            for id in ids.iter().chain(&others) {
                prop_assert_eq!(set.contains(*id), ids.contains(id));
            }
        }
    }
}
