//! `exec`: exit codes, users, folders, environment, streams.

use naru_test::eventually;

use super::host;

const ONE: &str = "services: { a: { image: test, environment: { GREETING: hello } } }";

#[test]
fn the_exit_code_is_the_commands() {
    host(|host| {
        let project = host.project("codes").file("compose.yaml", ONE);
        project.naru(["up", "-d"]).succeeds();
        for code in [0, 1, 7, 255] {
            project
                .naru(["exec", "-T", "a", "naru-check", "exit", &code.to_string()])
                .exits_with(code);
        }
        project.naru(["exec", "-T", "a", "sh", "-c", "kill -9 $$"]).exits_with(137);
        project.naru(["exec", "-T", "a", "not-there"]).exits_with(127).says("not-there");
        project.naru(["exec", "-T", "a", "/etc/passwd"]).exits_with(126);
    });
}

#[test]
fn user_folder_and_environment_can_be_given() {
    host(|host| {
        let project = host.project("given").file("compose.yaml", ONE);
        project.naru(["up", "-d"]).succeeds();
        let words = ["exec", "-T", "-u", "app", "-w", "/tmp", "-e", "MORE=yes", "a", "sh", "-c"];
        let script = ["id -u; id -g; id -G; pwd; echo $GREETING $MORE $HOME"];
        let outcome = project.naru(words.iter().chain(&script)).succeeds();
        assert_eq!(outcome.stdout, "1000\n1000\n1000 2000\n/tmp\nhello yes /home/app\n");
    });
}

#[test]
fn stdout_and_stderr_stay_apart_and_stdin_is_passed_on() {
    host(|host| {
        let project = host.project("streams").file("compose.yaml", ONE);
        project.naru(["up", "-d"]).succeeds();
        let outcome =
            project.naru(["exec", "-T", "a", "sh", "-c", "echo out; echo err >&2"]).succeeds();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));

        let mut command = project.command(["exec", "-T", "a", "cat"]);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"through").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.stdout, b"through");
    });
}

#[test]
fn a_service_that_does_not_run_is_an_error() {
    host(|host| {
        let project = host.project("none").file("compose.yaml", ONE);
        project.naru(["exec", "-T", "a", "true"]).exits_with(1).says("not running");
        project.naru(["up", "-d"]).succeeds();
        project.naru(["exec", "-T", "b", "true"]).exits_with(1).says("b");
        project.naru(["exec", "-T", "--index", "2", "a", "true"]).exits_with(1);
    });
}

#[test]
fn an_exec_process_is_as_confined_as_the_container() {
    host(|host| {
        let project = host.project("confined").file("compose.yaml", ONE);
        project.naru(["up", "-d"]).succeeds();
        let report = super::report(&project, "a");
        assert_eq!(report["status"]["Seccomp"], "2");
        assert_eq!(report["status"]["CapEff"], super::isolation::CAPABILITIES);
        assert_eq!(
            report["forbidden"]["mount a tmpfs"].as_str().unwrap(),
            "EPERM: Operation not permitted"
        );
    });
}

#[test]
fn a_terminal_is_given_where_there_is_one() {
    host(|host| {
        let project = host.project("terminal").file("compose.yaml", ONE);
        project.naru(["up", "-d"]).succeeds();
        // `script` of util-linux is the terminal; naru runs in it with the environment that it has elsewhere.
        let naru = project.command(["exec", "a", "sh", "-c", "tty; exit 3"]);
        let environment = naru.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let line = format!("{} exec a sh -c 'tty; exit 3'", naru.get_program().display());
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(project.folder());
        script.env_clear().envs(environment).stdout(std::process::Stdio::piped());
        // An open stdin: its end would be typed into the terminal.
        let mut child = script.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("/dev/pts/") || text.contains("/dev/console"), "{output:?}");
        assert_eq!(output.status.code(), Some(3), "{output:?}");
    });
}

/// The kernel kills what is in a container when its first process ends. What ended before has the code that it ended with,
/// whatever becomes of the container before anybody has asked; what did not was killed.
#[test]
fn an_exec_whose_container_ends_has_its_own_code_if_it_ended_first_and_else_that_of_being_killed() {
    host(|host| {
        let file = "
services:
  a: { image: test, restart: always, command: [sh, -c, 'echo up; touch /stay; exec naru-check stays /stay'] }
  b: { image: test }
";
        let project = host.project("ends").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let mut ups = "up\n".to_owned();
        for code in [0, 3] {
            project.until_logged("a", &ups);
            let script = format!("rm /stay; exit {code}");
            project.naru(["exec", "-T", "a", "sh", "-c", &script]).exits_with(code);
            ups.push_str("up\n");
        }
        let killers: [&[&str]; 3] =
            [&["kill", "b"], &["restart", "-t", "0", "b"], &["down", "-t", "0"]];
        for killer in killers {
            project.naru(["up", "-d"]).succeeds();
            // Deaf: where process 1 is too, a stop tells the others.
            let script = "trap '' TERM; echo runs; sleep 1000";
            let exec = project.start(["exec", "-T", "b", "sh", "-c", script]);
            eventually("it runs", || match (exec.stdout().as_str(), exec.stderr()) {
                ("runs\n", _) => Ok(()),
                other => Err(format!("before {killer:?}: {other:?}")),
            });
            project.naru(killer).succeeds();
            exec.wait().exits_with(137);
        }
    });
}
