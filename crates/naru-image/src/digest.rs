//! SHA-256 digests: parsed strictly, compared as bytes, and the only source of file names in the store.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of some content, written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// Why a text is not a digest naru accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The algorithm in front of the colon is not SHA-256.
    #[error("the digest {text:?} does not use sha256, the only algorithm naru accepts")]
    Algorithm {
        /// The text as it was given, shortened.
        text: String,
    },
    /// The part behind the colon is not 64 lower-case hexadecimal digits.
    #[error("the digest {text:?} is not 64 lower-case hexadecimal digits")]
    Hex {
        /// The text as it was given, shortened.
        text: String,
    },
}

impl Digest {
    /// The digest of bytes held in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of these bytes.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest whose 64 digits, without `sha256:`, are given.
    pub fn from_hex(hex: &str) -> Result<Self, Error> {
        let wrong = || Error::Hex { text: shorten(hex) };
        if hex.len() != 64 {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0])
                .zip(nibble(pair[1]))
                .map_or_else(|| Err(wrong()), |(high, low)| Ok(high << 4 | low))?;
        }
        Ok(Self(bytes))
    }

    /// The 64 digits without the algorithm: the name of the blob's file.
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
    }

    /// The first twelve digits, as listings show an image's id.
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let hex =
            text.strip_prefix("sha256:").ok_or_else(|| Error::Algorithm { text: shorten(text) })?;
        Self::from_hex(hex).map_err(|_| Error::Hex { text: shorten(text) })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Hashes and counts everything that passes through it, as a reader or as a writer.
pub(crate) struct Hashing<T> {
    inner: T,
    hasher: Sha256,
    bytes: u64,
}

impl<T> Hashing<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }

    /// What passed so far: its digest and its length.
    pub(crate) fn finish(self) -> (Digest, u64, T) {
        (Digest(self.hasher.finalize().into()), self.bytes, self.inner)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_prints_as_it_was_parsed() {
        assert_eq!(EMPTY.parse::<Digest>().unwrap().to_string(), EMPTY);
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(Digest::of(b"").short(), "e3b0c44298fc");
    }

    #[test]
    fn anything_that_is_not_a_plain_sha256_is_refused() {
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        for text in [
            "",
            "sha256:",
            "sha256:../../x",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            &upper,
            &EMPTY[..70],
            "sha256:éééééééééééééééééééééééééééééééé",
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn hashing_sees_every_byte_that_passes() {
        let mut reader = Hashing::new(&b"some content"[..]);
        io::copy(&mut reader, &mut io::sink()).unwrap();
        let (digest, bytes, _) = reader.finish();
        assert_eq!((digest, bytes), (Digest::of(b"some content"), 12));
    }
}
