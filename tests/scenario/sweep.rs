//! A death at any system call: whichever of naru's processes is killed before whichever change of the world, commands
//! answer, the next `up` gives what the file asks for, and the next `down` leaves nothing.

use naru_test::tracer::{Death, death_at};
use naru_test::{Project, TestHost};

use super::host;
use super::invariants::World;
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
        let world = World::new(host);
        let soak = std::env::var("NARU_SOAK_DEATHS").ok().map(|text| text.parse().unwrap());
        let deaths: u64 = soak.unwrap_or(DEATHS);
        let mut random = Rng::new();
        let changes = dies(host, &project, begin, command, u64::MAX).changes;
        assert!(changes > 20, "{changes} changes are too few to be true");
        world.recovers(&project, "nobody's death");
        for number in 0..deaths {
            let within = if soak.is_some() { random.below(changes / deaths) } else { 0 };
            let nth = 1 + number * changes / deaths + within;
            let death = dies(host, &project, begin, command, nth);
            let what = format!("the death of {:?}, change {nth} of {changes}", death.victim);
            world.recovers(&project, &what);
        }
        world.end();
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
    death_at(&project.command(command), &both(host, "sweep"), nth)
}

/// The two processes of a project, when they are there.
pub(super) fn both(host: &TestHost, project: &str) -> Vec<rustix::process::Pid> {
    let of = |role| host.processes(&["naru", role, &format!("\0{project}\0")]);
    [of("keeper:"), of("supervisor:")].concat()
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
