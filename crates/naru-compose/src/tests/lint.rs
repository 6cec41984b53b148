//! Traps: each warning where it belongs, and none where it does not.

use super::Directory;
use crate::{LoadRequest, Severity};

/// The warnings of a project, by their names.
fn names(files: &[(&str, &str)], change: impl FnOnce(&mut LoadRequest)) -> Vec<&'static str> {
    let directory = Directory::with(files);
    let mut request = directory.request(&[]);
    change(&mut request);
    let loaded = crate::load(&request).unwrap_or_else(|problems| panic!("{problems}"));
    loaded.warnings.iter().map(|problem| problem.code.name()).collect()
}

fn check(yaml: &str, expect: &[&str]) {
    assert_eq!(names(&[("compose.yaml", yaml)], |_| {}), expect, "{yaml}");
}

fn check_files(files: &[(&str, &str)], expect: &[&str]) {
    assert_eq!(names(files, |_| {}), expect, "{files:?}");
}

/// The warnings of a project as they are shown.
fn shown(files: &[(&str, &str)]) -> String {
    let directory = Directory::with(files);
    let loaded =
        crate::load(&directory.request(&[])).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.warnings.iter().all(|problem| problem.severity == Severity::Warning));
    let shown: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    directory.plain(&shown.join("\n\n"))
}

/// A database that `web` waits for, with this test.
fn database(test: &str) -> String {
    format!(
        "services:\n  db: {{image: 'postgres:17', healthcheck: {{test: {test}}}}}\n  web: {{image: x, depends_on: {{db: {{condition: service_healthy}}}}}}\n"
    )
}

#[test]
fn pg_isready_needs_a_host_when_somebody_waits_for_it() {
    check(&database("pg_isready -U app"), &["pg-isready-host"]);
    check(&database("[CMD, pg_isready]"), &["pg-isready-host"]);
    check(&database("pg_isready -U app -h 127.0.0.1"), &[]);
    check(&database("[CMD, pg_isready, --host=localhost]"), &[]);
    check(&database("psql -c 'select 1'"), &[]);
    check("services: {db: {image: 'postgres:17', healthcheck: {test: pg_isready}}}\n", &[]);
    let environment = "services:\n  db: {image: 'postgres:17', environment: {PGHOST: localhost}, healthcheck: {test: pg_isready}}\n  web: {image: x, depends_on: {db: {condition: service_healthy}}}\n";
    check(environment, &[]);
}

#[test]
fn waiting_for_a_health_check_that_an_official_image_does_not_have_is_told() {
    let waits = |image: &str| {
        format!(
            "services:\n  db: {{{image}}}\n  web: {{image: x, depends_on: {{db: {{condition: service_healthy}}}}}}\n"
        )
    };
    check(&waits("image: 'docker.io/library/redis:7'"), &["healthy-without-check"]);
    check(&waits("image: 'redis:7', healthcheck: {test: redis-cli ping}"), &[]);
    check(&waits("image: my/redis"), &[]);
    check(&waits("image: redis, build: ."), &[]);
    check("services: {db: {image: redis}, web: {image: x, depends_on: [db]}}\n", &[]);
}

#[test]
fn a_second_port_of_the_machine_from_another_file_is_told() {
    let base = ("compose.yaml", "services: {web: {image: x, ports: ['8080:80', '9000:9000']}}\n");
    let over = |ports: &'static str| [base, ("compose.override.yaml", ports)];
    check_files(&over("services: {web: {ports: ['8081:80']}}\n"), &["second-host-port"]);
    check_files(&over("services: {web: {ports: !override ['8081:80']}}\n"), &[]);
    check_files(&over("services: {web: {ports: ['8080:80', '8443:443']}}\n"), &[]);
    check_files(&over("services: {web: {ports: ['8081:80/udp']}}\n"), &[]);
    check("services: {web: {image: x, ports: ['8080:80', '8081:80']}}\n", &[]);
}

