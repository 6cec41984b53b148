//! Runs the body of a test in namespaces of its own, by running the test's program again inside them.
//!
//! Three processes: the test as the runner started it waits; `unshare` makes the namespaces and, as their process 1,
//! the same test again, which only reaps; and its child, the same test once more, which runs the body. When process 1
//! ends, the kernel ends everything else in its pid namespace: no test can leave a process behind.

use std::process::{Command, ExitStatus};

const ROLE: &str = "NARU_TEST_ROLE";

/// Runs `body` in new pid, mount and network namespaces with the loopback interface up; without root in a new user
/// namespace too, in which the caller is root. Must be called from the test's own thread, whose name is the test's.
///
/// # Panics
/// When the body panics, or the namespaces cannot be made: a sandbox that cannot run fails and says so.
pub fn sandbox(body: impl FnOnce()) {
    match std::env::var(ROLE).as_deref() {
        Ok("inside") => {
            bring_loopback_up();
            body();
        }
        Ok("reaper") => reap_until_done(),
        _ => {
            let status = again_in_new_namespaces();
            assert!(
                status.success(),
                "the test failed in its sandbox ({status}); its output is above"
            );
        }
    }
}

fn again_in_new_namespaces() -> ExitStatus {
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--net", "--mount", "--pid", "--fork", "--kill-child"]).args([
        "--mount-proc",
        "--propagation",
        "private",
        "--",
    ]);
    again(&mut unshare, "reaper").status().expect("`unshare` of util-linux is needed for sandboxes")
}

/// Process 1 of the sandbox: reaps whatever falls to it and ends as the test does.
#[expect(clippy::exit, reason = "the reaper's exit code is the test's")]
#[expect(clippy::zombie_processes, reason = "it is waited for, among all others")]
fn reap_until_done() {
    let exe = std::env::current_exe().unwrap();
    let test =
        again(&mut Command::new(exe), "inside").spawn().expect("the test's program starts again");
    let test = i32::try_from(test.id()).expect("process ids are positive");
    loop {
        let ended = rustix::process::wait(rustix::process::WaitOptions::empty());
        match ended {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == test => {
                std::process::exit(status.exit_status().unwrap_or(101));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the reaper cannot wait: {error}"),
        }
    }
}

/// This very test once more, by its full name.
fn again<'a>(command: &'a mut Command, role: &str) -> &'a mut Command {
    let name = std::env::var("NEXTEST_TEST_NAME").unwrap_or_else(|_| {
        let thread = std::thread::current();
        thread.name().unwrap_or("main").to_owned()
    });
    assert_ne!(name, "main", "a sandbox needs a test thread named after its test");
    let exe = std::env::current_exe().unwrap();
    if command.get_program() != exe {
        command.arg(&exe);
    }
    command.args([name.as_str(), "--exact", "--nocapture", "--quiet"]).env(ROLE, role)
}

fn bring_loopback_up() {
    ip(&["link", "set", "lo", "up"]);
}

/// Runs `ip` of iproute2, which tests may do and naru never does.
pub(crate) fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status();
    let status = status.expect("`ip` of iproute2 is needed for sandboxes");
    assert!(status.success(), "ip {}: {status}", arguments.join(" "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_sees_only_its_own_processes_and_interfaces() {
        sandbox(|| {
            let processes = fs_err::read_dir("/proc").unwrap().filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_string_lossy().parse::<u32>().is_ok()
            });
            assert_eq!(processes.count(), 2, "the reaper and the test");
            let interfaces = fs_err::read_to_string("/proc/net/dev").unwrap();
            let names: Vec<_> = interfaces
                .lines()
                .filter_map(|line| Some(line.split_once(':')?.0.trim()))
                .collect();
            assert_eq!(names, ["lo"]);
        });
    }

    #[test]
    #[should_panic(expected = "the test failed in its sandbox")]
    fn a_failure_inside_is_a_failure_outside() {
        let inside = std::env::var(ROLE).is_ok_and(|role| role == "inside");
        // The test expects a panic in every role, so the inner one must end without `should_panic` seeing it.
        #[expect(clippy::exit, reason = "stands for any failure of the body")]
        sandbox(|| std::process::exit(if inside { 3 } else { 0 }));
    }
}
