//! update, events, ps: limits and what is used.

use serde_json::json;

use super::bundle::Bundle;
use super::inside;

/// A file of the container's group in the v1 hierarchy of `controller`, or in the only one.
fn limit(bundle: &Bundle, controller: &str, v1: &str, v2: &str) -> String {
    let in_v1 = format!("/sys/fs/cgroup/{controller}/{}/{v1}", bundle.group());
    let in_v2 = format!("/sys/fs/cgroup/{}/{v2}", bundle.group());
    let text = fs_err::read_to_string(in_v1).or_else(|_| fs_err::read_to_string(in_v2));
    text.unwrap().trim().to_owned()
}

fn memory(bundle: &Bundle) -> String {
    limit(bundle, "memory", "memory.limit_in_bytes", "memory.max")
}

fn pids(bundle: &Bundle) -> String {
    limit(bundle, "pids", "pids.max", "pids.max")
}

#[test]
fn limits_are_changed_by_flags_and_by_json_and_devices_stay() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.edit(|config| {
            config["linux"]["resources"]["memory"] = json!({"limit": 33_554_432});
            config["linux"]["resources"]["pids"] = json!({"limit": 20});
        });
        bundle.oci(["run", "-d", "c"]).succeeds();
        assert_eq!((memory(&bundle).as_str(), pids(&bundle).as_str()), ("33554432", "20"));
        bundle.oci(["update", "c", "--memory", "50M", "--pids-limit", "10"]).succeeds();
        assert_eq!((memory(&bundle).as_str(), pids(&bundle).as_str()), ("52428800", "10"));
        bundle.oci(["update", "--pids-limit", "-1", "c"]).succeeds();
        assert_eq!(pids(&bundle), "max");

        let resources = json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 30},
            "devices": [{"allow": false, "access": "rwm"}]});
        fs_err::write(bundle.file("resources"), resources.to_string()).unwrap();
        bundle.oci(["update", "--resources", "resources", "c"]).succeeds();
        assert_eq!((memory(&bundle).as_str(), pids(&bundle).as_str()), ("67108864", "30"));
        bundle.oci(["exec", "c", "sh", "-c", "echo > /dev/null"]).succeeds();
        bundle.oci(["update", "--l3-cache-schema", "x", "c"]).exits_with(1).says("RDT");
        bundle.oci(["update", "--memory", "much", "c"]).exits_with(1).says("much");
    });
}

#[test]
fn events_tell_what_is_used_and_end_with_the_container() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["run", "-d", "c"]).succeeds();
        let event = bundle.oci(["events", "--stats", "c"]).succeeds();
        assert!(event.stdout.starts_with(r#"{"type":"stats","id":"c","data":{"#), "{event}");
        let event = event.json().remove(0);
        assert_eq!(event["data"]["pids"]["current"], 1);
        assert!(event["data"]["memory"]["usage"]["usage"].as_u64().unwrap() > 0);
        let following = bundle.begin(["events", "--interval", "20ms", "c"]);
        naru_test::eventually("events come", || match following.stdout().lines().count() {
            0 | 1 => Err(following.stdout()),
            _ => Ok(()),
        });
        bundle.oci(["delete", "-f", "c"]).succeeds();
        following.wait().succeeds();
        bundle.oci(["events", "c"]).exits_with(1).says("does not exist");
    });
}

#[test]
fn events_tell_that_memory_ran_out() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.edit(|config| {
            config["linux"]["resources"]["memory"] = json!({"limit": 33_554_432});
        });
        bundle.oci(["run", "-d", "c"]).succeeds();
        let following = bundle.begin(["events", "c"]);
        bundle.oci(["exec", "c", "sh", "-c", "tail /dev/zero"]);
        naru_test::eventually("the event comes", || {
            let text = following.stdout();
            if text.contains(r#"{"type":"oom","id":"c"}"#) { Ok(()) } else { Err(text) }
        });
        assert_eq!(bundle.status("c"), "running");
    });
}

#[test]
fn processes_are_listed_as_numbers_and_as_tables() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.script("sleep 777 & exec sleep 888");
        bundle.oci(["run", "-d", "c"]).succeeds();
        naru_test::eventually("both are there", || {
            let numbers = bundle.oci(["ps", "--format", "json", "c"]).succeeds();
            let table = bundle.oci(["ps", "c"]).succeeds().stdout;
            let both = table.contains("sleep 777") && table.contains("sleep 888");
            if numbers.json().len() == 2 && both { Ok(()) } else { Err(table) }
        });
        let table = bundle.oci(["ps", "c"]).succeeds().stdout;
        let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(header, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
        assert!(table.contains("sleep 777") && table.contains("sleep 888"), "{table}");
        let short = bundle.oci(["ps", "c", "-e", "-x"]).succeeds().stdout;
        assert!(short.starts_with("    PID TTY   STAT  TIME  COMMAND"), "{short}");
        bundle.oci(["ps", "c", "-o", "pid"]).exits_with(1).says("not supported");
        bundle.oci(["kill", "c", "KILL"]).succeeds();
        bundle.until("c", "stopped");
        assert_eq!(bundle.oci(["ps", "c"]).succeeds().stdout.lines().count(), 1);
    });
}

#[test]
fn a_group_that_is_not_empty_is_not_taken_over() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["run", "-d", "first"]).succeeds();
        bundle.oci(["create", "second"]).exits_with(1).says("is not empty");
        assert_eq!(bundle.status("first"), "running");
        bundle.oci(["state", "second"]).exits_with(1);
    });
}

#[test]
fn the_device_of_tunnels_may_be_made_and_opened_and_no_other() {
    inside(|| {
        // Type and number of /dev/net/tun and of /dev/mem.
        let bundle = Bundle::new();
        bundle.script(
            "for n in '10 200' '1 1'; do mknod /tmp/d c $n; head -c 1 /tmp/d; rm /tmp/d; done",
        );
        bundle.edit(|config| {
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] = json!(["CAP_MKNOD", "CAP_SYS_RAWIO"]);
            }
        });
        let said = bundle.oci(["run", "c"]).stderr;
        let refusals = said.lines().filter(|line| line.contains("not permitted")).count();
        assert_eq!(refusals, 1, "{said}");
    });
}
