//! Networks that more than one project is in: there without being made, made again under containers, deleted by
//! somebody, and called as the user likes.

use std::process::Command;
use std::time::Duration;

use naru_test::{HOST_ADDRESS, Project, TestHost, within};
use rustix::process::Signal;

use super::firewall::{Neighbour, address_of};
use super::host;
use super::networks::{ip, reaches};

/// Whether a container knows a name.
fn knows(project: &Project<'_>, service: &str, name: &str) -> bool {
    project.naru(["exec", "-T", service, "naru-check", "resolve", name]).code == 0
}

/// Whether a container reaches a server, asked once.
fn connects(project: &Project<'_>, service: &str, to: &str) -> bool {
    let words = ["exec", "-T", service, "timeout", "1", "naru-check", "connect", to, "80"];
    project.naru(words).code == 0
}

fn names(host: &TestHost) -> String {
    host.naru(["network", "ls", "--format", "{{.Name}} {{.Driver}}"]).succeeds().stdout
}

const PREDEFINED: &str = "bridge bridge\nhost host\nnone null\n";

#[test]
fn bridge_host_and_none_are_there_without_being_made_and_cannot_be_removed() {
    host(|host| {
        let before = host.snapshot();
        assert_eq!(names(host), PREDEFINED);
        let refused = host.naru(["network", "rm", "host"]).exits_with(1);
        assert!(
            refused.stderr.contains("host is a pre-defined network and cannot be removed"),
            "{refused}"
        );
        let again = host.naru(["network", "create", "bridge"]).exits_with(1);
        assert!(again.stderr.contains("network with name bridge already exists"), "{again}");
        let one = host.project("one").file(
            "compose.yaml",
            "
services:
  outside: { image: test, networks: [machine] }
  alone: { image: test, networks: [nowhere] }
  web: { image: test, command: naru-check listen 80, network_mode: bridge }
  client: { image: test, network_mode: bridge, links: ['web:site'] }
networks:
  machine: { external: true, name: host }
  nowhere: { external: true, name: none }
",
        );
        let two = host.project("two").file(
            "compose.yaml",
            "
services: { client: { image: test, networks: [shared] } }
networks: { shared: { external: true, name: bridge } }
",
        );
        one.naru(["up", "-d"]).succeeds();
        two.naru(["up", "-d"]).succeeds();
        assert!(ip(&one, "outside", "addr").contains("host0"));
        let alone = ip(&one, "alone", "addr");
        assert!(alone.contains("127.0.0.1") && !alone.contains("eth0"), "{alone}");
        reaches(&one, "client", "site");
        let web = address_of(&one, "web");
        reaches(&two, "client", &web);
        assert!(!knows(&two, "client", "web") && !knows(&two, "client", "one-web-1"));
        let refused = host.naru(["network", "connect", "host", "two-client-1"]).exits_with(1);
        let text = "container cannot be connected to host network";
        assert!(refused.stderr.contains(text), "{refused}");
        let again = one.naru(["up", "-d"]).succeeds().stderr;
        assert!(!again.contains("Recreate"), "{again}");
        one.naru(["down"]).succeeds();
        assert!(ip(&two, "client", "addr").contains("eth0"));
        two.naru(["down"]).succeeds();
        assert_eq!(names(host), PREDEFINED);
        before.assert_nothing_left();
    });
}

#[test]
fn what_a_network_of_the_host_or_none_cannot_have_is_refused_at_its_place() {
    host(|host| {
        let check = |file: &str, expected: &str| {
            let project = host.project("wrong").file("compose.yaml", file);
            let refused = project.naru(["up", "-d"]).exits_with(1);
            assert!(refused.stderr.contains(expected), "{refused}");
            assert!(refused.stderr.contains("compose.yaml:"), "{refused}");
            assert_eq!(project.naru(["ps", "-aq"]).succeeds().stdout, "");
        };
        check(
            "services: { a: { image: test, networks: [x, default] } }\nnetworks: { x: { external: true, name: host } }\n",
            "a container in network host can be in no other",
        );
        check(
            "services: { a: { image: test, networks: [x] } }\nnetworks: { x: { driver: host } }\n",
            "write `external: true` and `name: host` instead",
        );
        check(
            "services: { a: { image: test, networks: [x] } }\nnetworks: { x: { driver: overlay } }\n",
            "the driver `overlay` needs a swarm",
        );
        check(
            "services: { a: { image: test, networks: [x] } }\nnetworks: { x: { driver: weave } }\n",
            "the driver `weave` is not possible",
        );
        check(
            "services: { a: { image: test, network_mode: nothing-like-this } }\n",
            "network nothing-like-this declared as external, but could not be found",
        );
    });
}

