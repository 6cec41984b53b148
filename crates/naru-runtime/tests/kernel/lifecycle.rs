//! Creating, starting, ending, and what goes wrong on the way.

use naru_runtime::{ExitStatus, Identity, Stage};

use crate::bundle::{Bundle, Output, chain, end};

crate::tests![
    exit_codes_and_signals_are_exact,
    the_command_does_not_run_before_the_start,
    a_container_that_is_dropped_unstarted_is_gone,
    a_command_that_does_not_exist_is_told_from_one_that_may_not_run,
    a_command_is_looked_for_in_the_containers_path,
    a_file_that_is_no_program_is_an_error_of_the_exec,
    an_unsupported_field_is_named_before_anything_is_made,
    a_large_environment_arrives_whole,
    the_reaper_forwards_signals_and_exits_with_the_commands_code,
    the_reaper_reaps_orphans,
    the_reaper_reports_a_command_that_cannot_run,
    an_exit_status_is_known_without_being_the_parent,
    an_identity_does_not_match_another_process,
    a_network_namespace_can_be_shared,
    many_containers_start_at_the_same_time,
    a_container_can_be_the_child_of_the_callers_parent,
    a_settled_container_is_started_by_whoever_reaches_its_socket,
    a_settled_container_tells_its_starter_that_the_exec_failed,
    a_settled_container_ends_by_a_signal,
    descriptors_are_handed_over_in_order_and_no_others,
];

fn exit_codes_and_signals_are_exact() {
    for code in [0, 1, 42, 255] {
        let outcome = Bundle::new(&["exit", &code.to_string()]).run();
        assert_eq!(outcome.status, ExitStatus::Exited(code));
    }
    // Pid 1 does not die of its own signals, so the signal comes from outside.
    let process = Bundle::new(&["forever"]).start(&Output::new()).unwrap();
    assert_eq!(end(&process), ExitStatus::Signaled(9));
}

fn the_command_does_not_run_before_the_start() {
    let bundle = Bundle::new(&["say", "started"]);
    let output = Output::new();
    let created = bundle.create(&output).unwrap();
    let seen = output.end().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(rustix::fs::fstat(&seen).unwrap().st_size, 0);
    created.start().unwrap().wait().unwrap();
    assert_eq!(output.read(), "started\n");
}

fn a_container_that_is_dropped_unstarted_is_gone() {
    let created = Bundle::new(&["forever"]).create(&Output::new()).unwrap();
    let pid = created.pid;
    drop(created);
    assert_eq!(naru_runtime::start_time(pid), None);
}

fn command(name: &str) -> Bundle {
    let mut bundle = Bundle::new(&[]);
    bundle.process(|process| {
        process.set_args(Some(vec![name.to_owned()]));
    });
    bundle
}

fn a_command_that_does_not_exist_is_told_from_one_that_may_not_run() {
    for name in ["nothing", "/nothing", "./nothing"] {
        let error = command(name).refusal();
        assert_eq!((error.stage(), error.errno()), (Some(Stage::Command), Some(2)), "{name}");
    }
    let error = command("/etc/marker").refusal();
    assert_eq!((error.stage(), error.errno()), (Some(Stage::Command), Some(13)));
    assert_eq!(
        chain(&error),
        "cannot find the command /etc/marker: Permission denied (os error 13)"
    );
}

fn a_command_is_looked_for_in_the_containers_path() {
    let mut bundle = Bundle::new(&[]);
    bundle.process(|process| {
        let words = ["checker", "say", "found"].map(str::to_owned);
        process.set_args(Some(words.to_vec()));
        process.set_env(Some(vec!["PATH=/etc:/".to_owned()]));
    });
    assert_eq!(bundle.check(), "found\n");
}

fn a_file_that_is_no_program_is_an_error_of_the_exec() {
    use std::os::unix::fs::PermissionsExt;
    let bundle = command("/etc/marker");
    let path = bundle.root.join("etc/marker");
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = bundle.refusal();
    assert_eq!((error.stage(), error.errno()), (Some(Stage::Exec), Some(8)));
}

fn an_unsupported_field_is_named_before_anything_is_made() {
    let mut bundle = Bundle::new(&["status"]);
    bundle.process(|process| {
        process.set_selinux_label(Some("system_u".to_owned()));
    });
    let text = bundle.refusal().to_string();
    let expected =
        "the specification's `process.selinuxLabel` is not supported: this host has no SELinux";
    assert_eq!(text, expected);
}

