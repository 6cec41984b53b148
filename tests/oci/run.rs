//! run and exec: exit codes, descriptors, environment, who is run.

use std::io::Write;

use serde_json::json;

use super::bundle::Bundle;
use super::inside;

#[test]
fn run_exits_as_the_command_does_and_leaves_nothing() {
    inside(|| {
        for code in [0, 1, 42, 255] {
            let bundle = Bundle::new();
            bundle.script(&format!("echo out; echo err >&2; exit {code}"));
            let outcome = bundle.oci(["run", "c"]).exits_with(code);
            assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
            bundle.oci(["state", "c"]).exits_with(1);
        }
    });
}

#[test]
fn a_command_that_a_signal_ended_exits_with_128_and_its_number() {
    inside(|| {
        let bundle = Bundle::new();
        let running = bundle.begin(["run", "c"]);
        bundle.until("c", "running");
        bundle.oci(["kill", "c", "KILL"]).succeeds();
        running.wait().exits_with(137);
    });
}

#[test]
fn run_keeps_a_container_when_asked() {
    inside(|| {
        let bundle = Bundle::running(&["true"]);
        bundle.oci(["run", "--keep", "c"]).succeeds();
        assert_eq!(bundle.status("c"), "stopped");
        bundle.oci(["delete", "c"]).succeeds();
    });
}

#[test]
fn run_passes_signals_on() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.script("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        let running = bundle.begin(["run", "c"]);
        naru_test::eventually("the trap is set", || match running.stdout().as_str() {
            "ready\n" => Ok(()),
            other => Err(other.to_owned()),
        });
        running.signal(rustix::process::Signal::TERM);
        running.wait().exits_with(7);
    });
}

#[test]
fn exec_exits_as_the_command_does_and_255_when_it_cannot_run() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["run", "-d", "c"]).succeeds();
        bundle.oci(["exec", "c", "echo", "-n", "--hello"]).succeeds().prints("--hello");
        bundle.oci(["exec", "c", "false"]).exits_with(1);
        bundle.oci(["exec", "c", "sh", "-c", "exit 42"]).exits_with(42);
        bundle.oci(["exec", "c", "sh", "-c", "kill -9 $$"]).exits_with(137);
        let said = bundle.oci(["exec", "c", "nothing"]).exits_with(255).stderr;
        assert!(said.contains("executable file not found in $PATH"), "{said}");
        bundle.oci(["exec", "c", "/etc/passwd"]).exits_with(255).says("permission denied");
        bundle.oci(["exec", "--pid-file", "/no/where", "c", "true"]).exits_with(255);
        bundle.oci(["exec", "none", "true"]).exits_with(255).says("does not exist");
    });
}

#[test]
fn exec_takes_user_folder_environment_and_groups_from_flags() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["run", "-d", "c"]).succeeds();
        let script = "id -u; id -g; id -G; pwd; echo $A $B";
        let words = ["exec", "-u", "1000:1001", "-g", "5", "-g", "6", "--cwd", "/tmp"];
        let more = ["-e", "A=1", "--env", "B=2", "c", "sh", "-c", script];
        let outcome = bundle.oci(words.iter().chain(&more)).succeeds();
        assert_eq!(outcome.stdout, "1000\n1001\n1001 5 6\n/tmp\n1 2\n");
    });
}

#[test]
fn exec_takes_a_process_from_a_file() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["run", "-d", "c"]).succeeds();
        let process = json!({"args": ["sh", "-c", "echo $X; id -u"], "cwd": "/",
            "env": ["PATH=/bin", "X=y"], "user": {"uid": 7, "gid": 8}});
        fs_err::write(bundle.file("process"), process.to_string()).unwrap();
        let outcome = bundle.oci(["exec", "--process", "process", "c"]).succeeds();
        assert_eq!(outcome.stdout, "y\n7\n");
        fs_err::write(bundle.file("process"), r#"{"args": ["/bin/pwd"], "cwd": "/"}"#).unwrap();
        bundle.oci(["exec", "-p", "process", "c"]).succeeds().prints("/\n");
        fs_err::write(bundle.file("process"), r#"{"args": [], "cwd": "/"}"#).unwrap();
        bundle.oci(["exec", "-p", "process", "c"]).exits_with(255).says("args");
    });
}

#[test]
fn a_detached_exec_writes_its_number_and_goes_on() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["run", "-d", "c"]).succeeds();
        bundle.oci(["exec", "-d", "--pid-file", "pid", "c", "sleep", "1000"]).succeeds();
        let pid = fs_err::read_to_string(bundle.file("pid")).unwrap();
        let line = fs_err::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert_eq!(line, "sleep\x001000\x00");
    });
}

