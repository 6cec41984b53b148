//! Containers on the real kernel: this program is the harness, the first process of every
//! container it makes, and (as `/checker`) the program inside that tells what it sees.
//!
//! It needs root. Each test has a root file system in a temporary folder and namespaces of its
//! own; control groups are below `/naru-test-PID` and removed.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the failure")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the checker talks to the harness")]

#[path = "../../../naru-check/attack.rs"]
mod attack;
mod attacks;
mod bundle;
mod cgroups;
mod checker;
mod exec;
mod hooks;
mod identity;
mod isolation;
mod lifecycle;
mod limits;
mod mounts;
mod namespaces;
mod propagation;
mod seccomp;
mod terminal;
mod usage;
mod user;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    naru_runtime::run_role_if_asked();
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.first().is_some_and(|name| bundle::CHECKER.ends_with(name)) {
        return checker::run(&arguments[1..]);
    }
    if arguments.first().is_some_and(|name| name == bundle::MIDDLE) {
        lifecycle::middle();
        return ExitCode::SUCCESS;
    }
    if arguments.first().is_some_and(|name| name == attacks::entering::CHROOT) {
        attacks::entering::in_chroot(&arguments[1]);
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::from_args();
    if !arguments.list && !rustix::process::geteuid().is_root() {
        eprintln!("the kernel tests of naru-runtime need root");
        return ExitCode::FAILURE;
    }
    let tests = [
        isolation::tests(),
        identity::tests(),
        mounts::tests(),
        lifecycle::tests(),
        exec::tests(),
        terminal::tests(),
        cgroups::tests(),
        limits::tests(),
        usage::tests(),
        hooks::tests(),
        namespaces::tests(),
        propagation::tests(),
        seccomp::tests(),
        user::tests(),
        attacks::entering::tests(),
        attacks::files::tests(),
        attacks::rights::tests(),
        attacks::leaks::tests(),
    ];
    libtest_mimic::run(&arguments, tests.into_iter().flatten().collect()).exit_code()
}

/// A test that fails by panicking.
fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

/// The functions as tests of the same name.
macro_rules! tests {
    ($($test:ident),* $(,)?) => {
        pub(crate) fn tests() -> Vec<libtest_mimic::Trial> {
            vec![$(crate::trial(
                concat!(module_path!(), "::", stringify!($test)).trim_start_matches("kernel::"),
                $test,
            )),*]
        }
    };
}
pub(crate) use tests;
