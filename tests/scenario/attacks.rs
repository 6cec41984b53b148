//! Attacks by images, Compose files and what runs in containers, through `up`, `exec` and `down`; docs/isolation.md has
//! the list. Each begins and ends with the canary: files of the host whose secret nobody may see and which nobody may
//! change. The runtime's own tests (`crates/naru-runtime/tests/kernel/attacks`) try the races more often.

use std::path::Path;

use naru_test::{Canary, Project, RootTar, TestHost, eventually};

use super::host;

/// How often a race is tried: `NARU_TEST_ATTEMPTS`, or so many that it takes a few seconds.
fn attempts() -> usize {
    std::env::var("NARU_TEST_ATTEMPTS").map_or(5, |text| text.parse::<usize>().unwrap() / 20)
}

/// A host and a canary that also watches naru's program.
fn attacked(body: impl FnOnce(&TestHost, &Canary) -> Vec<String>) {
    host(|host| {
        let canary = Canary::begin(&[Path::new(env!("CARGO_BIN_EXE_naru"))]);
        let said = body(host, &canary);
        canary.end(&said.iter().map(String::as_str).collect::<Vec<_>>());
    });
}

/// An image of the checker alone, with links and files of one's own.
fn image(host: &TestHost, name: &str, links: &[(&str, &str)], changes: &[&str]) {
    let mut tar = RootTar::new().program(env!("CARGO_BIN_EXE_naru-check"));
    for (path, target) in links {
        tar = tar.link(path, target);
    }
    host.import(name, tar, changes);
}

/// Brings the project up and gives what the containers and naru said.
fn up(project: &Project<'_>) -> String {
    let outcome = project.naru(["up", "-d"]);
    let logs = project.naru(["logs", "--no-log-prefix"]);
    format!("{}{}{}{}", outcome.stdout, outcome.stderr, logs.stdout, logs.stderr)
}

/// What a service that runs to its end logged, when it has ended.
fn log_of(project: &Project<'_>, service: &str) -> String {
    project.until(service, "exited");
    project.naru(["logs", "--no-log-prefix", service]).succeeds().stdout
}

// A1, CVE-2019-5736
#[test]
fn narus_program_is_the_same_after_a_container_has_tried_to_overwrite_it() {
    attacked(|host, _| {
        image(
            host,
            "self",
            &[("entry", "/proc/self/exe")],
            &["ENTRYPOINT [\"/entry\", \"--version\"]"],
        );
        let file = "
services:
  a:
    image: test
    command: naru-check attack exe-overwrite 60
    cap_add: [SYS_PTRACE]
    environment: { LD_PRELOAD: /evil.so, LD_LIBRARY_PATH: / }
  b: { image: self }
";
        let project = host.project("overwrite").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("a", "waiting");
        for _ in 0..attempts() {
            project.naru(["exec", "-T", "a", "true"]).succeeds();
        }
        // The container may end before the command does.
        project.naru(["exec", "-T", "a", "touch", "/stop"]);
        let said = log_of(&project, "a");
        assert!(said.contains(" writable 0\n"), "{said}");
        project.naru(["down"]).succeeds();
        vec![said]
    });
}

// A2, CVE-2024-21626
#[test]
fn a_working_directory_of_an_image_is_never_a_descriptor_of_the_host() {
    attacked(|host, canary| {
        let secret = format!(".{}", canary.file().display());
        let mut said = Vec::new();
        for number in [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 63] {
            let name = format!("fd{number}");
            let change = format!("WORKDIR /proc/self/fd/{number}");
            image(host, &name, &[], &[&change, "CMD [\"naru-check\", \"sleep\"]"]);
            let read = format!("naru-check read {secret}");
            let file = format!(
                "services: {{ a: {{ image: {name}, command: {read} }}, \
                 b: {{ image: test, command: {read}, working_dir: /proc/self/fd/{number}/../.. }} }}"
            );
            let project = host.project(&name).file("compose.yaml", &file);
            said.push(up(&project));
            project.naru(["down"]).succeeds();
        }
        let project = host.project("exec").file("compose.yaml", "services: { a: { image: test } }");
        project.naru(["up", "-d"]).succeeds();
        for number in 0..16 {
            let directory = format!("/proc/self/fd/{number}/../..");
            let words = ["exec", "-T", "-w", &directory, "a", "naru-check", "read", &secret];
            let outcome = project.naru(words);
            assert_ne!(outcome.code, 0, "{outcome}");
            said.push(outcome.stdout + &outcome.stderr);
        }
        project.naru(["down"]).succeeds();
        said
    });
}

