//! Another naru takes over a running project, and the file of the one that runs is replaced or removed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use naru_test::{Outcome, Project, TestHost};

use super::host;
use super::survival::load::{Visitor, answers, assert_no_gap};

const FILE: &str = "
services:
  web: { image: test, ports: ['8080:80'], command: [httpd, -f, -p, '80', -h, /etc] }
  counter:
    image: test
    command: [sh, -c, 'i=0; while :; do i=$$((i+1)); echo $$i; usleep 10000; done']
";

/// A naru that is another file.
fn another(host: &TestHost, name: &str) -> PathBuf {
    let path = host.root().join("..").join(name);
    fs_err::copy(env!("CARGO_BIN_EXE_naru"), &path).unwrap();
    path
}

/// Runs this naru instead of the host's in the project's folder.
fn run(naru: &Path, project: &Project<'_>, arguments: &[&str]) -> Outcome {
    let like = project.command(arguments);
    let mut command = Command::new(naru);
    command.args(arguments).env_clear().current_dir(project.folder());
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let done = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome {
        command: format!("{command:?}"),
        code: done.status.code().unwrap_or(-1),
        stdout: text(&done.stdout),
        stderr: text(&done.stderr),
        took: std::time::Duration::ZERO,
    }
}

/// Pid and program of the only process of a role.
fn process(host: &TestHost, role: &str) -> (i32, (u64, u64)) {
    // The one that is replaced may still be on its way out.
    let found =
        naru_test::eventually("one process", || match host.processes(&["naru", role])[..] {
            [one] => Ok(one),
            ref others => Err(format!("{role} {others:?}")),
        });
    let pid = found.as_raw_nonzero().get();
    let program = fs_err::metadata(format!("/proc/{pid}/exe")).unwrap();
    (pid, (program.dev(), program.ino()))
}

fn file(path: &Path) -> (u64, u64) {
    let found = fs_err::metadata(path).unwrap();
    (found.dev(), found.ino())
}

#[test]
fn an_upgrade_takes_the_new_program_in_place_and_nobody_notices() {
    host(|host| {
        let before = host.snapshot();
        let project = host.project("upgrade").file("compose.yaml", FILE);
        project.naru(["up", "-d"]).succeeds();
        answers("127.0.0.1:8080");
        let containers = project.containers("web");
        let (keeper, program) = process(host, "keeper:");
        let (supervisor, _) = process(host, "supervisor:");
        let new = another(host, "naru-next");
        let visitor = Visitor::start("127.0.0.1:8080");
        run(&new, &project, &["system", "upgrade"]).succeeds().says("upgrade: naru ");
        assert_ne!(file(&new), program);
        assert_eq!(process(host, "keeper:"), (keeper, file(&new)), "the same process");
        let (next, its_program) = process(host, "supervisor:");
        assert_ne!(next, supervisor);
        assert_eq!(its_program, file(&new));
        // And back, twice: nothing is worn out by it.
        project.naru(["system", "upgrade"]).succeeds();
        run(&new, &project, &["system", "upgrade"]).succeeds();
        let again = run(&new, &project, &["system", "upgrade"]).succeeds();
        again.says("is run by this naru already");
        answers("127.0.0.1:8080");
        let visits = visitor.stop();
        assert_eq!(visits.refused, Vec::<String>::new(), "of {}", visits.count);
        assert_no_gap(&project, "counter");
        assert_eq!(project.containers("web")[0]["ID"], containers[0]["ID"]);
        let ended = project.naru(["stop", "-t", "0", "counter"]);
        ended.succeeds();
        assert_eq!(project.until("counter", "exited")["ExitCode"], 137);
        fs_err::remove_file(&new).unwrap();
        project.naru(["down", "-t", "0"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn a_program_that_is_replaced_or_removed_disturbs_nothing() {
    host(|host| {
        let old = another(host, "naru-old");
        let project = host.project("replaced").file("compose.yaml", FILE);
        run(&old, &project, &["up", "-d"]).succeeds();
        answers("127.0.0.1:8080");
        let (_, program) = process(host, "supervisor:");
        // A rename over it, as a package manager does.
        let new = another(host, "naru-new");
        fs_err::rename(&new, &old).unwrap();
        assert_ne!(file(&old), program);
        for role in ["supervisor:", "keeper:"] {
            assert_eq!(host.kill(&["naru", role]), 1);
            answers("127.0.0.1:8080");
            naru_test::eventually("both are there", || {
                let all = (host.count(&["naru", "keeper:"]), host.count(&["naru", "supervisor:"]));
                if all == (1, 1) { Ok(()) } else { Err(format!("{all:?}")) }
            });
            assert_eq!(process(host, role).1, program, "still the program it was started with");
        }
        fs_err::remove_file(&old).unwrap();
        project.naru(["ps"]).succeeds().prints("web-1");
        project.naru(["up", "-d", "--force-recreate", "-t", "0"]).succeeds();
        answers("127.0.0.1:8080");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}
