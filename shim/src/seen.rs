//! Which directories a walk that follows symlinks has been in.

use crate::heap::List;
use crate::raw::Errno;

/// Device and inode.
type Key = (u64, u64);
const EMPTY: Key = (0, 0);

/// A hash table with open addressing, at most half full; its length is a power of two.
pub struct Seen {
    places: List<Key>,
    count: usize,
}

impl Seen {
    pub const fn new() -> Seen {
        Seen { places: List::new(), count: 0 }
    }

    /// Whether it was not there yet.
    pub fn insert(&mut self, device: u64, inode: u64) -> Result<bool, Errno> {
        if self.count * 2 >= self.places.len() {
            self.grow()?;
        }
        let new = put(&mut self.places, (device, inode));
        self.count += usize::from(new);
        Ok(new)
    }

    fn grow(&mut self) -> Result<(), Errno> {
        const FIRST_LEN: usize = 64;
        let mut places = List::new();
        places.resize((self.places.len() * 2).max(FIRST_LEN), EMPTY)?;
        for key in self.places.iter().filter(|key| **key != EMPTY) {
            put(&mut places, *key);
        }
        self.places = places;
        Ok(())
    }
}

fn put(places: &mut [Key], key: Key) -> bool {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let start = ((key.1 ^ key.0.rotate_left(32)).wrapping_mul(K) >> 32) as usize;
    let mask = places.len().wrapping_sub(1);
    for step in 0..places.len() {
        match places.get_mut(start.wrapping_add(step) & mask) {
            Some(place) if *place == key => return false,
            Some(place) if *place == EMPTY => {
                *place = key;
                return true;
            }
            _ => {}
        }
    }
    false
}
