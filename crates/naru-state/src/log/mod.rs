//! The log of a container: the raw bytes of both streams in the order they came (`raw`), and beside them an
//! index (`index`) of 24-byte entries that says when each piece came, from which stream and which start.
//!
//! Bytes are moved by splice(2) and never held in private memory, so what a killed writer left unindexed is
//! in the file and is indexed by the next one ([`Writer::open`]). Lines are put together by the reader.
//!
//! Rotation: a file that passes [`ROTATE_AT`] becomes `raw.1` and `index.1`; there is one such step.

mod entry;
mod reader;
mod writer;

pub use entry::{Entry, Stream};
pub use reader::{Line, Piece, Reader};
pub use writer::{ROTATE_AT, Source, Writer};

/// Lines longer than this are cut, and the rest is a line of its own.
pub const MAX_LINE: usize = 1 << 20;