// A3, CVE-2016-9962
#[test]
fn a_debugger_in_a_container_sees_nothing_of_the_host_while_naru_enters() {
    attacked(|host, canary| {
        let file = format!(
            "services: {{ a: {{ image: test, command: naru-check attack watch 60 {}, cap_add: [SYS_PTRACE] }} }}",
            canary.file().display()
        );
        let project = host.project("watch").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("a", "watching");
        for _ in 0..attempts() * 2 {
            project.naru(["exec", "-T", "a", "true"]).succeeds();
        }
        // The container may end before the command does.
        project.naru(["exec", "-T", "a", "touch", "/stop"]);
        let said = log_of(&project, "a");
        for leak in ["root of the host", "cwd of the host", "descriptor anon_inode"] {
            assert!(!said.contains(leak), "{said}");
        }
        project.naru(["down"]).succeeds();
        vec![said]
    });
}

// A4 and A8
#[test]
fn an_image_whose_proc_sys_or_dev_is_a_link_is_refused() {
    attacked(|host, canary| {
        let folder = canary.directory().display().to_string();
        let mut said = Vec::new();
        for (name, target) in
            [("proc", "/tmp"), ("sys", "/tmp"), ("dev", folder.as_str()), ("dev", "/../../tmp")]
        {
            image(host, "linked", &[(name, target)], &["CMD [\"naru-check\", \"sleep\"]"]);
            let project =
                host.project("linked").file("compose.yaml", "services: { a: { image: linked } }");
            let outcome = project.naru(["up", "-d"]).exits_with(1).says(&format!("/{name}"));
            said.push(outcome.stderr);
            project.naru(["down"]).succeeds();
        }
        said
    });
}

#[test]
fn a_volume_in_proc_is_refused_by_name() {
    attacked(|host, _| {
        let mut said = Vec::new();
        for target in ["/proc", "/proc/self", "/proc/sys/net"] {
            for kind in ["volumes", "tmpfs"] {
                let entry =
                    if kind == "tmpfs" { target.to_owned() } else { format!("store:{target}") };
                let file = format!(
                    "services: {{ a: {{ image: test, {kind}: ['{entry}'] }} }}\nvolumes: {{ store: {{}} }}"
                );
                let project = host.project("proc").file("compose.yaml", &file);
                let outcome = project.naru(["up", "-d"]).exits_with(1);
                let reasons = [format!("{target} is inside /proc"), "it is no procfs".to_owned()];
                assert!(reasons.iter().any(|why| outcome.stderr.contains(why)), "{outcome}");
                said.push(outcome.stderr);
                project.naru(["down"]).succeeds();
            }
        }
        said
    });
}

/// One service exchanges names in a volume; another, which has it at a place that matters, starts again and again.
fn raced(
    host: &TestHost,
    service: &str,
    prepare: &str,
    swap: &str,
    check: impl Fn(&str),
) -> Vec<String> {
    let file = format!(
        "
services:
  evil: {{ image: test, volumes: ['store:/v'], command: [sh, -c, '{prepare}; exec naru-check attack swap {swap}'] }}
  b: {{ image: test, {service} }}
volumes: {{ store: {{}} }}
"
    );
    let project = host.project("race").file("compose.yaml", &file);
    project.naru(["up", "-d", "evil"]).succeeds();
    project.until_logged("evil", "swapping");
    let mut said = Vec::new();
    for _ in 0..attempts() {
        let outcome = project.naru(["up", "-d", "--no-deps", "--force-recreate", "b"]);
        if outcome.code == 0 {
            let log = log_of(&project, "b");
            check(&log);
            said.push(log);
        }
        said.push(outcome.stderr);
    }
    project.naru(["down", "-v", "-t", "0"]).succeeds();
    said
}

// A5, CVE-2025-31133
#[test]
fn masks_hold_while_a_sibling_exchanges_the_null_device() {
    attacked(|host, _| {
        let prepare =
            "ln -s /proc/sys/kernel/core_pattern /v/null; mknod /v/real c 1 3; echo > /v/tty";
        let service = "volumes: ['store:/dev'], \
             command: naru-check attack reopen /proc/sys/kernel/core_pattern";
        raced(host, service, prepare, "/v/null /v/real", |log| {
            assert_eq!(log, "/proc/sys/kernel/core_pattern: errno 30\n");
        })
    });
}

// A6, CVE-2025-52565
#[test]
fn the_console_holds_while_a_sibling_exchanges_it() {
    attacked(|host, _| {
        let prepare = "ln -s /proc/sys/kernel/core_pattern /v/console; echo > /v/tty; mkdir /v/pts";
        let service = "tty: true, volumes: ['store:/dev'], tmpfs: ['/run'], \
             command: naru-check attack reopen /proc/sys/kernel/core_pattern";
        raced(host, service, prepare, "/v/console /v/tty", |log| {
            assert!(log.contains("core_pattern: errno 30"), "{log}");
        })
    });
}

