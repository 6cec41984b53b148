//! Namespaces that are joined by path, and time namespaces.

use naru_runtime::{ExitStatus, Parent, Process};
use serde_json::json;

use crate::bundle::{Bundle, Output, chain, end};

crate::tests![
    every_kind_of_namespace_can_be_joined_by_path,
    a_further_process_is_in_the_joined_namespaces,
    a_pid_namespace_is_joined_by_a_sibling_too,
    a_path_of_another_kind_is_an_error,
    a_path_that_is_no_namespace_is_an_error,
    a_missing_path_is_an_error,
    a_kind_may_be_listed_once,
    a_namespace_that_is_not_listed_is_the_hosts,
    without_a_mount_namespace_a_container_is_in_the_hosts_and_has_its_own_root,
    the_clocks_of_a_time_namespace_are_moved,
    a_time_namespace_can_be_joined,
    a_clock_that_cannot_be_moved_is_named,
    an_interface_of_the_host_is_moved_with_its_addresses,
    an_interface_that_is_not_there_is_named,
    memory_comes_from_the_asked_nodes,
];

/// `/proc/PID/ns` has other names for three kinds.
const KINDS: [(&str, &str); 7] = [
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("pid", "pid"),
    ("cgroup", "cgroup"),
    ("mount", "mnt"),
    ("time", "time"),
];

fn running() -> (Bundle, Process) {
    let mut bundle = Bundle::new(&["forever"]);
    fs_err::create_dir(bundle.root.join("other")).unwrap();
    bundle.namespace("time", None);
    let process = bundle.start(&Output::new()).unwrap();
    (bundle, process)
}

fn namespace_of(pid: i32, name: &str) -> String {
    let link = fs_err::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
    link.to_str().unwrap().to_owned()
}

fn every_kind_of_namespace_can_be_joined_by_path() {
    let (_bundle, first) = running();
    for (kind, name) in KINDS {
        let mut bundle = Bundle::new(&["link", &format!("/proc/self/ns/{name}")]);
        if kind == "uts" {
            bundle.configure(json!({"hostname": null}));
        }
        if kind == "mount" {
            // What the specification names is looked for there: a folder of the first container.
            bundle.root = "/other".into();
            let mounts = json!([{"destination": "/proc", "type": "proc"},
                {"destination": "/checker", "type": "bind", "source": "/checker"}]);
            bundle.configure(json!({"mounts": mounts}));
        }
        bundle.namespace(kind, Some(&format!("/proc/{}/ns/{name}", first.pid)));
        assert_eq!(bundle.check().trim(), namespace_of(first.pid, name), "{kind}");
    }
    end(&first);
}

fn a_further_process_is_in_the_joined_namespaces() {
    let (_bundle, first) = running();
    let mut bundle = Bundle::new(&["forever"]);
    bundle.configure(json!({"hostname": null}));
    for (kind, name) in KINDS.iter().filter(|(kind, _)| *kind != "mount") {
        bundle.namespace(kind, Some(&format!("/proc/{}/ns/{name}", first.pid)));
    }
    let second = bundle.start(&Output::new()).unwrap();
    for (_, name) in KINDS.iter().filter(|(kind, _)| *kind != "mount") {
        let path = format!("/proc/self/ns/{name}");
        let output = Output::new();
        let further = bundle.exec(&second, &bundle.further(&["link", &path]), &output).unwrap();
        assert_eq!(further.wait().unwrap(), ExitStatus::Exited(0));
        assert_eq!(output.read().trim(), namespace_of(first.pid, name), "{name}");
    }
    end(&second);
    end(&first);
}

fn a_pid_namespace_is_joined_by_a_sibling_too() {
    let (_bundle, first) = running();
    let path = format!("/proc/{}/ns/pid", first.pid);
    let pid = crate::lifecycle::sibling_of(&["pid", &path]);
    // It has ended and waits to be reaped by its parent, this process, before its namespace can end.
    let (_, status) =
        rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.exit_status(), Some(9));
    end(&first);
}

/// In the process in the middle: creates the container for the test above.
pub(crate) fn create_in_pid_namespace(path: &str) {
    let mut bundle = Bundle::new(&["exit", "9"]);
    bundle.namespace("pid", Some(path));
    bundle.parent = Parent::Sibling;
    println!("{}", bundle.start(&Output::new()).unwrap().pid);
}

fn a_path_of_another_kind_is_an_error() {
    let mut bundle = Bundle::new(&["status"]);
    bundle.namespace("ipc", Some("/proc/self/ns/net"));
    let text = bundle.refusal().to_string();
    assert!(text.contains("`linux.namespaces` is invalid: /proc/self/ns/net is no ipc"), "{text}");
}

