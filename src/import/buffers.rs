//! Memory that bytes of blobs are read into, used again and again: fresh memory for
//! each piece costs as much time as reading it from the page cache.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that are kept for later at most.
const KEPT: usize = 64;

/// Buffers up to a size. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    largest: usize,
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A buffer that goes back when nobody reads it any more.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    length: usize,
    home: Buffers,
}

impl Buffers {
    /// Buffers of which those up to `largest` bytes are kept.
    pub(crate) fn up_to(largest: usize) -> Self {
        Self { largest, free: Arc::default() }
    }

    /// A buffer for `length` bytes, which are those of whoever had it before.
    pub(crate) fn take(&self, length: usize) -> Buffer {
        let used = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut bytes = used.unwrap_or_default();
        if bytes.len() < length {
            bytes.resize(length, 0);
        }
        Buffer { bytes, length, home: self.clone() }
    }
}

impl Buffer {
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut free = self.home.free.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() <= self.home.largest && free.len() < KEPT {
            free.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_nobody_reads_it() {
        let buffers = Buffers::up_to(4);
        let mut first = buffers.take(3);
        first.as_mut().copy_from_slice(b"abc");
        let (place, first) = (first.as_ref().as_ptr(), first.freeze());
        assert_eq!(&first[..], b"abc");
        let part = first.slice(1..2);
        drop(first);
        assert_ne!(buffers.take(4).as_ref().as_ptr(), place);
        drop(part);
        let again: Vec<Buffer> = (0..2).map(|_| buffers.take(1)).collect();
        assert!(again.iter().any(|buffer| buffer.as_ref().as_ptr() == place && buffer.as_ref().len() == 1));
    }

    #[test]
    fn no_more_than_so_many_are_kept() {
        let buffers = Buffers::up_to(1);
        drop((0..2 * KEPT).map(|_| buffers.take(1)).collect::<Vec<_>>());
        assert_eq!(buffers.free.lock().unwrap().len(), KEPT);
    }
}
