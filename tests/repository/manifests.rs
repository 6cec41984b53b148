//! The dependency direction, read from the manifests.

use std::path::Path;

/// Every crate, lowest last; a crate may depend only on crates that come after it.
const DOWNWARDS: &[&str] = &[
    "naru",
    "naru-api",
    "naru-supervisor",
    "naru-build",
    "naru-image",
    "naru-net",
    "naru-runtime",
    "naru-plan",
    "naru-state",
    "naru-compose",
    "naru-sys",
];

/// What planning and loading must stay free of: I/O, clocks, async and logging.
const PURE: &[(&str, &[&str])] = &[
    ("naru-plan", &["fs-err", "nix", "rustix", "tokio", "tracing", "naru-sys"]),
    ("naru-compose", &["nix", "rustix", "tokio", "tracing", "naru-sys"]),
];

#[test]
fn crates_depend_only_downwards() {
    let mut wrong = Vec::new();
    for (position, name) in DOWNWARDS.iter().enumerate() {
        for dependency in dependencies_of(name) {
            let Some(below) = DOWNWARDS.iter().position(|known| *known == dependency) else {
                continue;
            };
            if below <= position {
                wrong.push(format!("{name} depends on {dependency}, which is above it"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_member_has_its_place_in_the_order() {
    let development = ["naru-test", "xtask"];
    let manifest = super::read("Cargo.toml");
    let unplaced: Vec<&str> = manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("\"crates/")?.strip_suffix("\","))
        .filter(|member| !DOWNWARDS.contains(member) && !development.contains(member))
        .collect();
    assert_eq!(unplaced, Vec::<&str>::new());
}

#[test]
fn planning_and_loading_have_no_way_to_the_system() {
    let mut wrong = Vec::new();
    for (name, banned) in PURE {
        for dependency in dependencies_of(name) {
            if banned.contains(&dependency.as_str()) {
                wrong.push(format!("{name} depends on {dependency}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn unsafe_code_is_forbidden_everywhere_but_in_naru_sys() {
    let mut wrong = Vec::new();
    for name in DOWNWARDS.iter().chain(&["naru-test", "xtask"]) {
        let inherits = manifest_of(name).is_some_and(|text| {
            super::section(&text, "lints").any(|line| line == "workspace = true")
        });
        if manifest_of(name).is_some() && *name != "naru-sys" && !inherits {
            wrong.push(format!("{name} does not take the workspace's lints"));
        }
    }
    assert!(super::read("Cargo.toml").contains("unsafe_code = \"forbid\""));
    assert_eq!(wrong, Vec::<String>::new());
}

fn manifest_of(name: &str) -> Option<String> {
    let path = match name {
        "naru" => "Cargo.toml".to_owned(),
        member => format!("crates/{member}/Cargo.toml"),
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join(&path).exists().then(|| super::read(&path))
}

/// The names in a crate's `[dependencies]`; what its tests use is no part of the direction.
fn dependencies_of(name: &str) -> Vec<String> {
    let Some(manifest) = manifest_of(name) else {
        return Vec::new();
    };
    super::section(&manifest, "dependencies").filter_map(super::key).collect()
}
