//! Pure decisions: what has to be done so that a project is as its file says.
//!
//! Owns the [`Plan`]: [`up()`], [`down()`], [`stop()`], [`start()`], [`restart_services()`], [`boot()`] and [`remove()`]
//! compare a [`Project`](naru_compose::project::Project) with what was [`Observed`] and return the steps. Owns the
//! decisions that are made while containers run as well: [`gate`] and [`wait`] (has it reached what others
//! wait for), [`restart`] (does it start again, and when), [`health`] and [`ready`] (when to look, and what was
//! found).
//!
//! Never does I/O, never reads a clock, never logs: the same inputs give the same plan, and a printed plan
//! is one line per step, which is how the tests read it.
//!
//! ```
//! use naru_plan::{Observed, UpOptions, up};
//!
//! let project = serde_json::from_str(
//!     r#"{"name": "shop", "services": {"db": {"image": "postgres:15"}}}"#,
//! )?;
//! let plan = up(&project, &Observed::default(), &UpOptions { start: true, ..UpOptions::default() })?;
//! assert_eq!(
//!     plan.to_string(),
//!     "1 create container shop-db-1: does not exist\n\
//!      2 start container shop-db-1 [after 1]: new\n"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod boot;
pub mod gate;
pub mod hash;
pub mod health;
pub mod observed;
pub mod ready;
pub mod restart;
pub mod timeline;
pub mod wait;

mod cause;
mod down;
mod error;
#[cfg(test)]
mod fixture;
mod graph;
mod hooks;
mod lifecycle;
mod notice;
mod one_off;
mod pace;
mod plan;
mod progress;
mod remove;
mod stops;
mod up;

pub use boot::boot;
pub use cause::Cause;
pub use down::{DownOptions, down};
pub use error::Error;
pub use graph::Graph;
pub use hash::Fingerprint;
pub use lifecycle::{outdated, restart_services, start, stop};
pub use notice::Notice;
pub use observed::Observed;
pub use one_off::{Overrides, one_off, pre_start};
pub use plan::{Action, Gate, Plan, Replaced, Step, StepId, Subject};
pub use progress::{Next, Outcome, Progress};
pub use remove::{RemoveOptions, remove};
pub use up::{ImageFacts, OneOff, UpOptions, selected_services, up};
