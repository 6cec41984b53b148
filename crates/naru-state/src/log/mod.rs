//! The log of a container: its bytes, and beside them an index of 24-byte entries that says when each piece came,
//! from which stream and which start.
//!
//! A log is a row of *steps*, numbered from 1: `raw.7` has the bytes of both streams in the order they came, `index.7`
//! a header and the entries. The last step grows; when it is full ([`Limits`]) the next one begins and the oldest are
//! removed, but for those that somebody still reads (an flock(2) on the index says so) and that are within
//! [`Limits::patience`]. The header counts the bytes before the step, so a reader that was overtaken knows how many it
//! has missed ([`Lost`]). A new container of the same name begins another step and takes no notice of those before.
//!
//! Bytes are moved by splice(2) and never held in private memory, so what a killed writer left unindexed is
//! in the file and is indexed by the next one ([`Writer::open`]). Lines are put together by the reader, which holds no
//! more than a piece and the two lines that are not at their end.

mod aside;
mod entry;
mod exact;
mod lines;
mod reader;
mod step;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

pub use aside::{bring_back, lies_aside};
pub use entry::{Entry, Stream};
pub use exact::{Exact, Piece};
pub use lines::Line;
pub use reader::{Item, Lost, Mark, Range, Reader};
pub use writer::{Left, Source, Writer};

use serde::{Deserialize, Serialize};

/// Lines longer than this are cut, and the rest is a line of its own.
pub const MAX_LINE: usize = 1 << 20;

/// How much of a container's output is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of a step, index included, from which on the next one begins.
    pub step: u64,
    /// How many steps are kept.
    pub steps: u64,
    /// Bytes of further steps that are kept for somebody who reads them and is behind.
    pub patience: u64,
}

impl Default for Limits {
    /// 3 steps of 10 MiB, and 80 MiB for slow readers.
    fn default() -> Self {
        Self { step: 10 << 20, steps: 3, patience: 80 << 20 }
    }
}

impl Limits {
    /// What a user asked for: `files` of `size` bytes, and not a byte more for anybody. One file is two of half the
    /// size, so that there is always something to look back at.
    pub fn exactly(size: u64, files: u64) -> Self {
        match files {
            0 | 1 => Self { step: size.div_ceil(2), steps: 2, patience: 0 },
            _ => Self { step: size, steps: files, patience: 0 },
        }
    }
}
