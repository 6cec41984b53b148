//! Hooks: when, where, with what, and what their failure means.

use std::path::Path;

use naru_runtime::{ExitStatus, Stage, hooks};
use serde_json::{Value, json};

use crate::bundle::{Bundle, Output, chain, end, field};

crate::tests![
    hooks_run_in_their_order_and_namespaces,
    the_root_is_mounted_at_its_path_while_hooks_look,
    hooks_read_the_state_of_the_container,
    a_hook_has_exactly_its_environment_and_arguments,
    a_start_container_hook_is_confined_like_the_program,
    a_start_container_hook_runs_at_the_start_of_a_settled_container,
    a_failed_hook_ends_the_container_and_tells_its_last_words,
    a_hook_that_takes_too_long_is_killed,
    a_failed_poststart_hook_is_a_warning,
    poststop_hooks_all_run,
    a_hook_that_cannot_run_is_an_error,
    hooks_that_make_no_sense_are_named,
    hooks_need_to_know_the_container,
    hooks_work_in_a_user_namespace,
];

/// A shell script as a hook.
fn script(text: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", text], "env": ["PATH=/usr/bin:/bin"]})
}

/// A bundle whose hooks of each kind append their name and mount namespace to a file.
fn logged(arguments: &[&str], kinds: &[&str]) -> Bundle {
    let mut bundle = Bundle::new(arguments);
    let log = bundle.root.join("log");
    for kind in kinds {
        let line = format!("echo {kind} $(readlink /proc/self/ns/mnt) >> {}", log.display());
        bundle.configure(json!({"hooks": {*kind: [script(&line)]}}));
    }
    bundle
}

fn log(bundle: &Bundle) -> Vec<(String, String)> {
    let text = fs_err::read_to_string(bundle.root.join("log")).unwrap_or_default();
    let pair = |line: &str| {
        let (name, namespace) = line.split_once(' ').unwrap();
        (name.to_owned(), namespace.to_owned())
    };
    text.lines().map(pair).collect()
}

fn hooks_run_in_their_order_and_namespaces() {
    let kinds = ["poststart", "createContainer", "createRuntime", "prestart"];
    let bundle = logged(&["forever"], &kinds);
    let process = bundle.start(&Output::new()).unwrap();
    assert!(process.warnings.is_empty(), "{:?}", process.warnings);
    let own = fs_err::read_link("/proc/self/ns/mnt").unwrap().display().to_string();
    let inside = fs_err::read_link(format!("/proc/{}/ns/mnt", process.pid)).unwrap();
    let inside = inside.display().to_string();
    let expected = [
        ("prestart", &own),
        ("createRuntime", &own),
        ("createContainer", &inside),
        ("poststart", &own),
    ];
    let expected: Vec<_> = expected.map(|(name, ns)| (name.to_owned(), ns.clone())).into();
    assert_eq!(log(&bundle), expected);
    end(&process);
}

fn the_root_is_mounted_at_its_path_while_hooks_look() {
    let mut bundle = Bundle::new(&["cat", "/dev/from-the-hook", "+", "cat", "/from-outside"]);
    let root = bundle.root.display().to_string();
    // As runtimes of devices do it: from outside through the process's root, and from inside.
    let outside = format!(
        "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); echo outside > /proc/$pid/root{root}/from-outside"
    );
    let inside = format!("stat -c %t:%T {root}/dev/null > {root}/dev/from-the-hook");
    bundle.configure(json!({"hooks": {
        "createRuntime": [script(&outside)], "createContainer": [script(&inside)]}}));
    assert_eq!(bundle.check(), "1:3\n\noutside\n");
    assert!(!Path::new(&root).join("dev/from-the-hook").exists());
}

fn hooks_read_the_state_of_the_container() {
    let mut bundle = Bundle::new(&["forever"]);
    let file = |kind: &str| bundle.root.join(format!("state-{kind}"));
    let kinds = ["prestart", "createRuntime", "createContainer", "poststart"];
    let files = kinds.map(file);
    for (kind, file) in kinds.iter().zip(&files) {
        let line = format!("cat > {}", file.display());
        bundle.configure(json!({"hooks": {*kind: [script(&line)]}}));
    }
    bundle.configure(json!({"annotations": {"a": "b"}}));
    bundle.configure(json!({"hooks": {"startContainer": [
        {"path": "/checker", "args": ["checker", "hook", "/state-startContainer"]}]}}));
    let process = bundle.start(&Output::new()).unwrap();
    let statuses = ["created", "created", "created", "running", "created"];
    let start = bundle.root.join("state-startContainer");
    for (file, status) in files.iter().chain([&start]).zip(statuses) {
        let text = fs_err::read_to_string(file).unwrap();
        let state: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let expected = json!({"ociVersion": "1.2.0", "id": "the-container", "status": status,
            "pid": process.pid, "bundle": bundle.state().bundle(), "annotations": {"a": "b"}});
        assert_eq!(state, expected, "{}", file.display());
    }
    end(&process);
}

