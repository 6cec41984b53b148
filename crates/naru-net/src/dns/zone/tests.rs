//! Who finds whom.

use super::*;

fn zone() -> Zone {
    let mut zone = Zone::default();
    let subnets = |all: &[&str]| all.iter().map(|s| s.parse().unwrap()).collect::<Vec<_>>();
    zone.add_network("front", "shop_front", subnets(&["10.213.1.0/24", "fd00:1::/64"]));
    zone.add_network("back", "shop_back", subnets(&["10.213.2.0/24"]));
    let mut add = |network, address: &str, canonical, names: &[&str]| {
        zone.add(network, address.parse().unwrap(), canonical, names.iter().copied());
    };
    let web = ["web", "shop-web-1", "WWW.Shop.Example"];
    add("front", "10.213.1.2", "shop-web-1.shop_front", &web);
    add("front", "fd00:1::2", "shop-web-1.shop_front", &web);
    add("front", "10.213.1.3", "shop-web-2.shop_front", &["web", "shop-web-2"]);
    add("back", "10.213.2.2", "shop-web-1.shop_back", &["web"]);
    add("back", "10.213.2.3", "shop-db-1.shop_back", &["db"]);
    zone.claim("front", ["api", "api.example.org"]);
    zone.claim("back", ["mail.example.org"]);
    zone
}

fn view(networks: &[&str], forward: bool) -> View {
    View {
        networks: networks.iter().map(ToString::to_string).collect(),
        aliases: [("database".to_owned(), "db".to_owned())].into(),
        host: vec![[10, 213, 1, 1].into()],
        forward,
    }
}

fn check(networks: &[&str], forward: bool, name: &str, kind: u16, expected: &str) {
    let question = Question { name: name.into(), kind };
    let answer = match zone().lookup(&question, &view(networks, forward)) {
        Answer::Addresses(addresses) => format!("{addresses:?}"),
        Answer::Names(names) => names.join(" "),
        other => format!("{other:?}"),
    };
    assert_eq!(answer, expected, "{name} from {networks:?}");
}

#[test]
fn names_are_answered_by_what_the_container_can_reach() {
    check(&["front"], true, "web", TYPE_A, "[10.213.1.2, 10.213.1.3]");
    check(&["back", "front"], true, "web", TYPE_A, "[10.213.2.2]");
    check(&["front"], true, "www.shop.example", TYPE_A, "[10.213.1.2]");
    check(&["front"], true, "db", TYPE_A, "Host");
}

#[test]
fn each_family_is_answered_by_its_addresses_and_every_other_type_by_nothing() {
    const TYPE_MX: u16 = 15;
    const TYPE_HTTPS: u16 = 65;
    check(&["front"], true, "web", TYPE_AAAA, "[fd00:1::2]");
    check(&["front"], true, "web", TYPE_ANY, "[10.213.1.2, fd00:1::2, 10.213.1.3]");
    check(&["back"], true, "web", TYPE_AAAA, "Nothing");
    check(&["front"], true, "web", TYPE_MX, "Nothing");
    check(&["front"], true, "www.shop.example", TYPE_HTTPS, "Nothing");
}

#[test]
fn the_networks_name_may_follow_a_name() {
    check(&["front"], true, "shop-web-2.shop_front", TYPE_A, "[10.213.1.3]");
    check(&["front", "back"], true, "web.shop_back", TYPE_A, "[10.213.2.2]");
    check(&["front"], true, "web.shop_back", TYPE_A, "Forward");
    check(&["front"], true, "webshop_front", TYPE_A, "Host");
}

#[test]
fn links_are_names_of_one_container_alone() {
    check(&["back"], true, "database", TYPE_A, "[10.213.2.3]");
    check(&["front"], true, "database", TYPE_A, "Host");
}

#[test]
fn the_host_is_found_under_its_names_and_they_never_leave() {
    check(&["front"], false, "host.docker.internal", TYPE_A, "[10.213.1.1]");
    check(&["front"], true, "host.naru.internal", TYPE_AAAA, "Nothing");
    let nowhere = View { host: Vec::new(), ..view(&["front"], true) };
    let question = Question { name: HOST_NAMES[0].into(), kind: TYPE_A };
    assert_eq!(zone().lookup(&question, &nowhere), Answer::NoName);
    check(&["front"], true, "app.localhost", TYPE_A, "[127.0.0.1]");
}

#[test]
fn single_labels_and_questions_from_internal_networks_never_leave() {
    check(&["front"], true, "wbe", TYPE_A, "Host");
    check(&["front"], true, "example.org", TYPE_A, "Forward");
    check(&["back"], false, "example.org", TYPE_A, "NoName");
    check(&["back"], false, "wbe", TYPE_A, "NoName");
    check(&["front"], true, "", 2, "Forward");
}

#[test]
fn names_of_what_does_not_run_never_leave_either() {
    check(&["front"], true, "api", TYPE_A, "NoName");
    check(&["front"], true, "api.example.org", TYPE_A, "NoName");
    check(&["back"], true, "api", TYPE_A, "NoName");
    check(&["back"], true, "mail.example.org", TYPE_A, "NoName");
    check(&["front"], true, "mail.example.org", TYPE_A, "Forward");
}

#[test]
fn addresses_of_the_project_are_looked_up_in_reverse_and_never_elsewhere() {
    check(&["front"], true, "3.1.213.10.in-addr.arpa", TYPE_PTR, "shop-web-2.shop_front");
    check(&["front"], true, "9.1.213.10.in-addr.arpa", TYPE_PTR, "NoName");
    check(&["front"], true, "3.1.213.10.in-addr.arpa", TYPE_A, "Nothing");
    check(&["front"], true, "1.1.1.1.in-addr.arpa", TYPE_PTR, "Forward");
    check(&["front"], true, "x.1.213.10.in-addr.arpa", TYPE_PTR, "Forward");
    let zeros = |count| "0.".repeat(count);
    let own = |last| format!("{last}.{}1.0.0.0.0.0.d.f.ip6.arpa", zeros(23));
    check(&["front"], true, &own(2), TYPE_PTR, "shop-web-1.shop_front");
    check(&["front"], true, &own(9), TYPE_PTR, "NoName");
    check(&["front"], true, &format!("{}8.b.d.0.1.0.0.2.ip6.arpa", zeros(24)), TYPE_PTR, "Forward");
    check(&["front"], true, &format!("{}ip6.arpa", zeros(40)), TYPE_PTR, "Forward");
}
