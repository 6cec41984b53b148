//! One entry of the index: 24 bytes, little-endian.

/// Which of the container's streams a piece came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Stdout),
            2 => Some(Self::Stderr),
            _ => None,
        }
    }

    /// Its place in a pair.
    pub(super) fn place(self) -> usize {
        usize::from(self == Self::Stderr)
    }
}

/// A piece of the raw file, or a piece that never came to be in it.
///
/// | bytes | what |
/// |---|---|
/// | 0–7 | nanoseconds since 1970-01-01 UTC |
/// | 8–15 | offset in the raw file |
/// | 16–19 | length in bytes |
/// | 20 | stream: 1 stdout, 2 stderr |
/// | 21 | 1: these bytes were thrown away, since there was no room; else 0 |
/// | 22–23 | generation: which start of the container |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// When it came, nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// Where it begins.
    pub offset: u64,
    /// How long it is, or would have been.
    pub length: u32,
    /// Where it came from.
    pub stream: Stream,
    /// It was thrown away.
    pub is_lost: bool,
    /// Which start of the container wrote it.
    pub generation: u16,
}

impl Entry {
    /// Bytes of an entry on disk.
    pub const SIZE: usize = 24;

    /// Where the next piece begins.
    pub fn end(&self) -> u64 {
        if self.is_lost { self.offset } else { self.offset.saturating_add(self.length.into()) }
    }

    pub(super) fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[0..8].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.length.to_le_bytes());
        bytes[20] = self.stream.to_byte();
        bytes[21] = self.is_lost.into();
        bytes[22..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().rev().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte))
        };
        Some(Self {
            time_ns: number(0..8),
            offset: number(8..16),
            length: u32::try_from(number(16..20)).ok()?,
            stream: Stream::from_byte(bytes[20])?,
            is_lost: bytes[21] == 1,
            generation: u16::try_from(number(22..24)).ok()?,
        })
    }

    /// The entries in a part of an index.
    pub(super) fn all(bytes: &[u8]) -> impl DoubleEndedIterator<Item = Option<Self>> {
        bytes.chunks_exact(Self::SIZE).map(|bytes| bytes.try_into().ok().and_then(Self::from_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_bytes_and_garbage_is_refused() {
        let entry = Entry {
            time_ns: u64::MAX - 1,
            offset: 1 << 40,
            length: 65_536,
            stream: Stream::Stderr,
            is_lost: true,
            generation: 513,
        };
        assert_eq!(Entry::from_bytes(&entry.to_bytes()), Some(entry));
        assert_eq!(Entry::from_bytes(&[0xff; Entry::SIZE]), None);
    }
}
