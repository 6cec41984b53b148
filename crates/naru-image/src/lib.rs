//! Image references, the image store, layer unpacking and root file systems.
//!
//! The [`Store`] is an OCI image layout on disk that other tools can read, with every layer unpacked beside it. It
//! takes archives from any reader ([`Store::load`], [`Store::import`]), believes nothing in them before every digest
//! has been compared, and shows nothing of them before all of it is on the disk. [`rootfs`] makes of an image's layers
//! what a container needs: a mounted root file system, a user, the first content of a volume, and a reason when a
//! command cannot be started.
//!
//! Images are hostile input: no path of theirs is resolved other than by the kernel, below a held directory. This
//! crate runs nothing, prints nothing, and speaks to no registry.
//!
//! ```no_run
//! use naru_image::{Store, rootfs::Overlay};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::open("/var/lib/naru/images".as_ref())?;
//! let archive = fs_err::File::open("busybox.tar")?;
//! store.load(archive, &mut |_event| {})?;
//! let image = store.find("busybox")?.ok_or("no such image")?;
//! let overlay = Overlay {
//!     lower: store.root_dirs(&image)?,
//!     upper: "/var/lib/naru/containers/web/upper".into(),
//!     work: "/var/lib/naru/containers/web/work".into(),
//! };
//! let root = overlay.mount()?;
//! # drop(root);
//! # Ok(())
//! # }
//! ```

mod archive;
mod beneath;
mod compression;
mod config;
mod digest;
mod error;
mod image;
mod import;
mod limits;
mod load;
mod progress;
pub mod reference;
pub mod rootfs;
mod store;
#[cfg(test)]
mod testing;
mod tree;
mod unpack;

pub use archive::Error as ArchiveError;
pub use config::{Error as ConfigError, Healthcheck};
pub use digest::{Digest, Error as DigestError};
pub use error::Error;
pub use image::{Image, Inspection, Layers, this_platform};
pub use import::{ChangeError, Changes, Import};
pub use limits::Limits;
pub use load::Loaded;
pub use progress::{Event, Progress};
pub use reference::Reference;
pub use store::{DiskUsage, Flaw, Part, Removed, Store};
pub use unpack::Error as LayerError;
