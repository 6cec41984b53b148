//! kill -9 of naru's own processes again and again: nobody outside notices, nothing is lost, every deadline is kept.

mod entering;
mod flood;
pub(in crate::scenario) mod load;

use std::time::{Duration, Instant};

use naru_test::{Project, TestHost, eventually, within};
use rustix::process::{Pid, Signal, kill_process};

use super::host;
use load::{Recovery, Rng, Visitor, answers, assert_no_gap, soak_seconds};

/// What must go on: a page behind a port that is visited all the time, a log that counts, somebody who asks for names;
/// and a page that only the clock asks for (the other's busybox takes few connections at once, and who comes when there
/// are more waits a second).
const FILE: &str = "
services:
  web:
    image: test
    ports: ['8080:80']
    command: [httpd, -f, -p, '80', -h, /etc]
  page:
    image: test
    ports: ['8081:80']
    command: [httpd, -f, -p, '80', -h, /etc]
  counter:
    image: test
    command: [sh, -c, 'i=0; while :; do i=$$((i+1)); echo $$i; usleep 10000; done']
  client:
    image: test
    command: [sh, -c, 'while :; do naru-check resolve web >/dev/null || naru-check resolve web >/dev/null || echo lost; echo asked; usleep 100000; done']
";

pub(super) const SUPERVISOR: [&str; 2] = ["naru", "supervisor:"];
pub(super) const KEEPER: [&str; 2] = ["naru", "keeper:"];

fn up<'h>(host: &'h TestHost, name: &str, file: &str) -> Project<'h> {
    let project = host.project(name).file("compose.yaml", file);
    project.naru(["up", "-d"]).succeeds();
    project
}

/// Waits until the project has exactly its two processes, the one the other's child, and gives them.
fn settled(host: &TestHost) -> [Pid; 2] {
    eventually("a keeper and its supervisor", || {
        let (keepers, supervisors) = (host.processes(&KEEPER), host.processes(&SUPERVISOR));
        match (keepers.as_slice(), supervisors.as_slice()) {
            ([keeper], [supervisor]) if load::parent(*supervisor) == Some(*keeper) => {
                Ok([*keeper, *supervisor])
            }
            others => Err(format!("{others:?}")),
        }
    })
}

/// Kills the keeper or the supervisor.
pub(super) fn kill(host: &TestHost, role: [&str; 2]) {
    let [keeper, supervisor] = settled(host);
    let victim = if role == KEEPER { keeper } else { supervisor };
    kill_process(victim, Signal::KILL).unwrap();
    gone(victim);
}

/// Waits until a killed process has ended: until then it looks like one that works, and the next death would be a second
/// one at the same time.
fn gone(victim: Pid) {
    eventually("it is gone", || match load::parent(victim) {
        None => Ok(()),
        Some(_) => Err("it is there".to_owned()),
    });
}

/// Kills any of naru's processes when there are several, whatever they are just doing, and waits for its end.
fn kill_one_of_several(host: &TestHost, random: &mut Rng) {
    let victim = eventually("two of naru's processes", || {
        let all = [host.processes(&KEEPER), host.processes(&SUPERVISOR)].concat();
        let alive: Vec<_> = all.into_iter().filter(|pid| load::parent(*pid).is_some()).collect();
        match random.choose(&alive) {
            Some(victim) if alive.len() > 1 => Ok(*victim),
            _ => Err(format!("{alive:?}")),
        }
    });
    // One that has just ended by itself is just as good.
    kill_process(victim, Signal::KILL).ok();
    gone(victim);
}

/// Kills both. The supervisor is stopped first: it would call another keeper.
fn kill_both(host: &TestHost) {
    let [keeper, supervisor] = settled(host);
    kill_process(supervisor, Signal::STOP).unwrap();
    for victim in [keeper, supervisor] {
        kill_process(victim, Signal::KILL).unwrap();
    }
    eventually("both are gone", || match (load::parent(keeper), load::parent(supervisor)) {
        (None, None) => Ok(()),
        left => Err(format!("{left:?}")),
    });
}

