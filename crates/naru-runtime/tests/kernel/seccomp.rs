//! System call filters with an agent, and the actions of a filter on real calls.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use naru_runtime::ExitStatus;
use naru_sys::seccomp::{receive_notification, refuse};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix,
    SocketType, recvmsg,
};
use serde_json::{Value, json};

use crate::bundle::{Bundle, Output, chain, end};

crate::tests![
    an_agent_answers_calls_and_knows_the_container,
    an_agent_answers_the_calls_of_a_further_process,
    a_filter_works_with_naru_as_the_first_process,
    an_agent_that_is_not_there_is_an_error,
    a_refused_call_has_the_errno_of_the_filter,
    a_call_can_end_the_process,
];

/// Listens at a socket, takes one message and refuses one call with EDOM.
fn agent(path: &Path) -> JoinHandle<Value> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    rustix::net::listen(&socket, 1).unwrap();
    std::thread::spawn(move || {
        let connection = rustix::net::accept(&socket).unwrap();
        let (message, listener) = take(&connection);
        let call = loop {
            // The wait for one can end early.
            match receive_notification(listener.as_fd()) {
                Err(Errno::INTR) => {}
                received => break received.unwrap(),
            }
        };
        refuse(listener.as_fd(), call.id, Errno::DOM).unwrap();
        message
    })
}

fn take(connection: &OwnedFd) -> (Value, OwnedFd) {
    let mut bytes = vec![0; 64 * 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(&mut bytes)];
    let length = recvmsg(connection, parts, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap().bytes;
    let rights = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    let message = serde_json::from_slice(&bytes[..length]).unwrap();
    (message, rights.unwrap())
}

fn listened(arguments: &[&str]) -> (Bundle, PathBuf) {
    let mut bundle = Bundle::new(arguments);
    let path = bundle.root.join("agent");
    // What Rust calls by is one or the other.
    bundle.configure(json!({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW",
        "defaultErrnoRet": null, "architectures": null, "listenerPath": path,
        "listenerMetadata": "words for the agent", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]}}}));
    (bundle, path)
}

fn an_agent_answers_calls_and_knows_the_container() {
    for no_new_privileges in [false, true] {
        let (mut bundle, path) = listened(&["mkdir", "/made"]);
        bundle.configure(json!({"process": {"noNewPrivileges": no_new_privileges}}));
        let agent = agent(&path);
        let output = Output::new();
        let process = bundle.start(&output).unwrap();
        assert_eq!(process.wait().unwrap(), ExitStatus::Exited(0));
        assert_eq!(output.read(), "errno 33\n");
        let message = agent.join().unwrap();
        assert_eq!(message["fds"], json!(["seccompFd"]));
        assert_eq!(message["pid"], json!(process.pid));
        assert_eq!(message["metadata"], json!("words for the agent"));
        assert_eq!(message["ociVersion"], json!("1.2.0"));
        assert_eq!(message["state"]["id"], json!("the-container"));
        assert_eq!(message["state"]["status"], json!("creating"));
        assert_eq!(message["state"]["pid"], json!(process.pid));
    }
}

fn an_agent_answers_the_calls_of_a_further_process() {
    let (bundle, path) = listened(&["forever"]);
    // It waits for a call that nobody makes.
    drop(agent(&path));
    let container = bundle.start(&Output::new()).unwrap();
    fs_err::remove_file(&path).unwrap();
    let second = agent(&path);
    let output = Output::new();
    let further = bundle.further(&["mkdir", "/made"]);
    let process = bundle.exec(&container, &further, &output).unwrap();
    process.wait().unwrap();
    assert_eq!(output.read(), "errno 33\n");
    let message = second.join().unwrap();
    assert_eq!(message["pid"], json!(process.pid));
    assert_eq!(message["state"]["status"], json!("running"));
    end(&container);
}

fn a_filter_works_with_naru_as_the_first_process() {
    let (mut bundle, path) = listened(&["mkdir", "/made"]);
    bundle.init = true;
    let agent = agent(&path);
    assert_eq!(bundle.check(), "errno 33\n");
    agent.join().unwrap();
}

fn an_agent_that_is_not_there_is_an_error() {
    let (bundle, path) = listened(&["status"]);
    let text = chain(&bundle.refusal());
    let expected = format!("failed to connect with seccomp agent {}: No such", path.display());
    assert!(text.starts_with(&expected), "{text}");
}

fn with_action(action: &str, errno: Option<u32>) -> Bundle {
    let mut bundle = Bundle::new(&["mkdir", "/made"]);
    let rule = json!({"names": ["mkdir", "mkdirat"], "action": action, "errnoRet": errno});
    bundle.configure(json!({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW",
        "defaultErrnoRet": null, "syscalls": [rule], "flags": ["SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}}}));
    bundle
}

fn a_refused_call_has_the_errno_of_the_filter() {
    assert_eq!(with_action("SCMP_ACT_ERRNO", Some(28)).check(), "errno 28\n");
    assert_eq!(with_action("SCMP_ACT_ERRNO", None).check(), "errno 1\n");
    // Nobody traces.
    assert_eq!(with_action("SCMP_ACT_TRACE", None).check(), "errno 38\n");
    assert_eq!(with_action("SCMP_ACT_LOG", None).check(), "ok\n");
}

fn a_call_can_end_the_process() {
    for action in ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL", "SCMP_ACT_TRAP"] {
        let outcome = with_action(action, None).run();
        assert_eq!(outcome.status, ExitStatus::Signaled(31), "{action}: {}", outcome.output);
    }
}
