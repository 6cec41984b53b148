//! Expanding gzip and zstd while reading, within bounds; what a stream is, its first bytes say.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::BlockDecodingStrategy;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use crate::limits::Limits;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// Why a compressed stream cannot be read; travels inside an `io::Error`, as readers demand.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A compression that naru does not read.
    #[error("{0} compression is not supported: use gzip, zstd or none")]
    Unsupported(&'static str),
    /// The expanded content is larger than the limit.
    #[error("it expands to more than {max} bytes")]
    TooLarge {
        /// The limit, in bytes.
        max: u64,
    },
    /// The content expands as only a bomb does.
    #[error("it expands to more than {ratio} times its size, which no ordinary archive does")]
    Bomb {
        /// The limit.
        ratio: u64,
    },
    /// A zstd frame is damaged or wants too much memory.
    #[error("the zstd data cannot be expanded")]
    Zstd(#[source] FrameDecoderError),
    /// A zstd frame's own checksum does not fit its content.
    #[error("the zstd data does not match its checksum")]
    Checksum,
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z'];
const BZIP2: &[u8] = b"BZh";
const BUFFER: usize = 128 << 10;

impl Compression {
    pub(crate) fn detect(start: &[u8]) -> Result<Self, Error> {
        // A stream may begin with a skippable frame (0x184D2A50 to 5F), as zstd:chunked layers do.
        let skippable =
            start.len() >= 4 && start[0] & 0xf0 == 0x50 && start[1..4] == [0x2a, 0x4d, 0x18];
        match start {
            _ if start.starts_with(GZIP) => Ok(Self::Gzip),
            _ if start.starts_with(ZSTD) || skippable => Ok(Self::Zstd),
            _ if start.starts_with(XZ) => Err(Error::Unsupported("xz")),
            _ if start.starts_with(BZIP2) => Err(Error::Unsupported("bzip2")),
            _ => Ok(Self::None),
        }
    }

    /// The OCI media type of a layer compressed like this.
    pub(crate) fn layer_media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// Reads the expanded content of `source`, refusing bombs.
pub(crate) fn expand<'a>(
    mut source: impl Read + 'a,
    limits: &Limits,
) -> io::Result<(Compression, Box<dyn Read + 'a>)> {
    let mut start = Vec::with_capacity(8);
    source.by_ref().take(8).read_to_end(&mut start)?;
    let compression = Compression::detect(&start)?;
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Counted { inner: Cursor::new(start).chain(source), taken: Arc::clone(&taken) };
    let buffered = BufReader::with_capacity(BUFFER, counted);
    let inner: Box<dyn Read + 'a> = match compression {
        Compression::None => Box::new(buffered),
        Compression::Gzip => Box::new(MultiGzDecoder::new(buffered)),
        Compression::Zstd => Box::new(Zstd::new(buffered, limits.max_window)),
    };
    Ok((compression, Box::new(Guarded { inner, taken, given: 0, limits: *limits })))
}

struct Counted<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

struct Guarded<'a> {
    inner: Box<dyn Read + 'a>,
    taken: Arc<AtomicU64>,
    given: u64,
    limits: Limits,
}

impl Read for Guarded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.given += count as u64;
        let Limits { max_unpacked, max_ratio, ratio_floor, .. } = self.limits;
        if self.given > max_unpacked {
            return Err(Error::TooLarge { max: max_unpacked }.into());
        }
        let taken = self.taken.load(Ordering::Relaxed);
        if self.given > ratio_floor && self.given / max_ratio > taken {
            return Err(Error::Bomb { ratio: max_ratio }.into());
        }
        Ok(count)
    }
}

/// All frames of a zstd stream, one after the other; the decoder itself knows only one.
struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R, max_window: u64) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(max_window);
        Self { source, decoder, in_frame: false }
    }

    /// Begins the next frame; false at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let wanted = u64::from(length);
                    let skipped =
                        io::copy(&mut self.source.by_ref().take(wanted), &mut io::sink())?;
                    if skipped < wanted {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(Error::Zstd(error).into()),
            }
        }
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let stated = self.decoder.get_checksum_from_data();
        if stated.is_some() && stated != self.decoder.get_calculated_checksum() {
            return Err(Error::Checksum.into());
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                if !self.next_frame()? {
                    return Ok(0);
                }
                self.in_frame = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, one).map_err(Error::Zstd)?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.end_frame()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn expanded(bytes: &[u8], limits: &Limits) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        expand(bytes, limits)?.1.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn every_supported_compression_gives_the_content_back() {
        let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        for stream in [content.clone(), gzip(&content), zstd(&content)] {
            assert_eq!(expanded(&stream, &Limits::default()).unwrap(), content);
        }
    }

    #[test]
    fn members_and_frames_follow_each_other_and_skippable_frames_are_skipped() {
        let gzip = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(expanded(&gzip, &Limits::default()).unwrap(), b"one two");
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let zstd = [&skippable[..], &zstd(b"one "), &skippable, &zstd(b"two")].concat();
        assert_eq!(expanded(&zstd, &Limits::default()).unwrap(), b"one two");
    }

    #[test]
    fn a_stream_cut_short_is_an_error() {
        for whole in [gzip(&[7; 5000]), zstd(&[7; 5000])] {
            for length in [5, whole.len() / 2, whole.len() - 1] {
                assert!(expanded(&whole[..length], &Limits::default()).is_err());
            }
        }
    }

    #[test]
    fn bombs_are_refused() {
        let bomb = gzip(&vec![0; 4 << 20]);
        let small = Limits { max_unpacked: 1 << 20, ..Limits::default() };
        assert!(
            expanded(&bomb, &small).unwrap_err().to_string().contains("more than 1048576 bytes")
        );
        let steep = Limits { ratio_floor: 1 << 20, ..Limits::default() };
        assert!(expanded(&bomb, &steep).unwrap_err().to_string().contains("250 times"));
    }

    #[test]
    fn a_frame_that_wants_a_huge_window_is_refused() {
        // Frame header with no single segment and a window of 2 to the power of 31.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 1, 0, 0];
        assert!(expanded(&frame, &Limits::default()).is_err());
    }

    #[test]
    fn an_unsupported_compression_is_named() {
        let error = expanded(b"\xfd7zXZ\0rest", &Limits::default()).unwrap_err();
        assert!(error.to_string().starts_with("xz compression is not supported"));
    }
}
