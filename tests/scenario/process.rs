//! How the process of a service is started and stopped: words, user, folder, environment, terminal, signals.

use std::time::Duration;

use naru_test::{RootTar, eventually};

use super::{host, report_of_process_1};

#[test]
fn environment_comes_from_files_the_file_and_the_images_own() {
    host(|host| {
        let tar = RootTar::new().busybox().program(env!("CARGO_BIN_EXE_naru-check"));
        let changes =
            ["ENV A=image B=image", "WORKDIR /home", "USER app", "ENTRYPOINT [\"naru-check\"]"];
        host.import("base", tar, &changes);
        let file = "
services:
  a:
    image: base
    command: report
    env_file: some.env
    environment: { C: service, D: '${OUTSIDE}' }
    working_dir: /tmp
";
        let project = host
            .project("environment")
            .file("compose.yaml", file)
            .file("some.env", "B=file\nC=file\n")
            .variable("OUTSIDE", "shell");
        project.naru(["up", "-d"]).succeeds();
        let report = report_of_process_1(&project, "a");
        let environment = &report["environment"];
        let values: Vec<_> =
            ["A", "B", "C", "D", "HOME"].iter().map(|name| &environment[name]).collect();
        assert_eq!(values, ["image", "file", "service", "shell", "/home/app"]);
        assert_eq!(report["status"]["Uid"], "1000 1000 1000 1000");
        assert_eq!(report["status"]["Groups"], "1000 2000");
        assert_eq!(report["status"]["CapEff"], "0000000000000000", "an ordinary user has none");
        assert_eq!(report["working_directory"], "/tmp");
    });
}

#[test]
fn stopping_sends_the_stop_signal_and_kills_only_after_the_grace_period() {
    host(|host| {
        let file = "
services:
  polite: { image: test, command: naru-check trap, stop_signal: SIGUSR1 }
  deaf: { image: test, command: naru-check trap ignore, stop_grace_period: 1s }
";
        let project = host.project("stop").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("polite", "ready");
        project.until_logged("deaf", "ready");
        let follower = project.start(["logs", "-f"]);
        eventually("the follower follows", || match follower.stdout().matches("ready").count() {
            2 => Ok(()),
            _ => Err(follower.stdout()),
        });
        let down = project.naru(["down"]).succeeds();
        assert!(down.took >= Duration::from_secs(1), "{down}");
        assert!(down.took < Duration::from_secs(5), "{down}");
        let logs = follower.wait().stdout;
        assert!(logs.contains("got SIGUSR1") && logs.contains("got SIGTERM"), "{logs}");
    });
}

#[test]
fn a_terminal_is_a_terminal() {
    host(|host| {
        let file = "services: { a: { image: test, tty: true, stdin_open: true, command: [sh, -c, 'tty; sleep 60'] } }";
        let project = host.project("tty").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let log = project.until_logged("a", "/dev/");
        assert!(log.starts_with("/dev/pts/0") || log.starts_with("/dev/console"), "{log:?}");
    });
}

#[test]
fn command_and_entrypoint_replace_the_images() {
    host(|host| {
        let file = "
services:
  words: { image: test, entrypoint: [echo, one], command: two three }
  text: { image: test, entrypoint: sh -c, command: ['echo $$((20 + 3))'] }
";
        let project = host.project("words").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(project.until_logged("words", "\n"), "one two three\n");
        assert_eq!(project.until_logged("text", "\n"), "23\n");
    });
}
