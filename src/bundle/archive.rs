//! Reads a bundle from a stream: canonical tar, or gzip of one.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead, BufReader, Read},
};

use flate2::bufread::GzDecoder;

use crate::{
    container::{BLOCK, Container, ContainerError, Keep, Member, Names, header, is_member_name, padding},
    digest::Digester,
    limits::Limits,
    tree::count,
};

/// Bytes read at a time: large enough that hashing, not reading, is the limit.
const CHUNK: usize = 256 * 1024;
/// What a name may be printed as in an error.
const PRINTED_NAME: usize = 100;
const END_OF_ARCHIVE: &str = "the end of the archive";

/// A bundle in a tar stream, read once from front to back.
///
/// Members are asked for in canonical order. A member that stands where another
/// one is due is hashed and set aside, so an archive with members added, removed
/// or moved still yields everything that can be said about it.
pub struct Archive<R> {
    input: Input<R>,
    limits: Limits,
    buffer: Vec<u8>,
    next: Option<Head>,
    started: bool,
    ended: bool,
    order: Vec<String>,
    aside: BTreeMap<String, Member>,
    aside_bytes: u64,
}

#[derive(Clone)]
struct Head {
    name: String,
    size: u64,
}

impl<R: Read> Archive<R> {
    /// Starts reading; tells tar from gzip by the first bytes.
    ///
    /// # Errors
    ///
    /// Returns a [`ContainerError`] when the stream is neither, or a gzip header
    /// is not the canonical one.
    pub fn new(input: R, limits: &Limits) -> Result<Self, ContainerError> {
        let mut input = BufReader::with_capacity(CHUNK, input);
        let start = fill(&mut input)?;
        let input = match start {
            [] => return Err(ContainerError::NotAnArchive("the input is empty")),
            [0x1f, 0x8b, ..] => Input::gzip(input, limits)?,
            _ => Input::Tar(input),
        };
        Ok(Self {
            input,
            limits: limits.clone(),
            buffer: vec![0; CHUNK],
            next: None,
            started: false,
            ended: false,
            order: Vec::new(),
            aside: BTreeMap::new(),
            aside_bytes: 0,
        })
    }

    /// The header of the next member, read at most once.
    fn head(&mut self) -> Result<Option<Head>, ContainerError> {
        if self.next.is_none() && !self.ended {
            self.next = self.read_head()?;
            self.ended = self.next.is_none();
        }
        Ok(self.next.clone())
    }

    fn read_head(&mut self) -> Result<Option<Head>, ContainerError> {
        let mut block = [0; BLOCK];
        let got = read_up_to(&mut self.input, &mut block)?;
        if got < BLOCK {
            let name = if self.started { END_OF_ARCHIVE } else { return Err(not_a_tar()) };
            return Err(ContainerError::Truncated { name: name.to_owned(), got: count(got), want: count(BLOCK) });
        }
        if block == [0; BLOCK] {
            return if self.started { self.read_end() } else { Err(not_a_tar()) };
        }
        let head = parse_head(&block, self.started)?;
        self.started = true;
        self.order.push(head.name.clone());
        if count(self.order.len()) > self.limits.members {
            return Err(ContainerError::Limit { what: "members".to_owned(), bound: self.limits.members });
        }
        Ok(Some(head))
    }

    /// Requires the second zero block and nothing after it.
    fn read_end(&mut self) -> Result<Option<Head>, ContainerError> {
        let mut block = [0; BLOCK];
        let got = read_up_to(&mut self.input, &mut block)?;
        if got < BLOCK {
            return Err(ContainerError::Truncated { name: END_OF_ARCHIVE.to_owned(), got: count(got), want: count(BLOCK) });
        }
        if block != [0; BLOCK] {
            return Err(not_canonical(END_OF_ARCHIVE, "one zero block where two are due"));
        }
        if read_up_to(&mut self.input, &mut block[..1])? != 0 {
            return Err(not_canonical(END_OF_ARCHIVE, "bytes after the two zero blocks"));
        }
        self.input.finish()?;
        Ok(None)
    }

