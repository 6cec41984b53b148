//! Rules found by trying files beyond the corpus on docker compose.

use super::{Directory, load_text};
use crate::Project;
use crate::project::Dollar;

/// The project of two files, the second merged over the first.
fn merged(first: &str, second: &str) -> Project {
    let directory = Directory::with(&[("compose.yaml", first), ("compose.override.yaml", second)]);
    crate::load(&directory.request(&[])).unwrap_or_else(|problems| panic!("{problems}")).project
}

/// The service `a` of two files that say this about it.
fn services(first: &str, second: &str) -> crate::project::Service {
    let service = |text: &str| format!("services: {{a: {{image: x, {text}}}}}\n");
    merged(&service(first), &service(second)).services["a"].clone()
}

#[test]
fn a_value_with_a_tag_of_its_own_is_a_text() {
    let service =
        services("user: '0'", "user: !override 5, environment: {A: !override 1.50, B: !x }");
    assert_eq!(service.user, "5");
    assert_eq!(service.environment["A"].as_deref(), Some("1.50"));
    assert_eq!(service.environment["B"].as_deref(), Some(""));
}

#[test]
fn large_and_small_numbers_have_an_exponent_as_in_go() {
    let yaml =
        "services: {a: {image: x, environment: {A: 1e6, B: 999999.5, C: 0.00001, D: 12345678}}}\n";
    let project = load_text(yaml).unwrap().project;
    let environment = &project.services["a"].environment;
    let values: Vec<&str> = environment.values().flatten().map(String::as_str).collect();
    assert_eq!(values, ["1e+06", "999999.5", "1e-05", "12345678"]);
}

#[test]
fn a_published_port_as_number_is_never_the_one_as_text() {
    let long = "ports: [{target: 80, published: 80}]";
    assert_eq!(services("ports: ['80:80']", long).ports.len(), 2);
    assert_eq!(services(long, long).ports.len(), 1);
    assert_eq!(services("ports: ['80:80']", "ports: ['80:80']").ports.len(), 1);
}

#[test]
fn hosts_are_the_same_when_they_are_written_the_same() {
    let hosts = |first: &str, second: &str| {
        let service =
            services(&format!("extra_hosts: ['{first}']"), &format!("extra_hosts: ['{second}']"));
        service.extra_hosts.0.values().map(Vec::len).sum::<usize>()
    };
    assert_eq!(hosts("h:1.1.1.1", "h:1.1.1.1"), 1);
    assert_eq!(hosts("h:1.1.1.1", "h=1.1.1.1"), 2);
}

#[test]
fn options_of_a_provider_are_replaced_by_a_later_file() {
    let provider = |options: &str| format!("provider: {{type: t, options: {options}}}");
    let service = services(&provider("{x: 1, y: 2}"), &provider("{x: 3}"));
    let options = serde_json::to_value(&service.provider).unwrap()["options"].to_string();
    assert_eq!(options, r#"{"x":["3"],"y":["2"]}"#);
}

#[test]
fn keys_for_a_build_are_merged_by_their_id() {
    let build = |ssh: &str| format!("build: {{context: ., ssh: {ssh}}}");
    let service = services(&build("[default, a=/x]"), &build("{a: /y, b: /z}"));
    assert_eq!(service.build.unwrap().ssh.len(), 3);
    let yaml = "services: {a: {build: {context: ., ssh: [key]}}}\n";
    assert!(load_text(yaml).unwrap_err().to_string().contains("has a path"));
}

#[test]
fn a_service_with_an_empty_profile_runs_when_no_profile_is_active() {
    let yaml = "services: {a: {image: x, profiles: ['${UNSET}']}, b: {image: x, profiles: [p]}}\n";
    let project = load_text(yaml).unwrap().project;
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn sizes_and_policies_are_read_as_docker_compose_reads_them() {
    let service = services("mem_limit: 1e3k", "shm_size: '+1_000'");
    assert_eq!(service.memory_limit(), Some(1_024_000));
    for wrong in ["every_1us", "every_1.5h", "every_"] {
        let yaml = format!("services: {{a: {{image: x, pull_policy: {wrong}}}}}\n");
        assert!(load_text(&yaml).is_err(), "{wrong}");
    }
}

#[test]
fn a_warning_too_many_hides_no_error() {
    let names: String = (0..300).map(|number| format!("$U{number} ")).collect();
    let yaml = format!("services: {{a: {{image: x, command: '{names}', wrong: 1}}}}\n");
    assert!(load_text(&yaml).unwrap_err().to_string().contains("wrong"));
}

#[test]
fn labels_of_configs_and_secrets_are_merged_by_name() {
    let file = |labels: &str| {
        format!(
            "services: {{a: {{image: x, configs: [c], secrets: [s]}}}}\n\
             configs: {{c: {{content: x, labels: {labels}}}}}\n\
             secrets: {{s: {{file: x, labels: {labels}}}}}\n"
        )
    };
    let project = merged(&file("{a: 1, b: 2}"), &file("[b=3, c]"));
    let labels = serde_json::to_string(&project.configs["c"].labels).unwrap();
    assert_eq!(labels, r#"{"a":"1","b":"3","c":""}"#);
    assert_eq!(labels, serde_json::to_string(&project.secrets["s"].labels).unwrap());
}

#[test]
fn a_label_file_refers_to_what_earlier_label_files_say_before_what_it_says_itself() {
    let directory = Directory::with(&[
        ("compose.yaml", "services: {a: {image: x, label_file: [one, two]}}\n"),
        ("one", "A=1\n"),
        ("two", "A=2\nB=${A}\nC=3\nD=${C}${SHELL_SET}\n"),
    ]);
    let project = crate::load(&directory.request(&[("SHELL_SET", "never")])).unwrap().project;
    let labels = serde_json::to_string(&project.services["a"].labels).unwrap();
    assert_eq!(labels, r#"{"A":"2","B":"1","C":"3","D":"3"}"#);
}

#[test]
fn attributes_are_printed_in_the_order_of_docker_compose() {
    let yaml = "services: {a: {image: x, mac_address: 'aa:bb:cc:dd:ee:ff', memswap_limit: 3m, \
                mem_swappiness: 5, mem_reservation: 1m, mem_limit: 2m, logging: {driver: none}}}\n";
    let printed = load_text(yaml).unwrap().project.to_yaml(Dollar::Plain);
    let keys =
        printed.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    let keys: Vec<&str> = keys.filter_map(|line| line.trim().split(':').next()).collect();
    let expected = [
        "image",
        "logging",
        "mem_limit",
        "mem_reservation",
        "memswap_limit",
        "mem_swappiness",
        "mac_address",
        "networks",
        "name",
    ];
    assert_eq!(keys, expected);
}
