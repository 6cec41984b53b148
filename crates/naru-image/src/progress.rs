//! What happens while an image is read, as data; naru-image itself prints nothing.

use crate::digest::Digest;

/// One thing that happened, told while it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// So many bytes of the archive have been read.
    Read {
        /// Bytes of the archive as it came in, compressed or not.
        bytes: u64,
    },
    /// A layer begins to be unpacked and verified.
    Layer {
        /// Its position in the image, counted from 1.
        number: usize,
        /// How many layers the image has.
        of: usize,
        /// The digest its expanded content must have.
        diff_id: Digest,
    },
    /// A layer is there already and nothing needs to be done.
    LayerPresent {
        /// Its position in the image, counted from 1.
        number: usize,
        /// How many layers the image has.
        of: usize,
    },
    /// A layer held device nodes that could not be made here, which containers do not need.
    DevicesSkipped {
        /// How many there were.
        count: u64,
    },
    /// Everything is verified and is being made durable.
    Committing,
}

/// Where events go.
pub type Progress<'a> = dyn FnMut(Event) + 'a;

/// Reports the bytes that pass, at most once per megabyte.
pub(crate) struct Reporting<'a, 'b, R> {
    inner: R,
    progress: &'a mut Progress<'b>,
    bytes: u64,
    reported: u64,
}

const STEP: u64 = 1 << 20;

impl<'a, 'b, R> Reporting<'a, 'b, R> {
    pub(crate) fn new(inner: R, progress: &'a mut Progress<'b>) -> Self {
        Self { inner, progress, bytes: 0, reported: 0 }
    }
}

impl<R: std::io::Read> std::io::Read for Reporting<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        if self.bytes - self.reported >= STEP || (count == 0 && self.bytes > self.reported) {
            self.reported = self.bytes;
            (self.progress)(Event::Read { bytes: self.bytes });
        }
        Ok(count)
    }
}
