//! `attach`, and terminals of one-off containers.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use naru_test::{Project, eventually};

use super::host;

const FILE: &str = "
services:
  plain:
    image: test
    stdin_open: true
    command:
      - sh
      - -c
      - 'echo before; trap \"echo told; exit 4\" TERM; while read line; do echo got $$line; done; sleep 1000'
  typed:
    image: test
    tty: true
    stdin_open: true
    command: sh -c 'while read line; do echo got $$line; done'
";

/// Runs naru in a terminal: `script` of util-linux is one.
fn in_terminal(project: &Project<'_>, line: &str) -> Child {
    let naru = project.command(["ps"]);
    let environment = naru.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let line = format!("stty rows 33 cols 99; {} {line}", naru.get_program().display());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(project.folder());
    script.env_clear().envs(environment).stdout(Stdio::piped()).stdin(Stdio::piped());
    script.spawn().unwrap()
}

#[test]
fn output_from_now_on_input_and_signals_are_shared_and_the_exit_code_is_the_containers() {
    host(|host| {
        let project = host.project("plain").file("compose.yaml", FILE);
        project.naru(["up", "-d", "plain"]).succeeds();
        project.until_logged("plain", "before");
        let mut command = project.command(["attach", "plain"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"this\n").unwrap();
        project.until_logged("plain", "got this");
        let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "got this\ntold\n");
        assert_eq!(output.status.code(), Some(4));
        project.naru(["attach", "plain"]).exits_with(1).says("is not running");
        project.naru(["attach", "--index", "2", "plain"]).exits_with(1).says("container #2");
    });
}

#[test]
fn the_keys_detach_from_a_terminal_and_the_container_runs_on() {
    host(|host| {
        let project = host.project("typed").file("compose.yaml", FILE);
        project.naru(["up", "-d", "typed"]).succeeds();
        let mut child = in_terminal(&project, "attach --detach-keys ctrl-x,q typed");
        let mut stdin = child.stdin.take().unwrap();
        eventually("what is typed arrives", || {
            stdin.write_all(b"hello\r").unwrap();
            let logs = project.naru(["logs", "--no-log-prefix", "typed"]).stdout;
            if logs.contains("got hello") { Ok(()) } else { Err(logs) }
        });
        stdin.write_all(b"\x18q").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        project.until("typed", "running");
    });
}

#[test]
fn a_one_off_has_the_users_terminal_with_its_size() {
    host(|host| {
        let project = host.project("screen").file("compose.yaml", FILE);
        let line = "run --rm -q plain sh -c 'tty; stty size; read answer; echo $answer; exit 6'";
        let mut child = in_terminal(&project, line);
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut text = String::new();
        while !text.contains("33 99") {
            let mut piece = [0; 1024];
            let length = stdout.read(&mut piece).unwrap();
            assert!(length > 0, "{text}");
            text += &String::from_utf8_lossy(&piece[..length]);
        }
        stdin.write_all(b"forty-two\r").unwrap();
        stdout.read_to_string(&mut text).unwrap();
        let status = child.wait().unwrap();
        assert!(text.contains("/dev/pts/0") || text.contains("/dev/console"), "{text}");
        assert!(text.matches("forty-two").count() >= 2, "{text}");
        assert_eq!(status.code(), Some(6), "{text}");
    });
}
