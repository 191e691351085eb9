//! Writing past the page cache, where the file system says that it can be done.

use std::{fs::File, io, path::Path};

/// What offset, length and address of a direct write are a multiple of: the most that
/// disks ask for.
pub(crate) const ALIGNMENT: u64 = 4096;
const ALIGNED: usize = 4096;
/// Bytes of one direct write. Two of them for each layer under way are what the speed
/// costs in memory.
const BLOCK: usize = 512 << 10;

/// Makes room for a file of `size` bytes: a disk that is too small says so now, not
/// after gigabytes.
pub(crate) fn allocate(file: &File, size: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::{
            fs::{FallocateFlags, fallocate},
            io::Errno,
        };
        // Not every file system can; what it says for another reason, writing says too.
        if let Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) = fallocate(file, FallocateFlags::empty(), 0, size) {
            return Err(error.into());
        }
    }
    file.set_len(size)
}

/// Opens a file for direct writes, if its file system has them and wants no more than
/// [`ALIGNMENT`]. One in memory has none, and neither has one that only pretends.
#[cfg(target_os = "linux")]
pub(crate) fn open(path: &Path) -> Option<File> {
    use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt};

    use rustix::fs::{AtFlags, CWD, OFlags, StatxFlags, statx};

    let told = statx(CWD, path, AtFlags::empty(), StatxFlags::DIOALIGN).ok()?;
    let is_told = StatxFlags::from_bits_retain(told.stx_mask).contains(StatxFlags::DIOALIGN);
    let fits = |alignment: u32| (1..=ALIGNMENT).contains(&u64::from(alignment));
    if !is_told || !fits(told.stx_dio_mem_align) || !fits(told.stx_dio_offset_align) {
        return None;
    }
    let flags = i32::try_from(OFlags::DIRECT.bits()).ok()?;
    OpenOptions::new().write(true).custom_flags(flags).open(path).ok()
}

/// Other systems have no such writes.
#[cfg(not(target_os = "linux"))]
pub(crate) fn open(_path: &Path) -> Option<File> {
    None
}

/// Memory for one direct write.
pub(crate) struct Block {
    memory: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Block {
    pub(crate) fn new() -> Self {
        let memory = vec![0; BLOCK + ALIGNED];
        let begin = memory.as_ptr().align_offset(ALIGNED).min(ALIGNED);
        Self { memory, begin, end: begin }
    }

    /// Takes bytes while there is room. Returns the others.
    pub(crate) fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(bytes.len().min(self.begin + BLOCK - self.end));
        let end = self.end + taken.len();
        self.memory[self.end..end].copy_from_slice(taken);
        self.end = end;
        rest
    }

    pub(crate) fn is_full(&self) -> bool {
        self.end == self.begin + BLOCK
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[self.begin..self.end]
    }

    /// Takes the bytes off that do not fill [`ALIGNMENT`].
    pub(crate) fn split_end(&mut self) -> Vec<u8> {
        let end = self.end - (self.end - self.begin) % ALIGNED;
        let behind = self.memory[end..self.end].to_vec();
        self.end = end;
        behind
    }

    pub(crate) fn emptied(self) -> Self {
        Self { end: self.begin, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_takes_what_fits_and_gives_back_its_end() {
        let mut block = Block::new();
        assert_eq!(
            block.begin + block.memory.as_ptr().addr(),
            (block.begin + block.memory.as_ptr().addr()).next_multiple_of(ALIGNED)
        );
        assert!(block.fill(&[1; 5000]).is_empty());
        assert_eq!((block.split_end(), block.bytes().len()), (vec![1; 5000 - ALIGNED], ALIGNED));
        let bytes = vec![2; BLOCK];
        assert_eq!(block.fill(&bytes).len(), ALIGNED);
        assert!(block.is_full() && block.bytes() == [&[1; ALIGNED][..], &bytes[ALIGNED..]].concat());
        assert!(block.emptied().bytes().is_empty());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_larger_than_the_disk_is_refused_before_it_is_written() {
        let file = tempfile::tempfile().unwrap();
        let error = allocate(&file, 1 << 50).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge), "{error}");
        allocate(&file, 5000).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 5000);
    }
}
