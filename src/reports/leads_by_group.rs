/// Different leads by group, whichever order the clicks come in. A pair of a group and a lead takes 8 bytes, and as much
/// again while pairs are collected: sorting them now and then takes a third of the time of a hash table.
#[derive(Debug, Default)]
pub(super) struct LeadsByGroup {
    /// A group's number in the upper half, a lead's in the lower.
    pairs: Vec<u64>,
    /// How many of them are known to be different.
    different: usize,
}

/// How many pairs are collected at least before those that are there twice are dropped.
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

    /// How many leads each group has, by its number; there are `groups` of them.
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