#[test]
fn a_variable_that_only_an_env_file_defines_is_told_with_its_line() {
    let yaml =
        |image: &str| format!("services: {{web: {{image: '{image}', env_file: web.env}}}}\n");
    let plain = yaml("x:${TAG}");
    let files = |yaml: &str, env: &str| {
        let text = [("compose.yaml", yaml), ("web.env", "A=1\nTAG=2\n"), (".env", env)];
        names(&text, |_| {})
    };
    assert_eq!(files(&plain, ""), ["env-file-variable"]);
    assert_eq!(files(&yaml("x:${TAG:-latest}"), ""), ["env-file-variable"]);
    assert_eq!(files(&yaml("x:${TAG:-2}"), ""), [""; 0]);
    assert_eq!(files(&plain, "TAG=3\n"), [""; 0]);
    assert_eq!(files(&yaml("x:${OTHER}"), ""), ["unset-variable"]);
}

#[test]
fn a_variable_of_the_container_in_a_command_is_told() {
    let yaml = |test: &str| {
        format!(
            "services: {{a: {{image: x, environment: {{WHO: me}}, healthcheck: {{test: '{test}'}}}}}}\n"
        )
    };
    check(&yaml("check $WHO"), &["container-variable"]);
    check(&yaml("check $$WHO"), &[]);
    check(&yaml("check $NOBODY"), &["unset-variable"]);
}

#[test]
fn an_env_file_that_is_not_read_is_told_when_it_would_help() {
    let files = [
        ("compose.yaml", "services: {a: {image: 'x:${TAG}'}}\n"),
        (".env", "TAG=1\n"),
        ("other.env", "B=1\n"),
    ];
    let given = |request: &mut LoadRequest| request.env_files.push("other.env".into());
    assert_eq!(names(&files, given), ["unread-env-file"]);
    assert_eq!(names(&files, |_| {}), [""; 0]);
}

#[test]
fn a_dollar_in_the_middle_of_a_word_is_told() {
    let yaml = ("compose.yaml", "services: {a: {image: x, environment: {P: '${P}'}}}\n");
    check_files(&[yaml, (".env", "P=pa$word\n")], &["swallowed-dollar"]);
    check_files(&[yaml, (".env", "P=\"pa$word\"\n")], &["swallowed-dollar"]);
    check_files(&[yaml, (".env", "P='pa$word'\n")], &[]);
    check_files(&[yaml, (".env", "P=$2a$10$word\n")], &["swallowed-dollar"]);
    check_files(&[yaml, (".env", "word=x\nP=pa$word\n")], &[]);
    check_files(&[yaml, (".env", "P=http://$HOST/\n")], &["unset-variable"]);
    check("services: {a: {image: x, environment: {P: 'pa$word'}}}\n", &["swallowed-dollar"]);
    check("services: {a: {image: x, environment: {P: 'pa$$word'}}}\n", &[]);
    let env_file = "services: {a: {image: x, env_file: a.env}}\n";
    check_files(&[("compose.yaml", env_file), ("a.env", "P=pa$word\n")], &["swallowed-dollar"]);
    let raw = "services: {a: {image: x, env_file: [{path: a.env, format: raw}]}}\n";
    check_files(&[("compose.yaml", raw), ("a.env", "P=pa$word\n")], &[]);
}

#[test]
fn the_volume_of_postgres_is_where_its_version_keeps_the_data() {
    let yaml = |image: &str, target: &str| {
        format!(
            "services: {{db: {{image: '{image}', volumes: ['data:{target}']}}}}\nvolumes: {{data: }}\n"
        )
    };
    let (old, new) = ("/var/lib/postgresql/data", "/var/lib/postgresql");
    for image in [
        "postgres",
        "postgres:18",
        "postgres:18.1-alpine",
        "postgres:alpine",
        "postgis/postgis:18-3.6",
    ] {
        check(&yaml(image, old), &["postgres-volume"]);
        check(&yaml(image, new), &[]);
    }
    for image in ["postgres:17", "docker.io/postgres:9.6-alpine", "pgvector/pgvector:pg16"] {
        check(&yaml(image, new), &["postgres-volume"]);
        check(&yaml(image, old), &[]);
    }
    check(&yaml("my/postgres", old), &[]);
    check(
        "services: {db: {image: postgres, environment: {PGDATA: /var/lib/postgresql/data/x}, volumes: ['data:/var/lib/postgresql/data']}}\nvolumes: {data: }\n",
        &[],
    );
}