// A10 and A11, CVE-2021-30465, CVE-2024-45310
#[test]
fn mount_points_in_a_shared_volume_stay_in_the_root() {
    attacked(|host, canary| {
        let folder = canary.directory().display().to_string();
        let prepare = format!("mkdir /v/x; ln -s {folder} /v/l");
        let service = "volumes: ['store:/m', './data:/m/x/made/here'], \
             command: cat /proc/self/mountinfo";
        raced(host, service, &prepare, "/v/x /v/l", |log| {
            let inside = [" /m/x/made/here ", " /m/l/made/here ", &format!(" {folder}/made/here ")];
            assert!(inside.iter().any(|place| log.contains(place)), "{log}");
        })
    });
}

// A7, CVE-2025-52881
#[test]
fn kernel_parameters_of_a_service_land_in_its_own_namespaces() {
    attacked(|host, _| {
        let file = "
services:
  a:
    image: test
    sysctls: { kernel.msgmax: 4321, net.ipv4.ip_forward: 1 }
    oom_score_adj: 900
    command: [cat, /proc/sys/kernel/msgmax, /proc/sys/net/ipv4/ip_forward, /proc/self/oom_score_adj]
";
        let project = host.project("sysctls").file("compose.yaml", file);
        let before = fs_err::read_to_string("/proc/sys/kernel/msgmax").unwrap();
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(log_of(&project, "a"), "4321\n1\n900\n");
        assert_eq!(fs_err::read_to_string("/proc/sys/kernel/msgmax").unwrap(), before);
        project.naru(["down"]).succeeds();
        Vec::new()
    });
}

// A12, A13, A14, A19 and the filter
#[test]
fn a_container_cannot_undo_what_confines_it() {
    attacked(|host, _| {
        let project = host.project("undo").file("compose.yaml", "services: { a: { image: test } }");
        project.naru(["up", "-d"]).succeeds();
        let attack = |words: &[&str]| {
            let all = ["exec", "-T", "a", "naru-check", "attack"].iter().chain(words);
            project.naru(all).succeeds().stdout
        };
        for line in attack(&["undo"]).lines() {
            assert!(line.ends_with("errno 1"), "{line}");
        }
        for line in attack(&["release-agent"]).lines() {
            assert!(line.ends_with("errno 1") || line.ends_with("written: false"), "{line}");
        }
        let groups = attack(&["write-below", "/sys/fs/cgroup"]);
        assert!(groups.starts_with("tried ") && groups.lines().count() == 1, "{groups}");
        for user in ["0", "1000"] {
            let caps = ["exec", "-T", "-u", user, "a", "naru-check", "attack", "caps"];
            let caps = project.naru(caps).succeeds().stdout;
            for set in ["CapInh", "CapAmb"] {
                assert!(caps.contains(&format!("{set}:\t0000000000000000")), "{caps}");
            }
        }
        assert_eq!(attack(&["sys", "41", "0x100000028", "1", "0"]), "errno 1\n");
        project.naru(["down"]).succeeds();
        Vec::new()
    });
}

// The host's null device, as standard input.
#[test]
fn a_container_cannot_change_the_hosts_null_device() {
    attacked(|host, _| {
        // The test host's own: what goes wrong here goes wrong for this test only.
        let own = host.root().join("null");
        let status = std::process::Command::new("mknod")
            .arg(&own)
            .args(["-m", "666", "c", "1", "3"])
            .status();
        assert!(status.unwrap().success());
        rustix::mount::mount_bind(&own, "/dev/null").unwrap();
        let mode = || {
            use std::os::unix::fs::MetadataExt as _;
            let data = fs_err::metadata("/dev/null").unwrap();
            (data.mode(), data.uid(), data.ctime(), data.ctime_nsec())
        };
        let before = mode();
        let words = "naru-check attack mode /proc/self/fd/0 600";
        let file =
            format!("services: {{ a: {{ image: test, command: {words} }}, b: {{ image: test }} }}");
        let project = host.project("null").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        log_of(&project, "a");
        let exec = ["exec", "-T", "b"].into_iter().chain(words.split(' '));
        project.naru(exec);
        project.naru(["down"]).succeeds();
        assert_eq!(mode(), before);
        rustix::mount::unmount("/dev/null", rustix::mount::UnmountFlags::DETACH).unwrap();
        Vec::new()
    });
}

// A16, CVE-2020-15257
#[test]
fn naru_has_no_socket_that_a_container_on_the_hosts_network_could_reach() {
    attacked(|host, _| {
        let file = "services: { a: { image: test, network_mode: host }, b: { image: test } }";
        let project = host.project("sockets").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let words = ["exec", "-T", "a", "naru-check", "attack", "connect-abstract"];
        assert_eq!(project.naru(words).succeeds().stdout, "");
        project.naru(["down"]).succeeds();
        Vec::new()
    });
}

