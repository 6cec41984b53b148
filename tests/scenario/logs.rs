//! Nothing that a container writes is lost, from its first byte on.

use naru_test::TestHost;
use rustix::process::Signal;

use super::host;

#[test]
fn every_line_of_both_streams_is_there_once() {
    host(|host| {
        let file = "services: { a: { image: test, command: naru-check print 20000 } }";
        let project = host.project("lines").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        let outcome = project.naru(["logs", "--no-log-prefix", "a"]).succeeds();
        let all = outcome.stdout + &outcome.stderr;
        let mut numbers: Vec<u32> =
            all.lines().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(1..=20000), "{} lines", numbers.len());
    });
}

#[test]
fn what_a_process_wrote_before_it_ended_at_once_is_kept() {
    host(|host| {
        let file = "services: { a: { image: test, command: echo first and last } }";
        let project = host.project("short").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        let outcome = project.naru(["logs", "--no-log-prefix", "a"]).succeeds();
        assert_eq!(outcome.stdout, "first and last\n");
    });
}

#[test]
fn lines_carry_their_containers_name_unless_told_otherwise() {
    host(|host| {
        let file = "services: { a: { image: test, command: echo spoken } }";
        let project = host.project("prefix").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("a", "spoken");
        let line = project.naru(["logs"]).succeeds().stdout;
        assert_eq!(line, "a-1  | spoken\n");
    });
}

#[test]
fn tail_times_and_since_choose_lines() {
    host(|host| {
        let file = "services: { a: { image: test, command: [sh, -c, 'for i in 1 2 3 4; do echo $$i; done'] } }";
        let project = host.project("choice").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        let logs = |words: &[&str]| {
            let mut all = vec!["logs", "--no-log-prefix"];
            all.extend(words);
            project.naru(all).succeeds().stdout
        };
        assert_eq!(logs(&["-n", "2"]), "3\n4\n");
        assert_eq!(logs(&["--since", "1h"]), "1\n2\n3\n4\n");
        assert_eq!(logs(&["--since", "2100-01-01T00:00:00Z"]), "");
        let stamped = logs(&["-t", "-n", "1"]);
        let (time, line) = stamped.trim_end().split_once(' ').unwrap();
        assert_eq!(line, "4");
        assert!(time.starts_with("20") && time.ends_with('Z') && time.contains('T'), "{time}");
    });
}

#[test]
fn follow_shows_what_is_written_later_and_ends_with_the_container() {
    host(|host| {
        let file = "services: { a: { image: test, command: [sh, -c, \
                    'echo early; while ! test -e /tmp/go; do sleep 0.05; done; echo late'] } }";
        let project = host.project("follow").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let follower = project.start(["logs", "-f", "--no-log-prefix", "a"]);
        naru_test::eventually("the early line", || match follower.stdout() {
            text if text == "early\n" => Ok(()),
            text => Err(text),
        });
        project.naru(["exec", "-T", "a", "touch", "/tmp/go"]).succeeds();
        let outcome = follower.wait().succeeds();
        assert_eq!(outcome.stdout, "early\nlate\n");
    });
}

#[test]
fn logs_outlive_the_container_until_the_project_is_taken_down() {
    host(|host| {
        let file = "services: { a: { image: test, command: [sh, -c, 'echo one; echo two >&2'] } }";
        let project = host.project("streams").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        let outcome = project.naru(["logs", "--no-log-prefix", "a"]).succeeds();
        assert!(
            outcome.stdout.contains("one") && (outcome.stdout + &outcome.stderr).contains("two")
        );
    });
}

/// The size of a container's log on disk.
fn size_of_log(host: &TestHost, project: &str, container: &str) -> u64 {
    let directory = host.root().join("projects").join(project).join("logs").join(container);
    let files = fs_err::read_dir(directory).unwrap();
    files.map(|file| file.unwrap().metadata().map_or(0, |file| file.len())).sum()
}

fn numbers(text: &str) -> Vec<u64> {
    text.lines().map(|line| line.parse().unwrap_or_else(|_| panic!("{line:?}"))).collect()
}

