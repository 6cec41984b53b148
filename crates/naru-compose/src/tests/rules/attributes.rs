//! Single attributes: their values, and what they need.

use super::{accepted, check, load_text, of, problems, project, refused};

#[test]
fn version_is_obsolete_and_ignored_with_a_warning() {
    let loaded = load_text("version: '3.8'\nservices: {a: {image: x}}\n").unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].message.contains("`version` is obsolete"));
}

#[test]
fn names_of_services_and_resources_have_letters_digits_dots_dashes_and_underscores() {
    project(&[("compose.yaml", "services: {A.b-c_1: {image: x}}\n")]);
    // Names of networks and models are free, as docker compose's schema has it.
    project(&[("compose.yaml", "services: {a: {image: x}}\nnetworks: {a b/c: }\n")]);
    for section in ["services", "volumes", "secrets", "configs"] {
        for name in ["a b", "a/b", "é", "'a:b'"] {
            let yaml = format!("services: {{a: {{image: x}}}}\n{section}: {{{name}: {{}}}}\n");
            let yaml = yaml.replace("services: {a: {image: x}}\nservices:", "services:");
            let problems = problems(&[("compose.yaml", &yaml)]);
            assert!(problems.contains("is not a name"), "{section} {name}: {problems}");
        }
    }
}

#[test]
fn extensions_are_allowed_in_every_object_and_other_unknown_keys_in_none() {
    let objects = [
        "X",
        "build: {context: ., X}",
        "healthcheck: {test: a, X}",
        "deploy: {resources: {limits: {cpus: '1', X}}}",
        "deploy: {X}",
        "logging: {driver: a, X}",
        "networks: {n: {aliases: [q], X}}",
        "ports: [{target: 80, X}]",
        "volumes: [{type: bind, source: /a, target: /b, bind: {propagation: rprivate, X}}]",
        "depends_on: {b: {condition: service_started, X}}",
        "develop: {watch: [{path: ., action: rebuild, X}]}",
        "secrets: [{source: s1, X}]",
        "env_file: [{path: /dev/null, X}]",
        "ulimits: {nofile: {soft: 1, hard: 2, X}}",
        "blkio_config: {weight: 10, X}",
        "post_start: [{command: a, X}]",
    ];
    for object in objects {
        accepted(&object.replace('X', "x-own: {any: thing}"));
        refused(&object.replace('X', "own: 1"), "`own`");
    }
}

#[test]
fn a_container_name_has_two_characters_or_more() {
    accepted("container_name: ab");
    accepted("container_name: A_b.c-1");
    for name in ["a", "a b", "a/b", "é"] {
        refused(&format!("container_name: '{name}'"), name);
    }
}

#[test]
fn numbers_about_processors_are_whole_and_have_no_unit() {
    for attribute in ["cpu_shares", "cpu_quota", "cpu_period", "cpu_rt_period", "cpu_rt_runtime"] {
        accepted(&format!("{attribute}: 100"));
        accepted(&format!("{attribute}: '100'"));
        refused(&format!("{attribute}: 20ms"), "20ms");
    }
}

#[test]
fn attributes_that_are_words_have_only_these() {
    let words = [
        ("cgroup", "host private"),
        ("pull_policy", "always never build if_not_present missing refresh daily weekly every_2h"),
        ("deploy: {restart_policy", "{condition:none} {condition:on-failure} {condition:any}"),
        ("deploy: {update_config", "{order:start-first} {order:stop-first}"),
    ];
    for (attribute, values) in words {
        let closing = if attribute.contains('{') { "}" } else { "" };
        for value in values.split(' ') {
            let value = value.replacen(':', ": ", usize::from(attribute.contains('{')));
            accepted(&format!("{attribute}: {value}{closing}"));
        }
        if closing.is_empty() {
            refused(&format!("{attribute}: sometimes"), "sometimes");
        }
    }
    for policy in ["'no'", "always", "on-failure", "on-failure:3", "unless-stopped"] {
        accepted(&format!("restart: {policy}"));
    }
    refused("deploy: {update_config: {order: both}}", "both");
}

