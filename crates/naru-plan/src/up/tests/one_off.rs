//! `run`: what a service depends on comes up, and one container more.

use serde_json::json;

use crate::fixture::{check, needs, project, project_with, running, up_options, up_text, with};
use crate::observed::State;
use crate::{Observed, OneOff, UpOptions};

fn run(service: &str) -> UpOptions {
    let one_off = OneOff {
        service: service.to_owned(),
        name: format!("p-{service}-run-0123456789ab"),
        volumes: Vec::new(),
    };
    UpOptions { services: vec![service.to_owned()], one_off: Some(one_off), ..up_options() }
}

fn shop() -> naru_compose::project::Project {
    project(json!({
        "db": {}, "migrate": {"depends_on": needs(&[("db", "service_healthy")])},
        "web": {"depends_on": needs(&[("migrate", "service_completed_successfully")]), "scale": 2},
    }))
}

#[test]
fn what_it_depends_on_is_brought_up_and_its_conditions_are_waited_for() {
    check(
        &up_text(&shop(), &Observed::default(), &run("web")),
        "
        1 create network p_default: does not exist
        2 create container p-db-1 [after 1]: does not exist
        3 create container p-migrate-1 [after 1]: does not exist
        4 create container p-web-run-0123456789ab [after 1]: requested
        5 start container p-db-1 [after 2]: new
        6 start container p-migrate-1 [after 3, 5; db healthy]: new
        7 start container p-web-run-0123456789ab [after 4, 6; migrate completed]: new
        ",
    );
}

#[test]
fn without_dependencies_it_is_the_only_one_and_waits_for_nothing() {
    let options = UpOptions { no_deps: true, ..run("web") };
    check(
        &up_text(&shop(), &Observed::default(), &options),
        "
        1 create network p_default: does not exist
        2 create container p-web-run-0123456789ab [after 1]: requested
        3 start container p-web-run-0123456789ab [after 2]: new
        ",
    );
}

#[test]
fn replicas_of_its_service_are_neither_made_nor_recreated_nor_removed() {
    let observed = running(&shop());
    let observed = with(observed, "p-web-1", |web| web.fingerprint.hash = "another".into());
    let observed = with(observed, "p-web-2", |web| web.state = State::Exited { code: Some(1) });
    let options = UpOptions { force_recreate: true, ..run("web") };
    check(
        &up_text(&shop(), &observed, &UpOptions { force_recreate: false, ..options }),
        "
        1 create container p-web-run-0123456789ab: requested
        2 start container p-web-run-0123456789ab [after 1; migrate completed]: new
        ",
    );
}

#[test]
fn a_dependency_that_has_changed_is_recreated_first() {
    let observed = with(running(&shop()), "p-db-1", |db| db.fingerprint.hash = "another".into());
    let text = up_text(&shop(), &observed, &run("web"));
    assert!(text.contains("create container"), "{text}");
    assert!(text.contains("p-db-1 for p-db-1") || text.contains("for p-db-1"), "{text}");
}

#[test]
fn a_volume_named_on_the_command_line_is_made() {
    let volumes = json!({"volumes": {"extra": {}}, "services": {"web": {}}});
    let mut options = run("web");
    options.one_off.as_mut().unwrap().volumes.push("extra".to_owned());
    check(
        &up_text(&project_with(volumes), &Observed::default(), &options),
        "
        1 create network p_default: does not exist
        2 create volume p_extra: does not exist
        3 create container p-web-run-0123456789ab [after 1, 2]: requested
        4 start container p-web-run-0123456789ab [after 3]: new
        ",
    );
}

#[test]
fn a_one_off_that_runs_is_nobodys_orphan_and_no_replica_and_one_that_has_ended_is_an_orphan() {
    let mut observed = running(&shop());
    let mut one_off = observed.containers[0].clone();
    one_off.name = "p-web-run-0123456789ab".into();
    one_off.id = "f".repeat(64);
    (one_off.service, one_off.number, one_off.one_off) = ("web".into(), 0, true);
    observed.containers.push(one_off);
    check(&up_text(&shop(), &observed, &up_options()), "");
    let ended = with(observed, "p-web-run-0123456789ab", |one_off| {
        one_off.state = State::Exited { code: Some(0) };
    });
    let text = up_text(&shop(), &ended, &up_options());
    assert!(text.contains("[p-web-run-0123456789ab]"), "{text}");
    let options = UpOptions { remove_orphans: true, ..up_options() };
    check(&up_text(&shop(), &ended, &options), "1 remove container p-web-run-0123456789ab: orphan");
}
