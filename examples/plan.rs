//! Prints what `naru up` would do for a Compose file, without doing any of it:
//!
//! ```sh
//! cargo run --example plan -- compose-samples/hello/compose.yaml
//! ```
//!
//! The loader and the planner are libraries that touch nothing but the files they are given.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use naru_compose::{LoadRequest, load};
use naru_plan::{Observed, UpOptions, up};

fn main() -> anyhow::Result<()> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let request = LoadRequest {
        files,
        working_directory: std::env::current_dir().context("cannot find this directory")?,
        environment: std::env::vars().collect(),
        ..LoadRequest::default()
    };
    // Every problem of all files at once, each with its line.
    let loaded = load(&request)?;
    let nothing = Observed { project: loaded.project.name.clone(), ..Observed::default() };
    let options = UpOptions { start: true, ..UpOptions::default() };
    let plan = up(&loaded.project, &nothing, &options)?;
    write!(std::io::stdout(), "{plan}").context("cannot print the plan")
}
