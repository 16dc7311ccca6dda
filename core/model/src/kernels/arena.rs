//! One piece of memory for all weights of a model, in large pages as far as the system has them: each token
//! reads all of it once, which with pages of 4 KiB is markedly slower.

use std::{
    marker::PhantomData,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use memmap2::{MmapMut, MmapRaw};

/// Memory that is given out piece by piece and freed with the last of them.
pub(crate) struct Arena {
    map: MmapRaw,
    used: AtomicUsize,
}

/// Items that never change, in an arena.
pub(crate) struct Slab<T> {
    arena: Arc<Arena>,
    start: usize,
    length: usize,
    items: PhantomData<T>,
}

/// Of each piece: a cache line.
const ALIGNMENT: usize = 64;

impl Arena {
    /// Room for so many bytes; the system gives them as they are written.
    ///
    /// # Panics
    /// If the system has no such address range left.
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        let map = MmapMut::map_anon(bytes.max(ALIGNMENT)).expect("there is room in the address space");
        #[cfg(target_os = "linux")]
        // Without large pages it is slower, nothing else.
        let _ = map.advise(memmap2::Advice::HugePage);
        Arc::new(Self {
            map: MmapRaw::from(map),
            used: AtomicUsize::new(0),
        })
    }

    /// Puts exactly `count` items into it, or into an arena of their own if they do not fit.
    pub(crate) fn fill<T: Copy>(self: &Arc<Self>, count: usize, items: impl Iterator<Item = T>) -> Slab<T> {
        const { assert!(align_of::<T>() <= ALIGNMENT) };
        let bytes = (count * size_of::<T>()).next_multiple_of(ALIGNMENT);
        let start = self.used.fetch_add(bytes, Ordering::Relaxed);
        if start + bytes > self.map.len() {
            let own = Self::new(bytes);
            assert!(!Arc::ptr_eq(&own, self), "an arena of that size has room for it");
            return own.fill(count, items);
        }
        let mut written = 0;
        for item in items.take(count) {
            // SAFETY: the piece lies inside the map and, as `used` only grows, belongs to nobody else.
            unsafe {
                self.map
                    .as_mut_ptr()
                    .add(start)
                    .cast::<T>()
                    .add(written)
                    .write(item)
            };
            written += 1;
        }
        Slab {
            arena: self.clone(),
            start,
            length: written,
            items: PhantomData,
        }
    }
}

impl<T> Deref for Slab<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: so many items have been written there, and nothing writes to them again.
        unsafe {
            std::slice::from_raw_parts(self.arena.map.as_ptr().add(self.start).cast::<T>(), self.length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arena;

    #[test]
    fn pieces_stay_apart_and_outlive_the_arena() {
        let arena = Arena::new(300);
        let first = arena.fill(10, 0_u64..10);
        let second = arena.fill(5, [1_u8, 2, 3, 4, 5].into_iter());
        // Too large for what is left: memory of its own.
        let third = arena.fill(1000, 0_u32..1000);
        let fourth = arena.fill(3, [7_u8; 2].into_iter());
        drop(arena);
        assert!(first.iter().copied().eq(0..10));
        assert_eq!((&*second, &*fourth), (&[1, 2, 3, 4, 5][..], &[7, 7][..]));
        assert!(third.iter().copied().eq(0..1000));
    }
}
