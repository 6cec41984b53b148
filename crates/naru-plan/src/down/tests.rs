//! Plans of `down` as text.

use serde_json::json;

use super::*;
use crate::fixture::{apply, check, needs, project, project_with, running, up_options, with};
use crate::observed::State;

fn text(project: Option<&Project>, seen: &Observed, options: &DownOptions) -> String {
    let plan = down(project, seen, options).unwrap();
    crate::fixture::check_order(&plan);
    plan.to_string()
}

fn shop() -> Project {
    project_with(json!({
        "volumes": {"data": {}, "old": {"external": true, "name": "old"}},
        "services": {
            "cache": {},
            "db": {"volumes": [
                {"type": "volume", "source": "data", "target": "/data"},
                {"type": "volume", "source": "old", "target": "/old"}
            ]},
            "api": {"scale": 2, "depends_on": needs(&[("db", "service_healthy"), ("cache", "service_started")])},
            "web": {"depends_on": needs(&[("api", "service_started")])}
        }
    }))
}

fn shop_running() -> Observed {
    let mut seen = Observed { project: "p".to_owned(), ..Observed::default() };
    seen.foreign_volumes.insert("old".to_owned());
    let plan = crate::up(&shop(), &seen, &up_options()).unwrap();
    apply(&plan, &shop(), &up_options(), &mut seen);
    seen
}

#[test]
fn down_stops_dependents_first_and_keeps_volumes() {
    check(
        &text(Some(&shop()), &shop_running(), &DownOptions::default()),
        "
            1 stop container p-web-1: requested
            2 stop container p-api-2 [after 1]: requested
            3 stop container p-api-1 [after 1]: requested
            4 stop container p-db-1 [after 2, 3]: requested
            5 stop container p-cache-1 [after 2, 3]: requested
            6 remove container p-web-1 [after 1]: requested
            7 remove container p-api-2 [after 2]: requested
            8 remove container p-api-1 [after 3]: requested
            9 remove container p-db-1 [after 4]: requested
            10 remove container p-cache-1 [after 5]: requested
            11 remove network p_default [after 1, 2, 3, 4, 5]: requested
        ",
    );
}

#[test]
fn down_without_a_file_uses_what_was_recorded() {
    let options = DownOptions::default();
    let with_file = text(Some(&shop()), &shop_running(), &options);
    assert_eq!(text(None, &shop_running(), &options), with_file);
}

#[test]
fn volumes_go_on_request_but_never_external_ones() {
    let options = DownOptions { volumes: true, ..DownOptions::default() };
    check(
        &text(None, &shop_running(), &options),
        "
            1 stop container p-web-1: requested
            2 stop container p-api-2 [after 1]: requested
            3 stop container p-api-1 [after 1]: requested
            4 stop container p-db-1 [after 2, 3]: requested
            5 stop container p-cache-1 [after 2, 3]: requested
            6 remove container p-web-1 and its anonymous volumes [after 1]: requested
            7 remove container p-api-2 and its anonymous volumes [after 2]: requested
            8 remove container p-api-1 and its anonymous volumes [after 3]: requested
            9 remove container p-db-1 and its anonymous volumes [after 4]: requested
            10 remove container p-cache-1 and its anonymous volumes [after 5]: requested
            11 remove network p_default [after 1, 2, 3, 4, 5]: requested
            12 remove volume p_data [after 9]: requested
        ",
    );
    let mut seen = shop_running();
    apply(&down(None, &seen, &options).unwrap(), &shop(), &up_options(), &mut seen);
    assert!(seen.containers.is_empty() && seen.networks.is_empty() && seen.volumes.is_empty());
    check(
        &text(None, &seen, &options),
        "
            note: No resource found to remove for project \"p\".
        ",
    );
}

#[test]
fn a_service_takes_its_dependents_along_and_leaves_what_is_in_use() {
    let options =
        DownOptions { services: vec!["api".to_owned()], volumes: true, ..DownOptions::default() };
    check(
        &text(None, &shop_running(), &options),
        "
            1 stop container p-web-1: requested
            2 stop container p-api-2 [after 1]: requested
            3 stop container p-api-1 [after 1]: requested
            4 remove container p-web-1 and its anonymous volumes [after 1]: requested
            5 remove container p-api-2 and its anonymous volumes [after 2]: requested
            6 remove container p-api-1 and its anonymous volumes [after 3]: requested
        ",
    );
}

#[test]
fn a_stopped_container_in_between_keeps_the_order() {
    let mut seen = shop_running();
    for name in ["p-api-1", "p-api-2"] {
        seen = with(seen, name, |c| c.state = State::Exited { code: Some(0) });
    }
    let plan = text(None, &seen, &DownOptions::default());
    assert!(plan.contains("2 stop container p-db-1 [after 1]"), "{plan}");
}

#[test]
fn orphans_and_one_offs_stay_unless_asked_for() {
    let seen = running(&project(json!({"old": {}, "db": {}})));
    let seen = with(seen, "p-db-1", |c| c.one_off = true);
    let file = project(json!({"db": {}}));
    check(
        &text(Some(&file), &seen, &DownOptions::default()),
        "
            note: Network p_default Resource is still in use
        ",
    );
    let options = DownOptions { remove_orphans: true, ..DownOptions::default() };
    check(
        &text(Some(&file), &seen, &options),
        "
            1 stop container p-old-1: requested
            2 stop container p-db-1: requested
            3 remove container p-old-1 [after 1]: requested
            4 remove container p-db-1 [after 2]: requested
            5 remove network p_default [after 1, 2]: requested
        ",
    );
}

#[test]
fn contradicting_records_do_not_prevent_a_down() {
    let seen = running(&project(
        json!({"a": {}, "b": {"depends_on": needs(&[("a", "service_started")])}}),
    ));
    let seen = with(seen, "p-a-1", |c| {
        c.depends_on = serde_json::from_value(needs(&[("b", "service_started")])).unwrap();
    });
    check(
        &text(None, &seen, &DownOptions::default()),
        "
            1 stop container p-b-1: requested
            2 stop container p-a-1: requested
            3 remove container p-b-1 [after 1]: requested
            4 remove container p-a-1 [after 2]: requested
            5 remove network p_default [after 1, 2]: requested
        ",
    );
}

#[test]
fn an_unknown_service_is_refused() {
    let options = DownOptions { services: vec!["nope".to_owned()], ..DownOptions::default() };
    let error = down(Some(&shop()), &shop_running(), &options).unwrap_err();
    assert_eq!(error.to_string(), "no such service: nope");
}
