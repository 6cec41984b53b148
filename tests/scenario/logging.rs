//! Logging drivers: what is refused, what is kept, and what is sent elsewhere.

use super::host;

#[test]
fn drivers_and_options_that_are_not_possible_are_refused_with_their_line() {
    host(|host| {
        let refused = |logging: &str, says: &str| {
            let file = format!("services:\n  a:\n    image: test\n    logging: {logging}\n");
            let project = host.project("refused").file("compose.yaml", &file);
            let outcome = project.naru(["up", "-d"]).exits_with(1).says(says);
            assert!(outcome.stderr.contains("compose.yaml:4"), "{outcome}");
        };
        for driver in ["fluentd", "gelf", "awslogs", "splunk", "gcplogs", "etwlogs", "mine"] {
            refused(&format!("{{ driver: {driver} }}"), &format!("`{driver}` is not possible yet"));
        }
        refused("{ options: { nonsense: a } }", "has no option `nonsense`");
        let tls = "{ driver: syslog, options: { syslog-address: 'tcp+tls://log:6514' } }";
        refused(tls, "TLS");
        refused("{ driver: journald }", "needs systemd's journal");
    });
}

#[test]
fn with_the_driver_none_nothing_is_kept_and_up_shows_the_output_all_the_same() {
    host(|host| {
        let file = "services:\n  a: { image: test, command: echo passing, logging: { driver: none } }\n  \
                    b: { image: test, command: echo kept }\n";
        let project = host.project("none").file("compose.yaml", file);
        let outcome = project.naru(["up"]).succeeds();
        assert!(outcome.stdout.contains("a-1  | passing\n"), "{outcome}");
        assert!(!host.root().join("projects/none/logs/none-a-1").exists());
        let outcome = project.naru(["logs"]).succeeds();
        assert_eq!(outcome.stdout, "b-1  | kept\n");
        assert!(outcome.stderr.contains("the output of a-1 is not kept"), "{outcome}");
        project.naru(["logs", "a"]).exits_with(1).says("logging driver is `none`");
    });
}