fn a_path_that_is_no_namespace_is_an_error() {
    let mut bundle = Bundle::new(&["status"]);
    bundle.namespace("network", Some("/dev/null"));
    let text = bundle.refusal().to_string();
    assert!(text.contains("/dev/null is no network namespace"), "{text}");
}

fn a_missing_path_is_an_error() {
    let mut bundle = Bundle::new(&["status"]);
    bundle.namespace("network", Some("/no/such/namespace"));
    let text = chain(&bundle.refusal());
    assert!(text.starts_with("cannot open the network namespace /no/such/namespace: No"), "{text}");
}

fn a_kind_may_be_listed_once() {
    let mut bundle = Bundle::new(&["status"]);
    let list = json!([{"type": "mount"}, {"type": "ipc"}, {"type": "ipc"}]);
    bundle.configure(json!({"linux": {"namespaces": list}}));
    let text = bundle.refusal().to_string();
    assert!(text.ends_with("`linux.namespaces` is invalid: ipc is listed twice"), "{text}");
}

fn a_namespace_that_is_not_listed_is_the_hosts() {
    let own = std::process::id().cast_signed();
    for (kind, name) in [("ipc", "ipc"), ("uts", "uts"), ("cgroup", "cgroup"), ("pid", "pid")] {
        let mut bundle = Bundle::new(&["link", &format!("/proc/self/ns/{name}")]);
        bundle.configure(json!({"hostname": null})).without_namespace(kind);
        assert_eq!(bundle.check().trim(), namespace_of(own, name));
    }
}

fn clocks(output: &str) -> (i64, i64) {
    let (monotonic, boot) = output.trim().split_once(' ').unwrap();
    (monotonic.parse().unwrap(), boot.parse().unwrap())
}

fn is_near(value: i64, expected: i64) -> bool {
    (value - expected).abs() < 60
}

fn the_clocks_of_a_time_namespace_are_moved() {
    let mut bundle = Bundle::new(&["clock"]);
    bundle.namespace("time", None).configure(json!({"linux": {"timeOffsets": {
        "monotonic": {"secs": 86400, "nanosecs": 5}, "boottime": {"secs": 604_800}}}}));
    let (monotonic, boot) = clocks(&bundle.check());
    let (own_monotonic, own_boot) = crate::checker::uptime();
    assert!(is_near(monotonic, own_monotonic + 86400), "{monotonic} {own_monotonic}");
    assert!(is_near(boot, own_boot + 604_800), "{boot} {own_boot}");
}

fn a_time_namespace_can_be_joined() {
    let mut first = Bundle::new(&["forever"]);
    first.namespace("time", None);
    first.configure(json!({"linux": {"timeOffsets": {"monotonic": {"secs": 500_000}}}}));
    let process = first.start(&Output::new()).unwrap();
    let mut second = Bundle::new(&["clock"]);
    second.namespace("time", Some(&format!("/proc/{}/ns/time", process.pid)));
    let (monotonic, _) = clocks(&second.check());
    assert!(is_near(monotonic, crate::checker::uptime().0 + 500_000));
    // So does a further process.
    let output = Output::new();
    let further = first.exec(&process, &first.further(&["clock"]), &output).unwrap();
    further.wait().unwrap();
    assert!(is_near(clocks(&output.read()).0, crate::checker::uptime().0 + 500_000));
    end(&process);
}

fn a_clock_that_cannot_be_moved_is_named() {
    let mut bundle = Bundle::new(&["clock"]);
    bundle
        .namespace("time", None)
        .configure(json!({"linux": {"timeOffsets": {"realtime": {"secs": 1}}}}));
    let text = bundle.refusal().to_string();
    assert!(text.contains("`linux.timeOffsets` is invalid: realtime is no clock"), "{text}");
    let mut without = Bundle::new(&["clock"]);
    without.without_namespace("time");
    without.configure(json!({"linux": {"timeOffsets": {"monotonic": {"secs": 1}}}}));
    let text = without.refusal().to_string();
    assert!(text.contains("there is no new time namespace"), "{text}");
}

