//! What tests of naru share: namespaces of their own, projects on disk, and a probe that sees what was left behind.
//!
//! A scenario runs in a *test host*: pid, mount and network namespaces of its own and private `NARU_ROOT` and
//! `NARU_RUN`, so that tests run in parallel, see only their own processes, links and mounts, and can leave nothing
//! behind (the kernel ends everything when the test ends). Everything here panics instead of returning errors: it is
//! for tests only, and the message is the failure.
//!
//! ```no_run
//! #[test]
//! fn the_stack_leaves_nothing_behind() {
//!     naru_test::host(env!("CARGO"), |host| {
//!         let project = host.project("hello").file("compose.yaml", "services: {}");
//!         let before = host.snapshot();
//!         project.naru(["up", "-d"]).succeeds();
//!         project.naru(["down"]).succeeds();
//!         before.assert_nothing_left();
//!     });
//! }
//! ```

#![allow(clippy::unwrap_used, reason = "in a test's support, a panic is the failure")]

mod canary;
mod command;
mod filter;
pub mod frame;
mod host;
pub mod http;
mod image;
pub mod leak;
mod project;
mod sandbox;
pub mod tables;
pub mod tracer;
mod wait;

pub use canary::Canary;
pub use command::{Outcome, Running};
pub use filter::Filter;
pub use host::{HOST_ADDRESS, TestHost, host, power_cut};
pub use image::RootTar;
pub use project::Project;
pub use sandbox::sandbox;
pub use wait::{eventually, within};
