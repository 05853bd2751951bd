//! A bounded map that forgets what was longest not touched.

use std::collections::VecDeque;
use std::hash::Hash;

use foldhash::quality::RandomState;
use hashbrown::{Equivalent, HashMap};

/// At most `capacity` entries; a new one past it pushes out the one whose last insertion lies longest back.
///
/// The hash is keyed, since names and addresses are the other side's to choose; its order never shows: what is
/// pushed out depends on the order of insertions alone.
#[derive(Debug)]
pub struct Recent<K, V> {
    capacity: usize,
    serial: u64,
    map: HashMap<K, (u64, V), RandomState>,
    /// Every insertion in order. An item whose number is no longer the entry's own is void.
    order: VecDeque<(u64, K)>,
}

impl<K: Hash + Eq + Clone, V> Recent<K, V> {
    /// An empty map for `capacity` entries; allocates nothing yet.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, serial: 0, map: HashMap::default(), order: VecDeque::new() }
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// What it takes, in entries of [`crate::model::limits::HOST_ENTRY_COST`] bytes: its tables begin with room for a few.
    pub fn weight(&self) -> usize {
        if self.map.is_empty() { 0 } else { self.map.len() + 1 }
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The entry, without making it any younger.
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.map.get(key).map(|(_, value)| value)
    }

    /// The entry, to be changed, without making it any younger.
    pub fn get_mut<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<&mut V> {
        self.map.get_mut(key).map(|(_, value)| value)
    }

    /// Puts an entry in, or replaces it; either way it is now the youngest.
    pub fn insert(&mut self, key: K, value: V) {
        self.serial += 1;
        self.order.push_back((self.serial, key.clone()));
        self.map.insert(key, (self.serial, value));
        while self.map.len() > self.capacity {
            self.forget_oldest();
        }
        // Void items would pile up where the same few keys come again and again.
        if self.order.len() > 2 * self.map.len() + SLACK {
            let map = &self.map;
            self.order.retain(|(serial, key)| map.get(key).is_some_and(|(current, _)| current == serial));
        }
    }

    /// Lets an entry go before its time.
    pub fn remove<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) {
        // Its item in `order` is void from now on.
        self.map.remove(key);
    }

    /// Forgets all but the `most` youngest, and gives their memory back.
    pub fn keep_youngest(&mut self, most: usize) {
        if self.map.len() <= most {
            return;
        }
        while self.map.len() > most {
            self.forget_oldest();
        }
        self.map.shrink_to_fit();
        self.order.shrink_to_fit();
    }

    /// All values, in no order: for counting only.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.map.values().map(|(_, value)| value)
    }

    /// The same, to be changed; in no order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.map.values_mut().map(|(_, value)| value)
    }

    fn forget_oldest(&mut self) {
        while let Some((serial, key)) = self.order.pop_front() {
            if self.map.get(&key).is_some_and(|(current, _)| *current == serial) {
                self.map.remove(&key);
                return;
            }
        }
        self.map.clear();
    }
}

/// Void items tolerated besides one for each entry.
const SLACK: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_untouched_goes_first() {
        let mut recent = Recent::new(2);
        recent.insert("a", 1);
        recent.insert("b", 2);
        recent.insert("a", 3);
        recent.insert("c", 4);
        assert_eq!((recent.get("a"), recent.get("b"), recent.get("c")), (Some(&3), None, Some(&4)));
    }

    #[test]
    fn the_youngest_are_kept_and_the_memory_of_the_rest_is_given_back() {
        let mut recent = Recent::new(1_000);
        for number in 0..1_000 {
            recent.insert(number, number);
        }
        recent.insert(3, 7);
        recent.keep_youngest(2);
        assert_eq!((recent.len(), recent.get(&3), recent.get(&999)), (2, Some(&7), Some(&999)));
        assert!(recent.map.capacity() < 10 && recent.order.capacity() < 10);
        recent.keep_youngest(5);
        assert_eq!(recent.len(), 2);
    }

    proptest! {
        /// Against a plain list that is searched from the front.
        #[test]
        fn behaves_as_a_list_would(capacity in 0_usize..6, keys in prop::collection::vec(0_u8..10, 0..200)) {
            let mut recent = Recent::new(capacity);
            let mut list: Vec<(u8, usize)> = Vec::new();
            for (number, key) in keys.into_iter().enumerate() {
                recent.insert(key, number);
                list.retain(|(known, _)| *known != key);
                list.push((key, number));
                list.drain(..list.len().saturating_sub(capacity));
                prop_assert_eq!(recent.len(), list.len());
                prop_assert!(recent.order.len() <= 2 * capacity + SLACK + 1);
                for (key, number) in &list {
                    prop_assert_eq!(recent.get(key), Some(number));
                }
            }
        }
    }
}
