//! How much of hostile input naru is willing to look at.

/// Bounds on everything an archive, a layer or a configuration can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries in one tar archive.
    pub max_entries: u64,
    /// Bytes one archive or layer may expand to.
    pub max_unpacked: u64,
    /// Bytes of one manifest, index or configuration.
    pub max_metadata: u64,
    /// Bytes of memory a zstd frame may ask the decoder to keep.
    pub max_window: u64,
    /// Times an archive may grow when expanded, counted once it passed `ratio_floor` bytes.
    pub max_ratio: u64,
    /// Expanded bytes below which the ratio is not looked at: a small file of zeros is no bomb.
    pub ratio_floor: u64,
    /// Components of one path.
    pub max_depth: usize,
    /// Layers of one image; overlayfs itself takes 500.
    pub max_layers: usize,
}

/// Bytes of one path, as the kernel counts them.
pub(crate) const MAX_PATH: usize = 4096;
/// Bytes of one name in a path, as the kernel counts them.
pub(crate) const MAX_NAME: usize = 255;
/// Bytes of one extension header of a tar archive; Go's reader has the same bound.
pub(crate) const MAX_EXTENSION: u64 = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entries: 1_000_000,
            max_unpacked: 64 << 30,
            max_metadata: 4 << 20,
            max_window: 32 << 20,
            max_ratio: 250,
            ratio_floor: 1 << 30,
            max_depth: 512,
            max_layers: 500,
        }
    }
}
