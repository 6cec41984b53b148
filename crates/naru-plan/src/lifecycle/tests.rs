//! Plans of `stop`, `start` and `restart` as text.

use serde_json::json;

use super::*;
use crate::fixture::{needs, project, running};
use crate::observed::State;

#[track_caller]
fn check(plan: Result<Plan, Error>, want: &str) {
    let plan = plan.unwrap();
    crate::fixture::check_order(&plan);
    crate::fixture::check(&plan.to_string(), want);
}

fn shop() -> Project {
    project(json!({
        "db": {},
        "api": {"depends_on": {"db": {"condition": "service_healthy", "restart": true, "required": true}}},
        "web": {"depends_on": needs(&[("api", "service_started")])}
    }))
}

fn stopped() -> Observed {
    let mut seen = running(&shop());
    seen.containers.iter_mut().for_each(|c| c.state = State::Exited { code: Some(0) });
    seen
}

#[test]
fn stop_goes_from_dependents_to_dependencies() {
    check(
        stop(None, &running(&shop()), &[]),
        "
            1 stop container p-web-1: requested
            2 stop container p-api-1 [after 1]: requested
            3 stop container p-db-1 [after 2]: requested
        ",
    );
}

#[test]
fn stop_of_a_service_touches_only_that() {
    check(
        stop(None, &running(&shop()), &["db".to_owned()]),
        "
            1 stop container p-db-1: requested
        ",
    );
    check(stop(None, &stopped(), &[]), "");
}

#[test]
fn start_brings_dependencies_and_waits_for_them() {
    check(
        start(None, &stopped(), &["api".to_owned()]),
        "
            1 start container p-db-1: requested
            2 start container p-api-1 [after 1; db healthy]: requested
        ",
    );
    check(start(Some(&shop()), &running(&shop()), &[]), "");
}

#[test]
fn restart_takes_along_those_who_asked_for_it() {
    check(
        restart_services(None, &running(&shop()), &["db".to_owned()], false),
        "
            1 stop container p-api-1: restarts with db
            2 stop container p-db-1 [after 1]: requested
            3 start container p-db-1 [after 2]: requested
            4 start container p-api-1 [after 1, 3; db healthy]: restarts with db
        ",
    );
    check(
        restart_services(None, &running(&shop()), &["db".to_owned()], true),
        "
            1 stop container p-db-1: requested
            2 start container p-db-1 [after 1]: requested
        ",
    );
}

#[test]
fn restart_starts_what_was_stopped_but_not_its_stopped_dependents() {
    check(
        restart_services(None, &stopped(), &["db".to_owned()], false),
        "
            1 start container p-db-1: requested
        ",
    );
}

#[test]
fn names_nobody_knows_are_refused() {
    let error = stop(None, &stopped(), &["nope".to_owned()]).unwrap_err();
    assert_eq!(error.to_string(), "no such service: nope");
}

#[test]
fn a_service_that_was_never_made_cannot_be_started() {
    let nothing = Observed::default();
    let error = start(Some(&shop()), &nothing, &["db".to_owned()]).unwrap_err();
    assert_eq!(error.to_string(), "service \"db\" has no container to start");
    check(start(Some(&shop()), &nothing, &[]), "");
}

#[test]
fn services_that_differ_from_the_file_are_named_with_what_differs() {
    let mut changed = shop();
    changed.services.get_mut("db").unwrap().tty = true;
    let differing = outdated(&changed, &running(&shop()), &[]);
    assert_eq!(differing, BTreeMap::from([("db".to_owned(), vec!["tty".to_owned()])]));
    assert_eq!(outdated(&changed, &running(&shop()), &["web".to_owned()]), BTreeMap::new());
}

#[test]
fn start_does_not_pass_over_pre_start_hooks() {
    let hooks = json!([{"command": ["true"]}]);
    let shop = project(json!({
        "db": {}, "web": {"pre_start": hooks, "depends_on": needs(&[("db", "service_started")])}
    }));
    let up = running(&shop);
    check(start(Some(&shop), &up, &[]), "");
    let mut down = up.clone();
    down.containers.iter_mut().for_each(|c| c.state = State::Exited { code: Some(0) });
    let refused = Err(Error::HooksBefore { service: "web".to_owned() });
    assert_eq!(start(Some(&shop), &down, &[]), refused);
    assert_eq!(start(Some(&shop), &down, &["web".to_owned()]), refused);
    check(start(Some(&shop), &down, &["db".to_owned()]), "1 start container p-db-1: requested");
    // Beside a replica that runs another one starts without them.
    let mut two = up;
    let mut stopped = two.containers.iter().find(|c| c.service == "web").cloned().unwrap();
    (stopped.id, stopped.name) = ("second".to_owned(), "p-web-2".to_owned());
    (stopped.number, stopped.state) = (2, State::Exited { code: Some(0) });
    two.containers.push(stopped);
    let text = start(Some(&shop), &two, &[]).unwrap().to_string();
    assert!(text.contains("start container p-web-2"), "{text}");
}

#[test]
fn start_runs_the_hooks_that_create_has_prepared_and_refuses_when_they_are_used_up() {
    let web = json!({"pre_start": [{"command": ["migrate"]}], "depends_on": needs(&[("db", "service_healthy")])});
    let shop = project(json!({"db": {}, "web": web}));
    let mut created = running(&shop);
    created.containers.iter_mut().for_each(|c| c.state = State::Created);
    let mut hook = created.containers.iter().find(|c| c.service == "web").cloned().unwrap();
    let service = &shop.services["web"];
    hook.fingerprint = Fingerprint::of(&shop, &crate::pre_start(service, &service.pre_start[0]));
    (hook.id, hook.name) = ("f".repeat(64), "p-web-pre_start-0".to_owned());
    (hook.number, hook.one_off, hook.hook) = (0, true, true);
    created.containers.push(hook);
    check(
        start(Some(&shop), &created, &["web".to_owned()]),
        "
            1 start container p-db-1: requested
            2 start container p-web-pre_start-0 [after 1; db healthy]: pre_start hook
            3 remove container p-web-pre_start-0 [after 2; web pre_start[0] completed]: completed
            4 start container p-web-1 [after 1, 3; db healthy]: requested
        ",
    );
    let hook = created.containers.last_mut().unwrap();
    hook.state = State::Exited { code: Some(1) };
    let refused = Err(Error::HooksBefore { service: "web".to_owned() });
    assert_eq!(start(Some(&shop), &created, &[]), refused);
}
