//! A death at any system call: whichever of naru's processes is killed before whichever change of the world, commands
//! answer, the next `up` gives what the file asks for, and the next `down` leaves nothing.

use naru_test::leak::Snapshot;
use std::io::Write as _;

use naru_test::tracer::{Death, death_at};
use naru_test::{Project, TestHost};

use super::host;
use super::survival::load::Rng;

/// A bit of everything that leaves traces: a network, a volume, a port, a gate, a check, a hook.
pub(super) const FILE: &str = "
services:
  web:
    image: test
    ports: ['8080:80']
    volumes: ['data:/data']
    depends_on: { database: { condition: service_healthy } }
  database:
    image: test
    tmpfs: [/run]
    healthcheck: { test: [CMD, 'true'], interval: 1s }
    post_start: [{ command: ['true'] }]
volumes: { data: {} }
";

/// How many deaths of each command a run tries, spread over all its changes; `NARU_SOAK_DEATHS` says another number,
/// and then they are at other places in each run.
const DEATHS: u64 = 4;

/// Kills at changes that are spread over all those that the command makes.
fn sweep(begin: &[&str], command: &[&str]) {
    host(|host| {
        let project = host.project("sweep").file("compose.yaml", FILE);
        let before = host.snapshot();
        let soak = std::env::var("NARU_SOAK_DEATHS").ok().map(|text| text.parse().unwrap());
        let deaths: u64 = soak.unwrap_or(DEATHS);
        let mut random = Rng::new();
        let changes = dies(host, &project, begin, command, u64::MAX).changes;
        assert!(changes > 20, "{changes} changes are too few to be true");
        recovers(&project, &before, "nobody's death");
        for number in 0..deaths {
            let within = if soak.is_some() { random.below(changes / deaths) } else { 0 };
            let nth = 1 + number * changes / deaths + within;
            let death = dies(host, &project, begin, command, nth);
            let what = format!("the death of {:?}, change {nth} of {changes}", death.victim);
            recovers(&project, &before, &what);
        }
    });
}

fn dies(
    host: &TestHost,
    project: &Project<'_>,
    begin: &[&str],
    command: &[&str],
    nth: u64,
) -> Death {
    if !begin.is_empty() {
        project.naru(begin).succeeds();
    }
    death_at(&project.command(command), &both(host), nth)
}

/// The two processes of a project, when they are there.
pub(super) fn both(host: &TestHost) -> Vec<rustix::process::Pid> {
    [host.processes(&["naru", "keeper:"]), host.processes(&["naru", "supervisor:"])].concat()
}

/// No command hangs or lies, and everything converges.
pub(super) fn recovers(project: &Project<'_>, before: &Snapshot, what: &str) {
    // Shown only when something fails, whatever that is.
    std::io::stderr().write_all(format!("after {what}\n").as_bytes()).unwrap();
    let told = |step: &str| format!("after {what}: {step}");
    let listed = project.naru(["ps", "-a", "--format", "json"]);
    assert_eq!(listed.code, 0, "{}", told(&listed.to_string()));
    let up = project.naru(["up", "-d"]);
    assert_eq!(up.code, 0, "{}", told(&up.to_string()));
    let listed = project.naru(["ps", "-a", "--format", "json"]);
    // What `run` has made is nobody's replica.
    let is_replica = |one: &&serde_json::Value| !one["Name"].to_string().contains("-run-");
    let rows = listed.json();
    let states: Vec<_> = rows.iter().filter(is_replica).map(|one| one["State"].clone()).collect();
    assert_eq!(states, ["running", "running"], "{}", told(&listed.to_string()));
    let exec = project.naru(["exec", "-T", "web", "naru-check", "resolve", "database"]);
    assert_eq!(exec.code, 0, "{}", told(&exec.to_string()));
    let check = project.naru(["system", "check"]);
    assert_eq!(check.code, 0, "{}", told(&check.to_string()));
    let again = project.naru(["up", "-d", "--dry-run"]);
    assert_eq!(again.code, 0, "{}", told(&again.to_string()));
    let down = project.naru(["down", "-t", "0"]);
    assert_eq!(down.code, 0, "{}", told(&down.to_string()));
    before.assert_nothing_left_after(what);
}

#[test]
fn any_death_during_up_is_repaired_by_the_next_command() {
    sweep(&[], &["up", "-d"]);
}

#[test]
fn any_death_during_down_is_repaired_by_the_next_command() {
    sweep(&["up", "-d"], &["down", "-t", "0"]);
}

#[test]
fn any_death_during_restart_is_repaired_by_the_next_command() {
    sweep(&["up", "-d"], &["restart", "-t", "0"]);
}

#[test]
fn any_death_while_containers_are_recreated_is_repaired_by_the_next_command() {
    sweep(&["up", "-d"], &["up", "-d", "--force-recreate", "-t", "0"]);
}
