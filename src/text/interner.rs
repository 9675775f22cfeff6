use std::{borrow::Cow, hash::BuildHasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::memory::{self, OutOfMemory};

/// Stores each different text once, numbered from zero in order of arrival. There may be millions, so each text takes only
/// its own bytes and 14 to 20 more, and up to a quarter more of both while they grow.
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
    /// The number of texts.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(crate) fn get(&self, number: u32) -> &str {
        nth(&self.text, &self.starts, number)
    }

    /// The number of `text`, which is added if it is new.
    pub(crate) fn number(&mut self, text: &str) -> Result<u32, OutOfMemory> {
        let hash = self.hasher.hash_one(text);
        match self.find(hash, text) {
            Some(number) => Ok(number),
            None => self.add(hash, text),
        }
    }

    fn find(&self, hash: u64, text: &str) -> Option<u32> {
        let is_equal = |&number: &u32| self.get(number) == text;
        self.numbers.find(hash, is_equal).copied()
    }

    fn add(&mut self, hash: u64, text: &str) -> Result<u32, OutOfMemory> {
        let number = u32::try_from(self.len()).map_err(|_| OutOfMemory)?;
        self.numbers.try_reserve(1, |&number| {
            self.hasher.hash_one(nth(&self.text, &self.starts, number))
        })?;
        memory::reserve(&mut self.starts, 1)?;
        memory::append(&mut self.text, text)?;
        self.starts.push(self.text.len());
        self.numbers.insert_unique(hash, number, |_| hash);
        Ok(number)
    }
}

/// Stores texts in groups of those that have the same key, for example the spellings of one email. Groups are numbered from zero
/// in order of arrival. The key of a group takes as much memory as in a [`StringInterner`], and each other text as much and 4
/// bytes.
#[derive(Debug)]
pub(crate) struct GroupedInterner {
    key: fn(&str) -> Cow<'_, str>,
    /// The key of each group.
    keys: StringInterner,
    /// Texts that are not the key of their group.
    others: StringInterner,
    /// The group of each of `others`.
    groups: Vec<u32>,
}

impl GroupedInterner {
    /// `key` returns the key of a text. The key of a key should be itself.
    pub(crate) fn new(key: fn(&str) -> Cow<'_, str>) -> Self {
        Self {
            key,
            keys: StringInterner::default(),
            others: StringInterner::default(),
            groups: Vec::new(),
        }
    }

    /// The number of groups.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key of a group.
    pub(crate) fn key(&self, group: u32) -> &str {
        self.keys.get(group)
    }

    /// The keys of all groups, by number.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        (0..).take(self.len()).map(|group| self.key(group))
    }

    /// The group of `text`, which is added if it is new.
    pub(crate) fn group(&mut self, text: &str) -> Result<u32, OutOfMemory> {
        // Nearly always the text is a key that is known.
        let hash = self.keys.hasher.hash_one(text);
        match self.keys.find(hash, text) {
            Some(group) => Ok(group),
            None => self.group_of_other(hash, text),
        }
    }

    fn group_of_other(&mut self, hash: u64, text: &str) -> Result<u32, OutOfMemory> {
        let other_hash = self.others.hasher.hash_one(text);
        if let Some(other) = self.others.find(other_hash, text) {
            return Ok(self.groups[other as usize]);
        }
        let key = (self.key)(text);
        if key == text {
            return self.keys.add(hash, text);
        }
        let group = self.keys.number(&key)?;
        memory::reserve(&mut self.groups, 1)?;
        self.others.add(other_hash, text)?;
        self.groups.push(group);
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
        let mut interner = GroupedInterner::new(|text| Cow::Owned(text.to_lowercase()));
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
