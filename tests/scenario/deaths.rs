//! kill -9 of naru's own processes: the containers do not notice, and service comes back by itself.

use std::time::{Duration, Instant};

use naru_test::tracer::{Call, Fault, fault_at};
use naru_test::{Project, TestHost, eventually, http};
use nix::libc;

use super::host;
use super::invariants::World;
use super::survival::load::Rng;
use super::sweep;

const FILE: &str = "
services:
  web:
    image: test
    restart: always
    ports: ['8080:80']
    command: [sh, -c, 'echo up; touch /tmp/stay; httpd -p 80 -h /etc; exec naru-check stays /tmp/stay']
  client: { image: test }
";

/// Brings the project up, kills, and checks that the container is the same and everything works again.
fn after_the_death_of(host: &TestHost, roles: &[&str]) {
    let project = host.project("deaths").file("compose.yaml", FILE);
    let before = host.snapshot();
    project.naru(["up", "-d"]).succeeds();
    answers(&project);
    let process = first_process(&project);
    // Looked up before the first one dies: the survivor calls a successor at once.
    let killed: Vec<_> = roles.iter().flat_map(|role| host.processes(&["naru", role])).collect();
    assert_eq!(killed.len(), roles.len(), "{roles:?}: {killed:?}");
    for process in killed {
        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    }
    assert_eq!(first_process(&project), process, "the container has not noticed");

    // Commands work, ports answer, names resolve, the policy restarts.
    project.naru(["up", "-d"]).succeeds();
    assert_eq!(first_process(&project), process, "another up has changed nothing");
    answers(&project);
    let resolve = ["exec", "-T", "client", "naru-check", "resolve", "web"];
    project.naru(resolve).succeeds();
    // Process 1 ends when it sees the file gone and this command ended: the kernel kills whoever is left then.
    project.naru(["exec", "-T", "web", "rm", "/tmp/stay"]).succeeds();
    project.until_logged("web", "up\nup\n");
    project.until("web", "running");
    assert_ne!(first_process(&project), process, "the policy has brought it back");
    answers(&project);

    project.naru(["down", "-t", "1"]).succeeds();
    before.assert_nothing_left();
}

fn answers(project: &Project<'_>) {
    eventually("the published port answers", || {
        match http::request("GET", "127.0.0.1:8080", "/passwd", "") {
            Ok((200, body)) if body.starts_with("root:") => Ok(()),
            other => Err(format!("{other:?}; {}", project.naru(["ps", "-a"]).stdout)),
        }
    });
}

/// When process 1 of the container was started: another process has another time.
fn first_process(project: &Project<'_>) -> String {
    let stat = project.naru(["exec", "-T", "web", "cat", "/proc/1/stat"]).succeeds().stdout;
    let after_name = stat.rsplit(')').next().unwrap().to_owned();
    after_name.split_whitespace().nth(19).unwrap().to_owned()
}

#[test]
fn the_supervisors_death_harms_no_container() {
    host(|host| after_the_death_of(host, &["supervisor:"]));
}

#[test]
fn the_keepers_death_harms_no_container() {
    host(|host| after_the_death_of(host, &["keeper:"]));
}

#[test]
fn the_death_of_both_harms_no_container() {
    host(|host| after_the_death_of(host, &["keeper:", "supervisor:"]));
}

#[test]
fn without_any_command_the_supervisor_comes_back() {
    host(|host| {
        let project = host.project("deaths").file("compose.yaml", FILE);
        project.naru(["up", "-d"]).succeeds();
        answers(&project);
        assert_eq!(host.kill(&["naru", "supervisor:"]), 1);
        answers(&project);
    });
}

#[test]
fn no_line_is_lost_when_the_keeper_dies() {
    host(|host| {
        let file = "services: { a: { image: test, command: [sh, -c, \
                    'i=0; while [ $$i -lt 2000 ]; do i=$$((i+1)); echo $$i; done; echo end; sleep 60'] } }";
        let project = host.project("lines").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(host.kill(&["naru", "keeper:"]), 1);
        let log = project.until_logged("a", "end\n");
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        let expected: Vec<String> =
            (1..=2000).map(|n: u32| n.to_string()).chain(["end".to_owned()]).collect();
        assert_eq!(lines, expected);
    });
}

/// Deaths of a keeper that has only begun: before it has its lock, its supervisor, its place among the control groups.
const BEGINNINGS: u64 = 6;

/// How many system calls a new keeper makes before it waits for something for the first time after it has begun a
/// supervisor.
fn calls_of_a_beginning(project: &Project<'_>) -> u64 {
    let mut calls = 0;
    let (mut has_child, mut has_begun) = (false, false);
    fault_at(&project.command(["up", "-d"]), &[], |call| {
        if is_keepers(call) && !has_begun {
            calls += 1;
            has_child |= [libc::SYS_clone, libc::SYS_clone3].contains(&call.number);
            has_begun = has_child && call.number == libc::SYS_ppoll;
        }
        None
    });
    calls
}

fn is_keepers(call: &Call) -> bool {
    call.process() == "naru keeper:"
}

#[test]
fn a_keeper_that_is_killed_in_its_first_moments_fails_no_command_and_leaves_nothing() {
    host(|host| {
        let project = host.project("beginning").file("compose.yaml", sweep::FILE);
        let world = World::new(host);
        let all = calls_of_a_beginning(&project);
        assert!(all > 20, "{all} are too few to be true");
        world.recovers(&project, "nobody's death");
        let mut random = Rng::new();
        for number in 0..BEGINNINGS {
            let nth = 1 + (number * all + random.below(all)) / BEGINNINGS;
            let mut calls = 0;
            let begin = Instant::now();
            let up = fault_at(&project.command(["up", "-d"]), &[], |call| {
                calls += u64::from(is_keepers(call));
                (calls == nth).then_some(Fault::Death)
            });
            let what = format!("call {nth} of {all}, {:?}", up.victim);
            assert_eq!(up.code, 0, "after {what}: {}", up.stderr);
            // Nobody has waited for somebody else's deadline.
            assert!(begin.elapsed() < Duration::from_secs(5), "{what}: {:?}", begin.elapsed());
            world.recovers(&project, &what);
        }
        world.end();
    });
}
