//! Real projects in test hosts: what the kernel and the user see is checked, then what naru says.

mod analyze;
mod attach;
mod attacks;
mod bad_input;
mod check;
mod compose_variables;
mod deaths;
mod dependencies;
mod diagnostics;
mod disk;
mod drivers;
mod errors;
mod events;
mod exec;
mod failpoints;
mod files;
mod firewall;
mod foreground;
mod healing;
mod heavy;
mod hooks;
mod images;
mod init;
mod interrupt;
mod invariants;
mod isolation;
mod lifecycle;
mod limits;
mod listing;
mod logging;
mod logs;
mod names;
mod network_options;
mod networks;
mod one_off;
mod outcome;
mod ports;
mod powercut;
mod process;
mod published;
mod ready;
mod reboot;
mod renewal;
mod resolvers;
mod restart;
mod rights;
mod routing;
mod samples;
mod secrets;
mod senders;
mod shared_networks;
mod stopping;
mod survival;
mod sweep;
mod untold;
mod upgrade;
mod verbs;
mod volumes;

use naru_test::{RootTar, TestHost};

/// A test host with the image `test`: busybox, naru-check, and a user `app` (1000).
fn host(body: impl FnOnce(&TestHost)) {
    naru_test::host(env!("CARGO_BIN_EXE_naru"), |host| {
        let tar = RootTar::new().busybox().program(env!("CARGO_BIN_EXE_naru-check"));
        host.import("test", tar, &["CMD [\"naru-check\", \"sleep\"]"]);
        body(host);
    });
}

/// A folder of the repository.
fn repository(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What `naru-check report` prints in a running container of this service.
fn report(project: &naru_test::Project<'_>, service: &str) -> serde_json::Value {
    let outcome = project.naru(["exec", "-T", service, "naru-check", "report"]).succeeds();
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// The report of a service whose command is `naru-check report`: process 1 itself, from its log.
fn report_of_process_1(project: &naru_test::Project<'_>, service: &str) -> serde_json::Value {
    let log = project.until_logged(service, "\n}\n");
    serde_json::from_str(&log).unwrap_or_else(|error| panic!("{error}: {log}"))
}
