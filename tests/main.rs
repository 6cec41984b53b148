//! Tests of the whole: the repository's own rules, and scenarios with real containers.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the failure")]

mod config;
mod hostile;
mod oci;
mod repository;
mod scenario;
