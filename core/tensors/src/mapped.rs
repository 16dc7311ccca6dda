//! The file in memory.
#![expect(unsafe_code, reason = "memory maps")]

use std::{fs::File, io, ops::Range, path::Path};

use memmap2::Mmap;

/// The bytes of a file of another format, whose crate checks them.
#[derive(Debug)]
pub struct MappedFile(Mmap);

impl MappedFile {
    /// # Errors
    /// If the file cannot be opened or mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        open(&File::open(path)?).map(Self)
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Gives pages back that are not needed soon; they are read again from the file when they are.
    pub fn release(&self, range: Range<usize>) {
        release(&self.0, range);
    }
}

pub(crate) fn open(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is read only. A model's file is replaced by renaming, never written to in place; who does
    // so all the same gets wrong weights or ends the process, as with every program that maps its files.
    unsafe { Mmap::map(file) }
}

/// Gives the pages within a range back; they would be read again from the file.
pub(crate) fn release(map: &Mmap, range: Range<usize>) {
    #[cfg(unix)]
    {
        const PAGE: usize = 4096;
        let start = range.start.next_multiple_of(PAGE);
        let end = range.end.min(map.len()) / PAGE * PAGE;
        if start < end {
            // SAFETY: the map is shared and read only: its pages are the file's own.
            let given_back =
                unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start) };
            // Not to give them back costs memory, nothing else.
            drop(given_back);
        }
    }
    #[cfg(not(unix))]
    let _ = (map, range);
}
