//! Tar archives as entries, read in order, with every disagreement between readers refused.
//!
//! Headers are decoded by the `tar` crate. The extensions (PAX records, GNU long names) are applied here, because
//! the places where tar readers differ are the places where hostile archives hide entries: a size that PAX and the
//! header state differently, two names for one member, data behind a member that can have none. All of them are
//! errors. Nothing here touches a file system.

use std::io::{self, Read};

use tar::{EntryType, Header};

use crate::limits::{Limits, MAX_EXTENSION, MAX_NAME, MAX_PATH};

mod pax;

const BLOCK: usize = 512;
/// The largest size that eleven octal digits can state; beyond it, PAX states it alone.
const LARGEST_OCTAL: u64 = 0o77_777_777_777;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes could not be read or expanded.
    #[error("the archive cannot be read")]
    Read(#[source] io::Error),
    /// An entry breaks the format, or readers would disagree about it.
    #[error("the archive's entry {entry:?} is refused: {problem}")]
    Refused {
        /// The entry's name, as far as it is known.
        entry: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The archive has more entries than the limit allows.
    #[error("the archive has more than {max} entries")]
    TooManyEntries {
        /// The limit.
        max: u64,
    },
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    Directory,
    Fifo,
    CharacterDevice,
    BlockDevice,
}

/// One member of an archive, with all its extensions applied.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since 1970 and nanoseconds.
    pub(crate) modified: (i64, u32),
    pub(crate) size: u64,
    pub(crate) device: (u32, u32),
    pub(crate) attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// An error about this entry.
    pub(crate) fn refused(&self, problem: &'static str) -> Error {
        refused(&self.path, problem)
    }

    /// The name for messages.
    pub(crate) fn name(&self) -> String {
        printable(&self.path)
    }
}

/// Splits a path of an archive into names, in which `.`, empty names and a leading slash mean nothing.
pub(crate) fn components<'a>(path: &'a [u8], limits: &Limits) -> Result<Vec<&'a [u8]>, Error> {
    if path.len() > MAX_PATH {
        return Err(refused(path, "its path is longer than 4096 bytes"));
    }
    if path.contains(&0) {
        return Err(refused(path, "its path contains a zero byte"));
    }
    let names: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    if names.contains(&&b".."[..]) {
        return Err(refused(path, "its path contains .."));
    }
    if names.iter().any(|name| name.len() > MAX_NAME) {
        return Err(refused(path, "a name in its path is longer than 255 bytes"));
    }
    if names.len() > limits.max_depth {
        return Err(refused(path, "its path is nested too deeply"));
    }
    Ok(names)
}

fn refused(path: &[u8], problem: &'static str) -> Error {
    Error::Refused { entry: printable(path), problem }
}

fn printable(path: &[u8]) -> String {
    String::from_utf8_lossy(&path[..path.len().min(200)]).into_owned()
}

/// Reads an archive entry by entry; between two entries it reads as the content of the last one.
pub(crate) struct Reader<R> {
    inner: R,
    limits: Limits,
    remaining: u64,
    padding: u64,
    entries: u64,
    done: bool,
}

/// What the headers in front of a member say about it.
#[derive(Default)]
struct Extensions {
    pax: Option<pax::Records>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(inner: R, limits: &Limits) -> Self {
        Self { inner, limits: *limits, remaining: 0, padding: 0, entries: 0, done: false }
    }

