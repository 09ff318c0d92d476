//! The pool of KV blocks: who uses them, which still hold a prefix worth keeping, and which is
//! given up next.
//!
//! A block is *in use* (referenced by sequences), or *free*. A free block keeps its content until
//! it is taken: while it is published under a [`BlockHash`], a later prompt with the same prefix
//! takes it back. Free blocks are taken in this order: those that hold nothing reusable, then the
//! least recently used.

use crate::{reply::mix, token::Token};
use std::collections::HashMap;

/// A block of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockId(pub u32);

/// The identity of a full block's content: its tokens and, through its parent, all before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockHash(pub u64);

impl BlockHash {
    /// What the first block of a sequence follows; `speaker` keeps adapters apart, since their
    /// keys and values differ.
    pub fn root(speaker: u64) -> Self {
        Self(mix(speaker ^ 0x6b76_626c_6f63_6b73))
    }

    /// The hash of the block with `tokens` that follows this one.
    pub fn child(self, tokens: &[Token]) -> Self {
        Self(tokens.iter().fold(mix(self.0), |hash, token| {
            mix(hash ^ u64::from(token.0).rotate_left(32))
        }))
    }
}

/// A block that was taken, and the content that was given up for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The block.
    pub block: BlockId,
    /// What it held, if that could have been reused.
    pub evicted: Option<BlockHash>,
}

#[derive(Clone, Debug)]
struct Block {
    users: u32,
    hash: Option<BlockHash>,
    newer: u32,
    older: u32,
}

const NONE: u32 = u32::MAX;

/// All blocks.
#[derive(Clone, Debug)]
pub struct BlockPool {
    blocks: Vec<Block>,
    published: HashMap<BlockHash, BlockId>,
    /// Free blocks as a list through `Block::{newer, older}`: taken at the oldest end.
    oldest: u32,
    newest: u32,
    free: u32,
}

impl BlockPool {
    /// A pool of `size` free blocks.
    pub fn new(size: u32) -> Self {
        let block = Block {
            users: 0,
            hash: None,
            newer: NONE,
            older: NONE,
        };
        let mut pool = Self {
            blocks: vec![block; size as usize],
            published: HashMap::new(),
            oldest: NONE,
            newest: NONE,
            free: 0,
        };
        for id in 0..size {
            pool.free_as_newest(id);
        }
        pool
    }

    /// How many blocks there are.
    pub fn size(&self) -> u32 {
        self.blocks.len() as u32
    }

    /// How many of them no sequence uses.
    pub fn free(&self) -> u32 {
        self.free
    }

    /// The block that holds `hash`, in use or free.
    pub fn find(&self, hash: BlockHash) -> Option<BlockId> {
        self.published.get(&hash).copied()
    }

    /// Whether no sequence uses `id`.
    pub fn is_free(&self, id: BlockId) -> bool {
        self.blocks[id.0 as usize].users == 0
    }

    /// Adds a user to a block that holds something.
    pub fn share(&mut self, id: BlockId) {
        if self.is_free(id) {
            self.unlink(id.0);
        }
        self.blocks[id.0 as usize].users += 1;
    }

    /// Takes a free block for new content, if there is one.
    pub fn take(&mut self) -> Option<Taken> {
        let id = self.oldest;
        if id == NONE {
            return None;
        }
        self.unlink(id);
        let block = &mut self.blocks[id as usize];
        block.users = 1;
        let evicted = block.hash.take();
        if let Some(hash) = evicted {
            self.published.remove(&hash);
        }
        Some(Taken {
            block: BlockId(id),
            evicted,
        })
    }

    /// Removes a user from a block. Content that can't be reused is given up first.
    pub fn release(&mut self, id: BlockId) {
        let block = &mut self.blocks[id.0 as usize];
        debug_assert!(block.users > 0, "a free block was released");
        block.users -= 1;
        if block.users > 0 {
            return;
        }
        if block.hash.is_some() {
            self.free_as_newest(id.0);
        } else {
            self.free_as_oldest(id.0);
        }
    }

    /// Says what a block in use now holds, so that later prompts find it. False if another block
    /// already holds the same.
    pub fn publish(&mut self, id: BlockId, hash: BlockHash) -> bool {
        if self.published.contains_key(&hash) {
            return false;
        }
        self.published.insert(hash, id);
        self.blocks[id.0 as usize].hash = Some(hash);
        true
    }

