//! A death at each durable step by its name: before and after each file of naru's is renamed into its place, brought to
//! disk, made or removed. Where the sweep tries points in time, this tries each kind of point at least once.

use std::collections::BTreeMap;

use naru_test::tracer::{Fault, Step, Traced, fault_at};
use naru_test::{Project, TestHost};

use super::host;
use super::invariants::World;
use super::survival::load::Rng;
use super::sweep::{FILE, both};

/// Deaths of each command in the short form, at steps that the clock chooses. `cargo xtask soak steps` says a number that
/// is larger than there are steps, and then each has a death before and one after it.
const DEATHS: usize = 3;

fn deaths() -> usize {
    std::env::var("NARU_SOAK_STEPS").ok().map_or(DEATHS, |text| text.parse().unwrap())
}

/// Kills at the durable steps of a command.
fn dies_at_each_step(begin: &[&[&str]], command: &[&str], expected: &str) {
    host(|host| {
        let project = host.project("steps").file("compose.yaml", FILE);
        let world = World::new(host);
        let mut steps = BTreeMap::<Step, u64>::new();
        traced(host, &project, begin, command, |step| {
            *steps.entry(step).or_default() += 1;
            None
        });
        world.recovers(&project, "nobody's death");
        let names: Vec<_> = steps.keys().map(ToString::to_string).collect();
        assert!(names.iter().any(|name| name.contains(expected)), "{expected} in {names:#?}");
        let mut random = Rng::new();
        let mut points: Vec<_> = steps
            .into_iter()
            .flat_map(|(step, times)| {
                let point = |fault| (step.clone(), times, fault);
                [point(Fault::Death), point(Fault::DeathAfter)]
            })
            .collect();
        while points.len() > deaths() {
            let one = usize::try_from(random.below(points.len() as u64)).unwrap();
            points.swap_remove(one);
        }
        for (step, times, fault) in points {
            let mut left = random.below(times);
            let met = traced(host, &project, begin, command, |found| {
                if found != step {
                    return None;
                }
                let is_it = left == 0;
                left = left.saturating_sub(1);
                is_it.then_some(fault)
            });
            let what = format!("{fault:?} at {step} of {command:?}: {:?}", met.victim);
            world.recovers(&project, &what);
        }
        world.end();
    });
}

fn traced(
    host: &TestHost,
    project: &Project<'_>,
    begin: &[&[&str]],
    command: &[&str],
    mut choose: impl FnMut(Step) -> Option<Fault> + Send,
) -> Traced {
    for words in begin {
        project.naru(*words).succeeds();
    }
    let folder = host.root().parent().unwrap().to_owned();
    fault_at(&project.command(command), &both(host, "steps"), move |call| {
        choose(Step::of(call, &folder)?)
    })
}

const UP: &[&str] = &["up", "-d"];

#[test]
fn a_death_at_any_durable_step_of_up_is_repaired_by_the_next_command() {
    dies_at_each_step(&[], UP, "project.json");
}

#[test]
fn a_death_at_any_durable_step_of_down_is_repaired_by_the_next_command() {
    dies_at_each_step(&[UP], &["down", "-t", "0", "-v"], "project.json");
}

#[test]
fn a_death_at_any_durable_step_of_restart_is_repaired_by_the_next_command() {
    dies_at_each_step(&[UP], &["restart", "-t", "0"], "state.json");
}

#[test]
fn a_death_at_any_durable_step_of_stop_is_repaired_by_the_next_command() {
    dies_at_each_step(&[UP], &["stop", "-t", "0"], "exit.json");
}

#[test]
fn a_death_at_any_durable_step_of_rm_is_repaired_by_the_next_command() {
    dies_at_each_step(&[UP, &["stop", "-t", "0"]], &["rm", "-f", "-v"], "container.json");
}

#[test]
fn a_death_at_any_durable_step_of_scale_is_repaired_by_the_next_command() {
    dies_at_each_step(&[UP], &["scale", "database=2"], "container.json");
}

#[test]
fn a_death_at_any_durable_step_of_run_is_repaired_by_the_next_command() {
    dies_at_each_step(&[UP], &["run", "--rm", "-T", "web", "true"], "container.json");
}