    /// The next member; what was not read of the last one is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Error> {
        let mut extensions = Extensions::default();
        loop {
            let Some(header) = self.next_header()? else {
                if extensions.pax.is_some()
                    || extensions.long_name.is_some()
                    || extensions.long_link.is_some()
                {
                    return Err(refused(b"", "the archive ends behind an extension header"));
                }
                return Ok(None);
            };
            self.entries += 1;
            if self.entries > self.limits.max_entries {
                return Err(Error::TooManyEntries { max: self.limits.max_entries });
            }
            if !self.take_extension(&header, &mut extensions)? {
                let entry = decode(&header, extensions)?;
                self.expect(entry.size);
                return Ok(Some(entry));
            }
        }
    }

    /// Reads what lies behind the last entry, so that a digest of the whole stream can be taken.
    pub(crate) fn drain(mut self) -> Result<(), Error> {
        io::copy(&mut self.inner, &mut io::sink()).map_err(Error::Read)?;
        Ok(())
    }

    fn expect(&mut self, size: u64) {
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    fn skip_data(&mut self) -> Result<(), Error> {
        let wanted = self.remaining.saturating_add(self.padding);
        let skipped = io::copy(&mut self.inner.by_ref().take(wanted), &mut io::sink())
            .map_err(Error::Read)?;
        (self.remaining, self.padding) = (0, 0);
        if skipped < wanted {
            return Err(Error::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    /// The next header block, or `None` at the end: two blocks of zeros, or nothing more to read.
    fn next_header(&mut self) -> Result<Option<Header>, Error> {
        self.skip_data()?;
        if self.done {
            return Ok(None);
        }
        let mut header = Header::new_old();
        if !self.read_block(header.as_mut_bytes())? {
            self.done = true;
            return Ok(None);
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            self.done = true;
            let mut second = [0; BLOCK];
            if self.read_block(&mut second)? && second.iter().any(|byte| *byte != 0) {
                return Err(refused(b"", "a header follows a single block of zeros"));
            }
            return Ok(None);
        }
        let sum: u32 = header.as_bytes().iter().map(|byte| u32::from(*byte)).sum();
        let own: u32 = header.as_bytes()[148..156].iter().map(|byte| u32::from(*byte)).sum();
        if header.cksum().ok() != Some(sum - own + 8 * u32::from(b' ')) {
            return Err(refused(
                &header.path_bytes(),
                "its checksum does not fit; this may be no tar archive",
            ));
        }
        Ok(Some(header))
    }

    /// Fills one block; false when the stream ends before it.
    fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, Error> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]).map_err(Error::Read)? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(Error::Read(io::ErrorKind::UnexpectedEof.into())),
                count => filled += count,
            }
        }
        Ok(true)
    }

    fn take_extension(
        &mut self,
        header: &Header,
        extensions: &mut Extensions,
    ) -> Result<bool, Error> {
        let twice = || {
            refused(&header.path_bytes(), "two extension headers of one kind describe one member")
        };
        match header.entry_type() {
            EntryType::XHeader => {
                let records = pax::parse(&self.extension_data(header)?)
                    .map_err(|problem| refused(&header.path_bytes(), problem))?;
                if extensions.pax.replace(records).is_some() {
                    return Err(twice());
                }
            }
            EntryType::XGlobalHeader => {
                let records = pax::parse(&self.extension_data(header)?)
                    .map_err(|problem| refused(&header.path_bytes(), problem))?;
                if records.path.is_some() || records.link.is_some() || records.size.is_some() {
                    let problem =
                        "a global header names a path or a size, which readers treat differently";
                    return Err(refused(&header.path_bytes(), problem));
                }
            }
            EntryType::GNULongName => {
                let name = until_zero(self.extension_data(header)?);
                if extensions.long_name.replace(name).is_some() {
                    return Err(twice());
                }
            }
            EntryType::GNULongLink => {
                let name = until_zero(self.extension_data(header)?);
                if extensions.long_link.replace(name).is_some() {
                    return Err(twice());
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn extension_data(&mut self, header: &Header) -> Result<Vec<u8>, Error> {
        let size = stated_size(header)?;
        if size > MAX_EXTENSION {
            return Err(refused(&header.path_bytes(), "an extension header is larger than 1 MiB"));
        }
        self.expect(size);
        let mut data = Vec::new();
        self.by_ref().take(size).read_to_end(&mut data).map_err(Error::Read)?;
        Ok(data)
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.remaining == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.remaining -= count as u64;
        Ok(count)
    }
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// Where a header has its mode, owner, group and time. Writers may leave them blank, which GNU tar and Go
/// read as zero.
const MAY_BE_BLANK: [std::ops::Range<usize>; 4] = [100..108, 108..116, 116..124, 136..148];

fn without_blanks(header: &Header) -> Header {
    let mut header = header.clone();
    for field in MAY_BE_BLANK {
        let field = &mut header.as_mut_bytes()[field];
        if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
            field[0] = b'0';
            field[1] = 0;
        }
    }
    header
}

fn decode(header: &Header, extensions: Extensions) -> Result<Entry, Error> {
    let header = &without_blanks(header);
    let pax = extensions.pax.unwrap_or_default();
    let refuse = |problem| Err(refused(&header.path_bytes(), problem));
    if extensions.long_name.is_some() && pax.path.is_some()
        || extensions.long_link.is_some() && pax.link.is_some()
    {
        return refuse("a GNU long name and a PAX path name the same member");
    }
    if pax.sparse {
        return refuse("sparse files are not supported in archives; make it without --sparse");
    }
    let path =
        extensions.long_name.or(pax.path).unwrap_or_else(|| header.path_bytes().into_owned());
    let kind = kind(header, &path)?;
    let size = size(header, pax.size, kind)?;
    let link = extensions.long_link.or(pax.link).unwrap_or_else(|| {
        header.link_name_bytes().map(|name| name.into_owned()).unwrap_or_default()
    });
    let device = match kind {
        Kind::CharacterDevice | Kind::BlockDevice => device(header)?,
        _ => (0, 0),
    };
    Ok(Entry {
        kind,
        link,
        size,
        device,
        mode: number(header, header.mode())? & 0o7777,
        uid: pax.uid.map_or_else(|| owner(header, header.uid()), Ok)?,
        gid: pax.gid.map_or_else(|| owner(header, header.gid()), Ok)?,
        modified: pax.modified.map_or_else(|| modified(header), Ok)?,
        attributes: pax.attributes,
        path,
    })
}

fn kind(header: &Header, path: &[u8]) -> Result<Kind, Error> {
    let slash = path.ends_with(b"/");
    match header.entry_type() {
        // Archives older than ustar mark a directory only by the slash behind its name.
        EntryType::Regular if slash && header.as_bytes()[156] == 0 => Ok(Kind::Directory),
        EntryType::Regular | EntryType::Continuous if slash => {
            Err(refused(path, "a file's name ends with a slash, which readers treat differently"))
        }
        EntryType::Regular | EntryType::Continuous => Ok(Kind::File),
        EntryType::Link => Ok(Kind::HardLink),
        EntryType::Symlink => Ok(Kind::Symlink),
        EntryType::Directory => Ok(Kind::Directory),
        EntryType::Fifo => Ok(Kind::Fifo),
        EntryType::Char => Ok(Kind::CharacterDevice),
        EntryType::Block => Ok(Kind::BlockDevice),
        EntryType::GNUSparse => Err(refused(
            path,
            "sparse files are not supported in archives; make it without --sparse",
        )),
        _ => Err(refused(path, "entries of its type are not supported")),
    }
}

/// The size of the data behind the header, on which all readers must agree.
fn size(header: &Header, pax: Option<u64>, kind: Kind) -> Result<u64, Error> {
    let stated = stated_size(header)?;
    let size = match pax {
        Some(size) if size == stated || (stated == 0 && size > LARGEST_OCTAL) => size,
        Some(_) => {
            return Err(refused(
                &header.path_bytes(),
                "its PAX size and its header's size disagree",
            ));
        }
        None => stated,
    };
    if kind != Kind::File && size != 0 {
        return Err(refused(&header.path_bytes(), "it is no file but states a size"));
    }
    Ok(size)
}

/// The header's own size field; a binary one must fit 63 bits, as some readers take only the last eight bytes.
fn stated_size(header: &Header) -> Result<u64, Error> {
    let field = &header.as_bytes()[124..136];
    let fits = field[0] == 0x80 && field[1..4] == [0; 3] && field[4] < 0x80;
    if field[0] & 0x80 != 0 && !fits {
        return Err(refused(&header.path_bytes(), "its size is negative or beyond 63 bits"));
    }
    number(header, header.entry_size())
}

fn number<T>(header: &Header, value: io::Result<T>) -> Result<T, Error> {
    value.map_err(|_| refused(&header.path_bytes(), "a number in its header cannot be read"))
}

fn owner(header: &Header, value: io::Result<u64>) -> Result<u32, Error> {
    u32::try_from(number(header, value)?)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or_else(|| refused(&header.path_bytes(), "its owner is beyond 32 bits"))
}

fn modified(header: &Header) -> Result<(i64, u32), Error> {
    Ok((number(header, header.mtime())?.cast_signed(), 0))
}

fn device(header: &Header) -> Result<(u32, u32), Error> {
    let major = number(header, header.device_major())?;
    let minor = number(header, header.device_minor())?;
    Ok((major.unwrap_or_default(), minor.unwrap_or_default()))
}
