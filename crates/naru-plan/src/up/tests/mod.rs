//! Plans of `up` as text.

mod interrupted;

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
fn scaling_up_continues_after_the_highest_number() {
    let one = project(json!({"web": {"scale": 2}}));
    let mut seen = running(&one);
    seen.containers.retain(|c| c.number == 2);
    let options = UpOptions { scale: [("web".to_owned(), 3)].into(), ..up_options() };
    check(
        &up_text(&one, &seen, &options),
        "
            1 create container p-web-3: does not exist
            2 create container p-web-4: does not exist
            3 start container p-web-3 [after 1]: new
            4 start container p-web-4 [after 2]: new
        ",
    );
}

#[test]
fn scaling_down_takes_obsolete_replicas_first_then_the_highest() {
    let three = project(json!({"web": {"scale": 3}}));
    let seen = with(running(&three), "p-web-1", |c| c.fingerprint.hash.clear());
    let options = UpOptions { scale: [("web".to_owned(), 1)].into(), ..up_options() };
    check(
        &up_text(&three, &seen, &options),
        "
            1 stop container p-web-3: scaled down
            2 stop container p-web-1: scaled down
            3 remove container p-web-3 [after 1]: scaled down
            4 remove container p-web-1 [after 2]: scaled down
        ",
    );
}

#[test]
fn a_fixed_container_name_is_used_and_cannot_be_scaled() {
    let one = project(json!({"web": {"container_name": "site"}}));
    check(
        &up_text(&one, &Observed::default(), &up_options()),
        "
            1 create network p_default: does not exist
            2 create container site [after 1]: does not exist
            3 start container site [after 2]: new
        ",
    );
    let options = UpOptions { scale: [("web".to_owned(), 2)].into(), ..up_options() };
    let error = up(&one, &Observed::default(), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "service \"web\" has the container_name \"site\", so it cannot be scaled to 2"
    );
}

#[test]
fn with_compatibility_underscores_part_the_names() {
    let old = naru_compose::Project { compatibility: true, ..project(json!({"web": {}})) };
    check(
        &up_text(&old, &Observed::default(), &up_options()),
        "
            1 create network p_default: does not exist
            2 create container p_web_1 [after 1]: does not exist
            3 start container p_web_1 [after 2]: new
        ",
    );
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

fn with_network(network: Value) -> Project {
    project_with(json!({
        "networks": {"back": network},
        "services": {
            "db": {"networks": {"back": null}},
            "web": {"networks": {"back": null, "default": null}, "depends_on": needs(&[("db", "service_started")])}
        }
    }))
}

#[test]
fn a_changed_network_is_made_anew_between_stop_and_creation() {
    let seen = running(&with_network(json!({})));
    check(
        &up_text(&with_network(json!({"internal": true})), &seen, &up_options()),
        "
            1 stop container p-web-1: network p_back changed
            2 stop container p-db-1 [after 1]: network p_back changed
            3 remove network p_back [after 1, 2]: network p_back changed
            4 create network p_back [after 3]: network p_back changed
            5 create container 000000000001_p-db-1 for p-db-1 [after 4]: network p_back changed
            6 create container 000000000002_p-web-1 for p-web-1 [after 4]: network p_back changed
            7 remove container p-db-1 [after 2, 5]: replaced
            8 rename container 000000000001_p-db-1 to p-db-1 [after 5, 7]: replaced
            9 remove container p-web-1 [after 1, 6]: replaced
            10 rename container 000000000002_p-web-1 to p-web-1 [after 6, 9]: replaced
            11 start container p-db-1 [after 8]: new
            12 start container p-web-1 [after 10, 11; db started]: new
        ",
    );
}

#[test]
fn a_changed_network_stays_when_a_container_on_it_would_not_be_recreated() {
    let seen = running(&with_network(json!({})));
    let options = UpOptions { services: vec!["db".to_owned()], ..up_options() };
    check(&up_text(&with_network(json!({"internal": true})), &seen, &options), "
            note: network p_back has changed in the compose file; it is kept as it is because p-web-1 use it and are not recreated by this command
        ");
}

fn with_volume(volume: Value) -> Project {
    project_with(json!({
        "volumes": {"data": volume},
        "services": {"db": {"volumes": [{"type": "volume", "source": "data", "target": "/data"}]}}
    }))
}

#[test]
fn a_changed_volume_keeps_its_data_unless_the_user_agrees() {
    let seen = running(&with_volume(json!({})));
    let changed = with_volume(json!({"labels": {"a": "b"}}));
    check(&up_text(&changed, &seen, &up_options()), "
            note: volume p_data exists but doesn't match its configuration in the compose file; it is kept as it is
        ");
    let recreate_volumes = BTreeSet::from(["p_data".to_owned()]);
    check(
        &up_text(&changed, &seen, &UpOptions { recreate_volumes, ..up_options() }),
        "
            1 stop container p-db-1: volume p_data changed
            2 remove container p-db-1 and its anonymous volumes [after 1]: volume p_data changed
            3 remove volume p_data [after 2]: volume p_data changed
            4 create volume p_data [after 3]: volume p_data changed
            5 create container p-db-1 [after 2, 4]: volume p_data changed
            6 start container p-db-1 [after 5]: new
        ",
    );
}

#[test]
fn a_volume_that_was_removed_is_made_again_with_a_new_container() {
    let mut seen = running(&with_volume(json!({})));
    seen.volumes.clear();
    check(
        &up_text(&with_volume(json!({})), &seen, &up_options()),
        "
            1 create volume p_data: does not exist
            2 create container 000000000001_p-db-1 for p-db-1 [after 1]: volume p_data missing
            3 stop container p-db-1 [after 2]: replaced
            4 remove container p-db-1 [after 2, 3]: replaced
            5 rename container 000000000001_p-db-1 to p-db-1 [after 2, 4]: replaced
            6 start container p-db-1 [after 5]: new
        ",
    );
}

#[test]
fn external_resources_must_exist_and_are_never_made() {
    let net = project_with(json!({
        "networks": {"default": {"external": true, "name": "shared"}}, "services": {"a": {}}
    }));
    let error = up(&net, &Observed::default(), &up_options()).unwrap_err();
    assert_eq!(error.to_string(), "network shared declared as external, but could not be found");
    let seen = Observed { foreign_networks: ["shared".to_owned()].into(), ..Observed::default() };
    check(
        &up_text(&net, &seen, &up_options()),
        "
            1 create container p-a-1: does not exist
            2 start container p-a-1 [after 1]: new
        ",
    );
    let mut volume = with_volume(json!({"external": true, "name": "vault"}));
    let error = up(&volume, &Observed::default(), &up_options()).unwrap_err();
    assert_eq!(error.to_string(), "external volume \"vault\" not found");
    volume.volumes.get_mut("data").unwrap().external = false;
    let seen = Observed { foreign_volumes: ["vault".to_owned()].into(), ..Observed::default() };
    check(&up_text(&volume, &seen, &up_options()), "
            1 create network p_default: does not exist
            2 create container p-db-1 [after 1]: does not exist
            3 start container p-db-1 [after 2]: new
            note: volume vault already exists but was not created for this project; use `external: true` to use an existing volume
        ");
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

#[test]
fn absurd_scales_are_refused_before_anything_is_allocated() {
    let options = UpOptions { scale: [("web".to_owned(), 1_000_000_000)].into(), ..up_options() };
    let error = up(&project(json!({"web": {}})), &Observed::default(), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "service \"web\" cannot be scaled to 1000000000: 10000 replicas is the most"
    );
}

mod flags;
mod one_off;
mod pre_start;
