//! Plans of `up` as text.

mod flags;
mod interrupted;
mod one_off;
mod pre_start;
mod resources;
mod scale;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::fixture::{
    RUNNING, apply, check, check_order, needs, project, project_with, running, up_options, up_text,
    with,
};
use crate::observed::State;

fn shop() -> Project {
    project(json!({
        "db": {},
        "migrate": {"depends_on": needs(&[("db", "service_healthy")])},
        "web": {"depends_on": needs(&[("db", "service_started"), ("migrate", "service_completed_successfully")])}
    }))
}

#[test]
fn a_first_up_makes_everything_and_starts_it_in_order() {
    check(
        &up_text(&shop(), &Observed::default(), &up_options()),
        "
            1 create network p_default: does not exist
            2 create container p-db-1 [after 1]: does not exist
            3 create container p-migrate-1 [after 1]: does not exist
            4 create container p-web-1 [after 1]: does not exist
            5 start container p-db-1 [after 2]: new
            6 start container p-migrate-1 [after 3, 5; db healthy]: new
            7 start container p-web-1 [after 4, 5, 6; db started; migrate completed]: new
        ",
    );
}

#[test]
fn an_up_to_date_project_needs_nothing() {
    assert_eq!(up_text(&shop(), &running(&shop()), &up_options()), "");
}

#[test]
fn what_has_exited_is_started_again_and_a_due_restart_is_left_alone() {
    let seen = with(running(&shop()), "p-migrate-1", |c| c.state = State::Exited { code: Some(0) });
    let seen = with(seen, "p-db-1", |c| c.state = State::Restarting);
    check(
        &up_text(&shop(), &seen, &up_options()),
        "
            1 start container p-migrate-1 [db healthy]: not running
        ",
    );
}

#[test]
fn a_changed_service_is_prepared_before_the_old_one_stops_and_says_what_changed() {
    let before = running(&shop());
    let after = project(json!({
        "db": {"environment": {"DEBUG": "1"}},
        "migrate": {"depends_on": needs(&[("db", "service_healthy")])},
        "web": {"depends_on": needs(&[("db", "service_started"), ("migrate", "service_completed_successfully")])}
    }));
    check(
        &up_text(&after, &before, &up_options()),
        "
            1 create container 000000000001_p-db-1 for p-db-1: environment.DEBUG changed
            2 stop container p-db-1 [after 1]: replaced
            3 remove container p-db-1 [after 1, 2]: replaced
            4 rename container 000000000001_p-db-1 to p-db-1 [after 1, 3]: replaced
            5 start container p-db-1 [after 4]: new
        ",
    );
}

#[test]
fn a_new_image_recreates() {
    let one = project(json!({"db": {}}));
    let facts = |id: &str| ImageFacts { id: id.to_owned(), has_healthcheck: false };
    let options = |id| UpOptions { images: [("db".to_owned(), facts(id))].into(), ..up_options() };
    let seen = with(running(&one), "p-db-1", |c| c.image_id = "sha256:1".to_owned());
    assert_eq!(up_text(&one, &seen, &options("sha256:1")), "");
    check(
        &up_text(&one, &seen, &options("sha256:2")),
        "
            1 create container 000000000001_p-db-1 for p-db-1: image changed
            2 stop container p-db-1 [after 1]: replaced
            3 remove container p-db-1 [after 1, 2]: replaced
            4 rename container 000000000001_p-db-1 to p-db-1 [after 1, 3]: replaced
            5 start container p-db-1 [after 4]: new
        ",
    );
}

#[test]
fn force_recreate_touches_the_named_services_only() {
    let seen = running(&shop());
    let options =
        UpOptions { services: vec!["migrate".to_owned()], force_recreate: true, ..up_options() };
    check(
        &up_text(&shop(), &seen, &options),
        "
            1 create container 000000000002_p-migrate-1 for p-migrate-1: forced
            2 stop container p-migrate-1 [after 1]: replaced
            3 remove container p-migrate-1 [after 1, 2]: replaced
            4 rename container 000000000002_p-migrate-1 to p-migrate-1 [after 1, 3]: replaced
            5 start container p-migrate-1 [after 4; db healthy]: new
        ",
    );
    let options = UpOptions { always_recreate_deps: true, force_recreate: false, ..options };
    check(
        &up_text(&shop(), &seen, &options),
        "
            1 create container 000000000001_p-db-1 for p-db-1: forced
            2 stop container p-db-1 [after 1]: replaced
            3 remove container p-db-1 [after 1, 2]: replaced
            4 rename container 000000000001_p-db-1 to p-db-1 [after 1, 3]: replaced
            5 start container p-db-1 [after 4]: new
        ",
    );
}

