//! Service names, aliases and networks: who finds whom.

use naru_test::eventually;

use super::host;

fn exec(project: &naru_test::Project<'_>, service: &str, words: &[&str]) -> naru_test::Outcome {
    let mut all = vec!["exec", "-T", service, "naru-check"];
    all.extend(words);
    project.naru(all)
}

#[test]
fn services_find_each_other_by_name_and_container_name() {
    host(|host| {
        let file = "
services:
  web: { image: test, command: naru-check listen 80, container_name: the-web }
  client: { image: test }
";
        let project = host.project("names").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let by_service = exec(&project, "client", &["resolve", "web"]).succeeds().stdout;
        let by_container = exec(&project, "client", &["resolve", "the-web"]).succeeds().stdout;
        assert_eq!(by_service, by_container);
        assert_eq!(by_service.lines().count(), 1);
        eventually("web answers", || {
            let outcome = exec(&project, "client", &["connect", "web", "80"]);
            if outcome.code == 0 { Ok(()) } else { Err(outcome.to_string()) }
        });
        exec(&project, "client", &["resolve", "nobody"]).exits_with(1);
    });
}

#[test]
fn networks_keep_services_apart_that_share_none() {
    host(|host| {
        let file = "
services:
  front: { image: test, networks: [outer] }
  middle: { image: test, networks: { outer: {}, inner: { aliases: [store] } }, command: naru-check listen 80 }
  back: { image: test, networks: [inner] }
networks: { outer: {}, inner: { internal: true } }
";
        let project = host.project("apart").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        exec(&project, "front", &["resolve", "middle"]).succeeds();
        exec(&project, "back", &["resolve", "middle"]).succeeds();
        exec(&project, "back", &["resolve", "store"]).succeeds();
        exec(&project, "front", &["resolve", "store"]).exits_with(1);
        exec(&project, "front", &["resolve", "back"]).exits_with(1);
    });
}

#[test]
fn two_projects_do_not_see_each_other() {
    host(|host| {
        let file = "services: { web: { image: test, command: naru-check listen 80 } }";
        let one = host.project("one").file("compose.yaml", file);
        let file = "services: { other: { image: test } }";
        let two = host.project("two").file("compose.yaml", file);
        one.naru(["up", "-d"]).succeeds();
        two.naru(["up", "-d"]).succeeds();
        let address = exec(&one, "web", &["resolve", "web"]).succeeds().stdout;
        exec(&two, "other", &["resolve", "web"]).exits_with(1);
        exec(&two, "other", &["connect", address.trim(), "80"]).exits_with(1);
    });
}

#[test]
fn extra_hosts_are_in_the_hosts_file() {
    host(|host| {
        let file = "
services:
  a: { image: test, extra_hosts: ['fixed:10.1.2.3', 'host.docker.internal:host-gateway'], hostname: here }
";
        let project = host.project("extra").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let report = super::report(&project, "a");
        let hosts = report["hosts"].as_str().unwrap();
        assert!(hosts.contains("127.0.0.1\tlocalhost"), "{hosts}");
        assert!(hosts.contains("10.1.2.3\tfixed"), "{hosts}");
        assert!(hosts.contains("\thost.docker.internal"), "{hosts}");
        assert!(!hosts.contains("host-gateway"), "{hosts}");
        assert!(hosts.contains("\there"), "{hosts}");
        assert_eq!(report["hostname"], "here");
        assert!(report["resolv_conf"].as_str().unwrap().contains("nameserver 127.0.0.11"));
    });
}

#[test]
fn links_and_the_host_have_names_of_their_own_and_addresses_lead_back() {
    host(|host| {
        let file = "
services:
  db: { image: test, hostname: store, domainname: shop.example }
  web: { image: test, links: ['db:Database', db] }
  other: { image: test }
  inside: { image: test, networks: [inner] }
networks: { inner: { internal: true } }
";
        let project = host.project("linked").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let address = exec(&project, "web", &["resolve", "db"]).succeeds().stdout;
        for name in ["database", "store", "store.shop.example", "db.linked_default"] {
            let found = exec(&project, "web", &["resolve", name]).succeeds().stdout;
            assert_eq!(found, address, "{name}");
        }
        exec(&project, "other", &["resolve", "database"]).exits_with(1);
        for service in ["web", "inside"] {
            for name in ["host.docker.internal", "host.naru.internal"] {
                let gateway = exec(&project, service, &["resolve", name]).succeeds().stdout;
                assert!(gateway.trim().ends_with(".1"), "{service}: {gateway}");
            }
        }
        let nslookup = ["exec", "-T", "web", "nslookup", address.trim()];
        let back = project.naru(nslookup).succeeds().stdout;
        assert!(back.contains("linked-db-1.linked_default"), "{back}");
    });
}

#[test]
fn names_of_containers_that_are_stopped_are_not_asked_elsewhere() {
    host(|host| {
        let file = "
services:
  a: { image: test }
  b: { image: test, networks: { default: { aliases: [b.example.org] } } }
";
        let project = host.project("stopped").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        exec(&project, "a", &["resolve", "b.example.org"]).succeeds();
        project.naru(["stop", "-t", "0", "b"]).succeeds();
        for name in ["b", "b.example.org"] {
            exec(&project, "a", &["resolve", name]).exits_with(1).says("NXDOMAIN");
        }
    });
}

#[test]
fn an_answer_is_of_a_network_that_the_asker_shares_and_ids_and_aliases_are_names_there() {
    host(|host| {
        let file = "
services:
  a: { image: test, networks: [one] }
  b:
    image: test
    hostname: other
    networks: { one: { aliases: [of-one, both] }, two: { aliases: [of-two, both] } }
  c: { image: test, networks: [two] }
  d: { image: test, networks: [one, two] }
  beside: { image: test, network_mode: 'service:b' }
  none: { image: test, scale: 0, networks: [one] }
networks:
  one: { ipam: { config: [{ subnet: 10.86.1.0/24 }] } }
  two: { ipam: { config: [{ subnet: 10.86.2.0/24 }] } }
";
        let project = host.project("shared").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let found = |who: &str, name: &str| exec(&project, who, &["resolve", name]);
        let id = project.naru(["ps", "-q", "b"]).succeeds().stdout;
        let short = &id.trim()[..12];
        for name in ["b", "shared-b-1", "other", "both", short] {
            let of_one = found("a", name).succeeds().stdout;
            assert!(of_one.starts_with("10.86.1.") && of_one.lines().count() == 1, "{of_one}");
            let of_two = found("c", name).succeeds().stdout;
            assert!(of_two.starts_with("10.86.2.") && of_two.lines().count() == 1, "{of_two}");
            found("d", name).succeeds();
        }
        found("a", "of-one").succeeds();
        found("c", "of-two").succeeds();
        for (who, name) in [("a", "of-two"), ("c", "of-one"), ("a", "c"), ("c", "a")] {
            found(who, name).exits_with(1).says("NXDOMAIN");
        }
        // Who is in another's network is found by that one's name, as under Docker, and finds what that one finds.
        found("a", "beside").exits_with(1).says("NXDOMAIN");
        found("beside", "a").succeeds();
        found("beside", "of-two").succeeds();
        found("a", "none").exits_with(1).says("NXDOMAIN");
    });
}
