//! What attributes mean, as `config` prints it.

use super::load_text;
use crate::project::Dollar;

/// Loads a file with one service and compares what is printed for it.
fn check(service: &str, expect: &str) {
    let yaml = format!("services:\n  a:\n    image: x\n    {}\n", service.replace('\n', "\n    "));
    let project = load_text(&yaml).unwrap_or_else(|problems| panic!("{problems}")).project;
    let mut value = serde_json::to_value(&project.services["a"]).unwrap();
    let map = value.as_object_mut().unwrap();
    map.remove("image");
    map.retain(|key, value| !(key == "networks" && value.get("default").is_some()));
    map.retain(|_, value| !value.is_null());
    assert_eq!(value.to_string(), expect, "{service}");
}

#[test]
fn commands_are_split_into_words_and_an_empty_one_clears() {
    check("command: sh -c 'a b'", r#"{"command":["sh","-c","a b"]}"#);
    check("command: []", r#"{"command":[]}"#);
    check("entrypoint: ''", r#"{"entrypoint":[]}"#);
    check("command:", "{}");
}

#[test]
fn environments_are_mappings_of_texts() {
    check(
        "environment: {A: true, B: 1.50, C: 0x1F, D: 1e3, E: , F: yes, G: ''}",
        r#"{"environment":{"A":"true","B":"1.5","C":"31","D":"1000","E":null,"F":"yes","G":""}}"#,
    );
    check(
        "environment: [A=1, B, C=, D=a=b]",
        r#"{"environment":{"A":"1","B":null,"C":"","D":"a=b"}}"#,
    );
    check("labels: [a, b=1]", r#"{"labels":{"a":"","b":"1"}}"#);
}

#[test]
fn sizes_and_durations_have_one_spelling() {
    check("mem_limit: 1.5g", r#"{"mem_limit":"1610612736"}"#);
    check("shm_size: 67108864", r#"{"shm_size":"67108864"}"#);
    check("memswap_limit: -1", r#"{"memswap_limit":"-1"}"#);
    check("stop_grace_period: 90s", r#"{"stop_grace_period":"1m30s"}"#);
    check("cpus: '0.50'", r#"{"cpus":0.5}"#);
}

#[test]
fn texts_stand_for_booleans_and_numbers_where_those_are_expected() {
    check("tty: 'yes'\ninit: 'false'", r#"{"init":false,"tty":true}"#);
    check("scale: '2'\ncpu_shares: '10'", r#"{"cpu_shares":10,"scale":2}"#);
}

#[test]
fn health_checks_in_one_text_run_in_a_shell() {
    check(
        "healthcheck: {test: curl x, interval: 10s, retries: '3'}",
        r#"{"healthcheck":{"interval":"10s","retries":3,"test":["CMD-SHELL","curl x"]}}"#,
    );
}

#[test]
fn short_volumes_say_what_they_mount() {
    check(
        "volumes: ['/a:/b/../c:ro,z']",
        r#"{"volumes":[{"bind":{"create_host_path":true,"selinux":"z"},"read_only":true,"source":"/a","target":"/c","type":"bind"}]}"#,
    );
    check("volumes: [/data]", r#"{"volumes":[{"target":"/data","type":"volume","volume":{}}]}"#);
}

#[test]
fn ports_are_expanded_and_repeated_ones_are_one() {
    check(
        "ports: ['80:80', '80:80', '127.0.0.1::53/udp']",
        r#"{"ports":[{"mode":"ingress","protocol":"tcp","published":"80","target":80},{"host_ip":"127.0.0.1","mode":"ingress","protocol":"udp","target":53}]}"#,
    );
}

#[test]
fn links_and_shared_namespaces_are_dependencies() {
    let yaml = "\
services:
  a: {image: x, links: [b], pid: 'service:c', volumes_from: ['d:ro']}
  b: {image: x}
  c: {image: x}
  d: {image: x}
";
    let project = load_text(yaml).unwrap().project;
    let dependencies = &project.services["a"].depends_on;
    let restarts: Vec<_> =
        dependencies.iter().map(|(name, it)| (name.as_str(), it.restart)).collect();
    assert_eq!(restarts, [("b", true), ("c", true), ("d", false)]);
}

#[test]
fn the_default_network_exists_when_it_is_used() {
    let project = load_text("services: {a: {image: x}}\n").unwrap().project;
    assert_eq!(project.networks["default"].name, "shop_default");
    let project = load_text("services: {a: {image: x, network_mode: none}}\n").unwrap().project;
    assert!(project.networks.is_empty());
}

#[test]
fn resources_that_nobody_uses_are_left_out() {
    let yaml = "services: {a: {image: x, volumes: ['data:/b']}}\nvolumes: {data: , other: }\n";
    let project = load_text(yaml).unwrap().project;
    assert_eq!(project.volumes.keys().collect::<Vec<_>>(), ["data"]);
    assert_eq!(project.volumes["data"].name, "shop_data");
}

#[test]
fn limits_come_from_deploy_or_from_the_service() {
    let yaml = "\
services:
  a: {image: x, mem_limit: 1m, restart: always, scale: 2}
  b:
    image: x
    restart: always
    deploy:
      replicas: 3
      resources: {limits: {memory: 2m, cpus: '0.5', pids: 7}}
      restart_policy: {condition: on-failure, max_attempts: 4}
";
    let services = load_text(yaml).unwrap().project.services;
    let (a, b) = (&services["a"], &services["b"]);
    assert_eq!((a.memory_limit(), a.replicas()), (Some(1 << 20), 2));
    assert_eq!((b.memory_limit(), b.replicas()), (Some(2 << 20), 3));
    assert_eq!((b.cpu_limit().nano(), b.process_limit()), (Some(500_000_000), 7));
    let policies = [a.restart_policy().to_string(), b.restart_policy().to_string()];
    assert_eq!(policies, ["always", "on-failure:4"]);
}

#[test]
fn dollars_are_doubled_in_what_is_printed() {
    let yaml = "services: {a: {image: x, environment: {A: 'a$$b'}}}\n";
    let project = load_text(yaml).unwrap().project;
    assert_eq!(project.services["a"].environment["A"].as_deref(), Some("a$b"));
    assert!(project.to_json(Dollar::Doubled).contains(r#""A": "a$$b""#));
    assert!(project.to_yaml(Dollar::Plain).contains("A: a$b"));
}

#[test]
fn extensions_stay_in_yaml_and_at_the_top_of_json() {
    let yaml = "services: {a: {image: x, x-b: {c: 1}}}\nx-d: [e]\n";
    let project = load_text(yaml).unwrap().project;
    let (json, yaml) = (project.to_json(Dollar::Plain), project.to_yaml(Dollar::Plain));
    assert!(json.contains("x-d") && !json.contains("x-b"), "{json}");
    assert!(yaml.contains("x-d") && yaml.contains("x-b"), "{yaml}");
}

#[test]
fn a_project_survives_being_handed_to_another_process() {
    let yaml = "\
name: q
services:
  a:
    image: x
    ports: ['80:80']
    extra_hosts: ['h:1.2.3.4']
    ulimits: {nofile: 3, nproc: {soft: 1, hard: 2}}
    restart: on-failure:2
    memswap_limit: -1
    x-y: z
    healthcheck: {test: a, interval: 5s}
  b: {image: x, profiles: [c]}
x-z: 1
";
    let project = load_text(yaml).unwrap().project;
    let text = serde_json::to_string(&project).unwrap();
    assert_eq!(serde_json::from_str::<crate::Project>(&text).unwrap(), project);
}

#[test]
fn a_secret_of_a_variable_has_its_value_but_does_not_print_it() {
    let yaml = "services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {environment: TOKEN}}\n";
    let directory = super::Directory::with(&[("compose.yaml", yaml)]);
    let project = crate::load(&directory.request(&[("TOKEN", "hush")])).unwrap().project;
    assert_eq!(project.secrets["s"].content, "hush");
    assert!(!project.to_json(Dollar::Plain).contains("hush"));
    assert!(!project.to_yaml(Dollar::Plain).contains("hush"));
}
