//! What a container needs of an image: its root file system, its user, the first content of its volumes, and a reason
//! when its command cannot be started.
//!
//! Everything works on a descriptor of the mounted root, so that it sees what the container will see, and nothing
//! needs to be attached to this process's own tree.

mod command;
mod copy_up;
mod overlay;
mod user;

pub use command::{Cause, Found, diagnose, look_up_command};
pub use copy_up::{Error as CopyUpError, copy_up};
pub use overlay::{Error as OverlayError, Overlay};
pub use user::{Error as UserError, User, find_user};
