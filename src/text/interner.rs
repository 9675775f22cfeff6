use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

/// Stores each different text once, numbered from zero in order of arrival. There may be millions, so each text takes only
/// its own bytes and 14 to 19 more.
#[derive(Debug)]
pub(crate) struct StringInterner {
    /// All texts, concatenated.
    text: String,
    /// Where each text begins, and where the last one ends.
    starts: Vec<usize>,
    numbers: HashTable<u32>,
    /// Has a new seed in each run. Visitors choose the texts, but can't measure how long a report takes.
    hasher: DefaultHashBuilder,
}

impl Default for StringInterner {
    fn default() -> Self {
        Self {
            text: String::new(),
            starts: vec![0],
            numbers: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl StringInterner {
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(crate) fn get(&self, number: u32) -> &str {
        nth(&self.text, &self.starts, number)
    }

    /// The number of `text`, which is added if it is new.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        let (hasher, starts, all) = (&self.hasher, &mut self.starts, &mut self.text);
        let found = self.numbers.entry(
            hasher.hash_one(text),
            |&number| nth(all, starts, number) == text,
            |&number| hasher.hash_one(nth(all, starts, number)),
        );
        match found {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                // 4 billion different texts would need hundreds of gigabytes, so the number never overflows.
                let number = u32::try_from(starts.len() - 1).unwrap_or(u32::MAX);
                entry.insert(number);
                all.push_str(text);
                starts.push(all.len());
                number
            }
        }
    }
}

fn nth<'a>(text: &'a str, starts: &[usize], number: u32) -> &'a str {
    let number = number as usize;
    &text[starts[number]..starts[number + 1]]
}