#[test]
fn containers_of_an_external_network_that_was_made_again_are_made_anew_and_the_cause_is_told() {
    host(|host| {
        let create = |subnet: &str| {
            host.naru(["network", "create", "--subnet", subnet, "lan"]).succeeds();
        };
        create("10.61.0.0/24");
        let file = "
services:
  web: { image: test, command: naru-check listen 80, networks: [lan] }
  client: { image: test, networks: [lan] }
  other: { image: test, networks: [default] }
networks: { lan: { external: true } }
";
        let project = host.project("kept").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        assert!(ip(&project, "web", "addr").contains("inet 10.61.0."));
        project.naru(["stop"]).succeeds();
        host.naru(["network", "rm", "lan"]).succeeds();
        let gone = project.naru(["up", "-d"]).exits_with(1);
        let text = "network lan declared as external, but could not be found";
        assert!(gone.stderr.contains(text), "{gone}");
        create("10.62.0.0/24");
        let refused = project.naru(["start", "web"]).exits_with(1);
        let text = "network lan was removed and made again since container kept-web-1 was made";
        assert!(refused.stderr.contains(text), "{refused}");
        let plan = project.naru(["--dry-run", "up", "-d"]).succeeds().to_string();
        assert!(plan.contains("kept-web-1: network lan changed"), "{plan}");
        assert!(!plan.contains("kept-other-1: network lan changed"), "{plan}");
        project.naru(["up", "-d"]).succeeds();
        assert!(ip(&project, "web", "addr").contains("inet 10.62.0."));
        reaches(&project, "client", "web");
        let again = project.naru(["up", "-d"]).succeeds().stderr;
        assert!(!again.contains("Recreate"), "{again}");
    });
}

/// The only bridge whose name naru has chosen.
fn bridge() -> String {
    let listed = Command::new("ip").args(["-o", "link"]).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    let names = listed.lines().filter_map(|line| line.split([':', '@']).nth(1));
    names.map(str::trim).find(|name| name.starts_with("nb-")).unwrap().to_owned()
}

fn delete(link: &str) {
    assert!(Command::new("ip").args(["link", "delete", link]).status().unwrap().success());
}

