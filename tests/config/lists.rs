//! The flags that print a list.

use super::shop;

#[test]
fn services_lists_those_of_the_active_profiles() {
    assert_eq!(shop().prints("config --services"), "db\nweb\n");
    assert_eq!(shop().prints("--profile tools config --services"), "db\ntool\nweb\n");
    assert_eq!(shop().prints("--profile * config --services"), "db\ntool\nweb\n");
    // Names of services make no difference, as with docker compose, not even wrong ones.
    assert_eq!(shop().prints("config --services db nosuch"), "db\nweb\n");
    assert_eq!(shop().prints("config --services --no-interpolate"), "db\ntool\nweb\n");
}

#[test]
fn volumes_and_networks_list_those_that_are_used() {
    assert_eq!(shop().prints("config --volumes"), "data\n");
    assert_eq!(shop().prints("config --networks"), "default\nfront\n");
    assert_eq!(shop().prints("--all-resources config --volumes"), "data\nold\n");
    assert_eq!(shop().prints("--all-resources config --networks"), "back\ndefault\nfront\n");
    assert_eq!(shop().prints("config --no-interpolate --volumes"), "data\n");
    assert_eq!(shop().prints("config --no-interpolate --networks"), "default\nfront\n");
}

#[test]
fn models_lists_what_the_used_models_are() {
    assert_eq!(shop().prints("config --models"), "");
    assert_eq!(shop().prints("--profile tools config --models"), "smart:9\n");
    let line = "--profile tools config --models --no-interpolate";
    assert_eq!(shop().prints(line), "smart:${TAG}\n");
}

#[test]
fn images_lists_the_image_of_each_service_or_the_name_that_it_will_get() {
    assert_eq!(shop().prints("config --images"), "postgres:16\nnginx:9\n");
    assert_eq!(shop().prints("config --images db"), "postgres:16\n");
    assert_eq!(shop().prints("config --images tool"), "shop-tool\n");
    let line = "config --images --no-interpolate web";
    assert_eq!(shop().prints(line), "postgres:${DB:?which}\nnginx:${TAG:-1.25}\n");
    for line in ["config --images nosuch", "config --images --no-interpolate nosuch"] {
        assert_eq!(shop().refuses(line), "naru: no such service: nosuch\n");
    }
}

#[test]
fn profiles_lists_those_of_all_services() {
    for line in ["config --profiles", "config --profiles db", "config --profiles --no-interpolate"]
    {
        assert_eq!(shop().prints(line), "tools\n", "{line}");
    }
    assert_eq!(shop().refuses("config --profiles nosuch"), "naru: no such service: nosuch\n");
}

#[test]
fn hash_names_each_service_with_a_hash_that_only_its_configuration_changes() {
    let mut shop = shop();
    let hashes = shop.prints("config --hash *");
    let lines: Vec<(&str, &str)> =
        hashes.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!(lines.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["db", "web"]);
    assert!(lines.iter().all(|(_, hash)| hash.len() == 64), "{hashes}");
    assert_eq!(shop.prints("config --hash web,db"), hashes);
    assert_eq!(shop.prints("config --hash db"), format!("db {}\n", lines[0].1));
    let other = {
        shop.variables.push(("PORT", "81"));
        let other = shop.prints("config --hash *");
        shop.variables.pop();
        other
    };
    assert!(other.contains(lines[0].1) && !other.contains(lines[1].1), "{other}");
    assert_eq!(shop.refuses("config --hash nosuch"), "naru: no such service: nosuch\n");
    let disabled = shop.refuses("config --hash tool");
    assert!(disabled.contains("no such service: tool"), "{disabled}");
    assert!(disabled.contains("profile `tools`"), "{disabled}");
    assert!(shop.refuses("config --hash * --no-interpolate").contains("exclude each other"));
    // An empty word is no flag, as with docker compose.
    assert_eq!(shop.prints("config --hash "), shop.prints("config"));
}

#[test]
fn variables_are_listed_with_their_defaults_as_table_json_and_yaml() {
    insta::assert_snapshot!(shop().prints("config --variables"));
    assert_eq!(
        shop().prints("config --variables"),
        shop().prints("config --variables --format table")
    );
    insta::assert_snapshot!(shop().prints("config --variables --format json"));
    insta::assert_snapshot!(shop().prints("config --variables --format yaml"));
    assert!(shop().refuses("config --variables --format toml").contains("unsupported format"));
}

#[test]
fn environment_lists_the_variables_of_interpolation() {
    let printed = shop().prints("config --environment");
    let lines: Vec<&str> = printed.lines().filter(|line| !line.starts_with("NARU_")).collect();
    assert_eq!(lines, ["COMPOSE_PROJECT_NAME=shop", "DB=16", "TAG=9"]);
    let given = shop().prints("--env-file web.env config --environment --no-interpolate");
    assert!(!given.contains("DB=16"), "{given}");
}

#[test]
fn of_several_lists_the_one_is_printed_that_docker_compose_prints() {
    let shop = shop();
    let order = [
        "--services",
        "--volumes",
        "--networks",
        "--models",
        "--hash *",
        "--profiles",
        "--images",
        "--variables",
        "--environment",
    ];
    for pair in order.windows(2) {
        let first = shop.prints(&format!("config {}", pair[0]));
        for both in [format!("{} {}", pair[0], pair[1]), format!("{} {}", pair[1], pair[0])] {
            assert_eq!(shop.prints(&format!("config {both}")), first, "{both}");
        }
    }
    // A format means nothing to a list of names.
    assert_eq!(shop.prints("config --services --format json"), "db\nweb\n");
    assert_eq!(shop.prints("config --services --lock-image-digests"), "db\nweb\n");
}