/// T-G1.
#[test]
fn follow_shows_every_line_once_and_in_order_through_200_restarts_by_the_policy() {
    host(|host| {
        let command = "n=$$(cat /count/n 2>/dev/null || echo 0); n=$$((n+1)); echo $$n; echo $$n > /count/n; \
                       [ $$n -ge 200 ] && exec sleep 1000; usleep 50000; exit 1";
        let file = format!(
            "services: {{ a: {{ image: test, volumes: ['count:/count'], command: [sh, -c, '{command}'], \
             deploy: {{ restart_policy: {{ condition: any, delay: 1ms }} }} }} }}\nvolumes: {{ count: {{}} }}\n"
        );
        let project = host.project("policy").file("compose.yaml", &file);
        let follower = project.start(["logs", "-f", "--no-log-prefix"]);
        project.naru(["up", "-d"]).succeeds();
        naru_test::within(std::time::Duration::from_secs(90), "200 runs", || {
            match numbers(&follower.stdout()) {
                seen if seen.len() >= 200 => Ok(()),
                seen => Err(format!("{:?}", seen.last())),
            }
        });
        let seen = numbers(&follower.stdout());
        assert!(seen.iter().copied().eq(1..=200), "{seen:?}");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

/// The same when a user restarts and recreates.
#[test]
fn follow_shows_every_line_once_and_in_order_through_restarts_and_recreates() {
    host(|host| {
        let command = "n=$$(cat /count/n 2>/dev/null || echo 0); i=0; \
                       while [ $$i -lt 5 ]; do n=$$((n+1)); i=$$((i+1)); echo $$n; done; \
                       echo $$n > /count/n; exec sleep 1000";
        let file = |extra: &str| {
            format!(
                "services: {{ a: {{ image: test, init: false, volumes: ['count:/count'], {extra} \
                 command: [sh, -c, '{command}'] }} }}\nvolumes: {{ count: {{}} }}\n"
            )
        };
        let project = host.project("again").file("compose.yaml", &file(""));
        let follower = project.start(["logs", "-f", "--no-log-prefix"]);
        let until = |last: u64| {
            naru_test::eventually(&format!("line {last}"), || {
                match numbers(&follower.stdout()).last() {
                    Some(number) if *number == last => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            });
        };
        project.naru(["up", "-d"]).succeeds();
        let mut runs = 1;
        until(5 * runs);
        let mut again = |words: &[&str]| {
            project.naru(words).succeeds();
            runs += 1;
            until(5 * runs);
        };
        for round in 0..20 {
            match round % 5 {
                4 => again(&["up", "-d", "--force-recreate", "-t", "0"]),
                _ => again(&["restart", "-t", "0", "a"]),
            }
        }
        project.naru(["down", "-t", "0"]).succeeds();
        let seen = numbers(&follower.wait().succeeds().stdout);
        assert!(seen.iter().copied().eq(1..=5 * runs), "{seen:?}");
    });
}

/// T-G2.
#[test]
fn a_json_line_of_300_kilobytes_is_one_line() {
    host(|host| {
        let file = r#"services: { a: { image: test, command: [sh, -c,
            'printf "{\"a\": \""; head -c 307200 /dev/zero | tr "\0" x; printf "\"}\n"; echo end'] } }"#;
        let project = host.project("long").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        let text = project.naru(["logs", "--no-log-prefix"]).succeeds().stdout;
        let (line, rest) = text.split_once('\n').unwrap();
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["a"].as_str().unwrap().len(), 307_200);
        assert_eq!(rest, "end\n");
    });
}

/// T-G3: the example of moby#31706.
#[test]
fn merged_output_keeps_the_order_of_both_streams() {
    host(|host| {
        let script = "BEGIN { for (i = 1; i <= 400; i += 2) { \
                      print i > \"/dev/stdout\"; fflush(\"/dev/stdout\"); \
                      print i + 1 > \"/dev/stderr\"; fflush(\"/dev/stderr\") } }";
        let file = format!(
            "services:\n  a:\n    image: test\n    x-naru-output: merged\n    command:\n    - awk\n    - '{script}'\n"
        );
        let project = host.project("merged").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        let seen = numbers(&project.naru(["logs", "--no-log-prefix"]).succeeds().stdout);
        assert!(seen.iter().copied().eq(1..=400), "{seen:?}");
    });
}

#[test]
fn a_service_may_keep_as_much_as_its_logging_options_say_and_the_end_is_what_is_kept() {
    host(|host| {
        let file = "services:\n  a:\n    image: test\n    command: naru-check pour 100000\n    logging: \
                    { driver: json-file, options: { max-size: 1m, max-file: '3' } }\n";
        let project = host.project("small").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        let size = size_of_log(host, "small", "small-a-1");
        assert!(size <= 3_100_000, "{size}");
        let seen = numbers(&project.naru(["logs", "--no-log-prefix"]).succeeds().stdout);
        assert!(seen.len() > 15_000 && seen.iter().copied().eq(seen[0]..=100_000));
    });
}

/// T-G5.
#[test]
fn a_viewer_that_is_stopped_does_not_slow_the_container_and_is_told_what_it_has_missed() {
    host(|host| {
        let file = "services:\n  a:\n    image: test\n    command: [sh, -c, 'echo 0; while [ ! -e /go ]; do \
                    usleep 5000; done; exec naru-check pour 200000']\n    logging: { options: { max-size: 2m, \
                    max-file: '2' } }\n";
        let project = host.project("paused").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let viewer = project.start(["logs", "-f", "--no-log-prefix"]);
        naru_test::eventually("the first line", || match viewer.stdout().as_str() {
            "0\n" => Ok(()),
            other => Err(other.to_owned()),
        });
        viewer.signal(Signal::STOP);
        project.naru(["exec", "-T", "a", "touch", "/go"]).succeeds();
        project.until("a", "exited");
        viewer.signal(Signal::CONT);
        let outcome = viewer.wait().succeeds();
        let seen = numbers(&outcome.stdout);
        let first = seen.iter().zip(&seen[1..]).position(|(a, b)| b - a > 1).unwrap();
        let (before, after) = seen.split_at(first + 1);
        assert!(before.iter().copied().eq(0..before.len() as u64));
        assert!(after.iter().copied().eq(after[0]..=200_000));
        let missing = (after[0] - before.len() as u64) * 100;
        assert_eq!(outcome.stderr, format!("--- {missing} bytes of output are missing here ---\n"));
    });
}