#[test]
fn no_connection_is_refused_and_no_name_or_line_lost_while_keeper_and_supervisor_die_in_turn() {
    host(|host| {
        let before = host.snapshot();
        let project = up(host, "turns", FILE);
        answers("127.0.0.1:8080");
        let visitor = Visitor::start("127.0.0.1:8080");
        for role in [SUPERVISOR, KEEPER, KEEPER, SUPERVISOR, SUPERVISOR, KEEPER] {
            kill(host, role);
            visitor.once_more();
            answers("127.0.0.1:8080");
            settled(host);
        }
        let visits = visitor.stop();
        assert_eq!(visits.refused, Vec::<String>::new());
        let asked = project.until_logged("client", "asked\n");
        assert!(!asked.contains("lost"), "{asked}");
        assert_no_gap(&project, "counter");
        project.naru(["down", "-t", "0"]).succeeds();
        before.assert_nothing_left();
    });
}

/// Random deaths of random processes, 50 to 500 ms apart: short here, long in `cargo xtask soak deaths`.
#[test]
fn random_deaths_in_quick_succession_lose_nothing() {
    host(|host| {
        let mut file = FILE.to_owned();
        for n in 1..=5 {
            file += &format!(
                "  end{n}: {{ image: test, command: [sh, -c, 'sleep {n}; exit {}'] }}\n",
                40 + n
            );
        }
        let project = up(host, "random", &file);
        answers("127.0.0.1:8080");
        let visitor = Visitor::start("127.0.0.1:8080");
        let mut recovery = Recovery::default();
        let mut random = Rng::new();
        let end = Instant::now() + Duration::from_secs(soak_seconds(8));
        let mut deaths = 0;
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50 + random.below(450)));
            let all = host.processes(&["naru", "supervisor:"]);
            let keepers = host.processes(&["naru", "keeper:"]);
            let all: Vec<_> = all.into_iter().chain(keepers).collect();
            let Some(victim) = random.choose(&all) else {
                // Both at once: the next command takes over.
                project.naru(["ps"]).succeeds();
                continue;
            };
            // Who is told when it takes long: the role, and whether others are there beside it.
            let role = load::role(*victim);
            kill_process(*victim, Signal::KILL).ok();
            deaths += 1;
            recovery.measure("127.0.0.1:8081", &format!("{role} of {}", all.len()));
        }
        project.naru(["ps"]).succeeds();
        settled(host);
        answers("127.0.0.1:8080");
        let median = recovery.report(deaths);
        assert!(
            median <= Duration::from_millis(200),
            "full service was back after {median:?} only"
        );
        let visits = visitor.stop();
        assert_eq!(
            visits.refused,
            Vec::<String>::new(),
            "{deaths} deaths, {} visits",
            visits.count
        );
        assert_no_gap(&project, "counter");
        let asked = project.until_logged("client", "asked\n");
        assert!(!asked.contains("lost"), "{asked}");
        for n in 1..=5 {
            let container = project.until(&format!("end{n}"), "exited");
            assert_eq!(container["ExitCode"], 40 + n, "{container}");
        }
        project.naru(["down", "-t", "0"]).succeeds();
        eventually("no naru process is left", || match host.count(&["naru", ":"]) {
            0 => Ok(()),
            some => Err(some.to_string()),
        });
    });
}

#[test]
fn exit_codes_are_exact_when_the_keeper_dies_around_them() {
    host(|host| {
        let mut file = "services:\n".to_owned();
        for n in 1..=8 {
            let command = format!("while [ ! -e /go ]; do usleep 5000; done; exit {}", 60 + n);
            file += &format!("  e{n}: {{ image: test, command: [sh, -c, '{command}'] }}\n");
        }
        let project = up(host, "codes", &file);
        for n in 1..=8 {
            let service = format!("e{n}");
            // It may end with the container.
            project.naru(["exec", "-T", &service, "touch", "/go"]);
            if n % 2 == 0 {
                kill(host, KEEPER);
            } else {
                kill(host, SUPERVISOR);
            }
            let container = project.until(&service, "exited");
            assert_eq!(container["ExitCode"], 60 + n, "{container}");
            settled(host);
        }
    });
}

