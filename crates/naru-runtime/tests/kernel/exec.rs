//! Further processes in a running container.

use naru_runtime::{ExitStatus, Process, Stage};
use oci_spec::runtime::UserBuilder;

use crate::bundle::{Bundle, Output, end, field};

crate::tests![
    a_further_process_is_in_all_namespaces_of_the_container,
    it_is_confined_like_the_container,
    it_has_its_own_user_environment_and_directory,
    its_exit_code_is_exact,
    only_its_standard_files_are_open,
    a_missing_command_is_an_error_of_the_exec,
    it_cannot_start_in_a_container_that_has_ended,
];

fn running() -> (Bundle, Process) {
    let bundle = Bundle::new(&["forever"]);
    let process = bundle.start(&Output::new()).unwrap();
    (bundle, process)
}

fn check(bundle: &Bundle, container: &Process, arguments: &[&str]) -> String {
    let output = Output::new();
    let process = bundle.exec(container, &bundle.further(arguments), &output).unwrap();
    assert_eq!(process.wait().unwrap(), ExitStatus::Exited(0));
    output.read()
}

fn a_further_process_is_in_all_namespaces_of_the_container() {
    let (bundle, container) = running();
    let seen = check(&bundle, &container, &["namespaces"]);
    let names = ["cgroup", "ipc", "mnt", "net", "pid", "time", "uts"];
    let expected: Vec<String> = names
        .iter()
        .map(|name| {
            let link = fs_err::read_link(format!("/proc/{}/ns/{name}", container.pid)).unwrap();
            link.to_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    end(&container);
}

fn it_is_confined_like_the_container() {
    let (bundle, container) = running();
    let seen = check(&bundle, &container, &["status", "+", "mount"]);
    assert_eq!(field(&seen, "CapEff"), "00000000a80425fb");
    assert_eq!(field(&seen, "CapBnd"), "00000000a80425fb");
    assert_eq!(field(&seen, "CapInh"), "0000000000000000");
    assert_eq!(field(&seen, "Seccomp"), "2");
    assert!(seen.ends_with("errno 1\n"), "{seen}");
    end(&container);
}

fn it_has_its_own_user_environment_and_directory() {
    let (bundle, container) = running();
    let mut process = bundle.further(&["id", "+", "env", "+", "cwd"]);
    process.set_user(UserBuilder::default().uid(5_u32).gid(6_u32).build().unwrap());
    process.set_env(Some(vec!["A=b".to_owned()]));
    process.set_cwd("/etc".into());
    let output = Output::new();
    bundle.exec(&container, &process, &output).unwrap().wait().unwrap();
    assert_eq!(output.read(), "5:6 [] 0022\n\nA=b\nHOME=/\n\n/etc\n");
    end(&container);
}

fn its_exit_code_is_exact() {
    let (bundle, container) = running();
    let exec = |arguments: &[&str]| {
        let further = bundle.further(arguments);
        bundle.exec(&container, &further, &Output::new()).unwrap().wait().unwrap()
    };
    assert_eq!(exec(&["exit", "3"]), ExitStatus::Exited(3));
    assert_eq!(exec(&["signal", "15"]), ExitStatus::Signaled(15));
    end(&container);
}

fn only_its_standard_files_are_open() {
    let (bundle, container) = running();
    assert_eq!(check(&bundle, &container, &["fds"]), "0 1 2\n");
    end(&container);
}

fn a_missing_command_is_an_error_of_the_exec() {
    let (bundle, container) = running();
    let mut process = bundle.further(&[]);
    process.set_args(Some(vec!["nothing".to_owned()]));
    let error = bundle.exec(&container, &process, &Output::new()).unwrap_err();
    assert_eq!((error.stage(), error.errno()), (Some(Stage::Command), Some(2)));
    process.set_cwd("/no/such/directory".into());
    let error = bundle.exec(&container, &process, &Output::new()).unwrap_err();
    assert_eq!(error.stage(), Some(Stage::Directory));
    end(&container);
}

fn it_cannot_start_in_a_container_that_has_ended() {
    let (bundle, container) = running();
    end(&container);
    let error = bundle.exec(&container, &bundle.further(&["fds"]), &Output::new()).unwrap_err();
    assert_eq!(error.errno(), Some(3), "{error:?}");
}