    fn read_data(&mut self, head: &Head, keep: Keep) -> Result<Member, ContainerError> {
        let mut held = match keep {
            Keep::Bytes(bound) if head.size > bound => {
                return Err(ContainerError::Limit { what: format!("{} ({} bytes)", head.name, head.size), bound });
            }
            Keep::Bytes(_) => Some(Vec::new()),
            Keep::Digest => None,
        };
        let mut digester = Digester::new();
        let mut left = head.size;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let got = read_some(&mut self.input, &mut self.buffer[..want], &head.name)?;
            if got == 0 {
                let name = head.name.clone();
                return Err(ContainerError::Truncated { name, got: head.size - left, want: head.size });
            }
            let bytes = &self.buffer[..got];
            digester.update(bytes);
            if let Some(held) = &mut held {
                held.extend_from_slice(bytes);
            }
            left -= count(got);
        }
        self.read_padding(head)?;
        Ok(Member { size: head.size, digest: digester.finish(), bytes: held })
    }

    fn read_padding(&mut self, head: &Head) -> Result<(), ContainerError> {
        let mut block = [0; BLOCK];
        let length = usize::try_from(padding(head.size)).unwrap_or(0);
        let got = read_up_to(&mut self.input, &mut block[..length])?;
        if got < length {
            return Err(ContainerError::Truncated { name: head.name.clone(), got: count(got), want: count(length) });
        }
        if block != [0; BLOCK] {
            return Err(not_canonical(&head.name, "padding that is not zero"));
        }
        Ok(())
    }

    /// Reads a member that is not due yet. Small ones are held, within the memory
    /// bound, in case they are asked for later.
    fn set_aside(&mut self, head: &Head) -> Result<(), ContainerError> {
        let free = self.limits.memory.saturating_sub(self.aside_bytes).min(self.limits.evidence_size);
        let keep = if head.size <= free { Keep::Bytes(free) } else { Keep::Digest };
        let member = self.read_data(head, keep)?;
        self.aside_bytes += member.bytes.as_ref().map_or(0, |bytes| count(bytes.len()));
        self.aside.entry(head.name.clone()).or_insert(member);
        Ok(())
    }
}

impl<R: Read> Container for Archive<R> {
    fn member(&mut self, name: &str, keep: Keep) -> Result<Option<Member>, ContainerError> {
        if let Some(member) = self.aside.remove(name) {
            return Ok(Some(member));
        }
        while let Some(head) = self.head()? {
            self.next = None;
            if head.name == name {
                return self.read_data(&head, keep).map(Some);
            }
            self.set_aside(&head)?;
        }
        Ok(self.aside.remove(name))
    }

    fn finish(&mut self) -> Result<Names, ContainerError> {
        while let Some(head) = self.head()? {
            self.next = None;
            self.read_data(&head, Keep::Digest)?;
        }
        Ok(Names::Ordered(std::mem::take(&mut self.order)))
    }
}

/// Reads name and size, builds the header anew from them and compares: there is no
/// second parser that could disagree (`bundle-spec/bundle.md` §3.1).
fn parse_head(block: &[u8; BLOCK], started: bool) -> Result<Head, ContainerError> {
    let parsed = tar::Header::from_byte_slice(block);
    let name = name_field(block);
    if !started && parsed.as_ustar().is_none() && parsed.as_gnu().is_none() {
        return Err(not_a_tar());
    }
    if !is_member_name(&name) {
        return Err(not_canonical(&name, "not a name that a member may have"));
    }
    let size = parsed.entry_size().map_err(|_| not_canonical(&name, "the size field is not a number"))?;
    if header(&name, size) != *block {
        return Err(not_canonical(&name, "the header differs from the one canonical header"));
    }
    Ok(Head { name, size })
}

fn name_field(block: &[u8; BLOCK]) -> String {
    let field: Vec<u8> = block[..100].iter().copied().take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&field).into_owned()
}

fn not_a_tar() -> ContainerError {
    ContainerError::NotAnArchive("neither a tar archive nor gzip of one")
}

fn not_canonical(name: &str, reason: &str) -> ContainerError {
    let name = name.escape_debug().take(PRINTED_NAME).collect();
    ContainerError::NotCanonical { name, reason: reason.to_owned() }
}

