//! `naru analyze`: where the time of the last `up` went.

use super::host;

#[test]
fn analyze_names_the_chain_that_determined_how_long_up_took() {
    host(|host| {
        let project = host.project("shop").file(
            "compose.yaml",
            "
            services:
              db:
                image: test
                healthcheck: {test: [CMD, test, -e, /tmp/ready], interval: 100ms, start_period: 10s}
                command: [sh, -c, 'sleep 0.5; touch /tmp/ready; exec sleep 1000']
              web: {image: test, depends_on: {db: {condition: service_healthy}}}
              side: {image: test}
            ",
        );
        project.naru(["analyze"]).exits_with(1).says("nothing is known of an `up`");
        project.naru(["up", "-d"]).succeeds();
        let text = project.naru(["analyze"]).succeeds().stdout;
        let chain: Vec<&str> =
            text.split_once("What determined that:\n").unwrap().1.lines().collect();
        let last = [
            "container shop-db-1 start",
            "container shop-db-1 becomes ready",
            "container shop-web-1 start",
        ];
        assert!(chain.len() > last.len(), "{text}");
        let end = &chain[chain.len() - last.len()..];
        let is_it = |(line, words): (&&str, &&str)| line.contains(words);
        assert!(end.iter().zip(&last).all(is_it), "{text}");
        let json = project.naru(["analyze", "--json"]).succeeds().json().remove(0);
        let span = |what: &str, service: &str| {
            let spans = json["spans"].as_array().unwrap();
            let found =
                spans.iter().find(|span| span["what"] == what && span["service"] == service);
            found.unwrap_or_else(|| panic!("{what} {service}: {json:#}")).clone()
        };
        let (ready, web) = (span("ready", "db"), span("start", "web"));
        let us = |span: &serde_json::Value, key: &str| span[key].as_u64().unwrap();
        assert!(us(&ready, "end_us") - us(&ready, "begin_us") > 300_000, "{json:#}");
        assert!(us(&web, "begin_us") >= us(&ready, "end_us"), "{json:#}");
        assert!(us(&web, "end_us") <= json["took_us"].as_u64().unwrap(), "{json:#}");
        let parts = web["parts"].as_array().unwrap();
        assert!(parts.iter().any(|part| part["name"] == "network"), "{web:#}");
        let path = json["critical_path"].as_array().unwrap();
        assert_eq!(path.last().unwrap(), &web["id"], "{json:#}");
        project.naru(["analyze", "--svg", "up.svg"]).succeeds();
        let drawn = fs_err::read_to_string(project.folder().join("up.svg")).unwrap();
        assert!(drawn.contains("<title>* container shop-web-1 start: "), "{drawn}");
    });
}