#[test]
fn the_bridge_of_a_shared_network_that_somebody_deletes_is_made_again_under_all_its_containers() {
    host(|host| {
        let before = host.snapshot();
        host.naru(["network", "create", "lan"]).succeeds();
        let file = "
services: { a: { image: test, command: naru-check listen 80, networks: [lan] } }
networks: { lan: { external: true } }
";
        let one = host.project("one").file("compose.yaml", file);
        let two = host.project("two").file("compose.yaml", file);
        one.naru(["up", "-d"]).succeeds();
        two.naru(["up", "-d"]).succeeds();
        let own = bridge();
        let answers = |what: &str| {
            for (from, to) in [(&one, "two-a-1"), (&two, "one-a-1")] {
                within(Duration::from_secs(5), what, || match connects(from, "a", to) {
                    true => Ok(()),
                    false => Err(to.to_owned()),
                });
            }
        };
        answers("before");
        delete(&own);
        answers("healed");
        // The supervisors that were started anew listen too.
        host.kill(&["naru", "supervisor:"]);
        one.naru(["ps"]).succeeds();
        two.naru(["ps"]).succeeds();
        answers("after their deaths");
        delete(&own);
        answers("healed again");

        // Nobody is there to heal: who looks is told.
        host.signal(&["naru", "supervisor:"], Signal::STOP);
        delete(&own);
        let warned = one.naru(["ps"]).succeeds().stderr;
        assert!(warned.contains("of network lan is gone: its containers reach nobody"), "{warned}");
        host.signal(&["naru", "supervisor:"], Signal::CONT);
        one.naru(["up", "-d"]).succeeds();
        answers("after up");
        assert_eq!(one.naru(["ps"]).succeeds().stderr, "");
        one.naru(["down"]).succeeds();
        two.naru(["down"]).succeeds();
        host.naru(["network", "rm", "lan"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn external_links_are_names_for_containers_of_other_projects_that_only_this_one_has() {
    host(|host| {
        host.naru(["network", "create", "lan"]).succeeds();
        let web = "
services: { web: { image: test, container_name: the-web, command: naru-check listen 80, networks: [lan] } }
networks: { lan: { external: true } }
";
        let client = "
services:
  client: { image: test, networks: [lan], external_links: ['the-web:site', the-web] }
  plain: { image: test, networks: [lan] }
networks: { lan: { external: true } }
";
        let one = host.project("one").file("compose.yaml", web);
        let two = host.project("two").file("compose.yaml", client);
        two.naru(["up", "-d"]).succeeds();
        assert!(!knows(&two, "client", "site"), "it is not there yet");
        one.naru(["up", "-d"]).succeeds();
        reaches(&two, "client", "site");
        reaches(&two, "client", "the-web");
        assert!(knows(&two, "plain", "the-web") && !knows(&two, "plain", "site"));
        one.naru(["restart"]).succeeds();
        reaches(&two, "client", "site");
    });
}

#[test]
fn bridges_that_are_called_as_the_user_likes_are_as_closed_as_all_others() {
    host(|host| {
        let neighbour = Neighbour::new();
        let before = host.snapshot();
        let file = "
services:
  web: { image: test, command: naru-check listen 80, ports: ['8080:80'], networks: [back] }
  client: { image: test, networks: [front] }
  friend: { image: test, networks: [back] }
networks:
  front: { driver_opts: { com.docker.network.bridge.name: br-front } }
  back: { driver_opts: { com.docker.network.bridge.name: br-back } }
";
        let project = host.project("named").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let web = address_of(&project, "web");
        neighbour.run(&["ip", "route", "add", &format!("{web}/32"), "via", HOST_ADDRESS]);
        let check = |when: &str| {
            reaches(&project, "friend", "web");
            assert!(neighbour.connects(HOST_ADDRESS, "8080"), "the published port: {when}");
            assert!(!neighbour.connects(&web, "80"), "by its address: {when}");
            assert!(!connects(&project, "client", &web), "from another network: {when}");
        };
        check("at first");
        host.kill(&["naru", "supervisor:"]);
        project.naru(["ps"]).succeeds();
        check("after a supervisor's death");
        delete("br-back");
        check("after the bridge was made again");
        project.naru(["down"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn a_network_that_containers_of_others_are_in_is_not_made_anew_under_them() {
    host(|host| {
        let owned = |more: &str| {
            format!(
                "services: {{ web: {{ image: test }} }}\nnetworks: {{ default: {{ {more} }} }}\n"
            )
        };
        let owner = host.project("owner").file("compose.yaml", &owned(""));
        owner.naru(["up", "-d"]).succeeds();
        let guest = host.project("guest").file(
            "compose.yaml",
            "
services: { client: { image: test, networks: [theirs] } }
networks: { theirs: { external: true, name: owner_default } }
",
        );
        guest.naru(["up", "-d"]).succeeds();
        let place = address_of(&guest, "client");
        let changed = "driver_opts: { com.docker.network.driver.mtu: '1400' }";
        let owner = owner.file("compose.yaml", &owned(changed));
        let said = owner.naru(["up", "-d"]).succeeds().stderr;
        assert!(said.contains("network owner_default has changed in the compose file"), "{said}");
        assert!(said.contains("containers of other projects use it"), "{said}");
        assert_eq!(address_of(&guest, "client"), place);
        assert!(knows(&guest, "client", "web"));
        guest.naru(["restart", "-t", "0"]).succeeds();
        guest.naru(["down", "-t", "0"]).succeeds();
        // Nobody else is in it any more.
        owner.naru(["up", "-d"]).succeeds();
        assert!(ip(&owner, "web", "link").contains("mtu 1400"));
        owner.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn links_in_networks_of_others_stay_when_the_last_own_network_goes() {
    host(|host| {
        host.naru(["network", "create", "theirs"]).succeeds();
        let file = "
services:
  web: { image: test }
  worker: { image: test, networks: [theirs] }
networks: { theirs: { external: true } }
";
        let project = host.project("guest").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let index =
            || ip(&project, "worker", "link show eth0").split(':').next().map(str::to_owned);
        let before = index();
        project.naru(["down", "-t", "0", "web"]).succeeds();
        assert_eq!(names(host), format!("{PREDEFINED}theirs bridge\n"), "its own one is gone");
        // Longer than it takes to make a link again.
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(index(), before);
        project.naru(["down", "-t", "0"]).succeeds();
        host.naru(["network", "rm", "theirs"]).succeeds();
    });
}
