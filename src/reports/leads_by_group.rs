/// Counts different leads by group, for clicks in any order. A pair of a group and a lead takes 8 bytes, and up to twice as
/// much while pairs are collected. Sorting them from time to time takes a third of the time of a hash table.
#[derive(Debug, Default)]
pub(super) struct LeadsByGroup {
    /// The number of the group in the upper half, that of the lead in the lower half.
    pairs: Vec<u64>,
    /// The number of different pairs after the last sort.
    different: usize,
}

/// Duplicates are dropped only if there are at least so many pairs.
const PAIRS_MIN: usize = 65_536;

impl LeadsByGroup {
    pub(super) fn add(&mut self, group: u32, lead: u32) {
        if self.pairs.len() >= PAIRS_MIN.max(self.different * 2) {
            self.drop_repeated();
        }
        self.pairs.push(u64::from(group) << 32 | u64::from(lead));
    }

    fn drop_repeated(&mut self) {
        self.pairs.sort_unstable();
        self.pairs.dedup();
        self.different = self.pairs.len();
    }

    /// The number of leads of each group, by the number of the group. There are `groups` groups.
    pub(super) fn count(mut self, groups: usize) -> Vec<u64> {
        self.drop_repeated();
        let mut counts = vec![0; groups];
        for pair in self.pairs {
            let group = usize::try_from(pair >> 32).unwrap_or(usize::MAX);
            if let Some(count) = counts.get_mut(group) {
                *count += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn each_lead_counts_once_in_a_group(
            pairs in prop::collection::vec((0..4_u32, 0..9_u32), 0..30),
            rounds in 1..9_000_u32,
        ) {
            let mut leads = LeadsByGroup::default();
            for round in 0..rounds {
                for (group, lead) in &pairs {
                    leads.add(*group, lead + round % 3);
                }
            }
            let expected: BTreeSet<(u32, u32)> = (0..rounds.min(3))
                .flat_map(|round| pairs.iter().map(move |(group, lead)| (*group, lead + round)))
                .collect();
            let counts = (0..4).map(|group| expected.iter().filter(|pair| pair.0 == group).count() as u64);
            prop_assert_eq!(leads.count(4), counts.collect::<Vec<_>>());
        }
    }
}
