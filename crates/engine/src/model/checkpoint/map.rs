//! Files mapped into memory. The only place that does so.

use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapOptions};

/// `len` bytes of `file` from `offset`, read-only.
pub(super) fn read_only(file: &File, offset: u64, len: u64) -> io::Result<Mmap> {
    let len = usize::try_from(len).map_err(io::Error::other)?;
    #[expect(
        unsafe_code,
        reason = "A mapping is undefined if another process changes or cuts the file meanwhile. Checkpoints are not \
                  written to while they are loaded, each mapping lives only while one tensor is packed, and any bytes \
                  are valid numbers; reading 16 GB through a buffer would take a copy more."
    )]
    // SAFETY: see the reason; the caller has compared the length of the file.
    unsafe {
        MmapOptions::new().offset(offset).len(len).map(file)
    }
}