#[test]
fn a_restart_that_waits_for_its_delay_is_due_when_it_was_and_counts_as_before() {
    host(|host| {
        let file = "
services:
  a:
    image: test
    command: [sh, -c, 'echo started; exit 1']
    deploy: { restart_policy: { condition: on-failure, delay: 2s, max_attempts: 3 } }
";
        let project = up(host, "delay", file);
        for roles in [&[SUPERVISOR][..], &[KEEPER], &[KEEPER, SUPERVISOR]] {
            project.until("a", "restarting");
            for role in roles {
                host.kill(role);
            }
            // With both gone, this is the command that takes over.
            project.naru(["ps"]).succeeds();
            let starts = load::starts(&project, "a").len();
            within(Duration::from_secs(20), "the next start", || {
                let now = load::starts(&project, "a").len();
                if now > starts { Ok(()) } else { Err(now.to_string()) }
            });
        }
        project.until("a", "exited");
        let starts = load::starts(&project, "a");
        assert_eq!(starts.len(), 4, "the first start and three more: {starts:?}");
        for pair in starts.windows(2) {
            let pause = Duration::from_nanos(pair[1] - pair[0]);
            assert!(pause >= Duration::from_millis(1900), "{pause:?}");
            assert!(pause < Duration::from_millis(3900), "the delay began anew: {pause:?}");
        }
    });
}

#[test]
fn a_health_check_keeps_its_deadlines_and_counts_through_the_supervisors_deaths() {
    host(|host| {
        let file = "
services:
  a:
    image: test
    command: [sh, -c, 'sleep 1000']
    healthcheck: { test: [CMD, 'false'], interval: 2s, timeout: 10s, retries: 3 }
";
        let begin = Instant::now();
        let project = up(host, "health", file);
        for death in [SUPERVISOR, KEEPER, SUPERVISOR, SUPERVISOR] {
            std::thread::sleep(Duration::from_millis(1100));
            kill(host, death);
        }
        // Each death would begin the count anew: not before 4.4 s + 6 s.
        within(Duration::from_secs(30), "unhealthy", || {
            let status = project.containers("a")[0]["Health"].clone();
            if status == "unhealthy" { Ok(()) } else { Err(status.to_string()) }
        });
        let took = begin.elapsed();
        assert!(took >= Duration::from_secs(6), "no failure counts twice: {took:?}");
        assert!(took < Duration::from_secs(9), "the count began anew: {took:?}");
    });
}

#[test]
fn a_probe_that_hangs_goes_with_the_supervisor_that_waited_for_it() {
    host(|host| {
        let file = "
services:
  a:
    image: test
    command: [sh, -c, 'sleep 1000']
    healthcheck: { test: [CMD, sleep, '777'], interval: 1h, timeout: 1h }
";
        let project = up(host, "probe", file);
        let probe = |before: &[Pid]| {
            eventually("one probe", || match host.processes(&["sleep", "777"]) {
                // Written down: whom the next supervisor ends. There is a moment between the two.
                found if found.len() == 1 && found != before && load::is_noted(host, found[0]) => {
                    Ok(found)
                }
                found => Err(format!("{found:?}")),
            })
        };
        let mut before = probe(&[]);
        for role in [SUPERVISOR, KEEPER] {
            kill(host, role);
            before = probe(&before);
        }
        project.naru(["down", "-t", "0"]).succeeds();
        assert_eq!(host.count(&["sleep", "777"]), 0);
    });
}

#[test]
fn a_terminal_survives_either_of_the_two() {
    host(|host| {
        let file = "
services:
  a: { image: test, tty: true, command: [sh, -c, 'i=0; while :; do i=$$((i+1)); echo $$i; usleep 5000; done'] }
";
        let project = up(host, "terminal", file);
        let process = project.until("a", "running")["ID"].clone();
        for role in [KEEPER, SUPERVISOR, KEEPER] {
            project.until_logged("a", "5");
            kill(host, role);
            settled(host);
        }
        let lines = load::lines(&project, "a").len();
        eventually("output goes on", || match load::lines(&project, "a").len() {
            now if now > lines => Ok(()),
            now => Err(now.to_string()),
        });
        assert_eq!(project.until("a", "running")["ID"], process);
    });
}

