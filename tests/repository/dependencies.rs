//! docs/dependencies.md has exactly one line for every dependency of the workspace.

use std::collections::BTreeSet;

#[test]
fn every_dependency_is_explained_and_every_explanation_has_its_dependency() {
    let manifest = super::read("Cargo.toml");
    let used: BTreeSet<String> = super::section(&manifest, "workspace.dependencies")
        .filter_map(super::key)
        .filter(|name| !name.starts_with("naru-"))
        .collect();
    let explained: BTreeSet<String> = super::read("docs/dependencies.md")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned()))
        .collect();
    assert_eq!(explained, used, "left: docs/dependencies.md, right: [workspace.dependencies]");
}
