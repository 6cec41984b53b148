//! `up` and `down`: what comes, what stays, what goes.

use naru_test::eventually;

use super::host;

const TWO: &str = "
services:
  web:
    image: test
    command: naru-check listen 80
    ports: ['8080:80']
    volumes: ['data:/data', '/anonymous']
    depends_on: [client]
  client:
    image: test
volumes:
  data:
";

#[test]
fn down_leaves_nothing_behind() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        let before = host.snapshot();
        project.naru(["up", "-d"]).succeeds();
        project.until("web", "running");
        project.until("client", "running");
        project.naru(["down"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn what_runs_on_holds_no_descriptor_of_the_command_that_started_it() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        let (mut reader, writer) = std::io::pipe().unwrap();
        // A copy that every program keeps, as a shell's `9>lock` or a build tool's pipe is.
        let kept = rustix::io::dup(&writer).unwrap();
        drop(writer);
        project.naru(["up", "-d"]).succeeds();
        drop(kept);
        rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::NONBLOCK).unwrap();
        assert_eq!(std::io::Read::read(&mut reader, &mut [0]).unwrap(), 0, "somebody holds it");
        project.until("web", "running");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn ten_times_up_and_down_end_as_the_first_began() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        let before = host.snapshot();
        for _ in 0..cycles() {
            project.naru(["up", "-d"]).succeeds();
            project.naru(["down", "-t", "0"]).succeeds();
        }
        before.assert_nothing_left();
    });
}

/// `cargo xtask soak cycles` asks for more.
fn cycles() -> u32 {
    let asked = std::env::var("NARU_SOAK_CYCLES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// T-F3, beside the test above: what naru keeps by design does not grow either.
#[test]
fn many_ups_and_downs_take_no_more_disk_than_the_first() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        let cycle = || {
            project.naru(["up", "-d"]).succeeds();
            project.naru(["down", "-t", "0", "-v"]).succeeds();
        };
        let before = host.snapshot();
        // The first ones unpack the image and begin the files that stay.
        cycle();
        cycle();
        let disk = disk_usage(&host.root()) + disk_usage(&host.run());
        for _ in 0..cycles() {
            cycle();
        }
        before.assert_nothing_left();
        let now = disk_usage(&host.root()) + disk_usage(&host.run());
        // What happened is kept: a megabyte of it at most, whatever is done how often.
        assert!(now <= disk + (1 << 20) + (64 << 10), "{disk} bytes have become {now}");
    });
}

/// Bytes on disk of all files below a folder.
fn disk_usage(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let mut waiting = vec![folder.to_owned()];
    let mut bytes = 0;
    while let Some(folder) = waiting.pop() {
        for entry in fs_err::read_dir(folder).unwrap().filter_map(Result::ok) {
            // What ends meanwhile takes no room.
            let Ok(data) = fs_err::symlink_metadata(entry.path()) else { continue };
            bytes += data.blocks() * 512;
            if data.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    bytes
}

#[test]
fn a_second_up_changes_nothing() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        project.naru(["up", "-d"]).succeeds();
        let first = project.until("web", "running")["ID"].clone();
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(project.until("web", "running")["ID"], first);
    });
}

#[test]
fn only_a_changed_service_is_made_again() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        project.naru(["up", "-d"]).succeeds();
        let web = project.until("web", "running")["ID"].clone();
        let client = project.until("client", "running")["ID"].clone();
        let project = project.file("compose.yaml", &TWO.replace("listen 80", "listen 81"));
        project.naru(["up", "-d"]).succeeds();
        assert_ne!(project.until("web", "running")["ID"], web);
        assert_eq!(project.until("client", "running")["ID"], client);
    });
}

#[test]
fn up_of_one_service_starts_it_and_what_it_depends_on() {
    host(|host| {
        let three = TWO.replace("services:", "services:\n  other: { image: test }");
        let project = host.project("two").file("compose.yaml", &three);
        project.naru(["up", "-d", "web"]).succeeds();
        project.until("web", "running");
        project.until("client", "running");
        assert_eq!(project.containers("other").len(), 0);
    });
}

#[test]
fn services_of_a_profile_start_only_when_it_is_asked_for() {
    host(|host| {
        let file = "services: { a: { image: test }, b: { image: test, profiles: [extra] } }";
        let project = host.project("profiles").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "running");
        assert_eq!(project.containers("b").len(), 0);
        project.naru(["--profile", "extra", "up", "-d"]).succeeds();
        project.until("b", "running");
    });
}

#[test]
fn down_and_logs_need_only_the_projects_name() {
    host(|host| {
        let file = "services: { a: { image: test, command: echo spoken } }";
        let project = host.project("named").file("compose.yaml", file);
        let before = host.snapshot();
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("a", "spoken");
        host.naru(["-p", "named", "logs"]).succeeds().prints("spoken");
        host.naru(["-p", "named", "down"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn down_of_a_project_that_is_not_there_succeeds() {
    host(|host| {
        let project = host.project("none").file("compose.yaml", TWO);
        project.naru(["down"]).succeeds();
    });
}

#[test]
fn the_last_naru_process_is_gone_right_after_down() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        project.naru(["up", "-d"]).succeeds();
        project.naru(["down"]).succeeds();
        // How long that takes is a row of the benchmark: here the machine may be busy.
        eventually("no naru runs", || {
            let left = naru_test::leak::processes_named("naru");
            if left == 0 { Ok(()) } else { Err(format!("{left} processes")) }
        });
    });
}

#[test]
fn a_container_outlives_the_command_that_started_it() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        project.naru(["up", "-d"]).succeeds();
        // The command above has ended, and its process group with it.
        let answer = eventually("the container answers", || {
            let outcome =
                project.naru(["exec", "-T", "client", "naru-check", "connect", "web", "80"]);
            if outcome.code == 0 { Ok(outcome.stdout) } else { Err(outcome.to_string()) }
        });
        assert!(answer.starts_with("hello from "), "{answer}");
    });
}