fn a_large_environment_arrives_whole() {
    let mut bundle = Bundle::new(&["env"]);
    let variables: Vec<String> =
        (0..10).map(|number| format!("V{number}={}", "x".repeat(100_000))).collect();
    bundle.process(|process| {
        process.set_env(Some(variables.clone()));
    });
    let seen = bundle.check();
    let mut lines: Vec<&str> = seen.lines().filter(|line| !line.starts_with("HOME=")).collect();
    lines.sort_unstable();
    assert!(lines == variables, "{} lines", lines.len());
}

fn the_reaper_forwards_signals_and_exits_with_the_commands_code() {
    let mut bundle = Bundle::new(&["wait-for-signal"]);
    bundle.init = true;
    let output = Output::new();
    let process = bundle.start(&output).unwrap();
    let file = output.end().unwrap();
    while rustix::fs::fstat(&file).unwrap().st_size == 0 {
        std::thread::yield_now();
    }
    process.signal(rustix::process::Signal::TERM).unwrap();
    assert_eq!(process.wait().unwrap(), ExitStatus::Exited(15));
    assert_eq!(output.read(), "ready 2\n");
}

fn the_reaper_reaps_orphans() {
    let mut bundle = Bundle::new(&["orphan", "+", "exit", "7"]);
    bundle.init = true;
    assert_eq!(bundle.run().status, ExitStatus::Exited(7));
    let mut killed = Bundle::new(&["signal", "15"]);
    killed.init = true;
    assert_eq!(killed.run().status, ExitStatus::Exited(143));
}

fn the_reaper_reports_a_command_that_cannot_run() {
    use std::os::unix::fs::PermissionsExt;
    let mut bundle = command("/etc/marker");
    bundle.init = true;
    let path = bundle.root.join("etc/marker");
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(bundle.refusal().stage(), Some(Stage::Exec));
}

fn an_exit_status_is_known_without_being_the_parent() {
    use std::os::fd::AsFd;
    let process = Bundle::new(&["exit", "42"]).start(&Output::new()).unwrap();
    let identity = process.identity().unwrap();
    let pidfd = identity.open().unwrap().unwrap();
    // A thread's child is everybody's child in the process, so another process has to look.
    assert_eq!(process.wait().unwrap(), ExitStatus::Exited(42));
    let known = naru_sys_remembers(&pidfd);
    let expected = if known { ExitStatus::Exited(42) } else { ExitStatus::Unknown };
    assert_eq!(identity.outcome(pidfd.as_fd()), Some(expected));
    assert!(identity.open().unwrap().is_none());
}

/// `PIDFD_INFO_EXIT` is in Linux 6.15 and later.
fn naru_sys_remembers(pidfd: &std::os::fd::OwnedFd) -> bool {
    use std::os::fd::AsFd;
    naru_sys::process::exit_status(pidfd.as_fd()).is_ok()
}

fn an_identity_does_not_match_another_process() {
    let bundle = Bundle::new(&["forever"]);
    let process = bundle.start(&Output::new()).unwrap();
    let identity = process.identity().unwrap();
    assert!(identity.open().unwrap().is_some());
    let other = Identity { start_time: identity.start_time + 1, ..identity.clone() };
    assert!(other.open().unwrap().is_none());
    let before_reboot = Identity { boot_id: "another".to_owned(), ..identity };
    assert!(before_reboot.open().unwrap().is_none());
    end(&process);
}

fn a_network_namespace_can_be_shared() {
    let first = Bundle::new(&["forever"]).start(&Output::new()).unwrap();
    let path = format!("/proc/{}/ns/net", first.pid);
    let mut bundle = Bundle::new(&["link", "/proc/self/ns/net"]);
    let mut linux = bundle.spec.linux().clone().unwrap();
    let mut namespaces = linux.namespaces().clone().unwrap();
    for namespace in &mut namespaces {
        if namespace.typ() == oci_spec::runtime::LinuxNamespaceType::Network {
            namespace.set_path(Some(path.clone().into()));
        }
    }
    linux.set_namespaces(Some(namespaces));
    bundle.spec.set_linux(Some(linux));
    let expected = fs_err::read_link(&path).unwrap();
    assert_eq!(bundle.check().trim(), expected.to_str().unwrap());
    end(&first);
}

