//! `naru-oci` as engines and test suites drive it: real bundles, real containers.

mod bundle;
mod groups;
mod lifecycle;
mod limits;
mod notify;
mod process;
mod run;
mod terminal;

use std::path::PathBuf;

use bundle::Bundle;

/// Runs the body in namespaces of its own, as root: containers need it.
fn inside(body: impl FnOnce()) {
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests start real containers: run them as root"
    );
    naru_test::sandbox(body);
}

/// The directories that the bundle's containers have in each hierarchy of control groups.
fn groups(bundle: &Bundle) -> Vec<PathBuf> {
    let hierarchies = fs_err::read_dir("/sys/fs/cgroup").unwrap();
    let mut groups: Vec<PathBuf> =
        hierarchies.map(|entry| entry.unwrap().path().join(bundle.group())).collect();
    groups.push(PathBuf::from("/sys/fs/cgroup").join(bundle.group()));
    groups
}
