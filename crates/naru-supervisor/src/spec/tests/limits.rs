//! Control group limits, process limits, namespaces, kernel parameters, stopping and health.

use std::time::Duration;

use super::super::{healthcheck, stop_grace, stop_signal};
use super::*;

fn memory(service: Value) -> Value {
    part(service, "/linux/resources/memory")
}

fn cpu(service: Value) -> Value {
    part(service, "/linux/resources/cpu")
}

#[test]
fn without_limits_there_are_only_device_rules() {
    let resources = part(json!({}), "/linux/resources");
    let keys: Vec<&String> = resources.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["devices"]);
}

#[test]
fn memory_limits_allow_as_much_swap_again_unless_said_otherwise() {
    let mega = |n: i64| n << 20;
    assert_eq!(memory(json!({"mem_limit": "64m"})), json!({"limit": mega(64), "swap": mega(128)}));
    assert_eq!(
        memory(json!({"mem_limit": "64m", "memswap_limit": "64m", "mem_reservation": "32m"})),
        json!({"limit": mega(64), "swap": mega(64), "reservation": mega(32)})
    );
    assert_eq!(memory(json!({"mem_limit": "64m", "memswap_limit": -1}))["swap"], json!(-1));
    let deployed = json!({"deploy": {"resources": {"limits": {"memory": "10m"}}}});
    assert_eq!(memory(deployed)["limit"], json!(mega(10)));
}

#[test]
fn contradicting_memory_limits_are_refused() {
    let attribute = |service| error(service).0;
    assert_eq!(attribute(json!({"mem_limit": "1m"})), "mem_limit");
    assert_eq!(attribute(json!({"memswap_limit": "64m"})), "memswap_limit");
    assert_eq!(attribute(json!({"mem_limit": "64m", "memswap_limit": "32m"})), "memswap_limit");
    let kept = json!({"mem_limit": "64m", "mem_reservation": "65m"});
    assert_eq!(attribute(kept), "mem_reservation");
}

#[test]
fn processors_are_a_quota_of_a_period() {
    assert_eq!(cpu(json!({"cpus": 1.5})), json!({"quota": 150_000, "period": 100_000}));
    assert_eq!(cpu(json!({"cpus": 0.001})), json!({"quota": 1000, "period": 100_000}));
    let deployed = json!({"deploy": {"resources": {"limits": {"cpus": 0.5, "pids": 20}}}});
    assert_eq!(cpu(deployed.clone()), json!({"quota": 50_000, "period": 100_000}));
    assert_eq!(part(deployed, "/linux/resources/pids"), json!({"limit": 20}));
    assert_eq!(
        cpu(json!({"cpu_quota": 5000, "cpu_period": 10_000, "cpu_shares": 512, "cpuset": "0-1,3"})),
        json!({"quota": 5000, "period": 10_000, "shares": 512, "cpus": "0-1,3"})
    );
    assert_eq!(error(json!({"cpus": 1, "cpu_quota": 5000})).0, "cpus");
    assert_eq!(error(json!({"cpuset": "all"})).0, "cpuset");
    assert_eq!(part(json!({"pids_limit": -1}), "/linux/resources/pids"), json!({"limit": -1}));
}

#[test]
fn ulimits_are_single_or_ranges_and_minus_one_is_no_limit() {
    let service = json!({"ulimits": {"nproc": 100, "nofile": {"soft": 1024, "hard": -1}}});
    assert_eq!(
        part(service, "/process/rlimits"),
        json!([
            {"type": "RLIMIT_NOFILE", "hard": u64::MAX, "soft": 1024},
            {"type": "RLIMIT_NPROC", "hard": 100, "soft": 100}
        ])
    );
    assert_eq!(error(json!({"ulimits": {"speed": 1}})).0, "ulimits.speed");
    assert_eq!(error(json!({"ulimits": {"core": -2}})).0, "ulimits.core");
    assert_eq!(error(json!({"ulimits": {"core": {"soft": 2, "hard": 1}}})).0, "ulimits.core");
}

