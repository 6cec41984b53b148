//! Scenarios that fill the machine and therefore run alone.

use std::path::PathBuf;

use naru_test::{http, within};
use serde_json::Value;

use super::{host, repository};

const ADDRESS: &str = "127.0.0.1:3000";

/// The archives that `cargo xtask images` made.
fn archive(name: &str) -> PathBuf {
    let folder = std::env::var_os("NARU_IMAGES");
    let folder = folder.map_or_else(|| repository("target/images"), PathBuf::from);
    let path = folder.join(format!("{name}.tar"));
    assert!(path.exists(), "{} is missing: run `cargo xtask images`", path.display());
    path
}

#[test]
fn the_nest_postgres_mongo_sample_serves_both_databases_and_keeps_its_data() {
    host(|host| {
        for name in ["postgres-15", "mongo-7", "nest-api-dev"] {
            host.naru(["image", "load", "-i", archive(name).to_str().unwrap()]).succeeds();
        }
        let project = host.project("nest-postgres-mongo").file(
            "compose.yaml",
            &fs_err::read_to_string(repository("compose-samples/nest-postgres-mongo/compose.yaml"))
                .unwrap(),
        );
        let before = host.snapshot();
        project.naru(["up", "-d", "--wait"]).succeeds();

        let note = http::json("POST", ADDRESS, "/notes", "{\"text\":\"first\"}");
        let id = note["id"].as_i64().unwrap();
        assert_in_both(&http::json("GET", ADDRESS, "/notes", ""), id);

        // The volumes outlive the containers.
        project.naru(["down"]).succeeds();
        project.naru(["up", "-d", "--wait"]).succeeds();
        assert_in_both(&http::json("GET", ADDRESS, "/notes", ""), id);

        project.naru(["down", "-v"]).succeeds();
        before.assert_nothing_left();
    });
}

fn assert_in_both(list: &Value, id: i64) {
    let has =
        |table: &str, key: &str| list[table].as_array().unwrap().iter().any(|row| row[key] == id);
    assert!(has("notes", "id"), "Postgres: {list}");
    assert!(has("audit", "noteId"), "MongoDB: {list}");
}

#[test]
fn thirty_services_come_up_and_go_down() {
    host(|host| {
        let services: Vec<String> =
            (0..30).map(|n| format!("s{n}: {{ image: test, init: true }}")).collect();
        let file = format!("services: {{ {} }}", services.join(", "));
        let project = host.project("many").file("compose.yaml", &file);
        let before = host.snapshot();
        project.naru(["up", "-d"]).succeeds();
        within(std::time::Duration::from_secs(20), "all run", || {
            let running = project.naru(["ps", "-q"]).succeeds().stdout.lines().count();
            if running == 30 { Ok(()) } else { Err(format!("{running} run")) }
        });
        project.naru(["down"]).succeeds();
        before.assert_nothing_left();
    });
}
