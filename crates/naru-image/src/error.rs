//! What can go wrong with images, in the words of the object it went wrong with.

use std::io;

use crate::digest::Digest;
use crate::{archive, config, import, unpack};

/// Why an image could not be loaded, imported, found or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store's own files could not be read or written; the source names the path.
    #[error("the image store cannot be used")]
    Store(#[source] io::Error),
    /// The store was made by a newer naru.
    #[error("the image store has version {found}, this naru knows versions up to {known}")]
    Version {
        /// What the store says.
        found: u32,
        /// The newest version this build reads.
        known: u32,
    },
    /// A file of the store does not hold what its name says.
    #[error("the image store is damaged: {object} {problem}")]
    Damaged {
        /// The blob or file.
        object: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// A layer cannot be unpacked.
    #[error("layer {number} of {of} cannot be unpacked")]
    Layer {
        /// Its position, counted from 1.
        number: usize,
        /// How many layers the image has.
        of: usize,
        /// What is wrong with it.
        source: unpack::Error,
    },
    /// Something in the archive is missing or is not what it has to be.
    #[error("the archive's {object} is refused: {problem}")]
    Refused {
        /// The file or descriptor.
        object: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A JSON document of the archive or the store cannot be read.
    #[error("{object} is no valid JSON document of its kind")]
    Json {
        /// The document.
        object: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// An image's configuration cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A `--change` of an import cannot be applied.
    #[error(transparent)]
    Change(#[from] import::ChangeError),
    /// A name in the archive is no image name.
    #[error("the archive names an image wrongly")]
    Reference {
        /// What is wrong with it.
        source: crate::reference::Error,
    },
    /// The image is made for another machine.
    #[error("the image is made for {found}, this machine is {wanted}")]
    Platform {
        /// What this machine runs.
        wanted: String,
        /// What the image or the archive has.
        found: String,
    },
    /// A name stands for no image, or for several.
    #[error("{name:?} {problem}")]
    Name {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The image is used by a container.
    #[error("the image {name} ({}) is used by a container", id.short())]
    InUse {
        /// The name as it was given.
        name: String,
        /// The image's id.
        id: Digest,
    },
}

impl Error {
    pub(crate) fn refused(object: impl Into<String>, problem: &'static str) -> Self {
        Self::Refused { object: object.into(), problem }
    }
}
