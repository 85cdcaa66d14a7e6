//! The budget of the vision encoder's results: which pictures' features are kept, who needs them, which go first.
//! It must not know the features themselves: a step plan says which to compute and which to forget.

use std::collections::{BTreeMap, HashMap};

use crate::prompt::ContentHash;

/// Pictures whose features are kept, by content.
#[derive(Debug)]
pub(super) struct EncoderCache {
    budget_tokens: usize,
    used_tokens: usize,
    entries: HashMap<ContentHash, Entry>,
    /// Pictures that nobody needs now, by the time since when.
    idle: BTreeMap<u64, ContentHash>,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    tokens: usize,
    users: u32,
    idle_since: Option<u64>,
}

/// What it took to get a picture's features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acquired {
    /// They are there, or another sequence of this step has them computed.
    Present,
    /// This step computes them.
    Encode,
    /// Others hold too many.
    NoRoom,
}

impl EncoderCache {
    pub(super) fn new(budget_tokens: usize) -> Self {
        Self { budget_tokens, used_tokens: 0, entries: HashMap::new(), idle: BTreeMap::new(), clock: 0 }
    }

    /// Holds a picture's features for one sequence. What has to go for it is added to `forget`.
    pub(super) fn acquire(&mut self, content: ContentHash, tokens: usize, forget: &mut Vec<ContentHash>) -> Acquired {
        if let Some(entry) = self.entries.get_mut(&content) {
            entry.users += 1;
            if let Some(since) = entry.idle_since.take() {
                self.idle.remove(&since);
            }
            return Acquired::Present;
        }
        let idle_tokens: usize =
            self.idle.values().filter_map(|idle| self.entries.get(idle)).map(|entry| entry.tokens).sum();
        if self.used_tokens - idle_tokens + tokens > self.budget_tokens {
            return Acquired::NoRoom;
        }
        while self.used_tokens + tokens > self.budget_tokens {
            let Some((_, oldest)) = self.idle.pop_first() else { break };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.used_tokens -= entry.tokens;
            }
            forget.push(oldest);
        }
        self.used_tokens += tokens;
        self.entries.insert(content, Entry { tokens, users: 1, idle_since: None });
        Acquired::Encode
    }

    /// One sequence no longer needs a picture.
    pub(super) fn release(&mut self, content: ContentHash) {
        let Some(entry) = self.entries.get_mut(&content) else { return };
        entry.users = entry.users.saturating_sub(1);
        if entry.users == 0 && entry.idle_since.is_none() {
            self.clock += 1;
            entry.idle_since = Some(self.clock);
            self.idle.insert(self.clock, content);
        }
    }

    /// Tokens of all pictures that are kept.
    pub(super) fn used_tokens(&self) -> usize {
        self.used_tokens
    }

    /// How many sequences hold pictures, counted once for each picture.
    #[cfg(test)]
    pub(super) fn users(&self) -> u32 {
        self.entries.values().map(|entry| entry.users).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_picture_goes_first() {
        let picture = |number| ContentHash([number; 32]);
        let mut cache = EncoderCache::new(10);
        let mut forget = Vec::new();
        assert_eq!(cache.acquire(picture(1), 4, &mut forget), Acquired::Encode);
        assert_eq!(cache.acquire(picture(2), 4, &mut forget), Acquired::Encode);
        assert_eq!(cache.acquire(picture(1), 4, &mut forget), Acquired::Present);
        assert_eq!(cache.acquire(picture(3), 4, &mut forget), Acquired::NoRoom);
        cache.release(picture(1));
        assert_eq!(cache.acquire(picture(3), 4, &mut forget), Acquired::NoRoom, "one sequence still needs it");
        cache.release(picture(2));
        cache.release(picture(1));
        assert_eq!(cache.acquire(picture(2), 4, &mut forget), Acquired::Present);
        assert_eq!(forget, vec![]);
        assert_eq!(cache.acquire(picture(3), 4, &mut forget), Acquired::Encode);
        assert_eq!(forget, vec![picture(1)]);
        assert_eq!((cache.used_tokens(), cache.users()), (8, 2));
    }
}
