use std::{borrow::Cow, hash::BuildHasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::memory::OutOfMemory;

/// Numbers groups of texts that have the same key, for example the spellings of one email, from zero in order of arrival.
/// Keeps no text, only hashes: each different text takes 20 to 39 bytes, whatever its length, and the key of a group as much if
/// no text equals it.
///
/// Two different texts with the same hash would count as one. Visitors choose the texts, but the hashes have new seeds in each
/// run. Of ten million texts, two have the same 96 bits with a probability of 10^-15.
#[derive(Debug)]
pub(crate) struct TextGroups {
    key: fn(&str) -> Cow<'_, str>,
    texts: HashTable<HashedText>,
    /// The number of groups.
    len: u32,
    hashers: [DefaultHashBuilder; 2],
}

#[derive(Debug, Clone, Copy)]
struct HashedText {
    hash: Hash,
    group: u32,
}

/// 64 bits of the first hasher, the lower half first, and 32 of the second. In parts of 32 bits, so that a [`HashedText`] takes
/// 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hash([u32; 3]);

impl Hash {
    /// The bits that choose the place in the table.
    fn first(self) -> u64 {
        u64::from(self.0[1]) << 32 | u64::from(self.0[0])
    }
}

impl TextGroups {
    /// `key` returns the key of a text. The key of a key should be itself.
    pub(crate) fn new(key: fn(&str) -> Cow<'_, str>) -> Self {
        Self {
            key,
            texts: HashTable::new(),
            len: 0,
            hashers: [DefaultHashBuilder::default(), DefaultHashBuilder::default()],
        }
    }

    /// The number of groups.
    pub(crate) fn len(&self) -> u64 {
        self.len.into()
    }

    /// The group of `text`, which is added if it is new.
    pub(crate) fn group(&mut self, text: &str) -> Result<u32, OutOfMemory> {
        let hash = self.hash(text);
        match self.get(hash) {
            Some(group) => Ok(group),
            None => self.add(hash, text),
        }
    }

    /// The group of a text that was added.
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        self.get(self.hash(text))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "parts of the hashes are what is wanted"
    )]
    fn hash(&self, text: &str) -> Hash {
        let [first, second] = self.hashers.each_ref().map(|hasher| hasher.hash_one(text));
        Hash([first as u32, (first >> 32) as u32, second as u32])
    }

    fn get(&self, hash: Hash) -> Option<u32> {
        let found = self.texts.find(hash.first(), |text| text.hash == hash);
        found.map(|text| text.group)
    }

    #[cold]
    fn add(&mut self, hash: Hash, text: &str) -> Result<u32, OutOfMemory> {
        self.texts.try_reserve(2, |text| text.hash.first())?;
        let key = (self.key)(text);
        let key_hash = if key == text { hash } else { self.hash(&key) };
        let found = self.get(key_hash);
        let group = found.unwrap_or(self.len);
        if found.is_none() {
            self.len = group.checked_add(1).ok_or(OutOfMemory)?;
            self.insert(key_hash, group);
        }
        if key_hash != hash {
            self.insert(hash, group);
        }
        Ok(group)
    }

    fn insert(&mut self, hash: Hash, group: u32) {
        let text = HashedText { hash, group };
        self.texts
            .insert_unique(hash.first(), text, |text| text.hash.first());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_the_same_key_are_one_group() {
        let mut groups = TextGroups::new(|text| Cow::Owned(text.to_lowercase()));
        let numbers: Vec<u32> = ["Ana", "bo", "ANA", "Bo", "ana", "cy", "Ana"]
            .iter()
            .map(|text| groups.group(text).unwrap())
            .collect();
        assert_eq!(numbers, [0, 1, 0, 1, 0, 2, 0]);
        assert_eq!(groups.len(), 3);
        assert_eq!(groups.find("ANA"), Some(0));
        assert_eq!(groups.find("anA"), None);
    }

    #[test]
    fn many_texts_stay_apart() {
        let mut groups = TextGroups::new(|text| Cow::Borrowed(text));
        let texts: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
        for (text, number) in texts.iter().zip(0..) {
            assert_eq!(groups.group(text).unwrap(), number);
        }
        for (text, number) in texts.iter().zip(0..) {
            assert_eq!(groups.find(text), Some(number));
        }
    }
}
