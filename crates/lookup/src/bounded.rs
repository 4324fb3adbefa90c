//! A map with a bound on entries and bytes that drops its oldest entry.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

struct Slot<V> {
    value: V,
    age: u64,
    bytes: usize,
}

/// Insertion order decides: replacing an entry makes it the newest, reading does not.
pub(crate) struct Bounded<K, V> {
    slots: HashMap<K, Slot<V>>,
    by_age: BTreeMap<u64, K>,
    next_age: u64,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
}

impl<K: Clone + Eq + Hash, V> Bounded<K, V> {
    pub(crate) fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self {
            slots: HashMap::new(),
            by_age: BTreeMap::new(),
            next_age: 0,
            bytes: 0,
            max_entries,
            max_bytes,
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.slots.get(key).map(|slot| &slot.value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.slots.get_mut(key).map(|slot| &mut slot.value)
    }

    pub(crate) fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.remove(&key);
        let age = self.next_age;
        self.next_age += 1;
        self.bytes += bytes;
        self.by_age.insert(age, key.clone());
        self.slots.insert(key, Slot { value, age, bytes });
        while self.slots.len() > self.max_entries || self.bytes > self.max_bytes {
            let Some((_, oldest)) = self.by_age.pop_first() else {
                break;
            };
            if let Some(slot) = self.slots.remove(&oldest) {
                self.bytes -= slot.bytes;
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Some(slot) = self.slots.remove(key) {
            self.by_age.remove(&slot.age);
            self.bytes -= slot.bytes;
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_the_oldest_and_keeps_both_bounds() {
        let mut map = Bounded::new(2, 100);
        map.insert("a", 1, 10);
        map.insert("b", 2, 10);
        map.insert("a", 3, 10);
        map.insert("c", 4, 10);
        assert_eq!(map.get(&"b"), None, "b was the oldest");
        assert_eq!((map.get(&"a"), map.get(&"c")), (Some(&3), Some(&4)));
        map.insert("d", 5, 95);
        assert_eq!(map.len(), 1);
        assert_eq!(map.get(&"d"), Some(&5));
        map.insert("e", 6, 101);
        assert_eq!(
            (map.len(), map.bytes),
            (0, 0),
            "larger than the whole bound"
        );
    }

    #[test]
    fn both_indexes_agree_under_a_hundred_thousand_keys() {
        let mut map = Bounded::new(2_000, 1_000_000);
        for key in 0..100_000_u32 {
            map.insert(key % 70_000, key, 700);
            assert!(map.len() <= 1_429 && map.bytes <= 1_000_000);
            assert_eq!(map.slots.len(), map.by_age.len());
        }
    }
}
