//! Attacks from inside a container and by what a bundle holds, one test for each mechanism that has been a vulnerability
//! of a runtime; docs/isolation.md has the list. Each begins and ends with a canary: files of the host whose secret
//! nobody may see and which nobody may change.
//!
//! Races are tried [`attempts`] times; `cargo xtask soak attacks` tries longer.

pub(crate) mod entering;
pub(crate) mod files;
pub(crate) mod leaks;
pub(crate) mod rights;

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;

use naru_runtime::{Error, ExitStatus, Process};
use naru_test::Canary;
use oci_spec::runtime::{Capability, UserBuilder};

use crate::bundle::{Bundle, Output, chain};

/// How often a race is tried: `NARU_TEST_ATTEMPTS`, or so many that it takes a second or two.
pub(crate) fn attempts() -> usize {
    let asked = std::env::var("NARU_TEST_ATTEMPTS").ok();
    asked.map_or(30, |text| text.parse().expect("NARU_TEST_ATTEMPTS is a number"))
}

/// A canary that also watches the runtime's program: this one.
pub(crate) fn canary() -> Canary {
    Canary::begin(&[&std::env::current_exe().unwrap()])
}

/// A container that attacks in the background.
pub(crate) struct Attacker {
    pub(crate) bundle: Bundle,
    output: Output,
    pub(crate) process: Process,
}

impl Attacker {
    /// Starts it and waits until it says that it is at work.
    pub(crate) fn start(bundle: Bundle) -> Self {
        let output = Output::new();
        let process = bundle.start(&output).unwrap_or_else(|error| panic!("{}", chain(&error)));
        let file = output.end().unwrap();
        naru_test::eventually("the attacker is at work", || {
            let size = rustix::fs::fstat(&file).unwrap().st_size;
            if size > 0 { Ok(()) } else { Err("it has said nothing".to_owned()) }
        });
        Self { bundle, output, process }
    }

    /// Tells it to end and gives what it said.
    pub(crate) fn finish(self) -> String {
        fs_err::write(self.bundle.root.join("stop"), "").unwrap();
        assert_eq!(self.process.wait().unwrap(), ExitStatus::Exited(0));
        self.output.read()
    }

    /// Kills it.
    pub(crate) fn stop(self) {
        crate::bundle::end(&self.process);
    }
}

/// Adds a capability that the container's root has.
pub(crate) fn add_capability(bundle: &mut Bundle, capability: Capability) {
    bundle.process(|process| {
        let mut sets = process.capabilities().clone().unwrap();
        let with = |set: &Option<HashSet<Capability>>| {
            let mut set = set.clone().unwrap_or_default();
            set.insert(capability);
            Some(set)
        };
        sets.set_bounding(with(sets.bounding()));
        sets.set_effective(with(sets.effective()));
        sets.set_permitted(with(sets.permitted()));
        process.set_capabilities(Some(sets));
    });
}

/// The process runs as user and group 1000.
pub(crate) fn as_user_1000(bundle: &mut Bundle) {
    bundle.process(|process| {
        let user = UserBuilder::default().uid(1000_u32).gid(1000_u32).build().unwrap();
        process.set_user(user);
    });
}

/// Leaves out the mounts at and below `path`, as a raw bundle may.
pub(crate) fn without_mount(bundle: &mut Bundle, path: &str) {
    let mut mounts = bundle.spec.mounts().clone().unwrap();
    mounts.retain(|mount| !mount.destination().starts_with(path));
    bundle.spec.set_mounts(Some(mounts));
}

/// What a container said, or the error it was refused with, in words.
pub(crate) fn outcome(bundle: &Bundle) -> String {
    let output = Output::new();
    match bundle.start(&output) {
        Ok(mut process) => {
            let terminal = process.terminal.take();
            let printed = terminal.map(read_terminal).unwrap_or_default();
            process.wait().unwrap();
            output.read() + &printed
        }
        Err(error) => refused(&error),
    }
}

/// An error as the outcome of an attack.
pub(crate) fn refused(error: &Error) -> String {
    format!("refused: {}", chain(error))
}

/// What was written to a terminal until its other end was closed.
fn read_terminal(master: OwnedFd) -> String {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let mut master = std::fs::File::from(master);
    while let Ok(length @ 1..) = master.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A path of the host as a path in a container's root.
pub(crate) fn inside(root: &Path, path: &str) -> std::path::PathBuf {
    root.join(path.trim_start_matches('/'))
}
