//! `NOTIFY_SOCKET`: a container says that it is ready, and the service manager is told (sd_notify(3)).

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::Duration;

use naru_test::{Outcome, Running, eventually};
use serde_json::json;

use super::bundle::Bundle;
use super::inside;

/// The verb of naru-check, in the container.
const NOTIFY: &str = "/bin/naru-check notify";

/// A bundle whose container runs this script, with naru-check in it.
fn bundle(script: &str) -> Bundle {
    let bundle = Bundle::new();
    bundle.script(script);
    fs_err::copy(env!("CARGO_BIN_EXE_naru-check"), bundle.rootfs().join("bin/naru-check")).unwrap();
    bundle
}

/// A socket of the host in the bundle's folder, as a service manager has one.
fn manager(bundle: &Bundle) -> UnixDatagram {
    patient(UnixDatagram::bind(bundle.file("manager")).unwrap())
}

fn patient(socket: UnixDatagram) -> UnixDatagram {
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    socket
}

fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[track_caller]
fn heard_nothing(socket: &UnixDatagram) {
    socket.set_nonblocking(true).unwrap();
    assert_eq!(socket.recv(&mut [0; 64]).unwrap_err().kind(), ErrorKind::WouldBlock);
    socket.set_nonblocking(false).unwrap();
}

fn notified(bundle: &Bundle, words: &[&str]) -> Command {
    let mut command = bundle.command(words);
    command.env("NOTIFY_SOCKET", bundle.file("manager"));
    command
}

fn oci(bundle: &Bundle, words: &[&str]) -> Outcome {
    Running::start(&mut notified(bundle, words)).wait()
}

fn has_ended(running: &Running) -> bool {
    let stat = fs_err::read_to_string(format!("/proc/{}/stat", running.pid())).unwrap();
    stat.contains(") Z ")
}

#[test]
fn start_stays_until_the_container_is_ready_and_names_its_main_process() {
    inside(|| {
        let wait = "until [ -e /go ]; do sleep 0.01; done";
        let bundle = bundle(&format!(
            "touch /run/notify/file && exit 1; [ $NOTIFY_SOCKET = /run/notify/notify.sock ] || exit 2; \
             {NOTIFY} STATUS=starting; touch /begun; {wait}; {NOTIFY} 'X=1\nMAINPID=1\nREADY=1'; \
             exec sleep 1000"
        ));
        let manager = manager(&bundle);
        oci(&bundle, &["create", "c"]).succeeds();
        let start = Running::start(&mut notified(&bundle, &["start", "c"]));
        eventually("the container says something else", || {
            bundle.rootfs().join("begun").exists().then_some(()).ok_or_else(|| start.stderr())
        });
        assert!(!has_ended(&start), "it is not ready yet");
        heard_nothing(&manager);

        fs_err::write(bundle.rootfs().join("go"), "").unwrap();
        assert_eq!(heard(&manager), format!("READY=1\nMAINPID={}\n", bundle.state("c")["pid"]));
        assert_eq!(heard(&manager), "BARRIER=1");
        start.wait().succeeds();
        heard_nothing(&manager);
        assert_eq!(bundle.status("c"), "running");

        bundle.oci(["delete", "--force", "c"]).succeeds();
        assert!(!bundle.store().join("c").exists());
    });
}

#[test]
fn who_is_never_ready_is_waited_for_until_it_ends() {
    inside(|| {
        let bundle = bundle(&format!("{NOTIFY} READY=10; {NOTIFY} STATUS=READY=1; exit 3"));
        let manager = manager(&bundle);
        oci(&bundle, &["create", "c"]).succeeds();
        oci(&bundle, &["start", "c"]).succeeds();
        bundle.until("c", "stopped");
        oci(&bundle, &["run", "--detach", "d"]).succeeds();
        oci(&bundle, &["run", "e"]).exits_with(3);
        heard_nothing(&manager);
    });
}

#[test]
fn run_tells_the_manager_also_for_a_user_in_a_namespace_that_ends_at_once() {
    inside(|| {
        let bundle = bundle(&format!("{NOTIFY} READY=1"));
        let manager = manager(&bundle);
        bundle.edit(|config| {
            config["process"]["user"] = json!({"uid": 7, "gid": 7});
            let map = json!([{"containerID": 0, "hostID": 1000, "size": 8}]);
            config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
            config["mounts"] = json!([
                {"destination": "/proc", "type": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                {"destination": "/run", "type": "tmpfs", "source": "tmpfs"},
            ]);
        });
        // Root in the container is a user who may not make it.
        fs_err::create_dir(bundle.rootfs().join("run")).unwrap();
        oci(&bundle, &["run", "c"]).succeeds();
        assert!(heard(&manager).starts_with("READY=1\nMAINPID="));
        heard_nothing(&manager);
    });
}

#[test]
fn a_manager_may_have_an_abstract_socket() {
    inside(|| {
        let bundle = bundle(&format!("{NOTIFY} READY=1; exec sleep 1000"));
        let address = SocketAddr::from_abstract_name(bundle.group()).unwrap();
        let manager = patient(UnixDatagram::bind_addr(&address).unwrap());
        let mut command = bundle.command(["run", "--detach", "c"]);
        command.env("NOTIFY_SOCKET", format!("@{}", bundle.group()));
        let run = Running::start(&mut command);
        assert!(heard(&manager).starts_with("READY=1\nMAINPID="));
        assert_eq!(heard(&manager), "BARRIER=1");
        run.wait().succeeds();
    });
}

#[test]
fn what_a_container_writes_is_bounded_and_its_links_lead_nowhere() {
    inside(|| {
        let bundle = bundle(&format!("{NOTIFY} \"$(printf 'READY=1\\n%05000d' 1)\""));
        let manager = manager(&bundle);
        let outside = bundle.file("outside");
        fs_err::create_dir(&outside).unwrap();
        fs_err::os::unix::fs::symlink(&outside, bundle.rootfs().join("run")).unwrap();
        oci(&bundle, &["run", "c"]).succeeds();
        heard_nothing(&manager);
        assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 0);
    });
}

#[test]
fn a_manager_that_cannot_be_reached_is_an_error_before_anything_runs() {
    inside(|| {
        let bundle = bundle("touch /ran");
        for (address, said) in [("vsock:2:1", "vsock:2:1"), ("/no/where", "/no/where")] {
            let mut command = bundle.command(["run", "c"]);
            command.env("NOTIFY_SOCKET", address);
            Running::start(&mut command).wait().exits_with(1).says(said);
            bundle.oci(["state", "c"]).exits_with(1);
        }
        assert!(!bundle.rootfs().join("ran").exists());
        let mut command = bundle.command(["run", "c"]);
        command.env("NOTIFY_SOCKET", "");
        Running::start(&mut command).wait().succeeds();
    });
}
