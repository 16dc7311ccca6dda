//! Memory for large matrices in large pages, as far as the system has them: one token reads all weights once,
//! which with pages of 4 KiB is a quarter slower.
use std::{
    ffi::{c_int, c_void},
    mem::MaybeUninit,
};

/// Asks for them; nothing depends on the answer.
pub(super) fn prefer<T>(memory: &mut [MaybeUninit<T>]) {
    const LARGE_PAGE: usize = 2 << 20;
    const MADV_HUGEPAGE: c_int = 14;

    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }

    let start = memory.as_mut_ptr().cast::<c_void>();
    let skipped = start.addr().next_multiple_of(LARGE_PAGE) - start.addr();
    let length = size_of_val(memory).saturating_sub(skipped) / LARGE_PAGE * LARGE_PAGE;
    if length > 0 {
        // SAFETY: whole pages of memory that is borrowed here; the advice does not change what they hold.
        unsafe { madvise(start.wrapping_byte_add(skipped), length, MADV_HUGEPAGE) };
    }
}
