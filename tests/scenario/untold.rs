//! What a supervisor did and could not tell before it was killed: the next one finds out, and does nothing twice.

use naru_test::tracer::{Call, Fault, Step, Traced, fault_at};
use naru_test::{Project, TestHost, eventually};
use nix::libc;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use super::host;
use super::sweep::both;

fn name(project: &Project<'_>) -> String {
    project.folder().file_name().unwrap().to_string_lossy().into_owned()
}

/// Runs a command under whose supervisor dies where `choose` says so; it succeeds all the same.
fn survives(
    host: &TestHost,
    project: &Project<'_>,
    command: &[&str],
    code: i32,
    mut choose: impl FnMut(&Call) -> Option<Fault> + Send,
) -> Traced {
    let traced = fault_at(&project.command(command), &both(host, &name(project)), |call| {
        choose(call).filter(|_| call.process().starts_with("naru supervisor"))
    });
    assert!(traced.victim.is_some(), "nobody died in {command:?}");
    assert_eq!(traced.code, code, "{:?}: {}", traced.victim, traced.stderr);
    traced
}

/// The moment in which a container runs and no state says so: its start is written down, and the state is about to be.
fn between_start_and_state(host: &TestHost) -> impl FnMut(&Call) -> Option<Fault> + Send + use<> {
    let folder = host.root().parent().unwrap().to_owned();
    let mut has_begun = false;
    move |call| {
        let step = Step::of(call, &folder)?.to_string();
        let is_state = step.starts_with("rename ") && step.ends_with("/state.json");
        has_begun |= step.starts_with("rename ") && step.ends_with("/start.json");
        (has_begun && is_state).then_some(Fault::Death)
    }
}