#[test]
fn capabilities_are_added_by_exec_and_unknown_ones_are_told() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.edit(|config| config["process"]["capabilities"] = json!({}));
        bundle.oci(["run", "-d", "c"]).succeeds();
        for (name, bits) in [("CAP_KILL", "20"), ("SYS_ADMIN", "200000"), ("CAP_UNKNOWN", "0")] {
            let words = ["exec", "--cap", name, "c", "grep", "Cap", "/proc/self/status"];
            let outcome = bundle.oci(words).succeeds();
            let expect = |set: &str, bits: &str| {
                let line = format!("{set}:\t{bits:0>16}\n");
                assert!(outcome.stdout.contains(&line), "{line}{outcome}");
            };
            for set in ["CapPrm", "CapEff", "CapBnd"] {
                expect(set, bits);
            }
            for set in ["CapInh", "CapAmb"] {
                expect(set, "0");
            }
            assert_eq!(outcome.stderr.contains("unknown capability"), name == "CAP_UNKNOWN");
        }
    });
}

#[test]
fn further_descriptors_are_passed_on_as_far_as_they_are_open() {
    use std::os::fd::AsRawFd;
    inside(|| {
        let bundle = Bundle::running(&["cat", "/proc/self/fd/4"]);
        let mut file = fs_err::File::create(bundle.file("text")).unwrap();
        file.write_all(b"handed over").unwrap();
        drop(file);
        // The shell puts the file at 4, and nothing at 5.
        let line = format!(
            "exec 3</dev/null 4<text 5>&-; exec {} --root {} run --preserve-fds \"$1\" c",
            super::bundle::PROGRAM,
            bundle.store().display()
        );
        let shell = |count: &str| {
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", &line, "sh", count]).current_dir(bundle.path());
            naru_test::Running::start(&mut shell).wait()
        };
        assert_eq!(shell("2").succeeds().stdout, "handed over");
        let outcome = shell("3").succeeds();
        assert_eq!(outcome.stdout, "handed over");
        assert!(outcome.stderr.contains("descriptor 5 is not open"), "{}", outcome.stderr);
        assert!(std::io::stdin().as_raw_fd() == 0);
    });
}

#[test]
fn errors_are_written_to_the_log_in_the_form_that_engines_read() {
    inside(|| {
        let bundle = Bundle::running(&["nothing"]);
        let words = ["--log", "log", "--log-format", "json", "create", "c"];
        bundle.oci(words).exits_with(1).says("executable file not found");
        let log = fs_err::read_to_string(bundle.file("log")).unwrap();
        let line: serde_json::Value = serde_json::from_str(log.trim()).unwrap();
        assert_eq!(line["level"], "error");
        assert!(line["msg"].as_str().unwrap().contains("\"nothing\""), "{line}");
        assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    });
}

#[test]
fn the_later_of_two_variables_of_one_name_counts() {
    inside(|| {
        let bundle = Bundle::running(&["env"]);
        bundle.edit(|config| config["process"]["env"] = json!(["A=1", "PATH=/bin", "A=2"]));
        let seen = bundle.oci(["run", "c"]).succeeds().stdout;
        assert_eq!(seen.matches("A=").count(), 1, "{seen}");
        assert!(seen.contains("A=2\n"), "{seen}");
        bundle.args(&["sleep", "1000"]);
        bundle.oci(["run", "-d", "d"]).succeeds();
        let seen = bundle.oci(["exec", "-e", "A=3", "d", "sh", "-c", "echo $A"]).succeeds().stdout;
        assert_eq!(seen, "3\n");
    });
}

#[test]
fn the_groups_of_the_caller_stay_when_an_annotation_asks() {
    inside(|| {
        // Of this thread only, which starts the runtime.
        let groups = [7, 8, 9].map(rustix::process::Gid::from_raw);
        rustix::thread::set_thread_groups(&groups).unwrap();
        let bundle = Bundle::running(&["sh", "-c", "grep Groups /proc/self/status"]);
        assert_eq!(groups_in(&bundle), "");
        bundle.edit(|config| {
            config["annotations"] = json!({"run.oci.keep_original_groups": "1"});
        });
        assert_eq!(groups_in(&bundle), "7 8 9");
        let in_a_user_namespace = |config: &mut serde_json::Value| {
            let map = json!([{"containerID": 0, "hostID": 0, "size": 8}]);
            config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
        };
        bundle.edit(in_a_user_namespace);
        assert_eq!(groups_in(&bundle), "7 65534 65534");
    });
}

/// The additional groups that a container of this bundle says it has.
fn groups_in(bundle: &Bundle) -> String {
    let seen = bundle.oci(["run", "c"]).succeeds().stdout;
    seen.trim_start_matches("Groups:").trim().to_owned()
}

#[test]
fn the_root_of_a_user_namespace_without_maps_is_the_caller() {
    inside(|| {
        let bundle = Bundle::running(&["cat", "/proc/self/uid_map"]);
        bundle.edit(|config| {
            config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
            config["mounts"] = json!([{"destination": "/proc", "type": "proc"}]);
        });
        let seen = bundle.oci(["run", "c"]).succeeds().stdout;
        assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["0", "0", "1"]);
    });
}

#[test]
fn a_socket_of_an_annotation_takes_the_pidfd() {
    inside(|| {
        let bundle = Bundle::new();
        let path = bundle.file("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        bundle.edit(|config| config["annotations"] = json!({"run.oci.pidfd_receiver": path}));
        bundle.oci(["run", "-d", "c"]).succeeds();
        listener.set_nonblocking(true).unwrap();
        listener.accept().unwrap();
    });
}
