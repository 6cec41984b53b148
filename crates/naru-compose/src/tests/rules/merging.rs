//! What becomes of values that several files, `extends` or `include` say.

use super::{accepted, check_files, check_merge, of, problems, project};

#[test]
fn limits_of_processes_are_replaced_one_by_one() {
    check_merge(
        "ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}",
        "ulimits: {nofile: 5}",
        "ulimits",
        r#"{"nofile":5,"nproc":3}"#,
    );
}

#[test]
fn a_text_for_build_is_its_context() {
    let expected = r#"{"args":{"A":"1"},"context":"/shop/x","dockerfile":"Dockerfile"}"#;
    check_merge("build: {args: [A=1]}", "build: ./x", "build", expected);
    check_merge("build: ./x", "build: {args: {A: 1}}", "build", expected);
}

#[test]
fn lists_of_names_are_mappings_and_merged_as_such() {
    check_merge(
        "depends_on: [b]",
        "depends_on: {b: {condition: service_healthy}}",
        "depends_on",
        r#"{"b":{"condition":"service_healthy","required":true}}"#,
    );
    check_merge(
        "networks: {n: {aliases: [x]}}",
        "networks: [m, n]",
        "networks",
        r#"{"m":null,"n":{"aliases":["x"]}}"#,
    );
    check_merge(
        "models: [ai]",
        "models: {ai: {model_var: M}}",
        "models",
        r#"{"ai":{"model_var":"M"}}"#,
    );
}

