use std::collections::VecDeque;

use crate::text::memory::OutOfMemory;

/// Counts different leads by group, for clicks in any order. Each different pair of a group and a lead takes 1 to 6 bytes, about 2 if
/// there are millions, and 2 to 4 more while pairs are collected.
#[derive(Debug, Default)]
pub(super) struct LeadsByGroup {
    /// The number of the group in the upper half, that of the lead in the lower half.
    collected: Vec<u64>,
    /// The different pairs before those.
    sorted: SortedPairs,
}

/// Collected pairs are sorted when there are so many, and a quarter as many as sorted ones. That takes less time than a hash
/// table.
const COLLECTED_MIN: usize = 65_536;

impl LeadsByGroup {
    pub(super) fn add(&mut self, group: u32, lead: u32) -> Result<(), OutOfMemory> {
        if self.collected.len() == self.collected.capacity() {
            self.merge()?;
            let room = COLLECTED_MIN.max(self.sorted.len / 4);
            self.collected.try_reserve_exact(room)?;
        }
        self.collected
            .push(u64::from(group) << 32 | u64::from(lead));
        Ok(())
    }

    /// Moves the collected pairs to the sorted ones.
    fn merge(&mut self) -> Result<(), OutOfMemory> {
        self.collected.sort_unstable();
        self.collected.dedup();
        let mut merged = SortedPairs::default();
        let mut collected = self.collected.iter().copied().peekable();
        for pair in std::mem::take(&mut self.sorted) {
            while let Some(smaller) = collected.next_if(|next| *next < pair) {
                merged.push(smaller)?;
            }
            collected.next_if_eq(&pair);
            merged.push(pair)?;
        }
        for pair in collected {
            merged.push(pair)?;
        }
        self.collected.clear();
        self.sorted = merged;
        Ok(())
    }

    /// The number of leads of each group, by the number of the group. There are `groups` groups.
    pub(super) fn count(mut self, groups: usize) -> Result<Vec<u64>, OutOfMemory> {
        self.merge()?;
        drop(self.collected);
        let mut counts = Vec::new();
        counts.try_reserve_exact(groups)?;
        counts.resize(groups, 0);
        for pair in self.sorted {
            let group = usize::try_from(pair >> 32).unwrap_or(usize::MAX);
            if let Some(count) = counts.get_mut(group) {
                *count += 1;
            }
        }
        Ok(counts)
    }
}

/// Different numbers in ascending order, each as its difference from the one before it, in
/// [LEB128](https://en.wikipedia.org/wiki/LEB128).
#[derive(Debug, Default)]
struct SortedPairs {
    /// Of [`BLOCK_BYTES`] each, so that a merge can free what it has read. The first number of each is whole.
    blocks: VecDeque<Vec<u8>>,
    /// The number of bytes that are left in the last block.
    room: usize,
    last: u64,
    len: usize,
}

const BLOCK_BYTES: usize = 32 * 1024;

/// The most bytes that a number takes.
const NUMBER_BYTES_MAX: usize = 10;

impl SortedPairs {
    fn push(&mut self, pair: u64) -> Result<(), OutOfMemory> {
        if self.room < NUMBER_BYTES_MAX {
            let mut block = Vec::new();
            block.try_reserve_exact(BLOCK_BYTES)?;
            self.blocks.try_reserve(1)?;
            self.blocks.push_back(block);
            self.room = BLOCK_BYTES;
            self.last = 0;
        }
        let Some(block) = self.blocks.back_mut() else {
            return Ok(());
        };
        let before = block.len();
        let mut rest = pair - self.last;
        while rest >= 0x80 {
            block.push(low_bits(rest) | 0x80);
            rest >>= 7;
        }
        block.push(low_bits(rest));
        self.room -= block.len() - before;
        self.last = pair;
        self.len += 1;
        Ok(())
    }
}

/// The seven lowest bits.
fn low_bits(number: u64) -> u8 {
    (number & 0x7f) as u8
}

impl IntoIterator for SortedPairs {
    type Item = u64;
    type IntoIter = Pairs;

    fn into_iter(self) -> Pairs {
        Pairs {
            blocks: self.blocks,
            block: Vec::new().into_iter(),
            last: 0,
        }
    }
}

/// Reads [`SortedPairs`], and frees what was read.
struct Pairs {
    blocks: VecDeque<Vec<u8>>,
    block: std::vec::IntoIter<u8>,
    last: u64,
}

impl Iterator for Pairs {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.block.as_slice().is_empty() {
            self.block = self.blocks.pop_front()?.into_iter();
            self.last = 0;
        }
        let mut difference = 0;
        let mut shift = 0;
        loop {
            let byte = self.block.next()?;
            difference |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                self.last += difference;
                return Some(self.last);
            }
            shift += 7;
        }
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
                    leads.add(*group, lead + round % 3).unwrap();
                }
            }
            let expected: BTreeSet<(u32, u32)> = (0..rounds.min(3))
                .flat_map(|round| pairs.iter().map(move |(group, lead)| (*group, lead + round)))
                .collect();
            let counts = (0..4).map(|group| expected.iter().filter(|pair| pair.0 == group).count() as u64);
            prop_assert_eq!(leads.count(4).unwrap(), counts.collect::<Vec<_>>());
        }

        #[test]
        fn sorted_pairs_read_back(pairs in prop::collection::btree_set(any::<u64>(), 0..9_000)) {
            let mut sorted = SortedPairs::default();
            for pair in &pairs {
                sorted.push(*pair).unwrap();
            }
            prop_assert_eq!(sorted.into_iter().collect::<BTreeSet<u64>>(), pairs);
        }
    }

    #[test]
    fn many_different_pairs_are_counted_exactly() {
        const GROUPS: u32 = 100;
        const LEADS: u32 = 4_000;
        let mut leads = LeadsByGroup::default();
        // Each pair twice, far apart. 7,919 is prime, so the order is not that of the numbers.
        for number in 0..2 * GROUPS * LEADS {
            let pair = u64::from(number) * 7_919 % u64::from(GROUPS * LEADS);
            let pair = u32::try_from(pair).unwrap();
            leads.add(pair % GROUPS, pair / GROUPS).unwrap();
        }
        assert_eq!(leads.count(100).unwrap(), vec![u64::from(LEADS); 100]);
    }
}