#[test]
fn what_runs_already_is_not_run_a_second_time_when_nobody_could_tell_of_it() {
    host(|host| {
        let file = "
services:
  job: { image: test, volumes: ['./out:/out'], command: [sh, -c, 'echo ran >> /out/job; exit 7'], profiles: [job] }
  web: { image: test, volumes: ['./out:/out'], command: [sh, -c, 'echo ran >> /out/web; exec sleep 1000'] }
";
        let project = host.project("untold").file("compose.yaml", file).file("out/.keep", "");
        let runs = |name: &str| {
            fs_err::read_to_string(project.folder().join("out").join(name)).unwrap_or_default()
        };
        survives(host, &project, &["run", "-T", "job"], 7, between_start_and_state(host));
        assert_eq!(runs("job"), "ran\n");
        survives(host, &project, &["up", "-d"], 0, between_start_and_state(host));
        assert_eq!(runs("web"), "ran\n");
        assert_eq!(project.containers("web")[0]["State"], "running");
        let told = project.naru(["events", "--json", "--since", "1h", "--until", "0s", "web"]);
        assert_eq!(told.succeeds().stdout.matches("\"start\"").count(), 1);
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

/// The program has not been let run: whoever takes over lets it run.
#[test]
fn what_was_only_set_up_is_started_by_whoever_takes_over() {
    host(|host| {
        let file = "services: { web: { image: test, volumes: ['./out:/out'], \
                    command: [sh, -c, 'echo ran >> /out/web; exec sleep 1000'] } }";
        let project = host.project("setup").file("compose.yaml", file).file("out/.keep", "");
        let folder = host.root().parent().unwrap().to_owned();
        survives(host, &project, &["up", "-d"], 0, |call| {
            let step = Step::of(call, &folder)?.to_string();
            let is_start = step.starts_with("rename ") && step.ends_with("/start.json");
            is_start.then_some(Fault::DeathAfter)
        });
        project.until("web", "running");
        let runs = || fs_err::read_to_string(project.folder().join("out/web"));
        let runs = eventually("it has run", || runs().map_err(|error| error.to_string()));
        assert_eq!(runs, "ran\n");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn a_container_that_the_user_has_killed_stays_ended_although_nobody_could_tell_of_its_end() {
    host(|host| {
        let file = "services: { web: { image: test, restart: always } }";
        let project = host.project("killed").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let [keeper] = host.processes(&["naru", "keeper:"])[..] else { panic!("one keeper") };
        let [supervisor] = host.processes(&["naru", "supervisor:"])[..] else { panic!("one") };
        kill_process(keeper, Signal::STOP).unwrap();
        project.naru(["kill", "web"]).succeeds();
        kill_process(supervisor, Signal::KILL).unwrap();
        kill_process(keeper, Signal::CONT).unwrap();
        eventually("another supervisor", || {
            match host.processes(&["naru", "supervisor:"]).contains(&supervisor) {
                false => Ok(()),
                true => Err("the old one".to_owned()),
            }
        });
        project.naru(["up", "--no-start"]).succeeds();
        let web = &project.containers("web")[0];
        assert_eq!((&web["State"], &web["ExitCode"]), (&"exited".into(), &137.into()), "{web}");
        assert_eq!(project.state("web")["generation"], 1);
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

/// Waits until the second run of a service's container goes on.
fn runs_again(project: &Project<'_>, service: &str) {
    eventually("it runs again", || {
        let state = project.state(service);
        let runs = state["phase"] == "running" && state["ran"] == 2;
        if runs { Ok(()) } else { Err(state.to_string()) }
    });
}

/// A supervisor's signals to processes, none of which is a mere question.
fn is_signal(call: &Call) -> bool {
    call.number == libc::SYS_pidfd_send_signal && call.argument(1) != 0
}

#[test]
fn an_unhealthy_container_that_was_ended_is_started_again_although_nobody_could_tell_why_it_ended()
{
    host(|host| {
        let file = "
services:
  web:
    image: test
    command: [naru-check, trap]
    healthcheck: { test: 'test ! -e /tmp/sick', interval: 100ms, retries: 1 }
    x-naru-restart: { on_unhealthy: true }
";
        let project = host.project("renewed").file("compose.yaml", file);
        project.naru(["up", "-d", "--wait"]).succeeds();
        let run = ["exec", "-T", "web", "sh", "-c", "touch /tmp/sick; sleep 3"];
        // The program that is run inside ends with the container.
        survives(host, &project, &run, 137, |call| is_signal(call).then_some(Fault::DeathAfter));
        runs_again(&project, "web");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn a_restart_that_is_cut_short_starts_all_that_it_has_stopped() {
    host(|host| {
        let file = "
services:
  db: { image: test }
  web: { image: test, depends_on: { db: { condition: service_started, restart: true } } }
  apart: { image: test }
";
        let project = host.project("cut").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let mut signals = 0;
        survives(host, &project, &["restart", "db"], 0, |call| {
            // The first one is for web.
            signals += u32::from(is_signal(call));
            (is_signal(call) && signals == 2).then_some(Fault::DeathAfter)
        });
        runs_again(&project, "web");
        runs_again(&project, "db");
        assert_eq!(project.state("apart")["ran"], 1);
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn a_run_is_told_of_once_also_when_a_later_start_has_failed() {
    host(|host| {
        let file = "services: { web: { image: test, volumes: ['./src:/src'] } }";
        let project = host.project("told").file("compose.yaml", file).file("src/a", "");
        project.naru(["up", "-d"]).succeeds();
        project.naru(["stop", "-t", "0"]).succeeds();
        let source = project.folder().join("src");
        fs_err::remove_dir_all(&source).unwrap();
        fs_err::write(&source, "no folder").unwrap();
        project.naru(["start"]).exits_with(1);
        for victim in host.processes(&["naru", "supervisor:"]) {
            kill_process(victim, Signal::KILL).unwrap();
        }
        project.naru(["start"]).exits_with(1);
        let events = ["events", "--json", "--since", "1h", "--until", "0s", "web"];
        let told = project.naru(events).succeeds().stdout;
        let count = |action: &str| told.matches(&format!("\"{action}\"")).count();
        assert_eq!((count("start"), count("die")), (1, 1), "{told}");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn a_new_containers_log_begins_anew_although_its_first_start_was_cut_short() {
    host(|host| {
        let file =
            |word: &str| format!("services: {{ web: {{ image: test, command: [echo, {word}] }} }}");
        let project = host.project("anew").file("compose.yaml", &file("one"));
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("web", "one\n");
        project.until("web", "exited");
        let project = project.file("compose.yaml", &file("two"));
        let folder = host.root().parent().unwrap().to_owned();
        survives(host, &project, &["up", "-d"], 0, |call| {
            let path = Step::fallible(call, &folder)?;
            path.to_string_lossy().contains("/logs/").then_some(Fault::Death)
        });
        let logged = project.until_logged("web", "two\n");
        assert!(!logged.contains("one"), "{logged}");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn a_keeper_that_dies_while_the_project_goes_down_leaves_no_control_group() {
    host(|host| {
        let project =
            host.project("last").file("compose.yaml", "services: { web: { image: test } }");
        let before = host.snapshot();
        project.naru(["up", "-d"]).succeeds();
        let [keeper] = host.processes(&["naru", "keeper:"])[..] else { panic!("one keeper") };
        let folder = host.root().parent().unwrap().to_owned();
        let mut is_dead = false;
        let down = project.command(["down", "-t", "0"]);
        let traced = fault_at(&down, &both(host, "last"), |call| {
            let step = Step::of(call, &folder)?.to_string();
            // The supervisor's last files: the keeper was told that this is the end.
            if !is_dead && step.starts_with("unlink run/") && step.contains("keeper") {
                is_dead = true;
                kill_process(keeper, Signal::KILL).unwrap();
                eventually("it is dead", || {
                    let stat = naru_state::process::stat(keeper.as_raw_nonzero().get());
                    let is_dead = stat.is_none_or(|stat| stat.state == 'Z');
                    if is_dead { Ok(()) } else { Err("not yet".to_owned()) }
                });
            }
            None
        });
        assert_eq!((traced.code, is_dead), (0, true), "{}", traced.stderr);
        before.assert_nothing_left();
    });
}

#[test]
fn a_keeper_that_cannot_start_a_supervisor_tries_again_and_loses_nothing() {
    host(|host| {
        let file = "services: { web: { image: test, command: [sh, -c, 'sleep 2; exit 7'] } }";
        let project = host.project("poor").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let [keeper] = host.processes(&["naru", "keeper:"])[..] else { panic!("one keeper") };
        let [supervisor] = host.processes(&["naru", "supervisor:"])[..] else { panic!("one") };
        // No number is left for a descriptor, and there are enough to wait with.
        let open = |number: &u64| fs_err::exists(format!("/proc/{keeper}/fd/{number}")).unwrap();
        let most = (0..).find(|number| !open(number)).unwrap();
        let limit = |most: u64| {
            let limit = Rlimit { current: Some(most), ..getrlimit(Resource::Nofile) };
            prlimit(Some(keeper), Resource::Nofile, limit).unwrap();
        };
        limit(most);
        kill_process(supervisor, Signal::KILL).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(host.processes(&["naru", "keeper:"]), [keeper], "the keeper lives");
        assert!(host.processes(&["naru", "supervisor:"]).is_empty(), "there is none");
        limit(most + 1000);
        assert_eq!(project.until("web", "exited")["ExitCode"], 7);
        project.naru(["down", "-t", "0"]).succeeds();
    });
}
