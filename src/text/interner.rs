use std::{borrow::Cow, hash::BuildHasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::memory::{self, OutOfMemory};

/// Stores each different text once, in groups of those that have the same key, for example the spellings of one email. Groups
/// are numbered from zero in order of arrival. There may be millions, so each text takes only its own bytes and 20 to 35 more,
/// each group 4, and up to a quarter more while they grow. The key of a group is stored too if none of its texts is equal.
#[derive(Debug)]
pub(crate) struct StringInterner {
    key: fn(&str) -> Cow<'_, str>,
    /// All texts, concatenated.
    text: String,
    /// Where each text begins, and where the last one ends.
    starts: Vec<usize>,
    /// The number of each text, and its group.
    numbers: HashTable<Interned>,
    /// The number of the text that is the key of each group.
    keys: Vec<u32>,
    /// Has a new seed in each run. Visitors choose the texts, but can't measure how long a report takes.
    hasher: DefaultHashBuilder,
}

#[derive(Debug, Clone, Copy)]
struct Interned {
    text: u32,
    group: u32,
}

impl StringInterner {
    /// `key` returns the key of a text. The key of a key should be itself.
    pub(crate) fn new(key: fn(&str) -> Cow<'_, str>) -> Self {
        Self {
            key,
            text: String::new(),
            starts: vec![0],
            numbers: HashTable::new(),
            keys: Vec::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// The number of groups.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key of a group.
    pub(crate) fn key(&self, group: u32) -> &str {
        nth(&self.text, &self.starts, self.keys[group as usize])
    }

    /// The keys of all groups, by number.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let keys = self.keys.iter();
        keys.map(|key| nth(&self.text, &self.starts, *key))
    }

    /// The group of `text`, which is added if it is new.
    pub(crate) fn group(&mut self, text: &str) -> Result<u32, OutOfMemory> {
        let hash = self.hasher.hash_one(text);
        match self.find(hash, text) {
            Some(group) => Ok(group),
            None => self.add(hash, text),
        }
    }

    fn find(&self, hash: u64, text: &str) -> Option<u32> {
        let is_equal = |found: &Interned| nth(&self.text, &self.starts, found.text) == text;
        let found = self.numbers.find(hash, is_equal)?;
        Some(found.group)
    }

    /// Adds a new text, and its group if that is new.
    fn add(&mut self, hash: u64, text: &str) -> Result<u32, OutOfMemory> {
        let key = (self.key)(text);
        if key == text {
            return self.insert(hash, text, None);
        }
        let key_hash = self.hasher.hash_one(&*key);
        let group = match self.find(key_hash, &key) {
            Some(group) => group,
            None => self.insert(key_hash, &key, None)?,
        };
        self.insert(hash, text, Some(group))
    }

    /// Stores a new text in its group; without one it is the key of a new group. Returns the group.
    fn insert(&mut self, hash: u64, text: &str, group: Option<u32>) -> Result<u32, OutOfMemory> {
        let number = u32::try_from(self.starts.len() - 1).map_err(|_| OutOfMemory)?;
        self.numbers.try_reserve(1, |other| {
            let other = nth(&self.text, &self.starts, other.text);
            self.hasher.hash_one(other)
        })?;
        memory::reserve(&mut self.starts, 1)?;
        memory::reserve(&mut self.keys, 1)?;
        memory::append(&mut self.text, text)?;
        self.starts.push(self.text.len());
        let group = if let Some(group) = group {
            group
        } else {
            self.keys.push(number);
            u32::try_from(self.keys.len() - 1).map_err(|_| OutOfMemory)?
        };
        let interned = Interned {
            text: number,
            group,
        };
        self.numbers.insert_unique(hash, interned, |_| hash);
        Ok(group)
    }
}

fn nth<'a>(text: &'a str, starts: &[usize], number: u32) -> &'a str {
    let number = number as usize;
    &text[starts[number]..starts[number + 1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_the_same_key_are_one_group() {
        let mut interner = StringInterner::new(|text| Cow::Owned(text.to_lowercase()));
        let groups: Vec<u32> = ["Ana", "bo", "ANA", "Bo", "ana", "cy", "Ana"]
            .iter()
            .map(|text| interner.group(text).unwrap())
            .collect();
        assert_eq!(groups, [0, 1, 0, 1, 0, 2, 0]);
        assert_eq!(interner.len(), 3);
        let keys: Vec<&str> = interner.keys().collect();
        assert_eq!(keys, ["ana", "bo", "cy"]);
        assert_eq!(interner.key(1), "bo");
    }
}