fn without_a_mount_namespace_a_container_is_in_the_hosts_and_has_its_own_root() {
    let mounts = || fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let own = namespace_of(std::process::id().cast_signed(), "mnt");
    let look = ["link", "/proc/self/ns/mnt", "+", "cat", "/etc/marker", "+", "stat", "/dev/null"];
    let expected = format!("{own}\n\nimage\n\nchar 666 0:0 1:3\n");
    let mut bundle = Bundle::new(&look);
    bundle.without_namespace("mount");
    assert_eq!(bundle.check(), expected);
    // Masks and what is read-only are there too.
    bundle.arguments(&["write", "/proc/sys/kernel/hostname", "h", "+", "stat", "/proc/interrupts"]);
    assert_eq!(bundle.check(), "errno 30\n\nchar 666 0:0 1:3\n");

    let mut bundle = Bundle::new(&["forever"]);
    bundle.without_namespace("mount");
    let container = bundle.start(&Output::new()).unwrap();
    let output = Output::new();
    let further = bundle.exec(&container, &bundle.further(&look), &output).unwrap();
    assert_eq!(further.wait().unwrap(), ExitStatus::Exited(0));
    assert_eq!(output.read(), expected);
    assert_eq!(mounts(), before);
    end(&container);
}

/// Makes one end of a veth pair, with two addresses, in the network namespace of the test.
fn new_interface(name: &str) {
    use netlink_bindings::{rt_addr, rt_link};
    let mut socket = netlink_socket2::NetlinkSocket::new();
    let header = rt_link::Ifinfomsg::new();
    let mut request = rt_link::Request::new().set_create().op_newlink_do(&header);
    let attributes = request.encode().push_ifname_bytes(name.as_bytes());
    drop(attributes.nested_linkinfo().push_kind(c"veth"));
    socket.request(&request).unwrap().recv_ack().unwrap();
    let index = nix::net::if_::if_nametoindex(name).unwrap();
    for (family, prefix, address) in [(2, 24, "192.0.2.7"), (10, 64, "2001:db8::7")] {
        let header = rt_addr::Ifaddrmsg {
            ifa_family: family,
            ifa_prefixlen: prefix,
            ifa_index: index,
            ..Default::default()
        };
        let mut request = rt_addr::Request::new().set_create().op_newaddr_do(&header);
        let address: std::net::IpAddr = address.parse().unwrap();
        drop(request.encode().push_local(address).push_address(address));
        socket.request(&request).unwrap().recv_ack().unwrap();
    }
}

fn an_interface_of_the_host_is_moved_with_its_addresses() {
    let test = || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        move_and_look();
    };
    std::thread::scope(|scope| scope.spawn(test).join().unwrap());
}

fn move_and_look() {
    for (inside, expected) in [(None, "moved0"), (Some("eth7"), "eth7")] {
        new_interface("moved0");
        let mut bundle = Bundle::new(&["cat", "/proc/net/if_inet6"]);
        let name = inside.map_or(json!({}), |name| json!({ "name": name }));
        bundle.configure(json!({"linux": {"netDevices": {"moved0": name}}}));
        let seen = bundle.check();
        let line = seen.lines().find(|line| line.ends_with(expected)).unwrap_or_else(|| {
            panic!("{expected} has no address:\n{seen}");
        });
        assert!(line.starts_with("20010db8000000000000000000000007"), "{line}");
        assert!(nix::net::if_::if_nametoindex("moved0").is_err(), "it is gone from the host");
    }
    new_interface("moved0");
    let mut bundle = Bundle::new(&["cat", "/proc/net/fib_trie"]);
    bundle.configure(json!({"linux": {"netDevices": {"moved0": {"name": "eth0"}}}}));
    assert!(bundle.check().contains("192.0.2.7"));
}

fn an_interface_that_is_not_there_is_named() {
    let mut bundle = Bundle::new(&["status"]);
    bundle.configure(json!({"linux": {"netDevices": {"none0": {}}}}));
    let text = chain(&bundle.refusal());
    assert!(
        text.contains("move the network interface none0 into the container: No such"),
        "{text}"
    );
}

fn memory_comes_from_the_asked_nodes() {
    let mut bundle = Bundle::new(&["cat", "/proc/self/numa_maps"]);
    bundle.configure(json!({"linux": {"memoryPolicy": {"mode": "MPOL_INTERLEAVE", "nodes": "0"}}}));
    assert!(bundle.check().contains(" interleave:0 "));
    let flags = ["MPOL_F_STATIC_NODES"];
    bundle.configure(json!({"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "flags": flags}}}));
    assert!(bundle.check().contains(" bind=static:0 "));
    bundle.configure(json!({"linux": {"memoryPolicy": {"mode": "MPOL_DEFAULT"}}}));
    assert!(bundle.refusal().to_string().contains("set the memory policy"));
}
