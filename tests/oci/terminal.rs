//! Terminals, hooks, and what is told about the program itself.

use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use serde_json::json;

use super::bundle::Bundle;
use super::inside;

/// Takes one descriptor from whoever connects next.
fn receive(listener: &UnixListener) -> OwnedFd {
    let (stream, _) = listener.accept().unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 64];
    let parts = &mut [IoSliceMut::new(&mut name)];
    rustix::net::recvmsg(&stream, parts, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let rights = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    rights.unwrap()
}

#[test]
fn the_master_of_a_terminal_goes_to_the_console_socket() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.script("tty; stty size; exec sleep 1000");
        bundle.edit(|config| {
            config["process"]["terminal"] = json!(true);
            config["process"]["consoleSize"] = json!({"height": 10, "width": 110});
        });
        bundle.oci(["run", "-d", "c"]).exits_with(1).says("console socket");
        let listener = UnixListener::bind(bundle.file("socket")).unwrap();
        bundle.oci(["create", "--console-socket", "socket", "c"]).succeeds();
        let mut master = std::fs::File::from(receive(&listener));
        bundle.oci(["start", "c"]).succeeds();
        let mut seen = String::new();
        while seen.lines().count() < 2 || !seen.ends_with('\n') {
            let mut buffer = [0; 256];
            let length = master.read(&mut buffer).unwrap();
            seen += std::str::from_utf8(&buffer[..length]).unwrap();
        }
        assert_eq!(seen, "/dev/pts/0\r\n10 110\r\n");
    });
}

#[test]
fn a_console_socket_without_a_terminal_is_refused() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["create", "--console-socket", "x", "c"]).exits_with(1).says("console socket");
    });
}

#[test]
fn a_terminal_in_the_foreground_is_copied_without_one_too() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.script("tty; exit 5");
        bundle.edit(|config| config["process"]["terminal"] = json!(true));
        let outcome = bundle.oci(["run", "c"]).exits_with(5);
        assert_eq!(outcome.stdout, "/dev/pts/0\n");
    });
}

#[test]
fn a_pidfd_goes_to_its_socket() {
    inside(|| {
        let bundle = Bundle::new();
        let listener = UnixListener::bind(bundle.file("socket")).unwrap();
        bundle.oci(["run", "-d", "--pidfd-socket", "socket", "c"]).succeeds();
        let pidfd = receive(&listener);
        rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL).unwrap();
        bundle.until("c", "stopped");
    });
}

#[test]
fn hooks_follow_the_lifecycle_in_order() {
    inside(|| {
        let bundle = Bundle::running(&["true"]);
        let log = bundle.file("log");
        let hook = |name: &str| {
            let script = format!("echo {name} >> {}", log.display());
            json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}])
        };
        bundle.edit(|config| {
            config["hooks"] = json!({"prestart": hook("prestart"), "poststart": hook("poststart"),
                "createRuntime": hook("createRuntime"), "poststop": hook("poststop"),
                "createContainer": hook("createContainer")});
        });
        let read = || fs_err::read_to_string(&log).unwrap();
        bundle.oci(["create", "c"]).succeeds();
        assert_eq!(read(), "prestart\ncreateRuntime\ncreateContainer\n");
        bundle.oci(["start", "c"]).succeeds();
        assert!(read().ends_with("createContainer\npoststart\n"), "{}", read());
        bundle.until("c", "stopped");
        bundle.oci(["delete", "c"]).succeeds();
        assert!(read().ends_with("poststart\npoststop\n"), "{}", read());
    });
}

#[test]
fn a_failed_hook_is_named_and_leaves_no_container() {
    inside(|| {
        for kind in ["prestart", "createRuntime", "createContainer", "poststart"] {
            let bundle = Bundle::new();
            bundle.edit(|config| {
                config["hooks"] = json!({kind: [{"path": "/bin/true"}, {"path": "/bin/false"}]});
            });
            let said = format!("error running {kind} hook #1:");
            bundle.oci(["run", "-d", "c"]).exits_with(1).says(&said);
            bundle.oci(["state", "c"]).exits_with(1);
        }
    });
}

#[test]
fn a_container_without_a_process_can_be_created_but_not_started() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.edit(|config| {
            config.as_object_mut().unwrap().remove("process");
        });
        bundle.oci(["create", "c"]).succeeds();
        assert_eq!(bundle.status("c"), "created");
        bundle.oci(["start", "c"]).exits_with(1).says("no process");
        bundle.until("c", "stopped");
        bundle.oci(["delete", "c"]).succeeds();
    });
}

#[test]
fn home_comes_from_the_containers_own_users() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["run", "-d", "c"]).succeeds();
        let home =
            |user: &str| bundle.oci(["exec", "-u", user, "c", "sh", "-c", "echo $HOME"]).stdout;
        assert_eq!(
            (home("0"), home("1000"), home("77")),
            ("/root\n".into(), "/tmp\n".into(), "/\n".into())
        );
    });
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    inside(|| {
        let bundle = Bundle::new();
        for verb in ["checkpoint", "restore"] {
            bundle.oci([verb, "--image-path", "x", "c"]).exits_with(1).says(verb);
        }
        bundle.oci(["--systemd-cgroup", "list"]).exits_with(1).says("systemd");
        bundle.oci(["--cgroup-manager", "disabled", "list"]).exits_with(1).says("disabled");
        bundle.oci(["create", "--no-new-keyring", "c"]).exits_with(1).says("keyring");
        bundle.edit(|config| config["ociVersion"] = json!("one"));
        bundle.oci(["create", "c"]).exits_with(1).says("ociVersion");
    });
}

#[test]
fn the_version_and_the_features_are_told() {
    inside(|| {
        let bundle = Bundle::new();
        let version = bundle.oci(["--version"]).succeeds().stdout;
        let lines: Vec<&str> = version.lines().collect();
        assert!(lines[0].starts_with("naru-oci version 0."), "{version}");
        assert!(lines[1].starts_with("commit: ") && lines[2].starts_with("spec: 1."), "{version}");
        let features = bundle.oci(["features"]).succeeds().json().remove(0);
        assert_eq!(features["linux"]["cgroup"]["v2"], true);
        let help = bundle.oci(["--help"]).succeeds().stdout;
        assert!(
            help.starts_with("NAME:\n   naru-oci - Open Container Initiative runtime"),
            "{help}"
        );
        let help = bundle.oci(["delete", "-h"]).succeeds().stdout;
        assert!(help.starts_with("NAME:\n   naru-oci delete - "), "{help}");
        bundle.oci(["foo", "-h"]).exits_with(1).says("No help topic for 'foo'");
    });
}

#[test]
fn listing_tells_all_containers_in_order() {
    inside(|| {
        let bundle = Bundle::new();
        bundle.oci(["create", "b"]).succeeds();
        bundle.edit(|config| config["linux"]["cgroupsPath"] = json!(null));
        bundle.oci(["create", "a"]).succeeds();
        assert_eq!(bundle.oci(["list", "-q"]).succeeds().stdout, "a\nb\n");
        let listed = bundle.oci(["list", "--format", "json"]).succeeds().json();
        assert_eq!((&listed[0]["id"], &listed[0]["status"]), (&json!("a"), &json!("created")));
        assert_eq!(listed[1]["bundle"], json!(bundle.path()));
        let table = bundle.oci(["list"]).succeeds().stdout;
        let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(header, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    });
}
