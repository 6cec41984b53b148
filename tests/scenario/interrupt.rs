//! Ctrl-C at any moment of `up`: nothing runs on, nothing is left over, and nobody waits longer than the grace period.

use std::os::unix::process::CommandExt as _;
use std::time::{Duration, Instant};

use naru_test::{Project, Running, TestHost, eventually};
use rustix::process::{Pid, Signal, kill_process_group};

use super::host;
use super::survival::load::Rng;

/// A gate, a port, a volume, a hook, and one who does not end before its grace period is over.
const FILE: &str = "
services:
  db:
    image: test
    command: [sh, -c, 'sleep 0.2; touch /tmp/ready; exec naru-check trap']
    healthcheck: { test: [CMD, test, -e, /tmp/ready], interval: 100ms, retries: 100 }
  web:
    image: test
    command: naru-check listen 80
    ports: ['8080:80']
    volumes: ['data:/data', '/anonymous']
    depends_on: { db: { condition: service_healthy } }
    post_start: [{ command: ['true'] }]
  stubborn: { image: test, command: naru-check trap ignore, stop_grace_period: 1s }
  job: { image: test, command: 'true' }
volumes: { data: {} }
";

/// The grace period of the stubborn one, and what a busy machine takes for all the rest.
const LONGEST: Duration = Duration::from_secs(1 + 9);

/// How often `up` is interrupted; `NARU_SOAK_INTERRUPTS` says another number, and then it is at other moments in each
/// run.
const TIMES: u32 = 6;

/// `up` as a shell runs it: Ctrl-C goes to all processes of its group.
fn up(project: &Project<'_>, words: &[&str]) -> Running {
    Running::start(project.command(words).process_group(0))
}

fn ctrl_c(running: &Running) {
    let group = i32::try_from(running.pid()).ok().and_then(Pid::from_raw).unwrap();
    kill_process_group(group, Signal::INT).unwrap();
}

/// How long an `up` takes that is left alone.
fn undisturbed(project: &Project<'_>) -> Duration {
    let began = Instant::now();
    let running = up(project, &["up"]);
    eventually("web listens", || match running.stdout() {
        text if text.contains("web-1       | listening") => Ok(()),
        text => Err(text + &running.stderr()),
    });
    let took = began.elapsed();
    ctrl_c(&running);
    running.wait().exits_with(130);
    project.naru(["down", "-v"]).succeeds();
    took
}

/// The moments: spread over the whole of it, at random within their parts in a soak.
fn moments(whole: Duration) -> Vec<Duration> {
    let soak = std::env::var("NARU_SOAK_INTERRUPTS").ok().map(|text| text.parse().unwrap());
    let times: u32 = soak.unwrap_or(TIMES);
    let mut random = Rng::new();
    let part = whole / times;
    let within = |random: &mut Rng| {
        let most = u64::try_from(part.as_micros()).unwrap();
        Duration::from_micros(if soak.is_some() { random.below(most) } else { most / 2 })
    };
    (0..times).map(|number| part * number + within(&mut random)).collect()
}

/// T-L2.
#[test]
fn ctrl_c_at_any_moment_of_up_leaves_nothing_that_runs_and_takes_no_longer_than_the_grace_period() {
    host(|host| {
        let project = host.project("moments").file("compose.yaml", FILE);
        let before = host.snapshot();
        let whole = undisturbed(&project);
        before.assert_nothing_left_after("an `up` that was left alone for its time");
        for (number, moment) in moments(whole).into_iter().enumerate() {
            let impatient = number % 2 == 1;
            interrupted_at(host, &project, moment, impatient);
            project.naru(["down", "-v"]).succeeds();
            before.assert_nothing_left_after(&format!("Ctrl-C after {moment:?}"));
        }
    });
}

/// Interrupts an `up` at this moment, a second time soon afterwards when somebody is impatient, and looks at what is left.
fn interrupted_at(host: &TestHost, project: &Project<'_>, moment: Duration, impatient: bool) {
    let running = up(project, &["up"]);
    // The moment is what is tried: there is no state to wait for.
    std::thread::sleep(moment);
    let asked = Instant::now();
    ctrl_c(&running);
    if impatient {
        std::thread::sleep(Duration::from_millis(100));
        ctrl_c(&running);
    }
    let outcome = running.wait();
    let (what, took) = (format!("Ctrl-C after {moment:?}: {outcome}"), asked.elapsed());
    assert_eq!(outcome.code, 130, "{what}");
    assert!(took < LONGEST, "it took {took:?}: {what}");
    let listed = project.naru(["ps", "-a"]).succeeds().stdout;
    assert!(!listed.contains("Up ") && !listed.contains("Restarting"), "{what}\n{listed}");
    assert_eq!(host.count(&["naru-check"]), 0, "{what}\n{listed}");
}

/// In the background nobody is left to stop anything: what was begun is finished, or not, and `down` takes all of it.
#[test]
fn ctrl_c_at_any_moment_of_up_in_the_background_leaves_what_down_takes_away() {
    host(|host| {
        let project = host.project("behind").file("compose.yaml", FILE);
        let before = host.snapshot();
        let whole = project.naru(["up", "-d"]).succeeds().took;
        project.naru(["down", "-v"]).succeeds();
        for moment in moments(whole) {
            let running = up(&project, &["up", "-d"]);
            std::thread::sleep(moment);
            let asked = Instant::now();
            ctrl_c(&running);
            let outcome = running.wait();
            assert!(matches!(outcome.code, 0 | 130), "after {moment:?}: {outcome}");
            assert!(asked.elapsed() < LONGEST, "after {moment:?}: {outcome}");
            let down = project.naru(["down", "-v", "-t", "1"]).succeeds();
            assert!(down.took < LONGEST, "after {moment:?}: {down}");
            before.assert_nothing_left_after(&format!("Ctrl-C after {moment:?}"));
        }
    });
}
