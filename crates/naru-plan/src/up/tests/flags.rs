//! What the flags of `up` change, and what a changed file does to networks, volumes and replicas.

use serde_json::json;

use crate::fixture::{check, needs, project, project_with, running, up_options, up_text, with};
use crate::observed::State;
use crate::{Observed, UpOptions};

#[test]
fn renewing_anonymous_volumes_recreates_and_gives_nothing_of_the_old_ones_on() {
    let one = project(json!({"db": {"volumes": [{"type": "volume", "target": "/data"}]}}));
    let options = UpOptions { renew_anon_volumes: true, ..up_options() };
    check(
        &up_text(&one, &running(&one), &options),
        "
        1 create container 000000000001_p-db-1 for p-db-1: forced
        2 stop container p-db-1 [after 1]: replaced
        3 remove container p-db-1 and its anonymous volumes [after 1, 2]: replaced
        4 rename container 000000000001_p-db-1 to p-db-1 [after 1, 3]: replaced
        5 start container p-db-1 [after 4]: new
        ",
    );
}

#[test]
fn dependencies_are_recreated_too_when_that_is_asked_for_and_only_when_they_changed_else() {
    let two = |tag: &str| {
        project(json!({
            "db": {"image": tag}, "web": {"depends_on": needs(&[("db", "service_started")])}
        }))
    };
    let seen = running(&two("db:1"));
    let web = UpOptions { services: vec!["web".to_owned()], ..up_options() };
    check(&up_text(&two("db:1"), &seen, &web), "");
    let changed = up_text(&two("db:2"), &seen, &web);
    assert!(
        changed.starts_with("1 create container 000000000001_p-db-1 for p-db-1: image changed")
    );
    assert!(!changed.contains("container p-web-1"), "{changed}");
    let deps = UpOptions { always_recreate_deps: true, ..web.clone() };
    assert!(up_text(&two("db:1"), &seen, &deps).contains("for p-db-1: forced"));
    let alone = UpOptions { no_deps: true, ..deps };
    check(&up_text(&two("db:2"), &seen, &alone), "");
}

#[test]
fn a_renamed_network_takes_the_place_of_the_old_one() {
    let named = |name: &str| {
        project_with(json!({"networks": {"default": {"name": name}}, "services": {"web": {}}}))
    };
    check(
        &up_text(&named("new"), &running(&named("old")), &up_options()),
        "
        1 stop container p-web-1: network old changed
        2 remove network old [after 1]: network old changed
        3 create network new [after 2]: network old changed
        4 create container 000000000001_p-web-1 for p-web-1 [after 3]: network old changed
        5 remove container p-web-1 [after 1, 4]: replaced
        6 rename container 000000000001_p-web-1 to p-web-1 [after 4, 5]: replaced
        7 start container p-web-1 [after 6]: new
        ",
    );
    let kept = UpOptions { no_recreate: true, ..up_options() };
    let text = up_text(&named("new"), &running(&named("old")), &kept);
    assert!(text.starts_with("note: network old has changed"), "{text}");
}

#[test]
fn a_renamed_volume_is_a_new_one_and_the_old_one_keeps_its_data() {
    let named = |name: &str| {
        let volume = json!([{"type": "volume", "source": "data", "target": "/data"}]);
        project_with(json!({
            "volumes": {"data": {"name": name}}, "services": {"db": {"volumes": volume}}
        }))
    };
    let text = up_text(&named("new"), &running(&named("old")), &up_options());
    assert!(text.contains("create volume new: does not exist"), "{text}");
    assert!(text.contains("for p-db-1 [after 1]: volume new missing"), "{text}");
    assert!(!text.contains("remove volume"), "{text}");
}

#[test]
fn scaling_up_continues_after_the_highest_number_also_of_a_row_with_gaps() {
    let three = project(json!({"web": {"scale": 3}}));
    let scale = |count| UpOptions { scale: [("web".to_owned(), count)].into(), ..up_options() };
    let gap = with(running(&three), "p-web-2", |web| web.number = 7);
    let gap = with(gap, "p-web-2", |web| web.name = "p-web-7".into());
    check(
        &up_text(&three, &gap, &scale(4)),
        "
        1 create container p-web-8: does not exist
        2 start container p-web-8 [after 1]: new
        ",
    );
}

#[test]
fn orphans_that_run_stop_before_they_go_and_nothing_is_said_of_them_when_that_is_not_wanted() {
    let before = project(json!({"web": {}, "old": {}}));
    let after = project(json!({"web": {}}));
    let seen = running(&before);
    assert!(up_text(&after, &seen, &up_options()).contains("Found orphan containers ([p-old-1])"));
    let ignore = UpOptions { ignore_orphans: true, ..up_options() };
    check(&up_text(&after, &seen, &ignore), "");
    let remove = UpOptions { remove_orphans: true, ..up_options() };
    check(
        &up_text(&after, &seen, &remove),
        "
        1 stop container p-old-1: orphan
        2 remove container p-old-1 [after 1]: orphan
        ",
    );
    let ended = with(seen, "p-old-1", |old| old.state = State::Exited { code: None });
    check(&up_text(&after, &ended, &remove), "1 remove container p-old-1: orphan");
    check(&up_text(&project(json!({})), &Observed::default(), &up_options()), "");
}
