//! Scenarios that fill the machine and therefore run alone.

use std::path::PathBuf;
use std::time::Duration;

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

/// T-G4.
#[test]
fn five_gigabytes_of_output_leave_forty_megabytes_on_disk_and_cost_no_memory() {
    host(|host| {
        let file = "services: { a: { image: test, command: naru-check pour 50000000 } }";
        let project = host.project("flood").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        within(Duration::from_secs(200), "the end of the flood", || {
            match project.containers("a")[0]["State"].as_str() {
                Some("exited") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        let directory = host.root().join("projects/flood/logs/flood-a-1");
        let files = fs_err::read_dir(directory).unwrap();
        let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(size <= 40 << 20, "{size} bytes");
        let last = project.naru(["logs", "--no-log-prefix", "-n", "1"]).succeeds().stdout;
        assert_eq!(last, format!("{:0>99}\n", 50_000_000));
    });
}