/// The bytes below the tar reader.
enum Input<R> {
    Tar(BufReader<R>),
    Gzip { decoder: Box<GzDecoder<Counted<BufReader<R>>>>, out: u64, ratio: u64 },
}

/// Counts what a decoder takes, to bound what it may give.
struct Counted<R> {
    inner: R,
    taken: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.taken += count(got);
        Ok(got)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.taken += count(amount);
        self.inner.consume(amount);
    }
}

/// Output that any gzip stream may give before its ratio is looked at.
const GZIP_ALLOWANCE: u64 = 1024 * 1024;

impl<R: Read> Input<R> {
    /// Requires the one header that carnet writes: no name, no time, OS unknown.
    fn gzip(mut input: BufReader<R>, limits: &Limits) -> Result<Self, ContainerError> {
        let start = fill(&mut input)?;
        let canonical = start.len() >= 10 && start[2..8] == [8, 0, 0, 0, 0, 0] && start[9] == 255;
        if !canonical {
            return Err(ContainerError::Gzip("the header is not the one canonical header".to_owned()));
        }
        let decoder = Box::new(GzDecoder::new(Counted { inner: input, taken: 0 }));
        Ok(Self::Gzip { decoder, out: 0, ratio: limits.gzip_ratio })
    }

    /// Requires that nothing follows the one gzip member.
    fn finish(&mut self) -> Result<(), ContainerError> {
        let Self::Gzip { decoder, .. } = self else { return Ok(()) };
        let mut byte = [0];
        if decoder.read(&mut byte).map_err(|e| ContainerError::Gzip(e.to_string()))? != 0 {
            return Err(not_canonical(END_OF_ARCHIVE, "bytes after the two zero blocks"));
        }
        match decoder.get_mut().read(&mut byte) {
            Ok(0) => Ok(()),
            _ => Err(ContainerError::Gzip("bytes after the gzip member".to_owned())),
        }
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tar(input) => input.read(buffer),
            Self::Gzip { decoder, out, ratio } => {
                let got = decoder.read(buffer)?;
                *out += count(got);
                let bound = GZIP_ALLOWANCE.saturating_add(decoder.get_ref().taken.saturating_mul(*ratio));
                if *out > bound {
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, GzipRatio(*ratio)));
                }
                Ok(got)
            }
        }
    }
}

/// Carried through [`io::Error`] so that the bound is reported as a limit.
#[derive(Debug, thiserror::Error)]
#[error("unpacks to more than {0} times its size")]
struct GzipRatio(u64);

fn fill<R: Read>(input: &mut BufReader<R>) -> Result<&[u8], ContainerError> {
    input.fill_buf().map_err(|source| ContainerError::Io { name: "the archive".to_owned(), source })
}

fn read_up_to<R: Read>(input: &mut Input<R>, buffer: &mut [u8]) -> Result<usize, ContainerError> {
    let mut got = 0;
    while got < buffer.len() {
        match read_some(input, &mut buffer[got..], "the archive")? {
            0 => break,
            more => got += more,
        }
    }
    Ok(got)
}

fn read_some<R: Read>(input: &mut Input<R>, buffer: &mut [u8], name: &str) -> Result<usize, ContainerError> {
    loop {
        match input.read(buffer) {
            Ok(got) => return Ok(got),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(error, name, matches!(input, Input::Gzip { .. }))),
        }
    }
}

fn read_error(error: io::Error, name: &str, gzip: bool) -> ContainerError {
    if let Some(GzipRatio(bound)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return ContainerError::Limit { what: "gzip ratio".to_owned(), bound: *bound };
    }
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof if gzip => {
            ContainerError::Gzip(error.to_string())
        }
        _ => ContainerError::Io { name: name.to_owned(), source: error },
    }
}

/// Names that stand more than once, whatever their case.
pub(crate) fn repeated(names: &[String]) -> Vec<&String> {
    let mut seen = BTreeSet::new();
    names.iter().filter(|name| !seen.insert(name.to_ascii_lowercase())).collect()
}