#[test]
fn an_up_that_is_under_way_is_finished_whoever_dies_meanwhile() {
    host(|host| {
        let file = "
services:
  slow:
    image: test
    command: [sh, -c, 'sleep 2; touch /ready; sleep 1000']
    healthcheck: { test: [CMD, test, -e, /ready], interval: 200ms, retries: 100 }
  late: { image: test, depends_on: { slow: { condition: service_healthy } } }
";
        for role in [SUPERVISOR, KEEPER] {
            let project = host.project("under-way").file("compose.yaml", file);
            let running = project.start(["up", "-d"]);
            project.until("slow", "running");
            kill(host, role);
            running.wait().succeeds();
            project.until("late", "running");
            settled(host);
            project.naru(["down", "-t", "0"]).succeeds();
        }
    });
}

#[test]
fn what_the_killed_command_asked_for_is_done_and_a_killed_exec_harms_nobody() {
    host(|host| {
        let file = "
services:
  first: { image: test, command: [sh, -c, 'sleep 1; exit 0'] }
  second: { image: test, depends_on: { first: { condition: service_completed_successfully } } }
";
        let project = host.project("command").file("compose.yaml", file);
        let running = project.start(["up", "-d"]);
        project.until("first", "running");
        running.signal(Signal::KILL);
        project.until("second", "running");
        let exec = project.start(["exec", "-T", "second", "sleep", "555"]);
        // Not the command itself, nor a copy of it that is about to become the process.
        let inside = eventually("exec runs", || {
            let commands = host.processes(&["naru", "exec"]);
            let mut all = host.processes(&["sleep", "555"]);
            all.retain(|pid| !commands.contains(pid));
            all.first().copied().ok_or_else(|| "not yet".to_owned())
        });
        kill_process(inside, Signal::KILL).unwrap();
        exec.wait().exits_with(137);
        project.until("second", "running");
    });
}

/// The process that becomes a container's first one is killed while it sets up: that container is not started, and
/// says so; the others are, and another `up` puts it right.
#[test]
fn a_container_whose_set_up_is_killed_is_an_error_that_the_next_up_puts_right() {
    host(|host| {
        let mut file = "services:\n".to_owned();
        for n in 1..=6 {
            file += &format!("  s{n}: {{ image: test }}\n");
        }
        let project = host.project("setup").file("compose.yaml", &file);
        let mut killed = false;
        for _ in 0..20 {
            let running = project.start(["up", "-d"]);
            let deadline = Instant::now() + Duration::from_secs(5);
            while !killed && Instant::now() < deadline {
                killed = host.kill(&["naru", "container-init"]) > 0;
                if host.count(&["naru-check", "sleep"]) >= 6 {
                    break;
                }
            }
            if killed {
                let outcome = running.wait();
                assert!(
                    outcome.code == 0 || outcome.stderr.contains("cannot be started"),
                    "{outcome}"
                );
                break;
            }
            running.wait().succeeds();
            project.naru(["down", "-t", "0"]).succeeds();
        }
        project.naru(["up", "-d"]).succeeds();
        for n in 1..=6 {
            project.until(&format!("s{n}"), "running");
        }
    });
}

