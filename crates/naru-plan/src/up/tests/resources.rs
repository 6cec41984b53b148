//! What a changed file does to networks and volumes, and what must be there.

use serde_json::{Value, json};

use super::*;

pub(super) fn with_network(network: Value) -> Project {
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

#[test]
fn a_changed_network_stays_when_containers_of_other_projects_are_in_it() {
    let mut seen = running(&with_network(json!({})));
    seen.networks.iter_mut().for_each(|network| network.is_used_by_others = true);
    check(&up_text(&with_network(json!({"internal": true})), &seen, &up_options()), "
            note: network p_back has changed in the compose file; it is kept as it is because containers of other projects use it and are not recreated by this command
        ");
}

pub(super) fn with_volume(volume: Value) -> Project {
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
    let own =
        project_with(json!({"networks": {"default": {"name": "shared"}}, "services": {"a": {}}}));
    let shared = || ["shared".to_owned()].into();
    let (foreign_networks, replaced_networks) = (shared(), shared());
    let seen =
        Observed { foreign_networks, replaced_networks, networks: Vec::new(), ..running(&own) };
    check(
        &up_text(&net, &seen, &up_options()),
        "
            1 stop container p-a-1: network shared changed
            2 create container 000000000001_p-a-1 for p-a-1: network shared changed
            3 remove container p-a-1 [after 1, 2]: replaced
            4 rename container 000000000001_p-a-1 to p-a-1 [after 2, 3]: replaced
            5 start container p-a-1 [after 4]: new
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
