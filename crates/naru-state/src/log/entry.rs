//! One entry of the index: 24 bytes, little-endian.

/// Which of the container's streams a piece came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of the raw file.
///
/// | bytes | what |
/// |---|---|
/// | 0–7 | nanoseconds since 1970-01-01 UTC |
/// | 8–15 | offset in the raw file |
/// | 16–19 | length in bytes |
/// | 20 | stream: 1 stdout, 2 stderr |
/// | 21 | 0 |
/// | 22–23 | generation: which start of the container |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// When it came, nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u32,
    /// Where it came from.
    pub stream: Stream,
    /// Which start of the container wrote it.
    pub generation: u16,
}

impl Entry {
    /// Bytes of an entry on disk.
    pub const SIZE: usize = 24;

    /// Where the next piece begins.
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }

    pub(super) fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[0..8].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.length.to_le_bytes());
        bytes[20] = match self.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        bytes[22..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let stream = match bytes[20] {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            _ => return None,
        };
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().rev().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte))
        };
        Some(Self {
            time_ns: number(0..8),
            offset: number(8..16),
            length: u32::try_from(number(16..20)).ok()?,
            stream,
            generation: u16::try_from(number(22..24)).ok()?,
        })
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
            generation: 513,
        };
        assert_eq!(Entry::from_bytes(&entry.to_bytes()), Some(entry));
        assert_eq!(Entry::from_bytes(&[0xff; Entry::SIZE]), None);
    }
}