fn namespaces(case: &Case) -> Vec<String> {
    let list = case.part("/linux/namespaces");
    let name = |namespace: &Value| {
        let path = namespace["path"].as_str().map(|path| format!("={path}"));
        namespace["type"].as_str().unwrap().to_owned() + &path.unwrap_or_default()
    };
    list.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn namespaces_are_own_shared_or_the_hosts() {
    let all = ["mount", "uts", "ipc", "pid", "network", "cgroup", "time"];
    assert_eq!(namespaces(&Case::new(json!({}))), all);
    assert_eq!(namespaces(&Case::new(json!({"network_mode": "none"}))), all);
    let host = json!({"network_mode": "host", "pid": "host", "ipc": "host", "uts": "host", "cgroup": "host"});
    assert_eq!(namespaces(&Case::new(host)), ["mount", "time"]);
    let mut case = Case::new(json!({"network_mode": "service:vpn"}));
    assert_eq!(case.build().unwrap_err().attribute(), "network_mode");
    case.shared.network = Some("/proc/7/ns/net".into());
    assert!(namespaces(&case).contains(&"network=/proc/7/ns/net".to_owned()));
}

#[test]
fn kernel_parameters_need_a_namespace_of_their_own() {
    let sysctl = |service| part(service, "/linux/sysctl");
    assert_eq!(
        sysctl(json!({"sysctls": {"net.core.somaxconn": "1024"}})),
        json!({
            "net.core.somaxconn": "1024",
            "net.ipv4.ip_unprivileged_port_start": "0",
            "net.ipv4.ping_group_range": "0 2147483647"
        })
    );
    assert_eq!(sysctl(json!({"network_mode": "host"})), json!({}));
    for service in [
        json!({"network_mode": "host", "sysctls": {"net.core.somaxconn": "1"}}),
        json!({"ipc": "host", "sysctls": {"kernel.shmmax": "1"}}),
        json!({"sysctls": {"kernel.panic": "1"}}),
        json!({"sysctls": {"net.../../vm/drop_caches": "1"}}),
    ] {
        assert!(error(service.clone()).0.starts_with("sysctls."), "{service}");
    }
}

#[test]
fn stop_signal_and_grace_come_from_service_image_and_default() {
    let image = json!({"Cmd": ["x"], "StopSignal": "SIGINT"});
    let signal = |service: Value, image: Value| {
        let case = Case::with_image(service, image);
        stop_signal(&case.service, &case.image()).map_err(|error| error.to_string())
    };
    assert_eq!(signal(json!({}), json!({})), Ok(15));
    assert_eq!(signal(json!({}), image.clone()), Ok(2));
    assert_eq!(signal(json!({"stop_signal": "SIGUSR1"}), image), Ok(10));
    assert_eq!(
        signal(json!({"stop_signal": "LOUD"}), json!({})),
        Err("stop_signal: unknown signal \"LOUD\"".to_owned())
    );
    assert!(signal(json!({}), json!({"StopSignal": "x\ny"})).is_err());
    assert_eq!(stop_grace(&Case::new(json!({})).service), Duration::from_secs(10));
    let case = Case::new(json!({"stop_grace_period": "1m"}));
    assert_eq!(stop_grace(&case.service), Duration::from_secs(60));
}

fn image_check() -> Healthcheck {
    Healthcheck {
        test: vec!["CMD-SHELL".to_owned(), "ready".to_owned()],
        interval: Some(Duration::from_secs(7)),
        retries: Some(9),
        ..Healthcheck::default()
    }
}

fn check(service: Value, image: Option<Healthcheck>) -> Option<super::super::Check> {
    let mut case = Case::new(service);
    case.healthcheck = image;
    healthcheck(&case.service, &case.image()).unwrap()
}

#[test]
fn the_services_health_check_is_completed_by_the_images() {
    assert_eq!(check(json!({}), None), None);
    let found = check(json!({"healthcheck": {"timeout": "2s"}}), Some(image_check())).unwrap();
    assert_eq!(found.command, ["/bin/sh", "-c", "ready"]);
    assert_eq!(found.settings.interval, Duration::from_secs(7));
    assert_eq!(found.settings.timeout, Duration::from_secs(2));
    assert_eq!((found.settings.retries, found.settings.start_period), (9, Duration::ZERO));
    let own =
        json!({"healthcheck": {"test": ["CMD", "probe", "-q"], "retries": 1, "interval": "1s"}});
    let found = check(own, Some(image_check())).unwrap();
    assert_eq!(found.command, ["probe", "-q"]);
    assert_eq!((found.settings.retries, found.settings.interval.as_secs()), (1, 1));
}

#[test]
fn a_disabled_health_check_is_none_at_all() {
    for off in [json!({"disable": true}), json!({"test": ["NONE"]})] {
        assert_eq!(check(json!({"healthcheck": off}), Some(image_check())), None);
    }
    let none = Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() };
    assert_eq!(check(json!({}), Some(none)), None);
    let case = Case::new(json!({"healthcheck": {"test": ["curl", "x"]}}));
    assert!(healthcheck(&case.service, &case.image()).is_err());
}