    fn free_as_newest(&mut self, id: u32) {
        let newest = self.newest;
        let block = &mut self.blocks[id as usize];
        (block.older, block.newer) = (newest, NONE);
        match newest {
            NONE => self.oldest = id,
            _ => self.blocks[newest as usize].newer = id,
        }
        self.newest = id;
        self.free += 1;
    }

    fn free_as_oldest(&mut self, id: u32) {
        let oldest = self.oldest;
        let block = &mut self.blocks[id as usize];
        (block.older, block.newer) = (NONE, oldest);
        match oldest {
            NONE => self.newest = id,
            _ => self.blocks[oldest as usize].older = id,
        }
        self.oldest = id;
        self.free += 1;
    }

    fn unlink(&mut self, id: u32) {
        let Block { newer, older, .. } = self.blocks[id as usize];
        match older {
            NONE => self.oldest = newer,
            _ => self.blocks[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            _ => self.blocks[newer as usize].older = older,
        }
        self.free -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn a_hash_depends_on_all_tokens_before() {
        let root = BlockHash::root(0);
        let child = root.child(&[Token(1), Token(2)]);
        assert_eq!(child, root.child(&[Token(1), Token(2)]));
        assert_ne!(child, root.child(&[Token(2), Token(1)]));
        assert_ne!(child, BlockHash::root(1).child(&[Token(1), Token(2)]));
    }

    #[test]
    fn the_least_recently_used_content_goes_first_but_empty_blocks_before_it() {
        let mut pool = BlockPool::new(3);
        let blocks: Vec<_> = (0..3).map(|_| pool.take().unwrap().block).collect();
        assert_eq!(pool.take(), None);
        pool.publish(blocks[0], BlockHash(10));
        pool.publish(blocks[1], BlockHash(11));
        for &block in &blocks {
            pool.release(block);
        }
        let order: Vec<_> = (0..3).map(|_| pool.take().unwrap().evicted).collect();
        assert_eq!(order, [None, Some(BlockHash(10)), Some(BlockHash(11))]);
        assert_eq!(pool.find(BlockHash(10)), None);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Take,
        Release(usize),
        Publish(usize, u64),
        Share(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            Just(Op::Take),
            any::<usize>().prop_map(Op::Release),
            (any::<usize>(), 0..12u64).prop_map(|(i, h)| Op::Publish(i, h)),
            (0..12u64).prop_map(Op::Share),
        ]
    }

    proptest! {
        /// Against a slow model that keeps the free list as a plain queue.
        #[test]
        fn the_pool_does_what_a_plain_queue_does(ops in prop::collection::vec(op(), 0..200)) {
            let mut pool = BlockPool::new(6);
            let mut free: VecDeque<(BlockId, Option<BlockHash>)> =
                (0..6).map(|id| (BlockId(id), None)).collect();
            let mut held: Vec<(BlockId, Option<BlockHash>)> = Vec::new();
            for op in ops {
                match op {
                    Op::Take => {
                        let wanted = free.pop_front();
                        let taken = pool.take();
                        prop_assert_eq!(taken.map(|t| (t.block, t.evicted)), wanted);
                        held.extend(wanted.map(|(id, _)| (id, None)));
                    }
                    Op::Release(i) if !held.is_empty() => {
                        let (id, hash) = held.swap_remove(i % held.len());
                        pool.release(id);
                        if held.iter().any(|(other, _)| *other == id) {
                        } else if hash.is_some() {
                            free.push_back((id, hash));
                        } else {
                            free.push_front((id, None));
                        }
                    }
                    Op::Publish(i, hash) if !held.is_empty() => {
                        let i = i % held.len();
                        let hash = BlockHash(hash);
                        let known = held.iter().chain(&free).any(|(_, h)| *h == Some(hash));
                        if held[i].1.is_none() {
                            prop_assert_eq!(pool.publish(held[i].0, hash), !known);
                            if !known {
                                held[i].1 = Some(hash);
                            }
                        }
                    }
                    Op::Share(hash) => {
                        let hash = BlockHash(hash);
                        let found = held.iter().chain(&free).find(|(_, h)| *h == Some(hash)).copied();
                        prop_assert_eq!(pool.find(hash), found.map(|(id, _)| id));
                        if let Some(entry) = found {
                            pool.share(entry.0);
                            free.retain(|(id, _)| *id != entry.0);
                            held.push(entry);
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(pool.free() as usize, free.len());
            }
        }
    }
}
