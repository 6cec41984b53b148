//! Project tasks: `cargo xtask test | images | demo | fuzz | bench | dist | engines | soak | vm`.
//!
//! A task is a straight list of [`task::step`]s, each announced, timed and stopped at by its first failure. Tasks may run
//! host tools (cargo, apt-get, npm); naru itself never does.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner talks to the person who started it"
)]

mod bench;
mod debian;
mod demo;
mod denied;
mod dist;
mod engines;
mod fuzz;
mod images;
mod soak;
mod task;
mod test;
mod tools;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Project tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check the format, the lints and the dependencies, make the images, run all tests (as root)
    Test,
    /// Make the base images of the samples where no registry can be reached, and load them
    Images(images::Options),
    /// Build naru, make the images and bring the nest-postgres-mongo sample up (as root)
    Demo,
    /// Run a program that cannot call openat2 (as root)
    WithoutOpenat2(denied::Options),
    /// Try the loader on inputs changed at random
    Fuzz(fuzz::Options),
    /// Measure naru beside docker compose, runc, crun and the bare kernel (as root)
    Bench(bench::Options),
    /// Build the release and put its programs into target/release
    Dist,
    /// Let podman and dockerd run containers with naru-oci and print what worked (as root)
    Engines(engines::Options),
    /// Run the runtime's kernel tests and a project on another kernel with cgroup v2, in an emulated machine
    Vm(vm::Options),
    /// Run the fault tests for long (as root)
    #[command(subcommand)]
    Soak(soak::Command),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Test => test::run(),
        Task::Images(options) => images::run(&options),
        Task::Demo => demo::run(),
        Task::WithoutOpenat2(options) => denied::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Dist => dist::run(),
        Task::Engines(options) => engines::run(&options),
        Task::Vm(options) => vm::run(&options),
        Task::Soak(command) => soak::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
