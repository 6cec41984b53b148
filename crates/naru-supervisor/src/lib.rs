//! Keeps a project running: the supervisor's loop, the keeper, the control socket, and `Service → OCI Spec`.
//!
//! A running project has two processes. The **keeper** ([`run_role_if_asked`]) is the parent of everything:
//! small, synchronous, it moves output into logs and records exits. The **supervisor** is its child: it
//! observes, plans (`naru-plan`), applies, checks health and restarts, answers DNS and publishes ports. It
//! rebuilds its picture from records and the kernel, so it may be killed at any time.
//!
//! This crate never parses YAML and never prints. Front ends use [`client::Client`] and [`observe`].

pub mod client;
pub mod observe;
pub mod protocol;

/// First argument of the process that is a project's keeper.
pub(crate) const KEEPER_ROLE: &str = "keeper:";