#[test]
fn after_the_death_of_both_any_command_takes_over_and_tells_the_truth() {
    host(|host| {
        let file = "
services:
  stays: { image: test, command: [sh, -c, 'echo before; while [ ! -e /go ]; do usleep 5000; done; echo after; sleep 1000'] }
  ends: { image: test, command: [sh, -c, 'while [ ! -e /go ]; do usleep 5000; done; exit 5'] }
  returns: { image: test, restart: always, command: [sh, -c, 'echo up; while [ ! -e /go ]; do usleep 5000; done; rm /go'] }
";
        let project = up(host, "both", file);
        project.until_logged("stays", "before\n");
        project.until_logged("returns", "up\n");
        let touch = |service: &str| {
            // Not by naru, which would take over.
            for pid in host.processes(&["sh", "-c", "/go"]) {
                let root = format!("/proc/{}/root", pid.as_raw_nonzero());
                let line =
                    fs_err::read_to_string(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
                let says = match service {
                    "stays" => "before",
                    "ends" => "exit 5",
                    _ => "echo up",
                };
                if line.unwrap_or_default().contains(says) {
                    fs_err::write(format!("{root}/go"), "").ok();
                }
            }
        };
        kill_both(host);
        for service in ["stays", "ends", "returns"] {
            touch(service);
        }
        eventually("it has ended", || match host.count(&["sh", "exit 5"]) {
            0 => Ok(()),
            _ => Err("runs".to_owned()),
        });
        let looked = project.naru(["ps", "-a", "--format", "json"]).succeeds();
        let rows = looked.json();
        settled(host);
        let row =
            |service: &str| rows.iter().find(|row| row["Service"] == service).unwrap().clone();
        assert_eq!(row("stays")["State"], "running");
        assert_eq!(row("ends")["State"], "exited");
        let status = row("ends")["Status"].as_str().unwrap_or_default().to_owned();
        let is_true = status.contains("(5)") || status.contains("(unknown)");
        assert!(is_true, "never a success that nobody saw: {status}");
        project.until_logged("returns", "up\nup\n");
        project.until_logged("stays", "after\n");

        for command in [&["logs"][..], &["exec", "-T", "stays", "true"], &["ls"], &["up", "-d"]] {
            kill_both(host);
            project.naru(command).succeeds();
            settled(host);
        }
        kill_both(host);
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn a_supervisor_that_is_stopped_is_named_and_goes_on_when_it_is_continued() {
    host(|host| {
        let project = up(host, "stopped", "services: { a: { image: test } }");
        assert_eq!(host.signal(&SUPERVISOR, Signal::STOP), 1);
        let looked = project.naru(["ps"]).succeeds().prints("a-1");
        assert!(looked.took < Duration::from_secs(5), "looking waits for nobody: {looked}");
        let refused = project.naru(["up", "-d"]).exits_with(1);
        let refused = refused.says("the supervisor of project stopped (pid ");
        assert!(refused.took < Duration::from_secs(15), "{refused}");
        refused.says("has not answered for 10 s").says("kill -CONT ");
        assert_eq!(host.signal(&SUPERVISOR, Signal::CONT), 1);
        project.naru(["up", "-d"]).succeeds();
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

/// A record whose pid another process has by now: that one is nobody's.
#[test]
fn a_stranger_with_a_containers_old_pid_is_never_touched() {
    host(|host| {
        let project = up(host, "reuse", "services: { a: { image: test, restart: 'no' } }");
        let mut stranger = std::process::Command::new("sleep").arg("1234").spawn().unwrap();
        kill_both(host);
        let edited = load::edit_states(host, |state| {
            state["process"]["pid"] = stranger.id().into();
        });
        assert_eq!(edited, 1);
        let listed = project.containers("a");
        assert_ne!(listed[0]["State"], "running", "the stranger is not the container: {listed:?}");
        project.naru(["up", "-d"]).succeeds();
        project.naru(["stop", "-t", "1"]).succeeds();
        project.naru(["down", "-t", "0"]).succeeds();
        assert!(stranger.try_wait().unwrap().is_none(), "the stranger lives");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    });
}

#[test]
fn a_hundred_containers_are_taken_over_and_serve_whoever_dies() {
    host(|host| {
        let file = "
services:
  many: { image: test, deploy: { replicas: 100 } }
  page: { image: test, ports: ['8081:80'], command: [httpd, -f, -p, '80', -h, /etc] }
";
        let project = up(host, "hundred", file);
        answers("127.0.0.1:8081");
        let mut recovery = Recovery::default();
        for role in [SUPERVISOR, KEEPER, SUPERVISOR, KEEPER, SUPERVISOR] {
            let [keeper, supervisor] = settled(host);
            let victim = if role == KEEPER { keeper } else { supervisor };
            kill_process(victim, Signal::KILL).unwrap();
            recovery.measure("127.0.0.1:8081", role[1]);
            gone(victim);
        }
        recovery.report(5);
        settled(host);
        assert_eq!(project.containers("many").len(), 100);
        project.naru(["down", "-t", "0"]).succeeds();
    });
}
