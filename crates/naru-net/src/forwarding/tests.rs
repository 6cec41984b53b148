use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::netlink::{Socket, link, upper};
use crate::sandbox;

fn pair(first: &str, second: &str) {
    upper::create_pair(&mut Socket::new(), (first, second), 0, None).unwrap();
}

fn set(interface: &str, value: &str) {
    fs::write(accept_ra(interface), value).unwrap();
}

fn told(names: &[&str]) -> Told {
    Told::These(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn interfaces_keep_taking_advertisements_and_only_those_that_were_told_are_set_back() {
    sandbox::run(|| {
        for (first, second) in [("lan0", "far0"), ("nv-0123", "nf-0123")] {
            pair(first, second);
        }
        set("lan0", "1");
        set("far0", "2");
        set("nv-0123", "1");
        let value = |name| accepts(name).unwrap().unwrap();
        assert_eq!(listeners(), ["lan0".to_owned()].into());
        let told = switch_on(Family::Ipv6).unwrap();
        assert_eq!(told, ["lan0".to_owned()].into());
        assert_eq!(["lan0", "far0", "nv-0123"].map(value), ["2", "2", "1"]);
        assert_eq!(switch_on(Family::Ipv6).unwrap(), BTreeSet::new(), "it is on");

        let switched = Switched { ipv6: true, ..Switched::default() }.with_told(told);
        let switched = Switched::from(switched.to_string().as_str());
        // Somebody tells another meanwhile.
        pair("usb0", "usb1");
        set("usb0", "2");
        switch_off(&switched).unwrap();
        assert_eq!(["lan0", "far0", "usb0"].map(value), ["1", "2", "2"]);
        assert!(!is_on(Family::Ipv6).unwrap());

        // Nothing was written down about interfaces once.
        switch_on(Family::Ipv6).unwrap();
        switch_off(&Switched::from("forwarding was off: ipv4 ipv6")).unwrap();
        assert_eq!(["lan0", "far0", "usb0"].map(value), ["1", "1", "1"]);
    });
}

#[test]
fn links_that_vanish_meanwhile_are_passed_over() {
    sandbox::run(|| {
        pair("lan0", "far0");
        set("lan0", "1");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let churn = |number: u32| {
                let is_over = &is_over;
                move || {
                    let (first, second) = (format!("a{number}"), format!("b{number}"));
                    while !is_over.load(Ordering::Relaxed) {
                        pair(&first, &second);
                        link::delete(&mut Socket::new(), &first).unwrap();
                    }
                }
            };
            (0..4).for_each(|number| drop(scope.spawn(churn(number))));
            let deadline = Instant::now() + Duration::from_secs(3);
            let rounds = (0..200).take_while(|_| Instant::now() < deadline).try_for_each(|_| {
                let told = switch_on(Family::Ipv6)?;
                let switched = Switched { ipv6: true, ..Switched::default() };
                switch_off(&switched.with_told(told))
            });
            is_over.store(true, Ordering::Relaxed);
            rounds.unwrap();
        });
        assert_eq!(accepts("lan0").unwrap().as_deref(), Some("1"));
    });
}

#[test]
fn the_text_says_what_was_switched_on_and_one_without_interfaces_means_all() {
    for (text, switched) in [
        ("", Switched::default()),
        ("forwarding was off: ipv4", Switched { ipv4: true, ..Switched::default() }),
        ("forwarding was off: ipv4 ipv6", Switched { ipv4: true, ipv6: true, told: Told::Unknown }),
        (
            "forwarding was off: ipv6; advertisements:",
            Switched { ipv4: false, ipv6: true, told: told(&[]) },
        ),
        (
            "forwarding was off: ipv4 ipv6; advertisements: eth0 ipv4;x",
            Switched { ipv4: true, ipv6: true, told: told(&["eth0", "ipv4;x"]) },
        ),
    ] {
        assert_eq!(Switched::from(text), switched);
        assert_eq!(switched.to_string(), text);
    }
    assert_eq!(Switched::from("somebody's own words, ipv4"), Switched::default());
}

#[test]
fn what_two_projects_have_switched_on_is_added_up() {
    let of = |text: &str| Switched::from(text);
    let known = of("forwarding was off: ipv6; advertisements: eth1");
    let both = of("forwarding was off: ipv4 ipv6; advertisements: eth0").with(known.clone());
    assert_eq!(both.to_string(), "forwarding was off: ipv4 ipv6; advertisements: eth0 eth1");
    assert_eq!(known.with(of("forwarding was off: ipv6")).told, Told::Unknown);
}

#[test]
fn a_tables_comment_has_as_many_interfaces_as_nft_takes() {
    let names = (10..40).map(|number| format!("interface-n{number}"));
    let switched = Switched { ipv6: true, ..Switched::default() };
    let switched = switched.with_told(names.chain(["a\"b".to_owned()]).collect());
    let comment = switched.comment();
    assert!((LONGEST_COMMENT - 14..=LONGEST_COMMENT).contains(&comment.len()), "{comment}");
    let Told::These(kept) = Switched::from(comment.as_str()).told else { panic!("{comment}") };
    assert_eq!(kept.len(), 6, "{comment}");
    assert!(kept.iter().all(|name| name.starts_with("interface-n1")), "{comment}");
}
