//! `pre_start` hooks: containers of their own, one after the other, before their service starts.

use serde_json::json;

use crate::fixture::{check, needs, project, running, up_options, up_text, with};
use crate::observed::State;
use crate::{DownOptions, Observed, UpOptions};

fn shop() -> naru_compose::project::Project {
    project(json!({
        "db": {},
        "web": {
            "depends_on": needs(&[("db", "service_healthy")]), "scale": 2,
            "pre_start": [{"command": ["migrate"]}, {"command": ["seed"], "image": "tools"}],
        },
    }))
}

#[test]
fn hooks_run_in_order_once_before_the_first_replica_and_are_removed() {
    check(
        &up_text(&shop(), &Observed::default(), &up_options()),
        "
        1 create network p_default: does not exist
        2 create container p-db-1 [after 1]: does not exist
        3 create container p-web-1 [after 1]: does not exist
        4 create container p-web-2 [after 1]: does not exist
        5 create container p-web-pre_start-0 [after 1, 3, 4]: pre_start hook
        6 create container p-web-pre_start-1 [after 1, 3, 4]: pre_start hook
        7 start container p-db-1 [after 2]: new
        8 start container p-web-pre_start-0 [after 3, 4, 5, 7; db healthy]: pre_start hook
        9 remove container p-web-pre_start-0 [after 8; web pre_start[0] completed]: completed
        10 start container p-web-pre_start-1 [after 3, 4, 6, 9]: pre_start hook
        11 remove container p-web-pre_start-1 [after 10; web pre_start[1] completed]: completed
        12 start container p-web-1 [after 3, 7, 11; db healthy]: new
        13 start container p-web-2 [after 4, 7, 11; db healthy]: new
        ",
    );
}

#[test]
fn a_service_that_runs_already_has_no_hooks_to_run() {
    check(&up_text(&shop(), &running(&shop()), &up_options()), "");
    let options = UpOptions { scale: [("web".to_owned(), 3)].into(), ..up_options() };
    check(
        &up_text(&shop(), &running(&shop()), &options),
        "
        1 create container p-web-3: does not exist
        2 start container p-web-3 [after 1; db healthy]: new
        ",
    );
}

#[test]
fn a_service_that_is_recreated_or_was_stopped_runs_them_again_after_its_stop() {
    let one = project(json!({"web": {"pre_start": [{"command": ["migrate"]}]}}));
    let stopped = with(running(&one), "p-web-1", |web| web.state = State::Exited { code: Some(0) });
    check(
        &up_text(&one, &stopped, &up_options()),
        "
        1 create container p-web-pre_start-0: pre_start hook
        2 start container p-web-pre_start-0 [after 1]: pre_start hook
        3 remove container p-web-pre_start-0 [after 2; web pre_start[0] completed]: completed
        4 start container p-web-1 [after 3]: not running
        ",
    );
    let options = UpOptions { force_recreate: true, ..up_options() };
    let text = up_text(&one, &running(&one), &options);
    let stop = text.find("stop container p-web-1").unwrap();
    let hook = text.find("start container p-web-pre_start-0").unwrap();
    assert!(stop < hook, "{text}");
}

#[test]
fn what_a_failed_hook_left_is_removed_before_it_runs_again_and_by_down() {
    let one = project(json!({"web": {"pre_start": [{"command": ["migrate"]}]}}));
    let mut observed = running(&one);
    observed.containers[0].state = State::Created;
    let mut hook = observed.containers[0].clone();
    hook.name = "p-web-pre_start-0".into();
    hook.id = "f".repeat(64);
    (hook.number, hook.one_off, hook.hook) = (0, true, true);
    hook.state = State::Exited { code: Some(1) };
    observed.containers.push(hook);
    check(
        &up_text(&one, &observed, &up_options()),
        "
        1 remove container p-web-pre_start-0: left over
        2 create container p-web-pre_start-0 [after 1]: pre_start hook
        3 start container p-web-pre_start-0 [after 2]: pre_start hook
        4 remove container p-web-pre_start-0 [after 3; web pre_start[0] completed]: completed
        5 start container p-web-1 [after 4]: not running
        ",
    );
    let down = crate::down(Some(&one), &observed, &DownOptions::default()).unwrap().to_string();
    assert!(down.contains("remove container p-web-pre_start-0"), "{down}");
}

#[test]
fn a_one_off_runs_no_hooks_of_its_service() {
    let one_off = crate::OneOff {
        service: "web".to_owned(),
        name: "p-web-run-0123456789ab".to_owned(),
        volumes: Vec::new(),
    };
    let options =
        UpOptions { services: vec!["web".to_owned()], one_off: Some(one_off), ..up_options() };
    let text = up_text(&shop(), &Observed::default(), &options);
    assert!(!text.contains("pre_start"), "{text}");
}

#[test]
fn create_prepares_them_and_another_up_or_create_uses_what_is_prepared() {
    let one = project(json!({"web": {"pre_start": [{"command": ["migrate"]}]}}));
    let create = UpOptions { start: false, ..up_options() };
    check(
        &up_text(&one, &Observed::default(), &create),
        "
        1 create network p_default: does not exist
        2 create container p-web-1 [after 1]: does not exist
        3 create container p-web-pre_start-0 [after 1, 2]: pre_start hook
        ",
    );
    let created = created(&one);
    check(&up_text(&one, &created, &create), "");
    check(
        &up_text(&one, &created, &up_options()),
        "
        1 start container p-web-pre_start-0: pre_start hook
        2 remove container p-web-pre_start-0 [after 1; web pre_start[0] completed]: completed
        3 start container p-web-1 [after 2]: not running
        ",
    );
    // What was prepared for another hook, or beside another container, is not theirs.
    let other = project(json!({"web": {"pre_start": [{"command": ["seed"]}]}}));
    let text = up_text(&other, &created, &up_options());
    assert!(text.contains("remove container p-web-pre_start-0: left over"), "{text}");
    let renewed = UpOptions { force_recreate: true, ..up_options() };
    let text = up_text(&one, &created, &renewed);
    assert!(text.contains("remove container p-web-pre_start-0: left over"), "{text}");
}

/// What `create` leaves of a project with one service and one hook.
pub(crate) fn created(project: &naru_compose::project::Project) -> Observed {
    let mut observed = running(project);
    observed.containers[0].state = State::Created;
    let mut hook = observed.containers[0].clone();
    let service = &project.services["web"];
    let definition = crate::pre_start(service, &service.pre_start[0]);
    hook.fingerprint = crate::Fingerprint::of(project, &definition);
    hook.name = "p-web-pre_start-0".into();
    hook.id = "f".repeat(64);
    (hook.number, hook.one_off, hook.hook) = (0, true, true);
    observed.containers.push(hook);
    observed
}