#[test]
fn what_is_required_is_asked_for_by_name() {
    for (service, key) in [
        ("depends_on: {b: {restart: true}}", "condition"),
        ("env_file: [{required: false}]", "path"),
        ("ulimits: {nofile: {soft: 1}}", "hard"),
        ("ulimits: {nofile: {hard: 1}}", "soft"),
        ("develop: {watch: [{path: .}]}", "action"),
        ("develop: {watch: [{action: rebuild}]}", "path"),
        ("develop: {watch: [{path: ., action: sync}]}", "target"),
        ("post_start: [{user: u}]", "command"),
        ("provider: {options: {a: b}}", "type"),
        ("devices: [{target: /dev/a}]", "source"),
        ("volumes: [{target: /a}]", "type"),
        ("extends: {file: b.yaml}", "service"),
        (
            "gpus: [{options: {a: b}}], deploy: {resources: {reservations: {devices: [{count: 1}]}}}",
            "capabilities",
        ),
    ] {
        refused(service, &format!("`{key}`"));
    }
    let model = "services: {a: {image: x}}\nmodels: {m: {name: n}}\n";
    assert!(problems(&[("compose.yaml", model)]).contains("`model`"));
}

#[test]
fn actions_of_watch_that_copy_need_a_target_and_others_do_not() {
    for action in ["rebuild", "restart"] {
        accepted(&format!("develop: {{watch: [{{path: ., action: {action}}}]}}"));
    }
    for action in ["sync", "sync+restart", "sync+exec"] {
        refused(&format!("develop: {{watch: [{{path: ., action: {action}}}]}}"), "target");
    }
}

#[test]
fn a_dependency_is_required_and_not_restarted_with_unless_it_says_so() {
    let yaml = of("depends_on: {b: {condition: service_healthy}}");
    let dependency = project(&[("compose.yaml", &yaml)]).services["a"].depends_on["b"].clone();
    assert!(dependency.required && !dependency.restart);
    check(
        "depends_on: [b]",
        "depends_on",
        r#"{"b":{"condition":"service_started","required":true}}"#,
    );
}

#[test]
fn a_provider_takes_the_place_of_image_and_build() {
    let project = project(&[("compose.yaml", "services: {a: {provider: {type: t}}}\n")]);
    assert!(project.services["a"].networks.is_empty());
}

#[test]
fn all_gpus_and_all_devices_are_a_count_of_minus_one() {
    check("gpus: all", "gpus", r#"[{"count":-1}]"#);
    check("gpus: [{count: all}]", "gpus", r#"[{"count":-1}]"#);
    refused("gpus: [{count: 1, device_ids: ['0']}]", "exclude each other");
}

#[test]
fn limits_of_the_service_and_of_deploy_have_to_agree() {
    for (own, deploy) in [
        ("cpus: 1", "limits: {cpus: '2'}"),
        ("mem_limit: 1m", "limits: {memory: 2m}"),
        ("mem_reservation: 1m", "reservations: {memory: 2m}"),
        ("pids_limit: 1", "limits: {pids: 2}"),
    ] {
        refused(
            &format!("{own}, deploy: {{resources: {{{deploy}}}}}"),
            "can't set distinct values",
        );
    }
    accepted("mem_limit: 1m, deploy: {resources: {limits: {memory: 1024k}}}");
}

#[test]
fn the_platform_of_a_service_is_one_of_those_it_is_built_for() {
    accepted("platform: linux/amd64, build: {context: ., platforms: [linux/amd64]}");
    refused("platform: linux/arm64, build: {context: ., platforms: [linux/amd64]}", "linux/arm64");
}

#[test]
fn an_address_of_the_machine_is_an_ip_address() {
    accepted("ports: [{target: 80, host_ip: '::1'}]");
    refused("ports: [{target: 80, host_ip: localhost}]", "`localhost` is not an IP address");
}

#[test]
fn what_is_not_declared_cannot_be_referred_to() {
    refused("models: [nobody]", "undefined model `nobody`");
    refused("configs: [nobody]", "undefined config `nobody`");
    refused("build: {context: ., secrets: [nobody]}", "undefined secret `nobody`");
    refused("build: {context: ., additional_contexts: {q: 'service:nobody'}}", "undefined service");
    refused("volumes: ['nobody:/x']", "undefined volume `nobody`");
    accepted("volumes: ['data:/x', './nobody:/y', /z]");
}