fn a_hook_has_exactly_its_environment_and_arguments() {
    let mut bundle = Bundle::new(&["status"]);
    let file = bundle.root.join("seen");
    let line =
        format!("tr '\\0' ' ' < /proc/self/environ > {0}; echo \"| $0 $1\" >> {0}", file.display());
    let hook = json!({"path": "/bin/sh", "args": ["ash", "-c", line, "zero", "one"],
        "env": ["PATH=/usr/bin:/bin", "EMPTY=", "X=a=b"]});
    bundle.configure(json!({"hooks": {"createRuntime": [hook]}}));
    bundle.check();
    let seen = fs_err::read_to_string(file).unwrap();
    let (environment, arguments) = seen.split_once('|').unwrap();
    let mut names: Vec<&str> = environment.split_whitespace().collect();
    names.sort_unstable();
    assert_eq!(names, ["EMPTY=", "PATH=/usr/bin:/bin", "X=a=b"]);
    assert_eq!(arguments, " zero one\n");
}

fn a_start_container_hook_is_confined_like_the_program() {
    for init in [false, true] {
        let mut bundle = Bundle::new(&["cat", "/hook"]);
        bundle.init = init;
        bundle.configure(json!({"hooks": {"startContainer": [{"path": "/checker",
            "args": ["checker", "hook", "/hook"], "env": ["ONLY=this"]}]}}));
        let seen = bundle.check();
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(field(&seen, set), "00000000a80425fb", "{set}");
        }
        assert_eq!(field(&seen, "Seccomp"), "2");
        assert_eq!(field(&seen, "SigBlk"), "0000000000000000");
        assert!(seen.trim_end().ends_with("ONLY=this"), "{seen}");
    }
    let mut user = Bundle::new(&["cat", "/tmp/hook"]);
    fs_err::create_dir(user.root.join("tmp")).unwrap();
    std::os::unix::fs::chown(user.root.join("tmp"), Some(1000), Some(1000)).unwrap();
    user.configure(json!({"process": {"user": {"uid": 1000, "gid": 1000}}}));
    user.configure(json!({"hooks": {"startContainer": [
        {"path": "/checker", "args": ["checker", "hook", "/tmp/hook"]}]}}));
    let seen = user.check();
    assert_eq!(field(&seen, "CapEff"), "0000000000000000");
    assert_eq!(field(&seen, "Uid").split_whitespace().next(), Some("1000"));
}

fn a_start_container_hook_runs_at_the_start_of_a_settled_container() {
    let mut bundle = Bundle::new(&["stat", "/hook"]);
    bundle.configure(json!({"hooks": {"startContainer": [
        {"path": "/checker", "args": ["checker", "hook", "/hook"]}]}}));
    let folder = fs_err::File::open(bundle.root.join("etc")).unwrap().into_parts().0;
    let listener = naru_runtime::listen(&folder, "start").unwrap();
    let output = Output::new();
    let created = bundle.create_with(&output, Some(listener), Vec::new()).unwrap();
    let process = created.settle().unwrap();
    assert!(!bundle.root.join("hook").exists());
    naru_runtime::release(&folder, "start").unwrap();
    assert_eq!(process.wait().unwrap(), ExitStatus::Exited(0));
    assert!(output.read().starts_with("file "));
}

