//! The shared OCI runtime: from a specification to a running process.
//!
//! It owns namespaces, mounts, devices, control groups, capabilities, seccomp, terminals and
//! entering a running container. It knows nothing of Compose, images or networks, keeps no state
//! on disk and never changes the process that calls it.
//!
//! [`create`] clones a process into its namespaces that at once executes the calling program
//! again, through a read-only mount that leads to nothing writable ([`Binary`]); there
//! [`run_role_if_asked`] takes over, sets the container up from inside by file descriptors, and
//! finally becomes the container's program. What it does is a plan that is computed by pure
//! functions in the caller and sent over a socket; failures come back with their stage.
//!
//! ```no_run
//! use naru_runtime::{Binary, Cgroup, Create, Parent, Root, Stdio, create, profile};
//!
//! naru_runtime::run_role_if_asked();
//! let mut spec = profile::default_spec();
//! let mut process = spec.process().clone().unwrap_or_default();
//! process.set_args(Some(vec!["/bin/true".to_owned()]));
//! spec.set_process(Some(process));
//! let created = create(Create {
//!     spec: &spec,
//!     root: Root::Path("/srv/rootfs".as_ref()),
//!     cgroup: &Cgroup::none(),
//!     stdio: Stdio::null(),
//!     parent: Parent::Own,
//!     binary: &Binary::open()?,
//!     init: false,
//!     waits_at: None,
//!     state: None,
//! })?;
//! let status = created.start()?.wait()?;
//! # Ok::<(), naru_runtime::Error>(())
//! ```

mod binary;
mod cgroup;
mod container;
mod conversation;
mod error;
mod exec;
mod features;
pub mod hooks;
mod init;
mod interfaces;
mod labels;
mod limits;
mod listener;
mod namespaces;
mod nodes;
mod plan;
mod process;
pub mod profile;
mod role;
mod seccomp;
mod sources;
mod start;
mod stdio;
pub mod store;
mod untold;
mod user;
mod wire;

pub use binary::Binary;
pub use cgroup::{
    Cgroup, CpuStats, CpusetStats, Freezer, Hierarchies, IoEntry, IoStats, Membership, MemoryStats,
    MemoryUse, OomWatch, PidsStats, Pressure, PressureTotals, Pressures, RdmaStats, Stats,
};
pub use container::{Create, Created, Parent, Root, create};
pub use error::{Error, Stage};
pub use exec::{Exec, exec};
pub use features::{SPECIFICATION, features};
pub use init::SET_UP_FAILED;
pub use process::{ExitStatus, Identity, Process, has_ended, start_time};
pub use role::{is_role, run_role_if_asked};
pub use start::{listen, release};
pub use stdio::Stdio;
