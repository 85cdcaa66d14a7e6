//! Blocks that nobody leases, in the order in which they will be used again: a doubly linked list in two arrays, so that
//! a block that is found by its name leaves the middle at once. It must not know names or leases.

/// A list over the numbers below its size; each is in it at most once.
#[derive(Debug)]
pub(super) struct FreeList {
    /// For each number its neighbours; the last entry is the list's two ends.
    next: Vec<u32>,
    previous: Vec<u32>,
    len: usize,
}

impl FreeList {
    /// All numbers below `size`, in order.
    pub(super) fn full(size: u32) -> Self {
        let mut list = Self { next: vec![size; size as usize + 1], previous: vec![size; size as usize + 1], len: 0 };
        for number in 0..size {
            list.push_back(number);
        }
        list
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// To be used last.
    pub(super) fn push_back(&mut self, number: u32) {
        let end = self.end();
        self.link(number, self.previous[end as usize], end);
    }

    /// To be used next.
    pub(super) fn push_front(&mut self, number: u32) {
        let end = self.end();
        self.link(number, end, self.next[end as usize]);
    }

    pub(super) fn pop_front(&mut self) -> Option<u32> {
        let first = self.next[self.end() as usize];
        (first != self.end()).then(|| {
            self.remove(first);
            first
        })
    }

    /// Takes a number out; it must be in the list.
    pub(super) fn remove(&mut self, number: u32) {
        let (before, after) = (self.previous[number as usize], self.next[number as usize]);
        self.next[before as usize] = after;
        self.previous[after as usize] = before;
        self.len -= 1;
    }

    fn link(&mut self, number: u32, before: u32, after: u32) {
        self.next[before as usize] = number;
        self.previous[number as usize] = before;
        self.next[number as usize] = after;
        self.previous[after as usize] = number;
        self.len += 1;
    }

    fn end(&self) -> u32 {
        // The arrays were made with one entry more than there are numbers, and those are 32 bits wide.
        (self.next.len() - 1) as u32
    }
}
