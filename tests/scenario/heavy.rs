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

/// How often the database is made anew; `NARU_SOAK_RUNS` says another number.
const RUNS: u32 = 2;

/// T-A2: while its init scripts run, Postgres answers on its unix socket alone, and a check there says that it is ready.
#[test]
fn who_waits_for_the_port_of_a_fresh_postgres_connects_the_first_time() {
    host(|host| {
        host.naru(["image", "load", "-i", archive("postgres-15").to_str().unwrap()]).succeeds();
        let file = "
services:
  db:
    image: postgres:15
    environment: { POSTGRES_PASSWORD: secret }
    volumes: ['data:/var/lib/postgresql/data', './init:/docker-entrypoint-initdb.d']
    healthcheck: { test: [CMD, pg_isready, -U, postgres], interval: 100ms, retries: 1000 }
    x-naru-ready: { tcp: 5432 }
  api:
    image: postgres:15
    environment: { PGPASSWORD: secret }
    command: [psql, -h, db, -U, postgres, -Atc, 'select value from filled']
    depends_on: { db: { condition: service_healthy } }
volumes: { data: {} }
";
        let slow =
            "sleep 3\npsql -U postgres -c \"create table filled as select 'connected' as value\"\n";
        let project = host.project("fresh").file("compose.yaml", file).file("init/slow.sh", slow);
        let warned = project.naru(["config", "-q"]).succeeds();
        assert!(!warned.stderr.contains("pg_isready"), "its port is waited for: {warned}");
        let trusting = file.replace("    x-naru-ready: { tcp: 5432 }\n", "");
        let trap = host.project("trap").file("compose.yaml", &trusting);
        trap.naru(["config", "-q"]).succeeds().says("pg_isready");

        let asked = std::env::var("NARU_SOAK_RUNS").ok().map(|text| text.parse().unwrap());
        for run in 1..=asked.unwrap_or(RUNS) {
            let up = project.naru(["up", "-d"]).succeeds();
            assert!(up.took >= Duration::from_secs(3), "run {run}: {up}");
            assert_eq!(project.until("api", "exited")["ExitCode"], 0, "run {run}");
            project.until_logged("api", "connected");
            project.naru(["down", "-v"]).succeeds();
        }
    });
}

/// T-G4.
#[test]
fn five_gigabytes_of_output_leave_forty_megabytes_on_disk_and_cost_no_memory() {
    host(|host| {
        let file = "services: { a: { image: test, command: naru-check pour 50000000 } }";
        let project = host.project("flood").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let at_first = naru_memory(host);
        within(Duration::from_secs(200), "the end of the flood", || {
            let now = naru_memory(host);
            assert!(now < at_first + (2 << 20), "{at_first} bytes of memory have become {now}");
            std::thread::sleep(Duration::from_millis(100));
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

/// How often each service is looked at; `NARU_SOAK_PROBES` says another number.
const PROBES: u64 = 100;

/// T-K2; the numbers themselves, of a release build, are rows of the benchmark.
#[test]
fn probes_and_lines_without_end_take_no_more_memory() {
    host(|host| {
        let service = "{ image: test, command: [sh, -c, 'while :; do echo a line of some length; usleep 20000; done'], \
                       healthcheck: { test: [CMD, 'true'], interval: 200ms } }";
        let services: Vec<_> = (0..10).map(|number| format!("  s{number}: {service}\n")).collect();
        let file = format!("services:\n{}", services.concat());
        let project = host.project("hours").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        let asked = std::env::var("NARU_SOAK_PROBES").ok().map(|text| text.parse().unwrap());
        // By then the histories are full, which hold the last fifty.
        until_probed(&project, 60);
        let before = naru_memory(host);
        until_probed(&project, 60 + asked.unwrap_or(PROBES));
        let now = naru_memory(host);
        assert!(now < before + (1 << 20), "{before} bytes of memory have become {now}");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

/// Waits until so much time has passed since the first service's start that it was looked at so often.
fn until_probed(project: &naru_test::Project<'_>, times: u64) {
    let interval = Duration::from_millis(200);
    within(interval * u32::try_from(times).unwrap() * 20, &format!("probe {times}"), || {
        std::thread::sleep(interval);
        let state = project.state("s0");
        let time = |value: &Value| value["started_ns"].as_u64().unwrap_or(0);
        let passed = state["health"]["log"].as_array().and_then(|log| log.last()).map_or(0, time);
        let passed = Duration::from_nanos(passed.saturating_sub(time(&state)));
        if passed > interval * u32::try_from(times).unwrap() {
            Ok(())
        } else {
            Err(format!("{passed:?}"))
        }
    });
}

/// Private memory of keeper and supervisor, in bytes: the least of several looks, for a probe that is being begun looks
/// like a second supervisor.
fn naru_memory(host: &naru_test::TestHost) -> u64 {
    (0..5).map(|_| naru_memory_now(host)).min().unwrap()
}

fn naru_memory_now(host: &naru_test::TestHost) -> u64 {
    let own = [host.processes(&["naru", "keeper:"]), host.processes(&["naru", "supervisor:"])];
    let private = |pid: &rustix::process::Pid| {
        let path = format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero());
        let table = fs_err::read_to_string(path).unwrap_or_default();
        let lines = table.lines().filter_map(|line| line.split_once(':'));
        let counted = lines.filter(|(name, _)| matches!(*name, "Private_Dirty" | "Swap"));
        let kilobytes =
            counted.filter_map(|(_, size)| size.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kilobytes.sum::<u64>() << 10
    };
    own.concat().iter().map(private).sum()
}