#[test]
fn no_recreate_leaves_changed_containers_alone() {
    let before = running(&project(json!({"db": {}})));
    let after = project(json!({"db": {"environment": {"A": "1"}}, "new": {}}));
    let options = UpOptions { no_recreate: true, ..up_options() };
    check(
        &up_text(&after, &before, &options),
        "
            1 create container p-new-1: does not exist
            2 start container p-new-1 [after 1]: new
        ",
    );
}

#[test]
fn no_deps_takes_the_named_services_without_gates() {
    let options = UpOptions { services: vec!["web".to_owned()], no_deps: true, ..up_options() };
    check(
        &up_text(&shop(), &Observed::default(), &options),
        "
            1 create network p_default: does not exist
            2 create container p-web-1 [after 1]: does not exist
            3 start container p-web-1 [after 2]: new
        ",
    );
}

#[test]
fn naming_a_service_brings_what_it_depends_on() {
    let options = UpOptions { services: vec!["migrate".to_owned()], ..up_options() };
    let text = up_text(&shop(), &Observed::default(), &options);
    assert!(text.contains("p-db-1") && !text.contains("p-web-1"), "{text}");
    let names = ["db".to_owned(), "migrate".to_owned()].into();
    assert_eq!(selected_services(&shop(), &options), Ok(names));
}

#[test]
fn no_start_only_creates() {
    let options = UpOptions { start: false, ..up_options() };
    let text = up_text(&shop(), &Observed::default(), &options);
    assert!(text.contains("create container") && !text.contains("start container"), "{text}");
}

#[test]
fn orphans_are_named_or_removed_before_anything_is_made() {
    let before = running(&project(json!({"old": {}, "db": {"container_name": "data"}})));
    let after = project(json!({"new": {"container_name": "data"}}));
    check(
        &up_text(&project(json!({"db": {"container_name": "data"}})), &before, &up_options()),
        "
            note: Found orphan containers ([p-old-1]) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.
        ",
    );
    let options = UpOptions { ignore_orphans: true, ..up_options() };
    let known = project(json!({"db": {"container_name": "data"}}));
    check(&up_text(&known, &before, &options), "");
    let options = UpOptions { remove_orphans: true, ..up_options() };
    check(
        &up_text(&after, &before, &options),
        "
            1 stop container p-old-1: orphan
            2 remove container p-old-1 [after 1]: orphan
            3 stop container data: orphan
            4 remove container data [after 3]: orphan
            5 create container data [after 4]: does not exist
            6 start container data [after 1, 3, 5]: new
        ",
    );
}

#[test]
fn a_service_of_another_profile_is_no_orphan() {
    let before = running(&project(json!({"db": {}, "debug": {}})));
    let mut after = project(json!({"db": {}}));
    after.disabled_services.insert("debug".to_owned(), before_service());
    assert_eq!(up_text(&after, &before, &up_options()), "");
}

fn before_service() -> naru_compose::project::Service {
    serde_json::from_value(json!({"image": "busybox"})).unwrap()
}

#[test]
fn dependents_with_restart_true_stop_first_and_start_again() {
    let services = |debug: &str| {
        json!({
            "db": {"environment": {"DEBUG": debug}},
            "api": {"depends_on": {"db": {"condition": "service_healthy", "restart": true, "required": true}}},
            "web": {"depends_on": needs(&[("api", "service_started")])}
        })
    };
    let seen = running(&project(services("0")));
    check(
        &up_text(&project(services("1")), &seen, &up_options()),
        "
            1 create container 000000000001_p-db-1 for p-db-1: environment.DEBUG changed
            2 stop container p-api-1 [after 1]: restarts with db
            3 stop container p-db-1 [after 1, 2]: replaced
            4 remove container p-db-1 [after 1, 3]: replaced
            5 rename container 000000000001_p-db-1 to p-db-1 [after 1, 4]: replaced
            6 start container p-db-1 [after 5]: new
            7 start container p-api-1 [after 2, 6; db healthy]: restarts with db
        ",
    );
}

