//! The pool of key-value blocks: who leases which, which unleased ones still hold a known prefix, and which is given
//! away next. It must not know sequences, tokens or memory.

use std::collections::HashMap;

use super::free_list::FreeList;
use crate::prompt::BlockHash;

/// All blocks. A block is leased by one sequence, by several that share a prefix, or by none; one that nobody leases
/// keeps its name, and can be found by it, until it is given away (least recently used first).
///
/// Invariant: leased blocks and free blocks together are all blocks.
#[derive(Debug)]
pub struct BlockPool {
    leases: Vec<u32>,
    names: Vec<Option<BlockHash>>,
    by_name: HashMap<BlockHash, u32>,
    free: FreeList,
    caching: bool,
}

/// Blocks of one sequence, in the order of its tokens. It cannot be copied, and ends in [`BlockPool::give_back`].
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use = "blocks that are not given back are lost"]
pub struct BlockLease {
    blocks: Vec<u32>,
}

impl BlockLease {
    /// The blocks: the sequence's block table.
    #[must_use]
    pub fn blocks(&self) -> &[u32] {
        &self.blocks
    }
}

impl BlockPool {
    /// A pool of `blocks`; without `caching` a block is forgotten as soon as nobody leases it.
    #[must_use]
    pub fn new(blocks: u32, caching: bool) -> Self {
        Self {
            leases: vec![0; blocks as usize],
            names: vec![None; blocks as usize],
            by_name: HashMap::new(),
            free: FreeList::full(blocks),
            caching,
        }
    }

    /// Number of blocks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there are no blocks at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Blocks that nobody leases, named ones among them.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Leases the blocks of the longest known prefix of these names.
    pub fn share(&mut self, names: &[BlockHash]) -> BlockLease {
        let mut lease = BlockLease::default();
        if !self.caching {
            return lease;
        }
        for name in names {
            let Some(block) = self.by_name.get(name).copied() else { break };
            let leases = &mut self.leases[block as usize];
            if *leases == 0 {
                self.free.remove(block);
            }
            *leases += 1;
            lease.blocks.push(block);
        }
        lease
    }

    /// Adds `count` fresh blocks to a lease, or none at all and `false` if there are not enough.
    pub fn extend(&mut self, lease: &mut BlockLease, count: usize) -> bool {
        if count > self.free.len() {
            return false;
        }
        for _ in 0..count {
            let Some(block) = self.free.pop_front() else { return false };
            if let Some(name) = self.names[block as usize].take() {
                self.by_name.remove(&name);
            }
            self.leases[block as usize] = 1;
            lease.blocks.push(block);
        }
        true
    }

    /// Names a leased block whose keys and values are complete, so that others can share it. The first block of a name
    /// keeps it.
    pub fn name(&mut self, block: u32, name: BlockHash) {
        if self.caching && self.names[block as usize].is_none() && !self.by_name.contains_key(&name) {
            self.names[block as usize] = Some(name);
            self.by_name.insert(name, block);
        }
    }

    /// Takes a lease back. Of a sequence's blocks the last are given away first: a prefix is worth more than what
    /// follows it.
    pub fn give_back(&mut self, lease: BlockLease) {
        for block in lease.blocks.into_iter().rev() {
            let leases = &mut self.leases[block as usize];
            *leases -= 1;
            if *leases > 0 {
                continue;
            }
            match self.names[block as usize] {
                Some(_) => self.free.push_back(block),
                None => self.free.push_front(block),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> BlockHash {
        BlockHash::of(None, 0, &[number], &[], b"")
    }

    fn leased(pool: &mut BlockPool, count: usize) -> BlockLease {
        let mut lease = BlockLease::default();
        assert!(pool.extend(&mut lease, count));
        lease
    }

    #[test]
    fn a_prefix_is_shared_while_it_is_known() {
        let mut pool = BlockPool::new(4, true);
        let first = leased(&mut pool, 3);
        for (block, number) in first.blocks().to_vec().into_iter().zip(0..) {
            pool.name(block, name(number));
        }
        let second = pool.share(&[name(0), name(1), name(9), name(2)]);
        assert_eq!(second.blocks(), &first.blocks()[..2]);
        assert_eq!(pool.leases[0], 2);
        pool.give_back(first);
        assert_eq!(pool.free(), 2, "two blocks are still leased");
        pool.give_back(second);
        assert_eq!(pool.free(), 4);
        // The unnamed block goes first, then the last of the sequence.
        let third = leased(&mut pool, 2);
        assert_eq!(third.blocks(), &[3, 2]);
        assert_eq!(pool.share(&[name(2)]).blocks(), &[] as &[u32]);
        let fourth = pool.share(&[name(0), name(1), name(2)]);
        assert_eq!(fourth.blocks(), &[0, 1]);
        pool.give_back(third);
        pool.give_back(fourth);
    }

    #[test]
    fn too_few_blocks_are_none() {
        let mut pool = BlockPool::new(4, true);
        let mut lease = leased(&mut pool, 3);
        assert!(!pool.extend(&mut lease, 2));
        assert_eq!((lease.blocks().len(), pool.free()), (3, 1));
        pool.give_back(lease);
    }

    #[test]
    fn without_caching_nothing_is_shared() {
        let mut pool = BlockPool::new(2, false);
        let lease = leased(&mut pool, 1);
        pool.name(0, name(0));
        assert_eq!(pool.share(&[name(0)]), BlockLease::default());
        pool.give_back(lease);
        assert_eq!(pool.free(), 2);
    }
}
