//! Rules that the manifests must keep, so that the architecture stays what docs/ARCHITECTURE.md says.

mod commands;
mod dependencies;
mod manifests;
mod promises;

use std::path::Path;

/// A file of the repository, by its path from the top.
fn read(path: &str) -> String {
    fs_err::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The lines of one table of a manifest, comments and blank lines left out.
fn section<'a>(manifest: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let heading = format!("[{name}]");
    manifest
        .lines()
        .map(str::trim)
        .skip_while(move |line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The name before `.workspace = …` or ` = …`.
fn key(line: &str) -> Option<String> {
    let (name, _) = line.split_once('=')?;
    Some(name.trim().trim_end_matches(".workspace").to_owned())
}