fn a_failed_hook_ends_the_container_and_tells_its_last_words() {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mut bundle = logged(&["say", "no"], &[]);
        let log = bundle.root.join("log");
        let next = script(&format!("echo ran > {}", log.display()));
        let failing = script("echo first; echo the reason >&2; exit 3");
        bundle.configure(json!({"hooks": {kind: [failing, next]}}));
        let error = bundle.refusal();
        assert_eq!(error.stage(), Some(Stage::Hook), "{kind}");
        let text = chain(&error);
        let expected = "it exited with code 3, saying: first\\nthe reason";
        assert!(
            text.contains(&format!("error running {kind} hook #0: /bin/sh: {expected}")),
            "{text}"
        );
        assert!(!log.exists());
    }
    let mut start = Bundle::new(&["say", "no"]);
    start.configure(json!({"hooks": {"startContainer": [
        {"path": "/checker", "args": ["checker", "exit", "5"]}]}}));
    let output = Output::new();
    let error = start.start(&output).unwrap_err();
    assert!(error.to_string().contains("/checker: it exited with code 5"), "{error}");
    assert_eq!(output.read(), "");
}

fn a_hook_that_takes_too_long_is_killed() {
    for kind in ["createRuntime", "createContainer"] {
        let mut bundle = Bundle::new(&["say", "no"]);
        let mut hook = script("exec sleep 60");
        hook["timeout"] = json!(1);
        bundle.configure(json!({"hooks": {kind: [hook]}}));
        let before = std::time::Instant::now();
        let text = chain(&bundle.refusal());
        assert!(text.contains("it took longer than its timeout and was killed"), "{text}");
        assert!(before.elapsed() < std::time::Duration::from_secs(20));
    }
}

fn a_failed_poststart_hook_is_a_warning() {
    let mut bundle = Bundle::new(&["forever"]);
    bundle.configure(json!({"hooks": {"poststart": [script("exit 4")]}}));
    let process = bundle.start(&Output::new()).unwrap();
    let expected = "error running poststart hook #0: /bin/sh: it exited with code 4";
    assert_eq!(process.warnings, [expected]);
    assert_eq!(hooks::poststart(&bundle.spec, &bundle.state(), process.pid), [expected]);
    end(&process);
}

fn poststop_hooks_all_run() {
    let mut bundle = Bundle::new(&["status"]);
    let file = bundle.root.join("seen");
    let write = script(&format!("cat > {}", file.display()));
    bundle.configure(json!({"hooks": {"poststop": [script("exit 1"), write, script("exit 2")]}}));
    bundle.check();
    assert!(!file.exists());
    let failures = hooks::poststop(&bundle.spec, &bundle.state());
    assert_eq!(failures.len(), 2, "{failures:?}");
    let state: Value = serde_json::from_str(&fs_err::read_to_string(file).unwrap()).unwrap();
    assert_eq!((&state["status"], &state["pid"]), (&json!("stopped"), &Value::Null));
}

fn a_hook_that_cannot_run_is_an_error() {
    for kind in ["createRuntime", "createContainer", "startContainer"] {
        let mut bundle = Bundle::new(&["say", "no"]);
        bundle.configure(json!({"hooks": {kind: [{"path": "/no/such/hook"}]}}));
        let error = bundle.refusal();
        assert_eq!(error.stage(), Some(Stage::Hook), "{kind}");
        assert!(chain(&error).contains("No such file"), "{}", chain(&error));
    }
}

fn hooks_that_make_no_sense_are_named() {
    let cases = [
        (json!({"path": "hook"}), "`hooks.poststop[0].path` is invalid: hook is not an absolute"),
        (json!({"path": "/h", "timeout": 0}), "`hooks.poststop[0].timeout` is invalid: it is not"),
        (json!({"path": "/h", "env": ["A"]}), "`hooks.poststop[0].env` is invalid: A has no"),
    ];
    for (hook, expected) in cases {
        let mut bundle = Bundle::new(&["status"]);
        bundle.configure(json!({"hooks": {"poststop": [hook]}}));
        let text = bundle.refusal().to_string();
        assert!(text.contains(expected), "{text}");
    }
}

fn hooks_need_to_know_the_container() {
    let mut bundle = Bundle::new(&["status"]);
    bundle.configure(json!({"hooks": {"createRuntime": [script("true")]}}));
    bundle.is_known = false;
    let text = bundle.refusal().to_string();
    assert!(text.contains("`hooks` is invalid: there is no state of the container"), "{text}");
}

fn hooks_work_in_a_user_namespace() {
    let mut bundle = logged(&["id"], &["createRuntime"]);
    bundle.user_namespace(300_000);
    bundle.configure(json!({"hooks": {"createContainer": [script("test $(id -u) = 0")]}}));
    assert_eq!(bundle.check(), "0:0 [] 0022\n");
    assert_eq!(log(&bundle).len(), 1);
}