fn many_containers_start_at_the_same_time() {
    std::thread::scope(|scope| {
        let start =
            |number: usize| move || Bundle::new(&["say", &number.to_string(), "+", "fds"]).check();
        let threads: Vec<_> = (0..8).map(|number| scope.spawn(start(number))).collect();
        for (number, thread) in threads.into_iter().enumerate() {
            assert_eq!(thread.join().unwrap(), format!("{number}\n\n0 1 2\n"));
        }
    });
}

fn a_container_can_be_the_child_of_the_callers_parent() {
    let pid = sibling_of(&[]);
    // The process in the middle is gone; this one, its parent, reaps the container.
    let (_, status) =
        rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.exit_status(), Some(9));
}

/// Lets a process in the middle create a container for this one, which is its parent.
pub(crate) fn sibling_of(arguments: &[&str]) -> Option<rustix::process::Pid> {
    use std::os::unix::process::CommandExt;
    let mut middle = std::process::Command::new(std::env::current_exe().unwrap());
    let printed = middle.arg0(crate::bundle::MIDDLE).args(arguments).output().unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    rustix::process::Pid::from_raw(text.trim().parse().unwrap())
}

/// The process in the middle: creates a container for its parent and prints its number.
pub(crate) fn middle() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["pid", path] => return crate::namespaces::create_in_pid_namespace(path),
        [path] => return crate::cgroups::create_from_killed_group(path),
        ["delegated", path, limits] => {
            return crate::cgroups::create_below_own_group(path, limits);
        }
        _ => {}
    }
    let mut bundle = Bundle::new(&["exit", "9"]);
    bundle.parent = naru_runtime::Parent::Sibling;
    let process = bundle.start(&Output::new()).unwrap();
    println!("{}", process.pid);
}

/// A container that waits at a socket in a folder of its own.
fn settle(bundle: &Bundle, output: &Output) -> (naru_runtime::Process, std::fs::File) {
    let folder = bundle.root.join("etc");
    let folder = fs_err::File::open(folder).unwrap().into_parts().0;
    let listener = naru_runtime::listen(&folder, "start").unwrap();
    let created = bundle.create_with(output, Some(listener), Vec::new()).unwrap();
    (created.settle().unwrap(), folder)
}

fn a_settled_container_is_started_by_whoever_reaches_its_socket() {
    let bundle = Bundle::new(&["say", "started"]);
    let output = Output::new();
    let (process, folder) = settle(&bundle, &output);
    assert_eq!(rustix::fs::fstat(output.end().unwrap()).unwrap().st_size, 0);
    naru_runtime::release(&folder, "start").unwrap();
    assert_eq!(process.wait().unwrap(), ExitStatus::Exited(0));
    assert_eq!(output.read(), "started\n");
    let again = naru_runtime::release(&folder, "start").unwrap_err();
    assert_eq!(again.errno(), Some(nix::libc::ECONNREFUSED));
}

fn a_settled_container_tells_its_starter_that_the_exec_failed() {
    use std::os::unix::fs::PermissionsExt;
    let bundle = command("/etc/marker");
    let path = bundle.root.join("etc/marker");
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (process, folder) = settle(&bundle, &Output::new());
    let error = naru_runtime::release(&folder, "start").unwrap_err();
    assert_eq!((error.stage(), error.errno()), (Some(Stage::Exec), Some(8)));
    process.wait().unwrap();
}

fn a_settled_container_ends_by_a_signal() {
    let bundle = Bundle::new(&["say", "started"]);
    let (process, _) = settle(&bundle, &Output::new());
    process.signal(rustix::process::Signal::WINCH).unwrap();
    process.signal(rustix::process::Signal::TERM).unwrap();
    assert_eq!(process.wait().unwrap(), ExitStatus::Exited(143));
}

fn descriptors_are_handed_over_in_order_and_no_others() {
    let bundle = Bundle::new(&["fds", "+", "link", "/proc/self/fd/4"]);
    let open =
        |path: &str| std::os::fd::OwnedFd::from(fs_err::File::open(path).unwrap().into_parts().0);
    let files: Vec<_> =
        (0..40).map(|n| open(if n == 1 { "/dev/zero" } else { "/dev/full" })).collect();
    let output = Output::new();
    let process = bundle.create_with(&output, None, files).unwrap().start().unwrap();
    assert_eq!(process.wait().unwrap(), ExitStatus::Exited(0));
    let mut numbers: Vec<String> = (0..43).map(|n| n.to_string()).collect();
    numbers.sort();
    assert_eq!(output.read(), format!("{}\n\n/dev/zero\n", numbers.join(" ")));
}
