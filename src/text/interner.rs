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
    pub(crate) fn get(&self, number: u32) -> &str {
        nth(&self.text, &self.starts, number)
    }

    /// The number of `text`, which is added if it is new.
    pub(crate) fn number(&mut self, text: &str) -> Result<u32, OutOfMemory> {
        let hash = self.hasher.hash_one(text);
        let is_equal = |&number: &u32| nth(&self.text, &self.starts, number) == text;
        if let Some(number) = self.numbers.find(hash, is_equal) {
            return Ok(*number);
        }
        let number = u32::try_from(self.starts.len() - 1).map_err(|_| OutOfMemory)?;
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

/// Stores each different text once, in groups of those that have the same key, for example the spellings of one email. Groups
/// are numbered from zero in order of arrival. Takes 4 bytes more than a [`StringInterner`] for each text and 4 for each
/// group, and the key of each group whose texts all differ from it.
#[derive(Debug)]
pub(crate) struct GroupedInterner {
    key: fn(&str) -> Cow<'_, str>,
    texts: StringInterner,
    /// The group of each text.
    groups: Vec<u32>,
    /// The text that is the key of each group.
    keys: Vec<u32>,
}

impl GroupedInterner {
    /// `key` returns the key of a text. The key of a key should be itself.
    pub(crate) fn new(key: fn(&str) -> Cow<'_, str>) -> Self {
        Self {
            key,
            texts: StringInterner::default(),
            groups: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// The number of groups.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key of a group.
    pub(crate) fn key(&self, group: u32) -> &str {
        self.texts.get(self.keys[group as usize])
    }

    /// The keys of all groups, by number.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| self.texts.get(*key))
    }

    /// The group of `text`, which is added if it is new.
    pub(crate) fn group(&mut self, text: &str) -> Result<u32, OutOfMemory> {
        let number = self.texts.number(text)?;
        if number as usize == self.groups.len() {
            self.add(number, text)?;
        }
        Ok(self.groups[number as usize])
    }

    /// Adds the group of the new text with this number.
    fn add(&mut self, number: u32, text: &str) -> Result<(), OutOfMemory> {
        let new_group = u32::try_from(self.keys.len()).map_err(|_| OutOfMemory)?;
        memory::reserve(&mut self.groups, 2)?;
        memory::reserve(&mut self.keys, 1)?;
        let key = match (self.key)(text) {
            key if key == text => number,
            key => self.texts.number(&key)?,
        };
        self.groups.push(new_group);
        match self.groups.get(key as usize) {
            Some(&group) if key != number => self.groups[number as usize] = group,
            Some(_) => self.keys.push(key),
            None => {
                self.groups.push(new_group);
                self.keys.push(key);
            }
        }
        Ok(())
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
        let keys: Vec<&str> = (0..3).map(|group| interner.key(group)).collect();
        assert_eq!(keys, ["ana", "bo", "cy"]);
    }
}