#[test]
fn pairs_are_merged_by_name_wherever_they_stand() {
    for attribute in ["annotations", "sysctls", "labels", "environment"] {
        let (base, over) = (format!("{attribute}: {{k: 1, l: 2}}"), format!("{attribute}: [l=3]"));
        check_merge(&base, &over, attribute, r#"{"k":"1","l":"3"}"#);
    }
    for nested in ["args", "labels", "additional_contexts"] {
        let value = |text: &str| format!("build: {{context: /c, dockerfile: D, {nested}: {text}}}");
        let urls = nested == "additional_contexts";
        let (one, two, three) =
            if urls { ("http://1", "http://2", "http://3") } else { ("1", "2", "3") };
        let expected = format!(
            r#"{{"context":"/c","dockerfile":"D","{nested}":{{"k":"{one}","l":"{three}"}}}}"#
        );
        let sorted: serde_json::Value = serde_json::from_str(&expected).unwrap();
        let base = value(&format!("{{k: '{one}', l: '{two}'}}"));
        check_merge(&base, &value(&format!("['l={three}']")), "build", &sorted.to_string());
    }
    check_merge(
        "deploy: {labels: {k: 1, l: 2}}",
        "deploy: {labels: [l=3]}",
        "deploy",
        r#"{"labels":{"k":"1","l":"3"},"placement":{},"resources":{}}"#,
    );
    let resource = |labels: &str| {
        format!(
            "services: {{a: {{image: x, networks: [n], volumes: ['vol:/v']}}}}\nnetworks: {{n: {{labels: {labels}}}}}\nvolumes: {{vol: {{labels: {labels}}}}}\n"
        )
    };
    let (one, two) = (resource("{k: 1, l: 2}"), resource("[l=3]"));
    let project = project(&[("compose.yaml", &one), ("compose.override.yaml", &two)]);
    assert_eq!(
        (&*project.networks["n"].labels["l"], &*project.volumes["vol"].labels["l"]),
        ("3", "3")
    );
}

#[test]
fn one_text_is_a_list_of_one_when_it_is_merged() {
    check_merge("dns_search: a", "dns_search: [b]", "dns_search", r#"["a","b"]"#);
    check_merge("dns_opt: [a]", "dns_opt: [b, a]", "dns_opt", r#"["a","b"]"#);
    let files = [
        ("compose.yaml", "services: {a: {image: x, env_file: one, label_file: one}}\n"),
        ("compose.override.yaml", "services: {a: {env_file: [two, one], label_file: two}}\n"),
        ("one", "K=1\n"),
        ("two", "K=2\n"),
    ];
    // `one` keeps its place before `two`, which therefore wins.
    check_files(&files, "environment", r#"{"K":"2"}"#);
    check_files(&files, "labels", r#"{"K":"2"}"#);
}

#[test]
fn an_entry_that_is_the_same_is_replaced_where_it_stands() {
    check_merge(
        "devices: ['/dev/a:/dev/x', /dev/b]",
        "devices: ['/dev/c:/dev/x:r']",
        "devices",
        r#"[{"permissions":"r","source":"/dev/c","target":"/dev/x"},{"permissions":"rwm","source":"/dev/b","target":"/dev/b"}]"#,
    );
    for attribute in ["cap_add", "cap_drop", "profiles", "links"] {
        let (base, over) = (format!("{attribute}: [b, c]"), format!("{attribute}: [d, b]"));
        let mut base = of(&base)
            .replace("  b: {image: x}", "  b: {image: x}\n  c: {image: x}\n  d: {image: x}");
        if attribute == "profiles" {
            base = base.replace("image: x, profiles: [b, c]", "image: x, profiles: ['', b, c]");
        }
        let over = format!("services: {{a: {{{over}}}}}\n");
        let expected =
            if attribute == "profiles" { r#"["","b","c","d"]"# } else { r#"["b","c","d"]"# };
        check_files(
            &[("compose.yaml", &base), ("compose.override.yaml", &over)],
            attribute,
            expected,
        );
    }
    check_merge("expose: ['80', '90/udp']", "expose: [80]", "expose", r#"["80","90/udp"]"#);
    check_merge(
        "networks: {n: {aliases: [x, y]}}",
        "networks: {n: {aliases: [z, x]}}",
        "networks",
        r#"{"n":{"aliases":["x","y","z"]}}"#,
    );
    check_merge(
        "build: {context: /c, dockerfile: D, tags: [x, y]}",
        "build: {tags: [z, x]}",
        "build",
        r#"{"context":"/c","dockerfile":"D","tags":["x","y","z"]}"#,
    );
}

#[test]
fn secrets_are_the_same_by_where_they_are_mounted() {
    // `/run/secrets/s1` and `s1` are two places.
    check_merge(
        "secrets: [s1]",
        "secrets: [{source: s2, target: s1}]",
        "secrets",
        r#"[{"source":"s1","target":"/run/secrets/s1"},{"source":"s2","target":"s1"}]"#,
    );
    check_merge(
        "secrets: [s1]",
        "secrets: [{source: s2, target: /run/secrets/s1}]",
        "secrets",
        r#"[{"source":"s2","target":"/run/secrets/s1"}]"#,
    );
}

#[test]
fn lists_whose_entries_have_no_name_are_appended() {
    check_merge(
        "post_start: [{command: [a]}]",
        "post_start: [{command: [a]}]",
        "post_start",
        r#"[{"command":["a"]},{"command":["a"]}]"#,
    );
    let watch = "develop: {watch: [{path: /p, action: rebuild}]}";
    let one = r#"{"action":"rebuild","exec":{"command":null},"path":"/p"}"#;
    check_merge(watch, watch, "develop", &format!(r#"{{"watch":[{one},{one}]}}"#));
    check_merge(
        "blkio_config: {weight_device: [{path: /a, weight: 1}]}",
        "blkio_config: {weight_device: [{path: /a, weight: 2}]}",
        "blkio_config",
        r#"{"weight_device":[{"path":"/a","weight":1},{"path":"/a","weight":2}]}"#,
    );
}

#[test]
fn repeating_an_entry_that_has_to_be_unique_is_an_error_although_it_is_in_another_file() {
    for attribute in ["group_add", "security_opt", "external_links", "device_cgroup_rules"] {
        let value = if attribute == "device_cgroup_rules" { "'c 1:3 mr'" } else { "'a:b'" };
        let base = of(&format!("{attribute}: [{value}]"));
        let over = format!("services: {{a: {{{attribute}: [{value}]}}}}\n");
        let files = [("compose.yaml", &*base), ("compose.override.yaml", &*over)];
        let problems = problems(&files);
        assert!(problems.contains(attribute), "{problems}");
    }
}

#[test]
fn address_pools_are_merged_by_subnet_and_another_subnet_replaces() {
    let pools = |text: &str| {
        format!(
            "services: {{a: {{image: x, networks: [n]}}}}\nnetworks: {{n: {{ipam: {{config: [{text}]}}}}}}\n"
        )
    };
    let merged = |first: &str, second: &str| {
        let (first, second) = (pools(first), pools(second));
        let project = project(&[("compose.yaml", &first), ("compose.override.yaml", &second)]);
        serde_json::to_value(&project.networks["n"].ipam).unwrap()["config"].to_string()
    };
    assert_eq!(
        merged("{subnet: 10.1.0.0/16}", "{subnet: 10.1.0.0/16, gateway: 10.1.0.1}"),
        r#"[{"gateway":"10.1.0.1","subnet":"10.1.0.0/16"}]"#
    );
    assert_eq!(
        merged("{subnet: 10.1.0.0/16}", "{subnet: 10.2.0.0/16}"),
        r#"[{"subnet":"10.2.0.0/16"}]"#
    );
}

#[test]
fn reset_removes_whole_services_lists_and_single_entries() {
    let base = of("environment: {A: 1, B: 2}, cap_add: [C], depends_on: [b]");
    let over = "services: {b: !reset null, a: {environment: {A: !reset x}, cap_add: !reset [], depends_on: !reset []}}\n";
    let files = [("compose.yaml", base.as_str()), ("compose.override.yaml", over)];
    let project = project(&files);
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["a"]);
    let a = &project.services["a"];
    assert!(a.cap_add.is_empty() && a.depends_on.is_empty());
    assert_eq!(a.environment.keys().collect::<Vec<_>>(), ["B"]);
}

#[test]
fn documents_of_one_file_are_merged_in_turn() {
    let yaml = "services: {a: {image: one, cap_add: [A]}}\n---\nservices: {a: {image: two, cap_add: [B]}}\n---\nservices: {a: {tty: true}}\n";
    let project = project(&[("compose.yaml", yaml)]);
    let a = &project.services["a"];
    assert_eq!((a.image.as_str(), a.cap_add.join(" "), a.tty), ("two", "A B".to_owned(), true));
}

#[test]
fn files_of_one_include_are_merged_and_relative_to_the_first_one() {
    let files = [
        (
            "compose.yaml",
            "include: [{path: [lib/one.yaml, other/two.yaml]}]\nservices: {c: {image: x}}\n",
        ),
        ("lib/one.yaml", "services: {a: {image: one, build: ./b}}\n"),
        ("other/two.yaml", "services: {a: {image: two}}\n"),
    ];
    check_files(&files, "image", r#""two""#);
    check_files(&files, "build", r#"{"context":"/shop/lib/b","dockerfile":"Dockerfile"}"#);
}

#[test]
fn an_include_may_say_its_directory_and_env_file_and_the_including_environment_wins() {
    let files = [
        (
            "compose.yaml",
            "include: [{path: lib/b.yaml, project_directory: ./other, env_file: own.env}]\nservices: {c: {image: x}}\n",
        ),
        ("lib/b.yaml", "services: {a: {image: '$OWN-$BOTH', build: .}}\n"),
        ("own.env", "OWN=own\nBOTH=own\n"),
        (".env", "BOTH=outer\n"),
        ("lib/.env", "OWN=never\n"),
    ];
    check_files(&files, "image", r#""own-outer""#);
    check_files(&files, "build", r#"{"context":"/shop/other","dockerfile":"Dockerfile"}"#);
}

#[test]
fn an_extended_service_brings_what_it_depends_on_but_no_resources() {
    let base = "services: {b: {image: x, depends_on: [c], links: ['c:d'], volumes: ['data:/d']}, c: {image: x}}\nvolumes: {data: }\n";
    let own = "services: {a: {extends: {file: base.yaml, service: b}}, c: {image: y}}\n";
    let problems = problems(&[("compose.yaml", own), ("base.yaml", base)]);
    assert!(problems.contains("undefined volume `data`"), "{problems}");
    let own = format!("{own}volumes: {{data: }}\n");
    let files = [("compose.yaml", own.as_str()), ("base.yaml", base)];
    check_files(&files, "links", r#"["c:d"]"#);
    assert!(project(&files).services["a"].depends_on.contains_key("c"));
}

#[test]
fn profiles_of_several_files_are_united() {
    let files = [
        ("compose.yaml", "services: {a: {image: x, profiles: ['', p]}}\n"),
        ("compose.override.yaml", "services: {a: {profiles: [q, p]}}\n"),
    ];
    check_files(&files, "profiles", r#"["","p","q"]"#);
    accepted("profiles: []");
}
