//! Where naru keeps things, and in which form.
//!
//! This crate owns the directories, the identifiers derived from them, the records on disk, the project
//! lock, atomic writes and the log format. It decides nothing: what a state means is `naru-plan`'s business,
//! and whether a process runs is asked of the kernel ([`process::Identity::is_alive`]), never stored.
//!
//! Two places, two lifetimes:
//!
//! - `data` (`/var/lib/naru`): what was intended. Written by temp, fsync, rename, fsync of the directory.
//! - `run` (`/run/naru`): what is going on. Never fsynced, and not trusted after a reboot.
//!
//! ```
//! use naru_state::{Directories, ProjectName};
//! let directories = Directories::new("/var/lib/naru".into(), "/run/naru".into());
//! let project = directories.project(&ProjectName::new("shop").unwrap());
//! assert_eq!(project.data(), std::path::Path::new("/var/lib/naru/projects/shop"));
//! ```

pub mod atomic;
mod causes;
mod directories;
pub mod events;
mod id;
mod lock;
pub mod log;
pub mod process;
pub mod record;

pub use causes::{causes, chain};
pub use directories::{Directories, ProjectDirectories};
pub use id::{ContainerId, InvalidName, ProjectName, RootId, fit, short_hash};
pub use lock::{Lock, LockError};