#[test]
fn a_replica_set_of_mongo_needs_a_key_an_initiation_and_a_member_others_can_reach() {
    let set = "command: [--replSet, rs0]";
    let yaml = |rest: &str| format!("services: {{mongo: {{image: 'mongo:7', {rest}}}}}\n");
    let test = |call: &str| {
        yaml(&format!("{set}, healthcheck: {{test: [CMD, mongosh, --eval, \"{call}\"]}}"))
    };
    check(&yaml(set), &["mongo-initiate"]);
    check(&yaml("command: [--bind_ip_all]"), &[]);
    check(&test("rs.initiate({_id: 'rs0', members: [{_id: 0, host: 'mongo:27017'}]})"), &[]);
    let local = "rs.initiate({_id: 'rs0', members: [{_id: 0, host: 'localhost:27017'}]})";
    check(&test(local), &["mongo-member-host"]);
    check(&test("rs.initiate()"), &["mongo-member-host"]);
    let rooted = "command: [--replSet, rs0], volumes: ['./init.js:/init.js'], environment: {MONGO_INITDB_ROOT_USERNAME: root}";
    check(&yaml(rooted), &["mongo-key-file"]);
    check(
        &yaml(
            "command: [--replSet, rs0, --keyFile, /k], volumes: ['./init.js:/init.js'], environment: {MONGO_INITDB_ROOT_USERNAME: root}",
        ),
        &[],
    );
}

#[test]
fn a_warning_is_silenced_by_its_name_everywhere_or_in_one_service() {
    let base = database("pg_isready");
    let top = format!("x-naru-lint: {{allow: [pg-isready-host]}}\n{base}");
    check(&top, &[]);
    let in_service = base.replace("db: {", "db: {x-naru-lint: {allow: [pg-isready-host]}, ");
    check(&in_service, &[]);
    let elsewhere = base.replace("web: {", "web: {x-naru-lint: {allow: [pg-isready-host]}, ");
    check(&elsewhere, &["pg-isready-host"]);
    check(&base.replace("services:", "x-naru-lint: {allow: [all]}\nservices:"), &[]);
    let silence = |list: &'static str| {
        let files = [("compose.yaml", base.as_str())];
        names(&files, |request| {
            request.environment.insert("NARU_LINT_ALLOW".to_owned(), list.to_owned());
        })
    };
    assert_eq!(silence("unset-variable, pg-isready-host"), [""; 0]);
    assert_eq!(silence("all"), [""; 0]);
    assert_eq!(silence("unset-variable"), ["pg-isready-host"]);
}

#[test]
fn the_words_of_docker_compose_can_be_silenced_as_well() {
    check("services: {a: {image: 'x:${TAG}'}}\n", &["unset-variable"]);
    let service = "services: {a: {image: 'x:${TAG}', x-naru-lint: {allow: [unset-variable]}}}\n";
    check(service, &[]);
    check("version: '3'\nservices: {a: {image: x}}\nx-naru-lint: {allow: [obsolete]}\n", &[]);
}

#[test]
fn a_name_that_silences_nothing_is_told() {
    check("x-naru-lint: {allow: [pg-isready]}\nservices: {a: {image: x}}\n", &["unknown-lint"]);
    check("x-naru-lint: {allow: [syntax]}\nservices: {a: {image: x}}\n", &["unknown-lint"]);
    check("x-naru-lint: [all]\nservices: {a: {image: x}}\n", &["unknown-lint"]);
}

#[test]
fn every_lint_says_what_to_write_instead() {
    let yaml = "\
services:
  web:
    image: web:${TAG}
    env_file: web.env
    command: serve $WHO
    environment:
      WHO: me
      PASSWORD: pa$word
    ports: ['8080:80']
    depends_on:
      db: {condition: service_healthy}
      cache: {condition: service_healthy}
  db:
    image: postgres
    healthcheck: {test: pg_isready}
    volumes: ['data:/var/lib/postgresql/data']
  cache:
    image: redis
  mongo:
    image: mongo
    command: --replSet rs0
    environment: {MONGO_INITDB_ROOT_USERNAME: root}
  mongo2:
    image: mongo
    command: --replSet rs0
    healthcheck: {test: mongosh --eval 'rs.initiate()'}
volumes: {data: }
x-naru-lint: {allow: [pg-isreadi-host]}
";
    let over = "services: {web: {ports: ['8081:80']}}\n";
    let files = [
        ("compose.yaml", yaml),
        ("compose.override.yaml", over),
        ("web.env", "TAG=1\n"),
        (".env", "A=one$two\n"),
    ];
    insta::assert_snapshot!(shown(&files));
}