#[test]
fn containers_that_share_a_namespace_follow_its_owner() {
    let services = |debug: &str| {
        json!({
            "vpn": {"environment": {"DEBUG": debug}},
            "app": {"network_mode": "service:vpn", "depends_on": needs(&[("vpn", "service_started")])}
        })
    };
    let seen = running(&project(services("0")));
    check(&up_text(&project(services("1")), &seen, &up_options()), "
            1 create container 000000000001_p-vpn-1 for p-vpn-1: environment.DEBUG changed
            2 create container 000000000002_p-app-1 for p-app-1 [after 1]: shares with vpn, which is recreated
            3 stop container p-app-1 [after 2]: replaced
            4 stop container p-vpn-1 [after 1, 3]: replaced
            5 remove container p-vpn-1 [after 1, 4]: replaced
            6 rename container 000000000001_p-vpn-1 to p-vpn-1 [after 1, 5]: replaced
            7 remove container p-app-1 [after 2, 3]: replaced
            8 rename container 000000000002_p-app-1 to p-app-1 [after 2, 7]: replaced
            9 start container p-vpn-1 [after 6]: new
            10 start container p-app-1 [after 8, 9; vpn started]: new
        ");
}

#[test]
fn a_dependency_that_may_be_missing_is_a_soft_gate() {
    let two = project(json!({
        "cache": {},
        "web": {"depends_on": {
            "cache": {"condition": "service_healthy", "required": false},
            "gone": {"condition": "service_started", "required": false}
        }}
    }));
    check(
        &up_text(&two, &Observed::default(), &up_options()),
        "
            1 create network p_default: does not exist
            2 create container p-cache-1 [after 1]: does not exist
            3 create container p-web-1 [after 1]: does not exist
            4 start container p-cache-1 [after 2]: new
            5 start container p-web-1 [after 3; cache healthy if it can be]: new
        ",
    );
}

#[test]
fn a_dependency_scaled_to_zero_is_not_waited_for() {
    let two = project(
        json!({"db": {"scale": 0}, "web": {"depends_on": needs(&[("db", "service_healthy")])}}),
    );
    check(
        &up_text(&two, &Observed::default(), &up_options()),
        "
            1 create network p_default: does not exist
            2 create container p-web-1 [after 1]: does not exist
            3 start container p-web-1 [after 2]: new
        ",
    );
}

#[test]
fn errors_come_before_any_step() {
    let error = |services: Value, options: &UpOptions| {
        up(&project(services), &Observed::default(), options).unwrap_err().to_string()
    };
    let cycle = json!({"a": {"depends_on": needs(&[("b", "service_started")])}, "b": {"depends_on": needs(&[("a", "service_started")])}});
    assert_eq!(error(cycle, &up_options()), "dependency cycle detected: a -> b -> a");
    let options = UpOptions { services: vec!["x".to_owned()], ..up_options() };
    assert_eq!(error(json!({"a": {}}), &options), "no such service: x");
    let undefined = json!({"a": {"depends_on": needs(&[("x", "service_started")])}});
    assert_eq!(error(undefined, &up_options()), "service \"a\" depends on undefined service \"x\"");
    let healthless = json!({"a": {"depends_on": needs(&[("b", "service_healthy")])}, "b": {}});
    let images = [("b".to_owned(), ImageFacts::default())].into();
    assert_eq!(
        error(healthless, &UpOptions { images, ..up_options() }),
        "dependency failed to start: service \"a\" waits for \"b\" to be healthy, but it has no healthcheck configured"
    );
    assert_eq!(
        error(json!({"a": {"restart": "maybe"}}), &up_options()),
        "service \"a\" has the unknown restart policy \"maybe\""
    );
}