#[test]
fn narus_sockets_are_for_root_alone() {
    attacked(|host, _| {
        use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
        let project = host.project("mine").file("compose.yaml", "services: { a: { image: test } }");
        project.naru(["up", "-d"]).succeeds();
        let mut waiting = vec![(host.run(), false)];
        let mut found = 0;
        while let Some((path, is_shut)) = waiting.pop() {
            let data = fs_err::symlink_metadata(&path).unwrap();
            let is_shut = is_shut || data.mode() & 0o077 == 0;
            if data.is_dir() {
                let entries = fs_err::read_dir(&path).unwrap();
                waiting.extend(entries.map(|entry| (entry.unwrap().path(), is_shut)));
            } else if data.file_type().is_socket() || data.file_type().is_fifo() {
                found += 1;
                assert!(is_shut && data.uid() == 0, "{} {:o}", path.display(), data.mode());
            }
        }
        assert!(found > 2, "{found}");
        project.naru(["down"]).succeeds();
        Vec::new()
    });
}

// D2, CVE-2022-36109
#[test]
fn supplementary_groups_are_neither_missing_nor_too_many() {
    attacked(|host, _| {
        let file = "
services:
  a: { image: test, user: '1000:1000' }
  b: { image: test, user: app, group_add: ['4321'] }
";
        let project = host.project("groups").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let id = |words: &[&str]| {
            let all = ["exec", "-T"].iter().chain(words).chain(&["id", "-G"]);
            project.naru(all).succeeds().stdout
        };
        assert_eq!(id(&["a"]), "1000\n");
        assert_eq!(id(&["b"]), "1000 2000 4321\n");
        assert_eq!(id(&["-u", "1000:1000", "b"]), "1000\n");
        // A file that its group, and only its group, may not read.
        let make = "echo secret > /tmp/f; chown 0:1000 /tmp/f; chmod 705 /tmp/f";
        project.naru(["exec", "-T", "-u", "0", "a", "sh", "-c", make]).succeeds();
        project.naru(["exec", "-T", "a", "cat", "/tmp/f"]).exits_with(1);
        project.naru(["exec", "-T", "-u", "app", "a", "cat", "/tmp/f"]).exits_with(1);
        project.naru(["down"]).succeeds();
        Vec::new()
    });
}

/// Descriptors, threads and private memory (KiB) of keeper and supervisor, when no command of naru's runs any more.
fn usage(host: &TestHost) -> (usize, usize, usize) {
    eventually("only keeper and supervisor run", || {
        let (mut processes, mut descriptors, mut threads, mut memory) = (0, 0, 0, 0);
        for entry in fs_err::read_dir("/proc").unwrap() {
            let path = entry.unwrap().path();
            let program = fs_err::read_link(path.join("exe")).unwrap_or_default();
            if program != Path::new(env!("CARGO_BIN_EXE_naru")) {
                continue;
            }
            processes += 1;
            descriptors += fs_err::read_dir(path.join("fd")).map_or(0, Iterator::count);
            threads += fs_err::read_dir(path.join("task")).map_or(0, Iterator::count);
            let status = fs_err::read_to_string(path.join("status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
            let number =
                line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
            memory += number.unwrap_or(0);
        }
        let found = (descriptors, threads, memory);
        if processes == 2 {
            Ok(found)
        } else {
            Err(format!("{} has {processes}", host.root().display()))
        }
    })
}

// B6, CVE-2022-23471, CVE-2025-64329
#[test]
fn commands_that_come_and_go_leave_nothing_in_narus_processes() {
    attacked(|host, _| {
        let file = "services: { a: { image: test, command: [sh, -c, 'while :; do echo line; sleep 0.1; done'] } }";
        let project = host.project("leaks").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let round = || {
            project.naru(["exec", "-T", "a", "true"]).succeeds();
            // One whose output nobody reads, and one that follows the log; both vanish.
            let mut flood =
                project.command(["exec", "-T", "a", "naru-check", "attack", "flood", "1073741824"]);
            flood.stdout(std::process::Stdio::piped());
            let mut flood = flood.spawn().unwrap();
            let follow = project.start(["logs", "-f"]);
            eventually("the log is followed", || {
                if follow.stdout().contains("line") { Ok(()) } else { Err(follow.stderr()) }
            });
            drop(follow);
            flood.kill().unwrap();
            flood.wait().unwrap();
        };
        round();
        let before = usage(host);
        (0..attempts()).for_each(|_| round());
        eventually("naru's processes are as before", || {
            let after = usage(host);
            let same = after.0 == before.0
                && after.1 == before.1
                && after.2 <= before.2 + before.2 / 20 + 512;
            if same { Ok(()) } else { Err(format!("{before:?} {after:?}")) }
        });
        project.naru(["down", "-t", "0"]).succeeds();
        Vec::new()
    });
}