#[test]
fn the_last_run_can_be_read_after_down_also_as_json() {
    host(|host| {
        let file = "services: { a: { image: test, command: [sh, -c, 'echo one; sleep 0.01; echo two >&2'], \
                    labels: { tier: front }, logging: { options: { labels: tier, tag: '{{.Name}}' } } } }";
        let project = host.project("later").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        let objects = project.naru(["logs", "--json"]).succeeds().json();
        let mut texts: Vec<_> = objects
            .iter()
            .map(|line| (line["stream"].as_str().unwrap(), line["log"].as_str().unwrap()))
            .collect();
        texts.sort_unstable();
        assert_eq!(texts, [("stderr", "two\n"), ("stdout", "one\n")]);
        assert_eq!(objects[0]["attrs"], serde_json::json!({"tier": "front", "tag": "later-a-1"}));
        assert_eq!(
            (&objects[0]["container"], &objects[0]["service"]),
            (&"a-1".into(), &"a".into())
        );
        project.naru(["down"]).succeeds();
        let outcome = project.naru(["logs"]).succeeds();
        assert_eq!(
            (outcome.stdout.as_str(), outcome.stderr.as_str()),
            ("a-1  | one\n", "a-1  | two\n")
        );
    });
}

#[test]
fn nothing_that_a_container_writes_is_obeyed_by_a_terminal_that_shows_several() {
    host(|host| {
        let hostile = "\\033]52;c;aGk=\\007|\\033]0;title\\007|\\033[2J\\033[H|good\\rbad|\\233\\061m|\\302\\233\\063m|\\377\\376|\\033[31mred\\n";
        let file = format!(
            "services: {{ a: {{ image: test, command: [printf, '{hostile}'] }}, \
             b: {{ image: test, command: [echo, fine] }} }}"
        );
        let project = host.project("hostile").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        project.until("b", "exited");
        // What is no terminal gets the bytes.
        let raw =
            std::process::Command::output(&mut project.command(["logs", "--no-log-prefix", "a"]));
        let raw = raw.unwrap().stdout;
        assert!(
            raw.starts_with(b"\x1b]52;c;aGk=\x07|") && raw.ends_with(b"|\xff\xfe|\x1b[31mred\n")
        );
        let on_a_terminal = |words: &str| {
            let naru = project.command([""; 0]);
            let line = format!("exec {} {words}", naru.get_program().display());
            let mut script = std::process::Command::new("script");
            script.args(["-qec", &line, "/dev/null"]).current_dir(project.folder());
            let environment = naru.get_envs().filter_map(|(name, value)| Some((name, value?)));
            script.envs(environment).env_remove("NO_COLOR").stdin(std::process::Stdio::null());
            String::from_utf8_lossy(&script.output().unwrap().stdout).into_owned()
        };
        let plain = on_a_terminal("logs --no-color");
        let line = plain.lines().find(|line| line.starts_with("a-1")).unwrap();
        let expected = "a-1  | ^[]52;c;aGk=^G|^[]0;title^G|^[[2J^[[H|good^Mbad|\u{fffd}1m|^[[3m|\u{fffd}\u{fffd}|\u{1b}[31mred\u{1b}[0m";
        assert_eq!(line.trim_end_matches('\r'), expected);
        assert!(on_a_terminal("logs").contains("\u{1b}["), "services have colours");
        assert!(!on_a_terminal("logs --no-color b").contains('\u{1b}'));
        assert!(on_a_terminal("logs --raw a").contains("\u{1b}]0;title\u{7}"));
    });
}

#[test]
fn until_ends_following_and_tail_counts_for_each_container() {
    host(|host| {
        let file = "services: { a: { image: test, scale: 2, command: [sh, -c, 'for i in 1 2 3 4; do echo \
                    $$i; done; exec sleep 1000'] } }";
        let project = host.project("many").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        for number in ["1", "2"] {
            naru_test::eventually("four lines", || {
                let index = ["logs", "--no-log-prefix", "--index", number, "a"];
                match project.naru(index).succeeds().stdout.as_str() {
                    "1\n2\n3\n4\n" => Ok(()),
                    other => Err(other.to_owned()),
                }
            });
        }
        let outcome = project.naru(["logs", "-f", "-n", "1", "--until", "0s"]).succeeds();
        let mut lines: Vec<_> = outcome.stdout.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["a-1  | 4", "a-2  | 4"]);
        project
            .naru(["logs", "--index", "1"])
            .exits_with(1)
            .says("--index needs exactly one service");
    });
}
