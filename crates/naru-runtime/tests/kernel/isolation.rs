//! What a container cannot see or change.

use naru_runtime::ExitStatus;

use crate::bundle::{Bundle, field};

crate::tests![
    every_namespace_is_the_containers_own,
    the_first_process_is_pid_1_and_sees_no_other,
    only_the_standard_files_are_open,
    a_descriptor_of_the_caller_does_not_leak,
    masked_files_are_the_null_device_and_masked_directories_are_empty,
    kernel_settings_cannot_be_written,
    the_control_groups_are_read_only,
    host_name_and_kernel_parameters_are_the_containers,
    a_parameter_of_the_host_is_refused,
    a_domain_name_is_set,
    the_default_filter_refuses_mounts_namespaces_and_hypervisor_sockets,
    the_first_process_has_left_nothing_of_naru_behind,
    the_programs_binary_is_on_a_read_only_mount,
];

fn every_namespace_is_the_containers_own() {
    let output = Bundle::new(&["namespaces"]).check();
    let inside: Vec<&str> = output.lines().collect();
    assert_eq!(inside.len(), 7);
    for (line, name) in inside.iter().zip(["cgroup", "ipc", "mnt", "net", "pid", "time", "uts"]) {
        let here = fs_err::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_ne!(*line, here.to_str().unwrap());
    }
}

fn the_first_process_is_pid_1_and_sees_no_other() {
    let output = Bundle::new(&["status", "+", "ls", "/proc"]).check();
    assert_eq!(field(&output, "Pid"), "1");
    assert_eq!(field(&output, "PPid"), "0");
    let listing = output.lines().last().unwrap();
    let processes = listing.split(' ').filter(|name| name.parse::<u32>().is_ok());
    assert_eq!(processes.count(), 1, "{listing}");
}

fn only_the_standard_files_are_open() {
    assert_eq!(Bundle::new(&["fds"]).check(), "0 1 2\n");
}

fn a_descriptor_of_the_caller_does_not_leak() {
    // Without close-on-exec, as a careless caller leaves them.
    let directory = fs_err::File::open("/").unwrap();
    let leaky = rustix::io::fcntl_dupfd_cloexec(&directory, 9).unwrap();
    rustix::io::fcntl_setfd(&leaky, rustix::io::FdFlags::empty()).unwrap();
    assert_eq!(Bundle::new(&["fds"]).check(), "0 1 2\n");
    for number in 0..16 {
        let mut bundle = Bundle::new(&["cwd"]);
        bundle.process(|process| {
            process.set_cwd(format!("/proc/self/fd/{number}").into());
        });
        // A descriptor of the host as the working directory: refused, or a path of the container.
        let output = crate::bundle::Output::new();
        if let Ok(process) = bundle.start(&output) {
            process.wait().unwrap();
            let directory = output.read();
            assert!(directory.starts_with("/proc") || directory == "/\n", "{directory}");
        }
    }
}

fn masked_files_are_the_null_device_and_masked_directories_are_empty() {
    let paths = naru_runtime::profile::masked_paths();
    for path in paths.iter().filter(|path| std::path::Path::new(path).exists()) {
        let seen =
            Bundle::new(&["stat", path, "+", "ls", path, "+", "create", &format!("{path}/x")])
                .check();
        let parts: Vec<&str> = seen.split("\n\n").collect();
        if parts[0].starts_with("dir") {
            assert_eq!(parts[1].trim(), "", "{path}");
            assert_eq!(parts[2].trim(), "errno 30", "{path}");
        } else {
            assert_eq!(parts[0], "char 666 0:0 1:3", "{path}");
        }
    }
}

fn kernel_settings_cannot_be_written() {
    for path in ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/mm/ksm/run"] {
        // Not every kernel has all of them.
        if std::path::Path::new(path).exists() {
            assert_eq!(Bundle::new(&["write", path, "x"]).check(), "errno 30\n", "{path}");
        }
    }
}

fn the_control_groups_are_read_only() {
    let seen = Bundle::new(&["ls", "/sys/fs/cgroup", "+", "create", "/sys/fs/cgroup/x"]).check();
    assert!(seen.ends_with("\n\nerrno 30\n"), "{seen}");
}

fn host_name_and_kernel_parameters_are_the_containers() {
    let mut bundle = Bundle::new(&[
        "hostname",
        "+",
        "cat",
        "/proc/sys/net/ipv4/ip_unprivileged_port_start",
        "+",
        "cat",
        "/proc/sys/kernel/shmmax",
    ]);
    bundle.spec.set_hostname(Some("web".to_owned()));
    let mut linux = bundle.spec.linux().clone().unwrap();
    let mut parameters = linux.sysctl().clone().unwrap();
    parameters.insert("kernel.shmmax".to_owned(), "123456".to_owned());
    linux.set_sysctl(Some(parameters));
    bundle.spec.set_linux(Some(linux));
    assert_eq!(bundle.check(), "web\n\n0\n\n123456\n");
}

fn a_domain_name_is_set() {
    let mut bundle = Bundle::new(&["cat", "/proc/sys/kernel/domainname"]);
    bundle.spec.set_domainname(Some("example.org".to_owned()));
    assert_eq!(bundle.check(), "example.org\n");
}

fn a_parameter_of_the_host_is_refused() {
    let mut bundle = Bundle::new(&["hostname"]);
    let mut linux = bundle.spec.linux().clone().unwrap();
    let parameter = ("kernel.core_pattern".to_owned(), "|/evil".to_owned());
    linux.set_sysctl(Some([parameter].into()));
    bundle.spec.set_linux(Some(linux));
    let text = bundle.refusal().to_string();
    assert_eq!(text, "the specification's `linux.sysctl` is not supported: kernel.core_pattern");
}

fn the_default_filter_refuses_mounts_namespaces_and_hypervisor_sockets() {
    // 38 is AF_ALG, 39 AF_NFC (unknown here), 40 AF_VSOCK, 2 AF_INET.
    let commands = "mount + unshare + socket 38 + socket 40 + socket 2";
    let words: Vec<&str> = commands.split(' ').collect();
    let seen = Bundle::new(&words).check();
    assert_eq!(seen, "errno 1\n\nerrno 1\n\nerrno 1\n\nerrno 1\n\nok\n");
}

fn the_first_process_has_left_nothing_of_naru_behind() {
    let seen = Bundle::new(&["status", "+", "env", "+", "link", "/proc/1/exe"]).check();
    assert_eq!(field(&seen, "SigBlk"), "0000000000000000");
    // Rust's runtime in the checker itself ignores SIGPIPE; nothing else may be ignored.
    assert_eq!(field(&seen, "SigIgn"), "0000000000001000");
    let parts: Vec<&str> = seen.split("\n\n").collect();
    assert_eq!(parts[1], format!("PATH={}\nHOME=/", naru_runtime::profile::PATH));
    assert_eq!(parts[2], "/checker\n");
}

fn the_programs_binary_is_on_a_read_only_mount() {
    let bundle = Bundle::new(&["forever"]);
    let output = crate::bundle::Output::new();
    let created = bundle.create(&output).unwrap();
    let program = format!("/proc/{}/exe", created.pid);
    let error = fs_err::OpenOptions::new().write(true).open(program).unwrap_err();
    // Read-only, or still being executed; never opened.
    let errno = crate::checker::errno(&error);
    assert!([30, 26].contains(&errno), "{error}");
    let process = created.start().unwrap();
    assert_eq!(crate::bundle::end(&process), ExitStatus::Signaled(9));
}
